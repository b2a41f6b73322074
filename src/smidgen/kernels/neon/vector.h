/* NEON of AArch64: products of signed bytes, two summed in each of 8 lanes, or four where there are dot
 * products (DOTPROD). Values stay as they are; the bias takes their zero point back. */
#ifndef SMIDGEN_VECTOR_H
#define SMIDGEN_VECTOR_H

#include <arm_neon.h>

#include "simd.h"

#ifdef __ARM_FEATURE_DOTPROD
#define ISA "dotprod"
#define SIMD(name) name##_dotprod
enum { DEPTH = 4 };
#else
#define ISA "neon"
#define SIMD(name) name##_neon
enum { DEPTH = 2 };
#endif

#define SMG_TILES 2 /* blocks of a tile */
enum { LANES = 8, MOST_BLOCKS = SMG_TILES };
static const int32_t MOST_ROWS[] = {0, 12, 6}; /* 24 of 32 registers hold sums */

typedef int8_t smg_x;
typedef int8_t smg_w;
/* Lanes 0..3 and 4..7. Bytes of fewer lanes than that are in `lo` alone. */
typedef struct {
    int32x4_t lo, hi;
} smg_vec;

/* What turns sums into outputs: `offset` rounds and adds the zero point, `shift` is negative, as a shift to
 * the left. */
typedef struct {
    int32_t bias[8], multiplier[8];
    int64_t shift[8], offset[8];
} smg_channels;

typedef struct {
    int16x8_t lo, hi;
} smg_bounds;

static inline int32_t smg_lane(int32_t channel) {
    return channel;
}

static inline void smg_set_channel(smg_channels *c, int32_t channel, int32_t bias, int32_t weight_sum,
                                   int32_t zero_x, int32_t multiplier, int32_t shift, int32_t zero_y) {
    c->bias[channel] = (int32_t)((uint32_t)bias - (uint32_t)zero_x * (uint32_t)weight_sum);
    c->multiplier[channel] = multiplier;
    c->shift[channel] = -shift;
    c->offset[channel] = ((int64_t)1 << (shift - 1)) + (int64_t)zero_y * ((int64_t)1 << shift);
}

static inline smg_x smg_from(int8_t x, int32_t zero) {
    (void)zero;
    return x;
}

static inline void smg_convert(const int8_t *x, size_t n, int32_t zero, smg_x *y) {
    (void)zero;
    __builtin_memcpy(y, x, n);
}

/* Sums [LANES] in the order of lanes. */
SMG_INLINE smg_vec smg_sums(const int32_t *sums) {
    return (smg_vec){vld1q_s32(sums), vld1q_s32(sums + 4)};
}

SMG_INLINE smg_vec smg_start(const smg_channels *c) {
    return smg_sums(c->bias);
}

SMG_INLINE smg_vec smg_joined(smg_vec a, smg_vec b) {
    return (smg_vec){vaddq_s32(a.lo, b.lo), vaddq_s32(a.hi, b.hi)};
}

#ifdef __ARM_FEATURE_DOTPROD

SMG_INLINE smg_vec smg_weights(const smg_w *w) {
    return (smg_vec){vreinterpretq_s32_s8(vld1q_s8(w)), vreinterpretq_s32_s8(vld1q_s8(w + 16))};
}

SMG_INLINE smg_vec smg_repeat(const smg_x *x) {
    int32_t four;
    __builtin_memcpy(&four, x, 4);
    return (smg_vec){vdupq_n_s32(four), vdupq_n_s32(four)};
}

/* Two taps of each of 8 channels. */
SMG_INLINE int16x8_t smg_two_taps(const smg_x *x, const size_t *taps) {
    const int8x8_t first = vld1_s8(x + taps[0]), second = vld1_s8(x + taps[1]);
    return vreinterpretq_s16_s8(vcombine_s8(vzip1_s8(first, second), vzip2_s8(first, second)));
}

/* Four taps of each of 8 channels. */
SMG_INLINE smg_vec smg_taps_of(const smg_x *x, const size_t *taps) {
    const int16x8_t first = smg_two_taps(x, taps), second = smg_two_taps(x, taps + 2);
    return (smg_vec){vreinterpretq_s32_s16(vzip1q_s16(first, second)),
                     vreinterpretq_s32_s16(vzip2q_s16(first, second))};
}

