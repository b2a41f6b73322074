/* 8 values in order, as int32; scaled as doubles, in which every step is exact. */
#ifndef SMIDGEN_FLAT_H
#define SMIDGEN_FLAT_H

#include "vector.h"

/* Half of a vector's lanes. */
typedef struct {
    float64x2_t lo, hi;
} smg_real;

/* Bounds before the zero point is added. */
typedef struct {
    float64x2_t lo, hi;
    int32x4_t zero;
} smg_range;

static inline smg_range smg_make_range(int32_t lo, int32_t hi, int32_t zero) {
    return (smg_range){vdupq_n_f64(lo - zero), vdupq_n_f64(hi - zero), vdupq_n_s32(zero)};
}

SMG_INLINE smg_vec smg_widened16(int16x8_t v) {
    return (smg_vec){vmovl_s16(vget_low_s16(v)), vmovl_high_s16(v)};
}

/* `n` (1..LANES) values from element `i` on, int16 where `wide`. */
SMG_INLINE smg_vec smg_values(const void *x, int32_t wide, size_t i, int32_t n) {
    if (wide) {
        int16x8_t v = vdupq_n_s16(0);
        if (n < LANES)
            __builtin_memcpy(&v, (const int16_t *)x + i, 2 * (size_t)n);
        else
            v = vld1q_s16((const int16_t *)x + i);
        return smg_widened16(v);
    }
    int8x8_t v = vdup_n_s8(0);
    if (n < LANES)
        __builtin_memcpy(&v, (const int8_t *)x + i, (size_t)n);
    else
        v = vld1_s8((const int8_t *)x + i);
    return smg_widened16(vmovl_s8(v));
}

/* `v` fits the stored type. */
SMG_INLINE void smg_put(void *y, int32_t wide, size_t i, int32_t n, smg_vec v) {
    const int16x8_t words = vmovn_high_s32(vmovn_s32(v.lo), v.hi);
    if (wide) {
        __builtin_memcpy((int16_t *)y + i, &words, 2 * (size_t)(n < LANES ? n : LANES));
        return;
    }
    const int8x8_t bytes = vmovn_s16(words);
    __builtin_memcpy((int8_t *)y + i, &bytes, (size_t)(n < LANES ? n : LANES));
}

SMG_INLINE smg_vec smg_all(int32_t v) {
    return (smg_vec){vdupq_n_s32(v), vdupq_n_s32(v)};
}

SMG_INLINE smg_vec smg_plus(smg_vec a, smg_vec b) {
    return smg_joined(a, b);
}

SMG_INLINE smg_vec smg_difference(smg_vec a, smg_vec b) {
    return (smg_vec){vsubq_s32(a.lo, b.lo), vsubq_s32(a.hi, b.hi)};
}

SMG_INLINE smg_vec smg_product(smg_vec a, smg_vec b) {
    return (smg_vec){vmulq_s32(a.lo, b.lo), vmulq_s32(a.hi, b.hi)};
}

SMG_INLINE smg_vec smg_left(smg_vec v, int32_t bits) {
    return (smg_vec){vshlq_s32(v.lo, vdupq_n_s32(bits)), vshlq_s32(v.hi, vdupq_n_s32(bits))};
}

SMG_INLINE smg_vec smg_shifted(smg_vec v, int32_t right) {
    return smg_left(v, -right); /* of signed lanes: with the sign */
}

SMG_INLINE smg_vec smg_masked(smg_vec v, int32_t mask) {
    return (smg_vec){vandq_s32(v.lo, vdupq_n_s32(mask)), vandq_s32(v.hi, vdupq_n_s32(mask))};
}

SMG_INLINE smg_vec smg_larger(smg_vec a, smg_vec b) {
    return (smg_vec){vmaxq_s32(a.lo, b.lo), vmaxq_s32(a.hi, b.hi)};
}

SMG_INLINE smg_vec smg_clamped(smg_vec v, int32_t lo, int32_t hi) {
    const smg_vec above = smg_larger(v, smg_all(lo));
    return (smg_vec){vminq_s32(above.lo, vdupq_n_s32(hi)), vminq_s32(above.hi, vdupq_n_s32(hi))};
}

SMG_INLINE smg_real smg_reals(double v) {
    return (smg_real){vdupq_n_f64(v), vdupq_n_f64(v)};
}

SMG_INLINE smg_real smg_load_reals(const double *x) {
    return (smg_real){vld1q_f64(x), vld1q_f64(x + 2)};
}

SMG_INLINE smg_real smg_half(smg_vec v, const int upper) {
    const int32x4_t half = upper ? v.hi : v.lo;
    return (smg_real){vcvtq_f64_s64(vmovl_s32(vget_low_s32(half))), vcvtq_f64_s64(vmovl_high_s32(half))};
}

/* a * b + c */
SMG_INLINE smg_real smg_affine(smg_real a, smg_real b, smg_real c) {
    return (smg_real){vfmaq_f64(c.lo, a.lo, b.lo), vfmaq_f64(c.hi, a.hi, b.hi)};
}

SMG_INLINE smg_real smg_floor(smg_real v) {
    return (smg_real){vrndmq_f64(v.lo), vrndmq_f64(v.hi)};
}

SMG_INLINE int64x2_t smg_floors_of_two(float64x2_t v, const smg_range *r) {
    return vcvtmq_s64_f64(vminq_f64(vmaxq_f64(v, r->lo), r->hi)); /* the bounds are whole numbers */
}

