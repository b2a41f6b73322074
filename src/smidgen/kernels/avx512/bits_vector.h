/* Counting unequal bits with VPOPCNTDQ: 16 lanes of one word each. */
#ifndef SMIDGEN_BITS_VECTOR_H
#define SMIDGEN_BITS_VECTOR_H

#include "vector.h"

#define SMG_BIT_BLOCKS 4
enum { SMG_PENDING = 0 }; /* counts never have to be widened */
static const int32_t MOST_BIT_ROWS[] = {0, 8, 8, 8, 6};

typedef __m512i smg_counts;

SMG_INLINE smg_counts smg_no_counts(void) {
    return _mm512_setzero_si512();
}

SMG_INLINE smg_vec smg_repeat32(int32_t v) {
    return _mm512_set1_epi32(v);
}

SMG_INLINE smg_vec smg_load32(const int32_t *v) {
    return _mm512_loadu_si512(v);
}

SMG_INLINE smg_vec smg_add32(smg_vec a, smg_vec b) {
    return _mm512_add_epi32(a, b);
}

SMG_INLINE smg_vec smg_sub32(smg_vec a, smg_vec b) {
    return _mm512_sub_epi32(a, b);
}

SMG_INLINE smg_vec smg_load_words(const uint32_t *w) {
    return _mm512_load_si512(w);
}

SMG_INLINE smg_vec smg_repeat_word(const uint32_t *x) {
    return _mm512_set1_epi32((int32_t)*x);
}

/* The words of x at 16 places. */
SMG_INLINE smg_vec smg_gather_words(const uint32_t *x, smg_vec places) {
    return _mm512_i32gather_epi32(places, x, 4);
}

SMG_INLINE void smg_count_unequal(smg_counts *count, smg_vec w, smg_vec x) {
    *count = _mm512_add_epi32(*count, _mm512_popcnt_epi32(_mm512_xor_si512(w, x)));
}

SMG_INLINE void smg_settle(smg_counts *count) {
    (void)count;
}

SMG_INLINE void smg_double(smg_counts *count) {
    *count = _mm512_slli_epi32(*count, 1);
}

SMG_INLINE smg_vec smg_counted(const smg_counts *count) {
    return *count;
}

/* Of `n` bits at most so many may differ for n - 2 unequal >= threshold. */
SMG_INLINE smg_vec smg_limit(int32_t n, const int32_t *thresholds) {
    return _mm512_srai_epi32(_mm512_sub_epi32(_mm512_set1_epi32(n), _mm512_loadu_si512(thresholds)), 1);
}

/* A bit for each lane that is at most its limit. */
SMG_INLINE uint32_t smg_at_most(smg_vec unequal, smg_vec limit) {
    return _mm512_cmple_epi32_mask(unequal, limit);
}

SMG_INLINE void smg_store_bits(smg_vec unequal, smg_vec limit, void *y) {
    const __mmask16 reached = (__mmask16)smg_at_most(unequal, limit);
    __builtin_memcpy(y, &reached, 2);
}

/* bias + n - 2 unequal */
SMG_INLINE smg_vec smg_sum_of(const smg_channels *c, int32_t n, smg_vec unequal) {
    const smg_vec start = _mm512_add_epi32(_mm512_loadu_si512(c->bias), _mm512_set1_epi32(n));
    return _mm512_sub_epi32(start, _mm512_slli_epi32(unequal, 1));
}

typedef __m256i smg_levels;

/* Bit `bit` of each of 32 bytes: their sign bits are what can be taken. */
SMG_INLINE uint32_t smg_plane(smg_levels levels, int32_t bit) {
    return (uint32_t)_mm256_movemask_epi8(_mm256_sll_epi16(levels, _mm_cvtsi32_si128(7 - bit)));
}

/* `n` bytes (1..32) with the zero point taken off, then zeros. */
SMG_INLINE smg_levels smg_levels32(const int8_t *x, int32_t zero, int32_t n) {
    const __mmask32 some = n < 32 ? (1u << n) - 1 : ~0u;
    return _mm256_maskz_sub_epi8(some, _mm256_maskz_loadu_epi8(some, x), _mm256_set1_epi8((char)zero));
}

/* Which of `n` values (1..32) are at least their thresholds, of which there are 32. */
SMG_INLINE uint32_t smg_reached32(const int8_t *x, const int16_t *thresholds, int32_t n) {
    const __mmask32 some = n < 32 ? (1u << n) - 1 : ~0u;
    const __m512i wide = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(some, x));
    return _mm512_cmpge_epi16_mask(wide, _mm512_loadu_si512(thresholds));
}

#endif
