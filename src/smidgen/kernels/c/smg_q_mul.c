#include "smidgen.h"

static void row(const smg_q_mul_args *a, const int8_t *x0, const int8_t *x1, uint16_t multiplier,
                uint8_t shift, int8_t *y) {
    for (int32_t i = 0; i < a->d3; i++) {
        const int32_t acc = (x0[i * a->s0_3] - a->zero_0) * (x1[i * a->s1_3] - a->zero_1);
        y[i] = smg_saturate(smg_requantize(acc, multiplier, shift) + a->zero_y, a->lo, a->hi);
    }
}

void smg_q_mul(const smg_q_mul_args *a, const int8_t *x0, const int8_t *x1, const uint16_t *multiplier,
               const uint8_t *shift, int8_t *y) {
    for (int32_t i = 0; i < a->d0; i++) {
        for (int32_t j = 0; j < a->d1; j++) {
            for (int32_t k = 0; k < a->d2; k++, y += a->d3) {
                row(a, x0 + (size_t)i * a->s0_0 + (size_t)j * a->s0_1 + (size_t)k * a->s0_2,
                    x1 + (size_t)i * a->s1_0 + (size_t)j * a->s1_1 + (size_t)k * a->s1_2, *multiplier, *shift,
                    y);
            }
        }
    }
}