SMG_INLINE smg_vec smg_multiply_add(smg_vec sum, smg_vec x, smg_vec w) {
    sum.lo = vdotq_s32(sum.lo, vreinterpretq_s8_s32(x.lo), vreinterpretq_s8_s32(w.lo));
    sum.hi = vdotq_s32(sum.hi, vreinterpretq_s8_s32(x.hi), vreinterpretq_s8_s32(w.hi));
    return sum;
}

#else

SMG_INLINE smg_vec smg_weights(const smg_w *w) {
    const int32x4_t all = vreinterpretq_s32_s8(vld1q_s8(w));
    return (smg_vec){all, all};
}

SMG_INLINE smg_vec smg_repeat(const smg_x *x) {
    int16_t two;
    __builtin_memcpy(&two, x, 2);
    const int32x4_t all = vreinterpretq_s32_s16(vdupq_n_s16(two));
    return (smg_vec){all, all};
}

/* Two taps of each of 8 channels. */
SMG_INLINE smg_vec smg_taps_of(const smg_x *x, const size_t *taps) {
    const int8x8_t first = vld1_s8(x + taps[0]), second = vld1_s8(x + taps[1]);
    const int8x16_t both = vcombine_s8(vzip1_s8(first, second), vzip2_s8(first, second));
    return (smg_vec){vreinterpretq_s32_s8(both), vreinterpretq_s32_s8(both)};
}

SMG_INLINE smg_vec smg_multiply_add(smg_vec sum, smg_vec x, smg_vec w) {
    const int8x16_t values = vreinterpretq_s8_s32(x.lo), weights = vreinterpretq_s8_s32(w.lo);
    sum.lo = vpadalq_s16(sum.lo, vmull_s8(vget_low_s8(values), vget_low_s8(weights)));
    sum.hi = vpadalq_s16(sum.hi, vmull_high_s8(values, weights));
    return sum;
}

#endif

static inline smg_bounds smg_make_bounds(int32_t lo, int32_t hi, int32_t zero_y) {
    (void)zero_y;
    return (smg_bounds){vdupq_n_s16((int16_t)lo), vdupq_n_s16((int16_t)hi)};
}

/* Four channels, requantized, zero point added, saturated to 32 bits. */
SMG_INLINE int32x4_t smg_scale(int32x4_t sum, const smg_channels *c, const int first) {
    const int32x4_t m = vld1q_s32(c->multiplier + first);
    int64x2_t low = vmlal_s32(vld1q_s64(c->offset + first), vget_low_s32(sum), vget_low_s32(m));
    int64x2_t high = vmlal_high_s32(vld1q_s64(c->offset + first + 2), sum, m);
    low = vshlq_s64(low, vld1q_s64(c->shift + first));
    high = vshlq_s64(high, vld1q_s64(c->shift + first + 2));
    return vqmovn_high_s64(vqmovn_s64(low), high);
}

/* Eight channels, saturated to 16 bits before the bounds narrow them. */
SMG_INLINE int16x8_t smg_scaled(smg_vec sum, const smg_channels *c, const smg_bounds *b) {
    const int16x4_t low = vqmovn_s32(smg_scale(sum.lo, c, 0));
    const int16x8_t v = vqmovn_high_s32(low, smg_scale(sum.hi, c, 4));
    return vminq_s16(vmaxq_s16(v, b->lo), b->hi);
}

/* Store the first `lanes` channels as int8. */
SMG_INLINE void smg_finish8(smg_vec sum, const smg_channels *c, const smg_bounds *b, int32_t lanes, void *y) {
    const int8x8_t v = vmovn_s16(smg_scaled(sum, c, b));
    if (lanes == LANES)
        vst1_s8(y, v);
    else
        __builtin_memcpy(y, &v, (size_t)lanes);
}

SMG_INLINE void smg_finish16(smg_vec sum, const smg_channels *c, const smg_bounds *b, int32_t lanes,
                             void *y) {
    const int16x8_t v = smg_scaled(sum, c, b);
    if (lanes == LANES)
        vst1q_s16(y, v);
    else
        __builtin_memcpy(y, &v, 2 * (size_t)lanes);
}

#endif
