/* 16 values in order, as int32; scaled as doubles, in which every step is exact. */
#ifndef SMIDGEN_FLAT_H
#define SMIDGEN_FLAT_H

#include "vector.h"

typedef __m512d smg_real; /* half of a vector's lanes */

/* Bounds before the zero point is added. */
typedef struct {
    smg_real lo, hi;
    smg_vec zero;
} smg_range;

static inline smg_range smg_make_range(int32_t lo, int32_t hi, int32_t zero) {
    const smg_range r = {_mm512_set1_pd(lo - zero), _mm512_set1_pd(hi - zero), _mm512_set1_epi32(zero)};
    return r;
}

static inline __mmask16 smg_first(int32_t n) {
    return n < LANES ? (__mmask16)((1u << n) - 1) : (__mmask16)0xffff;
}

/* `n` (1..LANES) values from element `i` on, int16 where `wide`. Masks are for the last ones only: they
 * cost more, and what a masked store wrote may not be forwarded to the load of the next kernel. */
SMG_INLINE smg_vec smg_values(const void *x, int32_t wide, size_t i, int32_t n) {
    if (wide) {
        const int16_t *at = (const int16_t *)x + i;
        return _mm512_cvtepi16_epi32(n == LANES ? _mm256_loadu_si256((const __m256i *)at)
                                                : _mm256_maskz_loadu_epi16(smg_first(n), at));
    }
    const int8_t *at = (const int8_t *)x + i;
    return _mm512_cvtepi8_epi32(n == LANES ? _mm_loadu_si128((const __m128i *)at)
                                           : _mm_maskz_loadu_epi8(smg_first(n), at));
}

SMG_INLINE void smg_put(void *y, int32_t wide, size_t i, int32_t n, smg_vec v) {
    if (wide) {
        int16_t *to = (int16_t *)y + i;
        if (n == LANES)
            _mm256_storeu_si256((__m256i *)to, _mm512_cvtepi32_epi16(v));
        else
            _mm256_mask_storeu_epi16(to, smg_first(n), _mm512_cvtepi32_epi16(v));
        return;
    }
    int8_t *to = (int8_t *)y + i;
    if (n == LANES)
        _mm_storeu_si128((__m128i *)to, _mm512_cvtepi32_epi8(v));
    else
        _mm_mask_storeu_epi8(to, smg_first(n), _mm512_cvtepi32_epi8(v));
}

SMG_INLINE smg_vec smg_all(int32_t v) {
    return _mm512_set1_epi32(v);
}

SMG_INLINE smg_vec smg_plus(smg_vec a, smg_vec b) {
    return _mm512_add_epi32(a, b);
}

SMG_INLINE smg_vec smg_difference(smg_vec a, smg_vec b) {
    return _mm512_sub_epi32(a, b);
}

SMG_INLINE smg_vec smg_product(smg_vec a, smg_vec b) {
    return _mm512_mullo_epi32(a, b);
}

SMG_INLINE smg_vec smg_shifted(smg_vec v, int32_t right) {
    return _mm512_sra_epi32(v, _mm_cvtsi32_si128(right));
}

SMG_INLINE smg_vec smg_left(smg_vec v, int32_t bits) {
    return _mm512_sll_epi32(v, _mm_cvtsi32_si128(bits));
}

SMG_INLINE smg_vec smg_masked(smg_vec v, int32_t mask) {
    return _mm512_and_si512(v, smg_all(mask));
}

SMG_INLINE smg_vec smg_larger(smg_vec a, smg_vec b) {
    return _mm512_max_epi32(a, b);
}

SMG_INLINE smg_vec smg_clamped(smg_vec v, int32_t lo, int32_t hi) {
    return _mm512_min_epi32(_mm512_max_epi32(v, smg_all(lo)), smg_all(hi));
}

SMG_INLINE smg_real smg_reals(double v) {
    return _mm512_set1_pd(v);
}

SMG_INLINE smg_real smg_load_reals(const double *x) {
    return _mm512_loadu_pd(x);
}

SMG_INLINE smg_real smg_half(smg_vec v, const int upper) {
    return _mm512_cvtepi32_pd(upper ? _mm512_extracti32x8_epi32(v, 1) : _mm512_castsi512_si256(v));
}

/* a * b + c */
SMG_INLINE smg_real smg_affine(smg_real a, smg_real b, smg_real c) {
    return _mm512_fmadd_pd(a, b, c);
}

