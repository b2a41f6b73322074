/* AVX-512 with VNNI: products of unsigned by signed bytes, four summed in each of 16 lanes. Values become
 * unsigned by adding 128, which the bias takes back. */
#ifndef SMIDGEN_VECTOR_H
#define SMIDGEN_VECTOR_H

#include <immintrin.h>

#include "simd.h"

#define ISA "avx512"
#define SIMD(name) name##_avx512

#define SMG_TILES 4 /* blocks of a tile */
enum { LANES = 16, DEPTH = 4, MOST_BLOCKS = SMG_TILES };
/* Rows of a tile with 1..4 blocks of lanes: as many accumulators as registers allow. */
static const int32_t MOST_ROWS[] = {0, 12, 12, 8, 6};

typedef uint8_t smg_x;
typedef int8_t smg_w;
typedef __m512i smg_vec;

/* What turns the sums of 16 channels into outputs. A product of 32 bits with 32 comes from every second lane:
 * channels 0..7 sit in even lanes, 8..15 in odd ones. `offset` rounds and adds the zero point. */
typedef struct {
    int32_t bias[16], multiplier[16];
    int64_t shift[16], offset[16];
} smg_channels;

typedef struct {
    __m512i lo, hi;
} smg_bounds;

static inline int32_t smg_lane(int32_t channel) {
    return channel < 8 ? 2 * channel : 2 * channel - 15;
}

static inline void smg_set_channel(smg_channels *c, int32_t channel, int32_t bias, int32_t weight_sum,
                                   int32_t zero_x, int32_t multiplier, int32_t shift, int32_t zero_y) {
    const int32_t lane = smg_lane(channel);
    c->bias[lane] = (int32_t)((uint32_t)bias - (uint32_t)(zero_x + 128) * (uint32_t)weight_sum);
    c->multiplier[lane] = multiplier;
    c->shift[channel] = shift;
    c->offset[channel] = ((int64_t)1 << (shift - 1)) + (int64_t)zero_y * ((int64_t)1 << shift);
}

/* Where a fill of the input's zero point or a byte lies in the unsigned range. */
static inline smg_x smg_from(int8_t x, int32_t zero) {
    (void)zero;
    return (smg_x)(x + 128);
}

static inline void smg_convert(const int8_t *x, size_t n, int32_t zero, smg_x *y) {
    (void)zero;
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    size_t i = 0;
    for (; i + 64 <= n; i += 64)
        _mm512_storeu_si512(y + i, _mm512_xor_si512(_mm512_loadu_si512(x + i), flip));
    if (i < n) {
        const __mmask64 rest = ((__mmask64)1 << (n - i)) - 1;
        _mm512_mask_storeu_epi8(y + i, rest, _mm512_xor_si512(_mm512_maskz_loadu_epi8(rest, x + i), flip));
    }
}

SMG_INLINE smg_vec smg_start(const smg_channels *c) {
    return _mm512_loadu_si512(c->bias);
}

/* Sums [LANES] in the order of lanes. */
SMG_INLINE smg_vec smg_sums(const int32_t *sums) {
    return _mm512_loadu_si512(sums);
}

SMG_INLINE smg_vec smg_joined(smg_vec a, smg_vec b) {
    return _mm512_add_epi32(a, b);
}

SMG_INLINE smg_vec smg_weights(const smg_w *w) {
    return _mm512_loadu_si512(w);
}

SMG_INLINE smg_vec smg_repeat(const smg_x *x) {
    int32_t four;
    __builtin_memcpy(&four, x, 4);
    return _mm512_set1_epi32(four);
}

/* Four taps of each of 16 channels, in the order of lanes. */
SMG_INLINE smg_vec smg_taps_of(const smg_x *x, const size_t *taps) {
    static const uint8_t order[64] __attribute__((aligned(64))) = {
        0,  16, 32, 48, 8,  24, 40, 56, 1,  17, 33, 49, 9,  25, 41, 57, 2,  18, 34, 50, 10, 26,
        42, 58, 3,  19, 35, 51, 11, 27, 43, 59, 4,  20, 36, 52, 12, 28, 44, 60, 5,  21, 37, 53,
        13, 29, 45, 61, 6,  22, 38, 54, 14, 30, 46, 62, 7,  23, 39, 55, 15, 31, 47, 63};
    __m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(x + taps[0])));
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(x + taps[1])), 1);
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(x + taps[2])), 2);
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)(x + taps[3])), 3);
    return _mm512_permutexvar_epi8(_mm512_load_si512(order), v);
}

SMG_INLINE smg_vec smg_multiply_add(smg_vec sum, smg_vec x, smg_vec w) {
    /* Not the intrinsic: gcc 12 then copies and spills the sums in every turn of the inner loop. */
    __asm__("vpdpbusd\t%2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
    return sum;
}

static inline smg_bounds smg_make_bounds(int32_t lo, int32_t hi, int32_t zero_y) {
    (void)zero_y;
    const smg_bounds b = {_mm512_set1_epi16((short)lo), _mm512_set1_epi16((short)hi)};
    return b;
}

/* Two halves of 8 channels, requantized, zero point added, in 64 bits. */
SMG_INLINE void smg_scale(smg_vec sum, const smg_channels *c, __m512i half[2]) {
    const __m512i m = _mm512_loadu_si512(c->multiplier);
    half[0] = _mm512_mul_epi32(sum, m);
    half[1] = _mm512_mul_epi32(_mm512_srli_epi64(sum, 32), _mm512_srli_epi64(m, 32));
    for (int i = 0; i < 2; i++)
        half[i] = _mm512_srav_epi64(_mm512_add_epi64(half[i], _mm512_loadu_si512(c->offset + 8 * i)),
                                    _mm512_loadu_si512(c->shift + 8 * i));
}

/* Store the first `lanes` channels as int8. Values saturate to 16 bits before the bounds narrow them. */
SMG_INLINE void smg_finish8(smg_vec sum, const smg_channels *c, const smg_bounds *b, int32_t lanes, void *y) {
    __m512i half[2];
    smg_scale(sum, c, half);
    __m256i v = _mm256_set_m128i(_mm512_cvtsepi64_epi16(half[1]), _mm512_cvtsepi64_epi16(half[0]));
    v = _mm256_max_epi16(v, _mm512_castsi512_si256(b->lo));
    v = _mm256_min_epi16(v, _mm512_castsi512_si256(b->hi));
    if (lanes == LANES)
        _mm_storeu_si128(y, _mm256_cvtepi16_epi8(v));
    else
        _mm_mask_storeu_epi8(y, (__mmask16)((1u << lanes) - 1), _mm256_cvtepi16_epi8(v));
}

SMG_INLINE void smg_finish16(smg_vec sum, const smg_channels *c, const smg_bounds *b, int32_t lanes,
                             void *y) {
    __m512i half[2];
    smg_scale(sum, c, half);
    __m256i v = _mm256_set_m128i(_mm512_cvtsepi64_epi16(half[1]), _mm512_cvtsepi64_epi16(half[0]));
    v = _mm256_max_epi16(v, _mm512_castsi512_si256(b->lo));
    v = _mm256_min_epi16(v, _mm512_castsi512_si256(b->hi));
    if (lanes == LANES)
        _mm256_storeu_si256(y, v);
    else
        _mm256_mask_storeu_epi16(y, (__mmask16)((1u << lanes) - 1), v);
}

#endif
