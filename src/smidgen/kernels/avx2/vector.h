/* AVX2: products of 16-bit numbers, two summed in each of 8 lanes. (The byte product saturates at 16 bits,
 * so it can't be exact.) Values become x - zero_x, and the bias stays as it is. */
#ifndef SMIDGEN_VECTOR_H
#define SMIDGEN_VECTOR_H

#include <immintrin.h>

#include "simd.h"

#define ISA "avx2"
#define SIMD(name) name##_avx2

#define SMG_TILES 2 /* blocks of a tile */
enum { LANES = 8, DEPTH = 2, MOST_BLOCKS = SMG_TILES };
static const int32_t MOST_ROWS[] = {0, 12, 6};

typedef int16_t smg_x;
typedef int16_t smg_w;
typedef __m256i smg_vec;

/* ratio = multiplier / 2^shift, exact in a double, as are its product with a sum (47 bits) and the half that
 * is added (48 bits). */
typedef struct {
    int32_t bias[8];
    double ratio[8];
} smg_channels;

/* Bounds before the zero point is added, so that conversion to 32 bits can't overflow. */
typedef struct {
    __m256d lo, hi;
    __m256i zero;
} smg_bounds;

static inline int32_t smg_lane(int32_t channel) {
    return channel;
}

static inline void smg_set_channel(smg_channels *c, int32_t channel, int32_t bias, int32_t weight_sum,
                                   int32_t zero_x, int32_t multiplier, int32_t shift, int32_t zero_y) {
    (void)weight_sum, (void)zero_x, (void)zero_y;
    c->bias[channel] = bias;
    c->ratio[channel] = (double)multiplier / (double)((int64_t)1 << shift);
}

static inline smg_x smg_from(int8_t x, int32_t zero) {
    return (smg_x)(x - zero);
}

static inline void smg_convert(const int8_t *x, size_t n, int32_t zero, smg_x *y) {
    const __m256i z = _mm256_set1_epi16((short)zero);
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m256i v = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(x + i)));
        _mm256_storeu_si256((__m256i *)(y + i), _mm256_sub_epi16(v, z));
    }
    for (; i < n; i++)
        y[i] = smg_from(x[i], zero);
}

SMG_INLINE smg_vec smg_start(const smg_channels *c) {
    return _mm256_loadu_si256((const __m256i *)c->bias);
}

/* Sums [LANES] in the order of lanes. */
SMG_INLINE smg_vec smg_sums(const int32_t *sums) {
    return _mm256_loadu_si256((const __m256i *)sums);
}

SMG_INLINE smg_vec smg_joined(smg_vec a, smg_vec b) {
    return _mm256_add_epi32(a, b);
}

SMG_INLINE smg_vec smg_weights(const smg_w *w) {
    return _mm256_loadu_si256((const __m256i *)w);
}

SMG_INLINE smg_vec smg_repeat(const smg_x *x) {
    int32_t two;
    __builtin_memcpy(&two, x, 4);
    return _mm256_set1_epi32(two);
}

/* Two taps of each of 8 channels. */
SMG_INLINE smg_vec smg_taps_of(const smg_x *x, const size_t *taps) {
    const __m128i first = _mm_loadu_si128((const __m128i *)(x + taps[0]));
    const __m128i second = _mm_loadu_si128((const __m128i *)(x + taps[1]));
    return _mm256_set_m128i(_mm_unpackhi_epi16(first, second), _mm_unpacklo_epi16(first, second));
}

SMG_INLINE smg_vec smg_multiply_add(smg_vec sum, smg_vec x, smg_vec w) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(x, w));
}

static inline smg_bounds smg_make_bounds(int32_t lo, int32_t hi, int32_t zero_y) {
    const smg_bounds b = {_mm256_set1_pd(lo - zero_y), _mm256_set1_pd(hi - zero_y),
                          _mm256_set1_epi32(zero_y)};
    return b;
}

/* Four channels: floor(sum * ratio + 1/2) inside the bounds. */
SMG_INLINE __m128i smg_scale(__m128i sum, const double *ratio, const smg_bounds *b) {
    const __m256d product = _mm256_mul_pd(_mm256_cvtepi32_pd(sum), _mm256_loadu_pd(ratio));
    __m256d v = _mm256_floor_pd(_mm256_add_pd(product, _mm256_set1_pd(0.5)));
    v = _mm256_min_pd(_mm256_max_pd(v, b->lo), b->hi);
    return _mm256_cvtpd_epi32(v);
}

/* Eight channels as int16. */
SMG_INLINE __m128i smg_scaled(smg_vec sum, const smg_channels *c, const smg_bounds *b) {
    const __m128i low = smg_scale(_mm256_castsi256_si128(sum), c->ratio, b);
    const __m128i high = smg_scale(_mm256_extracti128_si256(sum, 1), c->ratio + 4, b);
    const __m128i zero = _mm256_castsi256_si128(b->zero);
    return _mm_packs_epi32(_mm_add_epi32(low, zero), _mm_add_epi32(high, zero));
}

SMG_INLINE void smg_finish8(smg_vec sum, const smg_channels *c, const smg_bounds *b, int32_t lanes, void *y) {
    const __m128i v = smg_scaled(sum, c, b);
    const int64_t bytes = _mm_cvtsi128_si64(_mm_packs_epi16(v, v));
    __builtin_memcpy(y, &bytes, (size_t)lanes);
}

SMG_INLINE void smg_finish16(smg_vec sum, const smg_channels *c, const smg_bounds *b, int32_t lanes,
                             void *y) {
    int16_t values[8];
    _mm_storeu_si128((__m128i *)values, smg_scaled(sum, c, b));
    __builtin_memcpy(y, values, 2 * (size_t)lanes);
}

#endif
