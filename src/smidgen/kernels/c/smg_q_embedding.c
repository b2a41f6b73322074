#include "smidgen.h"

void smg_q_embedding(const smg_q_embedding_args *a, const void *x, const int8_t *w,
                     const uint16_t *multiplier, const uint8_t *shift, int8_t *y) {
    for (int32_t i = 0; i < a->count; i++) {
        const int32_t v = smg_load(x, a->wide_x, (size_t)i) - a->zero_x;
        const int32_t k = v < 0 ? 0 : v < a->entries ? v : a->entries - 1, e = a->per_row ? k : 0;
        const int8_t *row = w + (size_t)k * a->features;
        for (int32_t f = 0; f < a->features; f++)
            *y++ = smg_saturate(smg_requantize(row[f], multiplier[e], shift[e]) + a->zero_y, a->lo, a->hi);
    }
}
