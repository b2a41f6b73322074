#include "smidgen.h"

void smg_q_requantize(const smg_q_requantize_args *a, const int8_t *x, const uint16_t *multiplier,
                      const uint8_t *shift, int8_t *y) {
    for (int32_t r = 0; r < a->rows; r++) {
        for (int32_t c = 0; c < a->channels; c++, x++, y++) {
            const int32_t e = a->per_channel ? c : 0;
            *y = smg_saturate(smg_requantize(*x - a->zero_x, multiplier[e], shift[e]) + a->zero_y, a->lo,
                              a->hi);
        }
    }
}
