/* smg_hadamard: 16 neighbours in registers, then up to three levels of the butterfly in one pass over memory.
 */
#ifndef SMIDGEN_HADAMARD_H
#define SMIDGEN_HADAMARD_H

#include "lanes.h"

/* `levels` levels, the first between elements `step` apart. */
SMG_INLINE void hadamard_pass(const int levels, float *y, int32_t n, int32_t step) {
    const int parts = 1 << levels;
    for (int32_t from = 0; from < n; from += parts * step)
        for (int32_t i = from; i < from + step; i += SMG_LANES) {
            smg_floats v[8];
#pragma GCC unroll 8
            for (int p = 0; p < parts; p++)
                v[p] = smg_load(y + i + p * step);
#pragma GCC unroll 3
            for (int level = 0; level < levels; level++)
#pragma GCC unroll 8
                for (int p = 0; p < parts; p++)
                    if (!(p & 1 << level)) {
                        const smg_floats one = v[p], other = v[p + (1 << level)];
                        v[p] = smg_plus(one, other);
                        v[p + (1 << level)] = smg_minus(one, other);
                    }
#pragma GCC unroll 8
            for (int p = 0; p < parts; p++)
                smg_store(y + i + p * step, v[p]);
        }
}

void SIMD(smg_hadamard)(const smg_hadamard_args *a, const float *x, float *y, int32_t samples,
                        void *scratch) {
    const smg_floats factor = smg_all(a->factor);
    if (a->in < SMG_LANES) {
        smg_hadamard(a, x, y, samples, scratch);
        return;
    }
    for (int32_t s = 0; s < samples; s++, x += a->in, y += a->in) {
        for (int32_t i = 0; i < a->in; i += SMG_LANES)
            smg_store(y + i, smg_hadamard16(smg_by(smg_load(x + i), factor)));
        for (int32_t step = SMG_LANES; step < a->in;) {
            const int32_t left = a->in / step;
            if (left >= 8)
                hadamard_pass(3, y, a->in, step);
            else if (left == 4)
                hadamard_pass(2, y, a->in, step);
            else
                hadamard_pass(1, y, a->in, step);
            step *= left >= 8 ? 8 : left;
        }
    }
}

#endif
