#include "smidgen.h"

void smg_q_reduce_max(const smg_q_reduce_max_args *a, const int8_t *x, int8_t *y) {
    const size_t step1 = (size_t)a->r1 * a->k2, step0 = (size_t)a->k1 * step1;
    for (int32_t k0 = 0; k0 < a->k0; k0++) {
        for (int32_t k1 = 0; k1 < a->k1; k1++) {
            for (int32_t k2 = 0; k2 < a->k2; k2++) {
                const int8_t *at = x + (size_t)k0 * a->r0 * step0 + (size_t)k1 * step1 + k2;
                int8_t max = INT8_MIN;
                for (int32_t r0 = 0; r0 < a->r0; r0++) {
                    for (int32_t r1 = 0; r1 < a->r1; r1++) {
                        const int8_t v = at[r0 * step0 + (size_t)r1 * a->k2];
                        max = v > max ? v : max;
                    }
                }
                *y++ = max;
            }
        }
    }
}