/* Four of them, and the zero point added. */
SMG_INLINE int32x4_t smg_floors_of_half(smg_real v, const smg_range *r) {
    const int32x2_t low = vmovn_s64(smg_floors_of_two(v.lo, r));
    return vaddq_s32(vmovn_high_s64(low, smg_floors_of_two(v.hi, r)), r->zero);
}

/* The floors of both halves inside the range, and the zero point added. */
SMG_INLINE smg_vec smg_floors(smg_real low, smg_real high, const smg_range *r) {
    return (smg_vec){smg_floors_of_half(low, r), smg_floors_of_half(high, r)};
}

SMG_INLINE int32x4_t smg_dot_four_pairs(int32x4_t a, int32x4_t b) {
    const int16x8_t x = vreinterpretq_s16_s32(a), y = vreinterpretq_s16_s32(b);
    return vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y));
}

/* a[0] * b[0] + a[1] * b[1] of the lower and upper 16 bits of each lane. */
SMG_INLINE smg_vec smg_dot_pairs(smg_vec a, smg_vec b) {
    return (smg_vec){smg_dot_four_pairs(a.lo, b.lo), smg_dot_four_pairs(a.hi, b.hi)};
}

/* Twice as many values of 16 bits, and what comes of them in 32, in order. */
enum { MANY = 2 * LANES };

typedef struct {
    smg_vec half[2];
} smg_two;

SMG_INLINE smg_vec smg_many(const int16_t *x) {
    return (smg_vec){vreinterpretq_s32_s16(vld1q_s16(x)), vreinterpretq_s32_s16(vld1q_s16(x + 8))};
}

SMG_INLINE smg_vec smg_eight_products(int32x4_t x0, int32x4_t x1) {
    const int16x8_t a = vreinterpretq_s16_s32(x0), b = vreinterpretq_s16_s32(x1);
    return (smg_vec){vmull_s16(vget_low_s16(a), vget_low_s16(b)), vmull_high_s16(a, b)};
}

SMG_INLINE smg_two smg_many_products(smg_vec x0, smg_vec x1) {
    return (smg_two){{smg_eight_products(x0.lo, x1.lo), smg_eight_products(x0.hi, x1.hi)}};
}

/* x0 * factor + x1 * factor, `factors` in the lower and upper 16 bits. */
SMG_INLINE smg_two smg_many_sums(smg_vec x0, smg_vec x1, smg_vec factors) {
    const int16x8_t pair = vreinterpretq_s16_s32(factors.lo);
    const smg_vec first = {vreinterpretq_s32_s16(vdupq_laneq_s16(pair, 0)),
                           vreinterpretq_s32_s16(vdupq_laneq_s16(pair, 0))};
    const smg_vec second = {vreinterpretq_s32_s16(vdupq_laneq_s16(pair, 1)),
                            vreinterpretq_s32_s16(vdupq_laneq_s16(pair, 1))};
    const smg_two a = smg_many_products(x0, first), b = smg_many_products(x1, second);
    return (smg_two){{smg_joined(a.half[0], b.half[0]), smg_joined(a.half[1], b.half[1])}};
}

SMG_INLINE void smg_put_eight(int16_t *y, smg_vec v, int32_t lo, int32_t hi) {
    const int16x8_t kept = vmaxq_s16(vqmovn_high_s32(vqmovn_s32(v.lo), v.hi), vdupq_n_s16((int16_t)lo));
    vst1q_s16(y, vminq_s16(kept, vdupq_n_s16((int16_t)hi)));
}

/* Saturates to 16 bits, then to the bounds. */
SMG_INLINE void smg_put_many(int16_t *y, smg_two two, int32_t lo, int32_t hi) {
    smg_put_eight(y, two.half[0], lo, hi);
    smg_put_eight(y + 8, two.half[1], lo, hi);
}

/* The first `n` lanes, 0 in the others. */
SMG_INLINE smg_vec smg_kept(smg_vec v, int32_t n) {
    static const int32_t numbers[LANES] = {0, 1, 2, 3, 4, 5, 6, 7};
    const int32x4_t end = vdupq_n_s32(n);
    const int32x4_t low = vreinterpretq_s32_u32(vcltq_s32(vld1q_s32(numbers), end));
    const int32x4_t high = vreinterpretq_s32_u32(vcltq_s32(vld1q_s32(numbers + 4), end));
    return (smg_vec){vandq_s32(v.lo, low), vandq_s32(v.hi, high)};
}

SMG_INLINE int32_t smg_lanes_sum(smg_vec v) {
    return vaddvq_s32(vaddq_s32(v.lo, v.hi));
}

SMG_INLINE int32_t smg_lanes_max(smg_vec v) {
    return vmaxvq_s32(vmaxq_s32(v.lo, v.hi));
}

/* table[i], 0 <= i < 256: one by one, as nothing gathers. */
typedef uint16_t smg_entry;
SMG_INLINE smg_vec smg_entries(const smg_entry *table, smg_vec index) {
    int32_t at[LANES];
    vst1q_s32(at, index.lo);
    vst1q_s32(at + 4, index.hi);
    for (int i = 0; i < LANES; i++)
        at[i] = table[at[i]];
    return smg_sums(at);
}

/* table[i] and table[i + 1], as the lower and upper 16 bits. */
SMG_INLINE smg_vec smg_knots(const int16_t *table, smg_vec index) {
    int32_t at[LANES];
    vst1q_s32(at, index.lo);
    vst1q_s32(at + 4, index.hi);
    for (int i = 0; i < LANES; i++)
        __builtin_memcpy(at + i, table + at[i], sizeof at[i]);
    return smg_sums(at);
}

#endif
