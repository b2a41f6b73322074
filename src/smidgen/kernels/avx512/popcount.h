/* AVX-512 VPOPCNTDQ: bits of eight 64-bit words. */
#ifndef SMIDGEN_POPCOUNT_H
#define SMIDGEN_POPCOUNT_H

#pragma GCC target("avx512vpopcntdq")

#include <immintrin.h>

#include "library.h"

#define SIMD(name) name##_avx512

typedef __m512i smg_counts;

SMG_INLINE smg_counts smg_all_counts(int32_t v) {
    return _mm512_set1_epi64(v);
}

SMG_INLINE smg_counts smg_plus_counts(smg_counts a, smg_counts b) {
    return _mm512_add_epi64(a, b);
}

/* How many bits of each of 8 words differ from those of `word`. */
SMG_INLINE smg_counts smg_differing(const uint64_t *words, uint64_t word) {
    return _mm512_popcnt_epi64(_mm512_xor_si512(_mm512_loadu_si512(words), _mm512_set1_epi64((int64_t)word)));
}

/* A bit for each count below its limit. */
SMG_INLINE uint32_t smg_below(smg_counts counts, smg_counts limit) {
    return _mm512_cmplt_epi64_mask(counts, limit);
}

SMG_INLINE void smg_store_counts(int64_t *p, smg_counts counts) {
    _mm512_storeu_si512(p, counts);
}

#endif
