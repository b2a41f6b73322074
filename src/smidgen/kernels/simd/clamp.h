/* smg_clamp: 16 channels at a time. */
#ifndef SMIDGEN_CLAMP_H
#define SMIDGEN_CLAMP_H

#include "lanes.h"

void SIMD(smg_clamp)(const smg_clamp_args *a, const float *x, float *y, int32_t samples, void *scratch) {
    const smg_floats lo = smg_all(a->lo), hi = smg_all(a->hi);
    (void)scratch;
    for (int32_t s = 0; s < samples; s++, x += a->channels, y += a->channels) {
        int32_t c = 0;
        for (; c + SMG_LANES <= a->channels; c += SMG_LANES)
            smg_store(y + c, smg_between(lo, smg_plus(smg_load(x + c), smg_load(a->bias + c)), hi));
        if (c < a->channels) {
            const int32_t n = a->channels - c;
            const smg_floats v = smg_plus(smg_load_some(x + c, n), smg_load_some(a->bias + c, n));
            smg_store_some(y + c, n, smg_between(lo, v, hi));
        }
    }
}

#endif
