#include "smidgen.h"

/* One row of the last axis. 32 bits suffice: each product is below 2^24, the rounding term at most 2^29. */
static void row(const smg_q_add_args *a, const int8_t *x0, const int8_t *x1, int8_t *y) {
    const int32_t m0 = a->multiplier_0, m1 = a->multiplier_1, shift = a->shift, lo = a->lo, hi = a->hi;
    const int32_t offset = ((int32_t)1 << (shift - 1)) - a->zero_0 * m0 - a->zero_1 * m1;
    for (int32_t i = 0; i < a->d3; i++) {
        const int32_t v = ((x0[i * a->s0_3] * m0 + x1[i * a->s1_3] * m1 + offset) >> shift) + a->zero_y;
        y[i] = (int8_t)(v < lo ? lo : v > hi ? hi : v);
    }
}

void smg_q_add(const smg_q_add_args *a, const int8_t *x0, const int8_t *x1, int8_t *y) {
    for (int32_t i = 0; i < a->d0; i++) {
        for (int32_t j = 0; j < a->d1; j++) {
            for (int32_t k = 0; k < a->d2; k++, y += a->d3) {
                row(a, x0 + (size_t)i * a->s0_0 + (size_t)j * a->s0_1 + (size_t)k * a->s0_2,
                    x1 + (size_t)i * a->s1_0 + (size_t)j * a->s1_1 + (size_t)k * a->s1_2, y);
            }
        }
    }
}
