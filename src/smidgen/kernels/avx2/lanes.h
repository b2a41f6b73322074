/* AVX2: 16 floats or 32-bit words in two registers. */
#ifndef SMIDGEN_LANES_H
#define SMIDGEN_LANES_H

#include <immintrin.h>

#include "library.h"

#define SIMD(name) name##_avx2
#define SMG_WIDE_TILES 0
enum { TILE_ROWS = 6, TILE_BLOCKS = 1 }; /* of a product's tile: as many sums as registers allow */

typedef struct {
    __m256 lo, hi;
} smg_floats;
typedef struct {
    __m256i lo, hi;
} smg_words;

/* All bits in the first n of 8 lanes. */
SMG_INLINE __m256i smg_first(int32_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

SMG_INLINE smg_floats smg_none(void) {
    return (smg_floats){_mm256_setzero_ps(), _mm256_setzero_ps()};
}

SMG_INLINE smg_floats smg_all(float v) {
    return (smg_floats){_mm256_set1_ps(v), _mm256_set1_ps(v)};
}

SMG_INLINE smg_floats smg_load(const float *p) {
    return (smg_floats){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}

SMG_INLINE smg_floats smg_load_some(const float *p, int32_t n) {
    if (n <= 8)
        return (smg_floats){_mm256_maskload_ps(p, smg_first(n)), _mm256_setzero_ps()};
    return (smg_floats){_mm256_loadu_ps(p), _mm256_maskload_ps(p + 8, smg_first(n - 8))};
}

SMG_INLINE void smg_store(float *p, smg_floats v) {
    _mm256_storeu_ps(p, v.lo);
    _mm256_storeu_ps(p + 8, v.hi);
}

SMG_INLINE void smg_store_some(float *p, int32_t n, smg_floats v) {
    _mm256_maskstore_ps(p, smg_first(n), v.lo);
    if (n > 8)
        _mm256_maskstore_ps(p + 8, smg_first(n - 8), v.hi);
}

SMG_INLINE smg_floats smg_plus(smg_floats a, smg_floats b) {
    return (smg_floats){_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}

SMG_INLINE smg_floats smg_minus(smg_floats a, smg_floats b) {
    return (smg_floats){_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}

SMG_INLINE smg_floats smg_by(smg_floats a, smg_floats b) {
    return (smg_floats){_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}

/* v within the bounds; NaN stays NaN, as the second operand. */
SMG_INLINE smg_floats smg_between(smg_floats lo, smg_floats v, smg_floats hi) {
    return (smg_floats){_mm256_min_ps(hi.lo, _mm256_max_ps(lo.lo, v.lo)),
                        _mm256_min_ps(hi.hi, _mm256_max_ps(lo.hi, v.hi))};
}

/* a * b + c */
SMG_INLINE smg_floats smg_add_product(smg_floats a, smg_floats b, smg_floats c) {
    return (smg_floats){_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}

SMG_INLINE float smg_total(smg_floats v) {
    const __m256 eight = _mm256_add_ps(v.lo, v.hi);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

SMG_INLINE __m256 smg_take8(const float *p, const int32_t *at, int32_t n) {
    const __m256i some = smg_first(n);
    return _mm256_mask_i32gather_ps(_mm256_setzero_ps(), p, _mm256_maskload_epi32(at, some),
                                    _mm256_castsi256_ps(some), 4);
}

/* p[at[i]] for `n` positions, else 0. */
SMG_INLINE smg_floats smg_take(const float *p, const int32_t *at, int32_t n) {
    return (smg_floats){smg_take8(p, at, n), n > 8 ? smg_take8(p, at + 8, n - 8) : _mm256_setzero_ps()};
}

SMG_INLINE __m256 smg_hadamard8(__m256 v) {
    const __m256 odd = _mm256_setr_ps(0.f, -0.f, 0.f, -0.f, 0.f, -0.f, 0.f, -0.f);
    const __m256 upper_pairs = _mm256_setr_ps(0.f, 0.f, -0.f, -0.f, 0.f, 0.f, -0.f, -0.f);
    const __m256 upper_half = _mm256_setr_ps(0.f, 0.f, 0.f, 0.f, -0.f, -0.f, -0.f, -0.f);
    v = _mm256_add_ps(_mm256_xor_ps(v, odd), _mm256_permute_ps(v, 0xB1));
    v = _mm256_add_ps(_mm256_xor_ps(v, upper_pairs), _mm256_permute_ps(v, 0x4E));
    return _mm256_add_ps(_mm256_xor_ps(v, upper_half), _mm256_permute2f128_ps(v, v, 1));
}

/* The transform of 16 neighbours. */
SMG_INLINE smg_floats smg_hadamard16(smg_floats v) {
    const __m256 lo = smg_hadamard8(v.lo), hi = smg_hadamard8(v.hi);
    return (smg_floats){_mm256_add_ps(lo, hi), _mm256_sub_ps(lo, hi)};
}

SMG_INLINE smg_words smg_load_words(const uint32_t *p) {
    return (smg_words){_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)(p + 8))};
}

SMG_INLINE smg_words smg_shifted(smg_words v, const int right) {
    return (smg_words){_mm256_srli_epi32(v.lo, right), _mm256_srli_epi32(v.hi, right)};
}

SMG_INLINE smg_words smg_masked(smg_words v, uint32_t mask) {
    const __m256i all = _mm256_set1_epi32((int32_t)mask);
    return (smg_words){_mm256_and_si256(v.lo, all), _mm256_and_si256(v.hi, all)};
}

SMG_INLINE __m256 smg_look_up8(smg_floats table, __m256i v) {
    const __m256 upper = _mm256_castsi256_ps(_mm256_slli_epi32(v, 28)); /* bit 3 becomes the sign */
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(table.lo, v), _mm256_permutevar8x32_ps(table.hi, v),
                            upper);
}

/* table[the lowest 4 bits] */
SMG_INLINE smg_floats smg_look_up(smg_floats table, smg_words v) {
    return (smg_floats){smg_look_up8(table, v.lo), smg_look_up8(table, v.hi)};
}

SMG_INLINE smg_words smg_all_words(int32_t v) {
    return (smg_words){_mm256_set1_epi32(v), _mm256_set1_epi32(v)};
}

SMG_INLINE __m256i smg_dot8(__m256i sum, __m256i codes, __m256i x) {
    /* At most 2 * 15 * 128: pairs fit into 16 bits. */
    const __m256i pairs = _mm256_maddubs_epi16(codes, x);
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* sum + the four bytes of `codes` (0..15) times those of `x` (signed) */
SMG_INLINE smg_words smg_dot(smg_words sum, smg_words codes, smg_words x) {
    return (smg_words){smg_dot8(sum.lo, codes.lo, x.lo), smg_dot8(sum.hi, codes.hi, x.hi)};
}

/* sum + v * 16 bytes (unsigned) */
SMG_INLINE smg_words smg_add_multiple(smg_words sum, smg_words v, const uint8_t *bytes) {
    const __m128i narrow = _mm_loadu_si128((const __m128i *)bytes);
    const __m256i lo = _mm256_cvtepu8_epi32(narrow), hi = _mm256_cvtepu8_epi32(_mm_srli_si128(narrow, 8));
    return (smg_words){_mm256_add_epi32(sum.lo, _mm256_mullo_epi32(v.lo, lo)),
                       _mm256_add_epi32(sum.hi, _mm256_mullo_epi32(v.hi, hi))};
}

SMG_INLINE void smg_store_words(int32_t *p, int32_t n, smg_words v) {
    _mm256_maskstore_epi32(p, smg_first(n), v.lo);
    if (n > 8)
        _mm256_maskstore_epi32(p + 8, smg_first(n - 8), v.hi);
}

#endif
