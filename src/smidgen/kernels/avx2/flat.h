/* 8 values in order, as int32; scaled as doubles, in which every step is exact. */
#ifndef SMIDGEN_FLAT_H
#define SMIDGEN_FLAT_H

#include "vector.h"

typedef __m256d smg_real; /* half of a vector's lanes */
typedef smg_bounds smg_range;

static inline smg_range smg_make_range(int32_t lo, int32_t hi, int32_t zero) {
    return smg_make_bounds(lo, hi, zero);
}

/* `n` (1..LANES) values from element `i` on, int16 where `wide`. */
SMG_INLINE smg_vec smg_values(const void *x, int32_t wide, size_t i, int32_t n) {
    if (wide) {
        __m128i v = _mm_setzero_si128();
        if (n < LANES)
            __builtin_memcpy(&v, (const int16_t *)x + i, 2 * (size_t)n);
        else
            v = _mm_loadu_si128((const __m128i *)((const int16_t *)x + i));
        return _mm256_cvtepi16_epi32(v);
    }
    int64_t v = 0;
    if (n < LANES)
        __builtin_memcpy(&v, (const int8_t *)x + i, (size_t)n);
    else
        __builtin_memcpy(&v, (const int8_t *)x + i, LANES);
    return _mm256_cvtepi8_epi32(_mm_cvtsi64_si128(v));
}

/* `v` fits the stored type. */
SMG_INLINE void smg_put(void *y, int32_t wide, size_t i, int32_t n, smg_vec v) {
    __m128i packed = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    if (wide) {
        __builtin_memcpy((int16_t *)y + i, &packed, 2 * (size_t)(n < LANES ? n : LANES));
        return;
    }
    packed = _mm_packs_epi16(packed, packed);
    __builtin_memcpy((int8_t *)y + i, &packed, (size_t)(n < LANES ? n : LANES));
}

SMG_INLINE smg_vec smg_all(int32_t v) {
    return _mm256_set1_epi32(v);
}

SMG_INLINE smg_vec smg_plus(smg_vec a, smg_vec b) {
    return _mm256_add_epi32(a, b);
}

SMG_INLINE smg_vec smg_difference(smg_vec a, smg_vec b) {
    return _mm256_sub_epi32(a, b);
}

SMG_INLINE smg_vec smg_product(smg_vec a, smg_vec b) {
    return _mm256_mullo_epi32(a, b);
}

SMG_INLINE smg_vec smg_shifted(smg_vec v, int32_t right) {
    return _mm256_sra_epi32(v, _mm_cvtsi32_si128(right));
}

SMG_INLINE smg_vec smg_left(smg_vec v, int32_t bits) {
    return _mm256_sll_epi32(v, _mm_cvtsi32_si128(bits));
}

SMG_INLINE smg_vec smg_masked(smg_vec v, int32_t mask) {
    return _mm256_and_si256(v, smg_all(mask));
}

SMG_INLINE smg_vec smg_larger(smg_vec a, smg_vec b) {
    return _mm256_max_epi32(a, b);
}

SMG_INLINE smg_vec smg_clamped(smg_vec v, int32_t lo, int32_t hi) {
    return _mm256_min_epi32(_mm256_max_epi32(v, smg_all(lo)), smg_all(hi));
}

SMG_INLINE smg_real smg_reals(double v) {
    return _mm256_set1_pd(v);
}

SMG_INLINE smg_real smg_load_reals(const double *x) {
    return _mm256_loadu_pd(x);
}

SMG_INLINE smg_real smg_half(smg_vec v, const int upper) {
    return _mm256_cvtepi32_pd(upper ? _mm256_extracti128_si256(v, 1) : _mm256_castsi256_si128(v));
}

/* a * b + c */
SMG_INLINE smg_real smg_affine(smg_real a, smg_real b, smg_real c) {
    return _mm256_fmadd_pd(a, b, c);
}

/* The floors of both halves inside the range, and the zero point added. */
SMG_INLINE smg_vec smg_floors(smg_real low, smg_real high, const smg_range *r) {
    low = _mm256_min_pd(_mm256_max_pd(_mm256_floor_pd(low), r->lo), r->hi);
    high = _mm256_min_pd(_mm256_max_pd(_mm256_floor_pd(high), r->lo), r->hi);
    return smg_plus(_mm256_set_m128i(_mm256_cvtpd_epi32(high), _mm256_cvtpd_epi32(low)), r->zero);
}

/* a[0] * b[0] + a[1] * b[1] of the lower and upper 16 bits of each lane. */
SMG_INLINE smg_vec smg_dot_pairs(smg_vec a, smg_vec b) {
    return _mm256_madd_epi16(a, b);
}

/* Twice as many values of 16 bits, and what comes of them in 32: two vectors in an order that only
 * smg_put_many knows. */
enum { MANY = 2 * LANES };

typedef struct {
    smg_vec half[2];
} smg_two;

SMG_INLINE smg_vec smg_many(const int16_t *x) {
    return _mm256_loadu_si256((const __m256i *)x);
}

/* x0 * factor + x1 * factor, `factors` in the lower and upper 16 bits. */
SMG_INLINE smg_two smg_many_sums(smg_vec x0, smg_vec x1, smg_vec factors) {
    const smg_two v = {{smg_dot_pairs(_mm256_unpacklo_epi16(x0, x1), factors),
                        smg_dot_pairs(_mm256_unpackhi_epi16(x0, x1), factors)}};
    return v;
}

SMG_INLINE smg_two smg_many_products(smg_vec x0, smg_vec x1) {
    const smg_vec low = _mm256_mullo_epi16(x0, x1), high = _mm256_mulhi_epi16(x0, x1);
    const smg_two v = {{_mm256_unpacklo_epi16(low, high), _mm256_unpackhi_epi16(low, high)}};
    return v;
}

/* Saturates to 16 bits, then to the bounds. */
SMG_INLINE void smg_put_many(int16_t *y, smg_two two, int32_t lo, int32_t hi) {
    smg_vec v = _mm256_packs_epi32(two.half[0], two.half[1]);
    v = _mm256_max_epi16(v, _mm256_set1_epi16((int16_t)lo));
    v = _mm256_min_epi16(v, _mm256_set1_epi16((int16_t)hi));
    _mm256_storeu_si256((__m256i *)y, v);
}

SMG_INLINE smg_real smg_floor(smg_real v) {
    return _mm256_floor_pd(v);
}

/* The first `n` lanes, 0 in the others. */
SMG_INLINE smg_vec smg_kept(smg_vec v, int32_t n) {
    return _mm256_and_si256(v, _mm256_cmpgt_epi32(smg_all(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)));
}

SMG_INLINE int32_t smg_lanes_sum(smg_vec v) {
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1)));
}

SMG_INLINE int32_t smg_lanes_max(smg_vec v) {
    __m128i half = _mm_max_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(half, _mm_shuffle_epi32(half, 0xb1)));
}

/* table[i], 0 <= i < 256 */
typedef int32_t smg_entry;
SMG_INLINE smg_vec smg_entries(const smg_entry *table, smg_vec index) {
    return _mm256_i32gather_epi32(table, index, 4);
}

/* table[i] and table[i + 1], as the lower and upper 16 bits. */
SMG_INLINE smg_vec smg_knots(const int16_t *table, smg_vec index) {
    return _mm256_i32gather_epi32((const int *)(const void *)table, index, 2);
}

#endif
