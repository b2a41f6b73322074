#include "smidgen.h"

void smg_q_linear16(const smg_q_linear16_args *a, const int8_t *x, const int8_t *w, const int32_t *bias,
                    const uint16_t *multiplier, const uint8_t *shift, int16_t *y) {
    for (int32_t o = 0; o < a->out; o++, w += a->in) {
        const uint32_t start = (uint32_t)bias[o] - (uint32_t)a->zero_x * smg_sum(w, a->in);
        const int32_t c = a->per_channel ? o : 0;
        for (int32_t r = 0; r < a->rows; r++) {
            const int32_t acc = (int32_t)(start + smg_dot(x + (size_t)r * a->in, w, a->in));
            smg_store(y, 1, (size_t)r * a->out + o, smg_requantize(acc, multiplier[c], shift[c]) + a->zero_y,
                      a->lo, a->hi);
        }
    }
}
