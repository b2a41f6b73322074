/* NEON: bits of eight 64-bit words, counted byte by byte. */
#ifndef SMIDGEN_POPCOUNT_H
#define SMIDGEN_POPCOUNT_H

#include <arm_neon.h>

#include "library.h"

#define SIMD(name) name##_neon

typedef struct {
    int64x2_t two[4];
} smg_counts;

SMG_INLINE smg_counts smg_all_counts(int32_t v) {
    const int64x2_t all = vdupq_n_s64(v);
    return (smg_counts){{all, all, all, all}};
}

SMG_INLINE smg_counts smg_plus_counts(smg_counts a, smg_counts b) {
    for (int i = 0; i < 4; i++)
        a.two[i] = vaddq_s64(a.two[i], b.two[i]);
    return a;
}

/* How many bits of each of 8 words differ from those of `word`. */
SMG_INLINE smg_counts smg_differing(const uint64_t *words, uint64_t word) {
    smg_counts counts;
    for (int i = 0; i < 4; i++) {
        const uint64x2_t unequal = veorq_u64(vld1q_u64(words + 2 * i), vdupq_n_u64(word));
        const uint16x8_t pairs = vpaddlq_u8(vcntq_u8(vreinterpretq_u8_u64(unequal)));
        counts.two[i] = vreinterpretq_s64_u64(vpaddlq_u32(vpaddlq_u16(pairs)));
    }
    return counts;
}

/* A bit for each count below its limit. */
SMG_INLINE uint32_t smg_below(smg_counts counts, smg_counts limit) {
    uint32_t below = 0;
    for (int i = 0; i < 4; i++) {
        const uint64x2_t less = vcltq_s64(counts.two[i], limit.two[i]);
        below |= (uint32_t)(vgetq_lane_u64(less, 0) & 1) << 2 * i;
        below |= (uint32_t)(vgetq_lane_u64(less, 1) & 2) << 2 * i;
    }
    return below;
}

SMG_INLINE void smg_store_counts(int64_t *p, smg_counts counts) {
    for (int i = 0; i < 4; i++)
        vst1q_s64(p + 2 * i, counts.two[i]);
}

#endif
