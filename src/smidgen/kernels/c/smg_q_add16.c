#include "smidgen.h"

void smg_q_add16(const smg_q_add16_args *a, const void *x0, const void *x1, void *y) {
    const int64_t half = (int64_t)1 << (a->shift - 1);
    size_t at = 0;
    for (int32_t i = 0; i < a->d0; i++)
        for (int32_t j = 0; j < a->d1; j++)
            for (int32_t k = 0; k < a->d2; k++) {
                const size_t from0 = (size_t)i * a->s0_0 + (size_t)j * a->s0_1 + (size_t)k * a->s0_2;
                const size_t from1 = (size_t)i * a->s1_0 + (size_t)j * a->s1_1 + (size_t)k * a->s1_2;
                for (int32_t l = 0; l < a->d3; l++, at++) {
                    const int32_t v0 = smg_load(x0, a->wide_0, from0 + (size_t)l * a->s0_3) - a->zero_0;
                    const int32_t v1 = smg_load(x1, a->wide_1, from1 + (size_t)l * a->s1_3) - a->zero_1;
                    const int64_t sum = (int64_t)v0 * a->multiplier_0 + (int64_t)v1 * a->multiplier_1;
                    smg_store(y, a->wide_y, at, ((sum + half) >> a->shift) + a->zero_y, a->lo, a->hi);
                }
            }
}
