/* AVX2: bits of eight 64-bit words, by tables of 4 bits.
 * Ref: Mula, Kurz, Lemire, "Faster Population Counts Using AVX2 Instructions", 2016, arXiv:1611.07612. */
#ifndef SMIDGEN_POPCOUNT_H
#define SMIDGEN_POPCOUNT_H

#include <immintrin.h>

#include "library.h"

#define SIMD(name) name##_avx2

typedef struct {
    __m256i lo, hi;
} smg_counts;

SMG_INLINE smg_counts smg_all_counts(int32_t v) {
    return (smg_counts){_mm256_set1_epi64x(v), _mm256_set1_epi64x(v)};
}

SMG_INLINE smg_counts smg_plus_counts(smg_counts a, smg_counts b) {
    return (smg_counts){_mm256_add_epi64(a.lo, b.lo), _mm256_add_epi64(a.hi, b.hi)};
}

SMG_INLINE __m256i smg_ones(__m256i v) {
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2,
                                           2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i four = _mm256_set1_epi8(15);
    const __m256i low = _mm256_shuffle_epi8(table, _mm256_and_si256(v, four));
    const __m256i high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(v, 4), four));
    return _mm256_sad_epu8(_mm256_add_epi8(low, high), _mm256_setzero_si256());
}

/* How many bits of each of 8 words differ from those of `word`. */
SMG_INLINE smg_counts smg_differing(const uint64_t *words, uint64_t word) {
    const __m256i all = _mm256_set1_epi64x((int64_t)word);
    return (smg_counts){smg_ones(_mm256_xor_si256(_mm256_loadu_si256((const __m256i *)words), all)),
                        smg_ones(_mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(words + 4)), all))};
}

/* A bit for each count below its limit. */
SMG_INLINE uint32_t smg_below(smg_counts counts, smg_counts limit) {
    const int lo = _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(limit.lo, counts.lo)));
    const int hi = _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(limit.hi, counts.hi)));
    return (uint32_t)(lo | hi << 4);
}

SMG_INLINE void smg_store_counts(int64_t *p, smg_counts counts) {
    _mm256_storeu_si256((__m256i *)p, counts.lo);
    _mm256_storeu_si256((__m256i *)(p + 4), counts.hi);
}

#endif
