/* AVX-512: 16 floats or 32-bit words in a register. */
#ifndef SMIDGEN_LANES_H
#define SMIDGEN_LANES_H

#include <immintrin.h>

#include "library.h"

#define SIMD(name) name##_avx512
#define SMG_WIDE_TILES 1
enum { TILE_ROWS = 6, TILE_BLOCKS = 4 }; /* of a product's tile: as many sums as registers allow */

typedef __m512 smg_floats;
typedef __m512i smg_words;

SMG_INLINE __mmask16 smg_first(int32_t n) {
    return (__mmask16)((1u << n) - 1);
}

SMG_INLINE smg_floats smg_none(void) {
    return _mm512_setzero_ps();
}

SMG_INLINE smg_floats smg_all(float v) {
    return _mm512_set1_ps(v);
}

SMG_INLINE smg_floats smg_load(const float *p) {
    return _mm512_loadu_ps(p);
}

SMG_INLINE smg_floats smg_load_some(const float *p, int32_t n) {
    return _mm512_maskz_loadu_ps(smg_first(n), p);
}

SMG_INLINE void smg_store(float *p, smg_floats v) {
    _mm512_storeu_ps(p, v);
}

SMG_INLINE void smg_store_some(float *p, int32_t n, smg_floats v) {
    _mm512_mask_storeu_ps(p, smg_first(n), v);
}

SMG_INLINE smg_floats smg_plus(smg_floats a, smg_floats b) {
    return _mm512_add_ps(a, b);
}

SMG_INLINE smg_floats smg_minus(smg_floats a, smg_floats b) {
    return _mm512_sub_ps(a, b);
}

SMG_INLINE smg_floats smg_by(smg_floats a, smg_floats b) {
    return _mm512_mul_ps(a, b);
}

/* v within the bounds; NaN stays NaN, as the second operand. */
SMG_INLINE smg_floats smg_between(smg_floats lo, smg_floats v, smg_floats hi) {
    return _mm512_min_ps(hi, _mm512_max_ps(lo, v));
}

/* a * b + c */
SMG_INLINE smg_floats smg_add_product(smg_floats a, smg_floats b, smg_floats c) {
    return _mm512_fmadd_ps(a, b, c);
}

SMG_INLINE float smg_total(smg_floats v) {
    return _mm512_reduce_add_ps(v);
}

/* p[at[i]] for `n` positions, else 0. */
SMG_INLINE smg_floats smg_take(const float *p, const int32_t *at, int32_t n) {
    const __mmask16 some = smg_first(n);
    return _mm512_mask_i32gather_ps(smg_none(), some, _mm512_maskz_loadu_epi32(some, at), p, 4);
}

/* The transform of 16 neighbours. */
SMG_INLINE smg_floats smg_hadamard16(smg_floats v) {
    const smg_floats zero = smg_none();
    v = _mm512_add_ps(_mm512_mask_sub_ps(v, 0xAAAA, zero, v), _mm512_permute_ps(v, 0xB1));
    v = _mm512_add_ps(_mm512_mask_sub_ps(v, 0xCCCC, zero, v), _mm512_permute_ps(v, 0x4E));
    v = _mm512_add_ps(_mm512_mask_sub_ps(v, 0xF0F0, zero, v), _mm512_shuffle_f32x4(v, v, 0xB1));
    return _mm512_add_ps(_mm512_mask_sub_ps(v, 0xFF00, zero, v), _mm512_shuffle_f32x4(v, v, 0x4E));
}

SMG_INLINE smg_words smg_load_words(const uint32_t *p) {
    return _mm512_loadu_si512(p);
}

SMG_INLINE smg_words smg_shifted(smg_words v, const int right) {
    return _mm512_srli_epi32(v, (unsigned)right);
}

SMG_INLINE smg_words smg_masked(smg_words v, uint32_t mask) {
    return _mm512_and_si512(v, _mm512_set1_epi32((int32_t)mask));
}

/* table[the lowest 4 bits] */
SMG_INLINE smg_floats smg_look_up(smg_floats table, smg_words v) {
    return _mm512_permutexvar_ps(v, table);
}

SMG_INLINE smg_words smg_all_words(int32_t v) {
    return _mm512_set1_epi32(v);
}

/* sum + the four bytes of `codes` (0..15) times those of `x` (signed) */
SMG_INLINE smg_words smg_dot(smg_words sum, smg_words codes, smg_words x) {
    /* Not the intrinsic: gcc 12 then copies and spills the sums in every turn of the inner loop. */
    __asm__("vpdpbusd\t%2, %1, %0" : "+v"(sum) : "v"(codes), "v"(x));
    return sum;
}

/* sum + v * 16 bytes (unsigned) */
SMG_INLINE smg_words smg_add_multiple(smg_words sum, smg_words v, const uint8_t *bytes) {
    const __m128i narrow = _mm_loadu_si128((const __m128i *)bytes);
    return _mm512_add_epi32(sum, _mm512_mullo_epi32(v, _mm512_cvtepu8_epi32(narrow)));
}

SMG_INLINE void smg_store_words(int32_t *p, int32_t n, smg_words v) {
    _mm512_mask_storeu_epi32(p, smg_first(n), v);
}

#endif
