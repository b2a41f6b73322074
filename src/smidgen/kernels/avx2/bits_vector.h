/* Counting unequal bits by looking up halves of bytes: 8 lanes of one word each, whose four bytes count by
 * themselves until they are about to overflow.
 *
 * Ref: Mula, Kurz, Lemire 2018 (arXiv 1611.07612), section 3.1. */
#ifndef SMIDGEN_BITS_VECTOR_H
#define SMIDGEN_BITS_VECTOR_H

#include "vector.h"

#define SMG_BIT_BLOCKS 2
enum { SMG_PENDING = 31 }; /* words, of which each adds at most 8 to a byte */
static const int32_t MOST_BIT_ROWS[] = {0, 6, 4};

typedef struct {
    __m256i bytes, words;
} smg_counts;

SMG_INLINE smg_counts smg_no_counts(void) {
    const smg_counts none = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    return none;
}

SMG_INLINE smg_vec smg_repeat32(int32_t v) {
    return _mm256_set1_epi32(v);
}

SMG_INLINE smg_vec smg_load32(const int32_t *v) {
    return _mm256_loadu_si256((const __m256i *)v);
}

SMG_INLINE smg_vec smg_add32(smg_vec a, smg_vec b) {
    return _mm256_add_epi32(a, b);
}

SMG_INLINE smg_vec smg_sub32(smg_vec a, smg_vec b) {
    return _mm256_sub_epi32(a, b);
}

SMG_INLINE smg_vec smg_load_words(const uint32_t *w) {
    return _mm256_load_si256((const __m256i *)w);
}

SMG_INLINE smg_vec smg_repeat_word(const uint32_t *x) {
    return _mm256_set1_epi32((int32_t)*x);
}

/* The words of x at 8 places. */
SMG_INLINE smg_vec smg_gather_words(const uint32_t *x, smg_vec places) {
    return _mm256_i32gather_epi32((const int *)x, places, 4);
}

SMG_INLINE void smg_count_unequal(smg_counts *count, smg_vec w, smg_vec x) {
    const __m256i low = _mm256_set1_epi8(15);
    const __m256i ones = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2,
                                          3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i v = _mm256_xor_si256(w, x);
    const __m256i first = _mm256_shuffle_epi8(ones, _mm256_and_si256(v, low));
    const __m256i second = _mm256_shuffle_epi8(ones, _mm256_and_si256(_mm256_srli_epi16(v, 4), low));
    count->bytes = _mm256_add_epi8(count->bytes, _mm256_add_epi8(first, second));
}

/* The four bytes of each lane, summed. */
SMG_INLINE smg_vec smg_widened(__m256i bytes) {
    const __m256i pairs = _mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

SMG_INLINE void smg_settle(smg_counts *count) {
    count->words = _mm256_add_epi32(count->words, smg_widened(count->bytes));
    count->bytes = _mm256_setzero_si256();
}

SMG_INLINE void smg_double(smg_counts *count) {
    smg_settle(count);
    count->words = _mm256_slli_epi32(count->words, 1);
}

SMG_INLINE smg_vec smg_counted(const smg_counts *count) {
    return _mm256_add_epi32(count->words, smg_widened(count->bytes));
}

/* Of `n` bits at most so many may differ for n - 2 unequal >= threshold. */
SMG_INLINE smg_vec smg_limit(int32_t n, const int32_t *thresholds) {
    const __m256i t = _mm256_loadu_si256((const __m256i *)thresholds);
    return _mm256_srai_epi32(_mm256_sub_epi32(_mm256_set1_epi32(n), t), 1);
}

/* A bit for each lane that is at most its limit. */
SMG_INLINE uint32_t smg_at_most(smg_vec unequal, smg_vec limit) {
    const __m256i missed = _mm256_cmpgt_epi32(unequal, limit);
    return (uint8_t)~_mm256_movemask_ps(_mm256_castsi256_ps(missed));
}

SMG_INLINE void smg_store_bits(smg_vec unequal, smg_vec limit, void *y) {
    *(uint8_t *)y = (uint8_t)smg_at_most(unequal, limit);
}

/* bias + n - 2 unequal */
SMG_INLINE smg_vec smg_sum_of(const smg_channels *c, int32_t n, smg_vec unequal) {
    const __m256i bias = _mm256_loadu_si256((const __m256i *)c->bias);
    return _mm256_sub_epi32(_mm256_add_epi32(bias, _mm256_set1_epi32(n)), _mm256_slli_epi32(unequal, 1));
}

typedef __m256i smg_levels;

/* Bit `bit` of each of 32 bytes: their sign bits are what can be taken. */
SMG_INLINE uint32_t smg_plane(smg_levels levels, int32_t bit) {
    return (uint32_t)_mm256_movemask_epi8(_mm256_sll_epi16(levels, _mm_cvtsi32_si128(7 - bit)));
}

/* `n` bytes (1..32) with the zero point taken off, then zeros. */
SMG_INLINE smg_levels smg_levels32(const int8_t *x, int32_t zero, int32_t n) {
    int8_t whole[32];
    if (n < 32) {
        __builtin_memset(whole, zero, sizeof whole);
        __builtin_memcpy(whole, x, (size_t)n);
        x = whole;
    }
    return _mm256_sub_epi8(_mm256_loadu_si256((const __m256i *)x), _mm256_set1_epi8((char)zero));
}

/* Which of 16 values lie below their thresholds: a byte of ones for each. */
SMG_INLINE __m128i smg_below16(const int8_t *x, const int16_t *thresholds) {
    const __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)x));
    const __m256i below = _mm256_cmpgt_epi16(_mm256_loadu_si256((const __m256i *)thresholds), wide);
    return _mm_packs_epi16(_mm256_castsi256_si128(below), _mm256_extracti128_si256(below, 1));
}

/* Which of `n` values (1..32) are at least their thresholds, of which there are 32. */
SMG_INLINE uint32_t smg_reached32(const int8_t *x, const int16_t *thresholds, int32_t n) {
    int8_t whole[32] = {0};
    if (n < 32) {
        __builtin_memcpy(whole, x, (size_t)n);
        x = whole;
    }
    const uint32_t low = (uint32_t)_mm_movemask_epi8(smg_below16(x, thresholds));
    return ~(low | (uint32_t)_mm_movemask_epi8(smg_below16(x + 16, thresholds + 16)) << 16);
}

#endif