/* The floors of both halves inside the range, and the zero point added. */
SMG_INLINE smg_vec smg_floors(smg_real low, smg_real high, const smg_range *r) {
    const int down = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
    low = _mm512_min_pd(_mm512_max_pd(low, r->lo), r->hi);
    high = _mm512_min_pd(_mm512_max_pd(high, r->lo), r->hi);
    const __m512i v = _mm512_castsi256_si512(_mm512_cvt_roundpd_epi32(low, down));
    return smg_plus(_mm512_inserti32x8(v, _mm512_cvt_roundpd_epi32(high, down), 1), r->zero);
}

/* a[0] * b[0] + a[1] * b[1] of the lower and upper 16 bits of each lane. */
SMG_INLINE smg_vec smg_dot_pairs(smg_vec a, smg_vec b) {
    return _mm512_madd_epi16(a, b);
}

/* Twice as many values of 16 bits, and what comes of them in 32: two vectors in an order that only
 * smg_put_many knows. */
enum { MANY = 2 * LANES };

typedef struct {
    smg_vec half[2];
} smg_two;

SMG_INLINE smg_vec smg_many(const int16_t *x) {
    return _mm512_loadu_si512(x);
}

/* x0 * factor + x1 * factor, `factors` in the lower and upper 16 bits. */
SMG_INLINE smg_two smg_many_sums(smg_vec x0, smg_vec x1, smg_vec factors) {
    const smg_two v = {{smg_dot_pairs(_mm512_unpacklo_epi16(x0, x1), factors),
                        smg_dot_pairs(_mm512_unpackhi_epi16(x0, x1), factors)}};
    return v;
}

SMG_INLINE smg_two smg_many_products(smg_vec x0, smg_vec x1) {
    const smg_vec low = _mm512_mullo_epi16(x0, x1), high = _mm512_mulhi_epi16(x0, x1);
    const smg_two v = {{_mm512_unpacklo_epi16(low, high), _mm512_unpackhi_epi16(low, high)}};
    return v;
}

/* Saturates to 16 bits, then to the bounds. */
SMG_INLINE void smg_put_many(int16_t *y, smg_two two, int32_t lo, int32_t hi) {
    smg_vec v = _mm512_packs_epi32(two.half[0], two.half[1]);
    v = _mm512_max_epi16(v, _mm512_set1_epi16((int16_t)lo));
    v = _mm512_min_epi16(v, _mm512_set1_epi16((int16_t)hi));
    _mm512_storeu_si512(y, v);
}

SMG_INLINE smg_real smg_floor(smg_real v) {
    return _mm512_floor_pd(v);
}

/* The first `n` lanes, 0 in the others. */
SMG_INLINE smg_vec smg_kept(smg_vec v, int32_t n) {
    return _mm512_maskz_mov_epi32(smg_first(n), v);
}

/* Sums wrap around, which _mm512_reduce_add_epi32 leaves undefined. */
SMG_INLINE int32_t smg_lanes_sum(smg_vec v) {
    const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti32x8_epi32(v, 1));
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1)));
}

SMG_INLINE int32_t smg_lanes_max(smg_vec v) {
    return _mm512_reduce_max_epi32(v);
}

/* table[i], 0 <= i < 256: registers are looked up, which is faster than memory. */
typedef uint16_t smg_entry;
SMG_INLINE smg_vec smg_entries(const smg_entry *table, smg_vec index) {
    __m512i quarter[4];
    for (int i = 0; i < 4; i++)
        quarter[i] = _mm512_permutex2var_epi16(_mm512_loadu_si512(table + 64 * i), index,
                                               _mm512_loadu_si512(table + 64 * i + 32));
    const __mmask16 odd = _mm512_test_epi32_mask(index, smg_all(64));
    const __m512i low = _mm512_mask_mov_epi32(quarter[0], odd, quarter[1]);
    const __m512i high = _mm512_mask_mov_epi32(quarter[2], odd, quarter[3]);
    const __mmask16 upper = _mm512_test_epi32_mask(index, smg_all(128));
    return smg_masked(_mm512_mask_mov_epi32(low, upper, high), 0xffff);
}

/* table[i] and table[i + 1], as the lower and upper 16 bits. */
SMG_INLINE smg_vec smg_knots(const int16_t *table, smg_vec index) {
    return _mm512_i32gather_epi32(index, table, 2);
}

#endif
