#include "smidgen.h"

void smg_q_requantize16(const smg_q_requantize16_args *a, const void *x, const uint16_t *multiplier,
                        const uint8_t *shift, void *y) {
    size_t at = 0;
    for (int32_t r = 0; r < a->rows; r++) {
        for (int32_t c = 0; c < a->channels; c++, at++) {
            const int32_t e = a->per_channel ? c : 0, v = smg_load(x, a->wide_x, at) - a->zero_x;
            smg_store(y, a->wide_y, at, smg_requantize(v, multiplier[e], shift[e]) + a->zero_y, a->lo, a->hi);
        }
    }
}
