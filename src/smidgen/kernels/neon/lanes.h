/* NEON: 16 floats or 32-bit words in four registers. */
#ifndef SMIDGEN_LANES_H
#define SMIDGEN_LANES_H

#include <arm_neon.h>

#include "library.h"

#ifdef __ARM_FEATURE_DOTPROD
#define SIMD(name) name##_dotprod
#else
#define SIMD(name) name##_neon
#endif
#define SMG_WIDE_TILES 0
enum { TILE_ROWS = 6, TILE_BLOCKS = 1 }; /* of a product's tile: as many sums as registers allow */

typedef float32x4x4_t smg_floats;
typedef uint32x4x4_t smg_words;

/* One expression for each register `i`. */
#define SMG_FOUR(expression) _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++) expression

SMG_INLINE smg_floats smg_all(float v) {
    return (smg_floats){{vdupq_n_f32(v), vdupq_n_f32(v), vdupq_n_f32(v), vdupq_n_f32(v)}};
}

SMG_INLINE smg_floats smg_none(void) {
    return smg_all(0);
}

SMG_INLINE smg_floats smg_load(const float *p) {
    return (smg_floats){{vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}};
}

SMG_INLINE void smg_store(float *p, smg_floats v) {
    SMG_FOUR(vst1q_f32(p + 4 * i, v.val[i]);)
}

SMG_INLINE smg_floats smg_load_some(const float *p, int32_t n) {
    float some[SMG_LANES] = {0};
    if (n >= SMG_LANES)
        return smg_load(p);
    __builtin_memcpy(some, p, (size_t)n * sizeof(float));
    return smg_load(some);
}

SMG_INLINE void smg_store_some(float *p, int32_t n, smg_floats v) {
    float some[SMG_LANES];
    if (n >= SMG_LANES) {
        smg_store(p, v);
        return;
    }
    smg_store(some, v);
    __builtin_memcpy(p, some, (size_t)n * sizeof(float));
}

SMG_INLINE smg_floats smg_plus(smg_floats a, smg_floats b) {
    SMG_FOUR(a.val[i] = vaddq_f32(a.val[i], b.val[i]);)
    return a;
}

SMG_INLINE smg_floats smg_minus(smg_floats a, smg_floats b) {
    SMG_FOUR(a.val[i] = vsubq_f32(a.val[i], b.val[i]);)
    return a;
}

SMG_INLINE smg_floats smg_by(smg_floats a, smg_floats b) {
    SMG_FOUR(a.val[i] = vmulq_f32(a.val[i], b.val[i]);)
    return a;
}

/* v within the bounds; NaN stays NaN. */
SMG_INLINE smg_floats smg_between(smg_floats lo, smg_floats v, smg_floats hi) {
    SMG_FOUR(v.val[i] = vminq_f32(vmaxq_f32(v.val[i], lo.val[i]), hi.val[i]);)
    return v;
}

/* a * b + c */
SMG_INLINE smg_floats smg_add_product(smg_floats a, smg_floats b, smg_floats c) {
    SMG_FOUR(c.val[i] = vfmaq_f32(c.val[i], a.val[i], b.val[i]);)
    return c;
}

SMG_INLINE float smg_total(smg_floats v) {
    return vaddvq_f32(vaddq_f32(vaddq_f32(v.val[0], v.val[1]), vaddq_f32(v.val[2], v.val[3])));
}

/* p[at[i]] for `n` positions, else 0. */
SMG_INLINE smg_floats smg_take(const float *p, const int32_t *at, int32_t n) {
    float taken[SMG_LANES] = {0};
    for (int32_t i = 0; i < smg_least(n, SMG_LANES); i++)
        taken[i] = p[at[i]];
    return smg_load(taken);
}

/* The transform of 4 neighbours: of those next to each other, then of those next but one. */
SMG_INLINE float32x4_t smg_hadamard4(float32x4_t v) {
    const float32x4_t even = vtrn1q_f32(v, v), odd = vtrn2q_f32(v, v);
    v = vtrn1q_f32(vaddq_f32(even, odd), vsubq_f32(even, odd));
    const float32x2_t low = vget_low_f32(v), high = vget_high_f32(v);
    return vcombine_f32(vadd_f32(low, high), vsub_f32(low, high));
}

/* The transform of 16 neighbours. */
SMG_INLINE smg_floats smg_hadamard16(smg_floats v) {
    SMG_FOUR(v.val[i] = smg_hadamard4(v.val[i]);)
    const float32x4_t a = vaddq_f32(v.val[0], v.val[1]), b = vsubq_f32(v.val[0], v.val[1]);
    const float32x4_t c = vaddq_f32(v.val[2], v.val[3]), d = vsubq_f32(v.val[2], v.val[3]);
    return (smg_floats){{vaddq_f32(a, c), vaddq_f32(b, d), vsubq_f32(a, c), vsubq_f32(b, d)}};
}

SMG_INLINE smg_words smg_load_words(const uint32_t *p) {
    return (smg_words){{vld1q_u32(p), vld1q_u32(p + 4), vld1q_u32(p + 8), vld1q_u32(p + 12)}};
}

SMG_INLINE smg_words smg_shifted(smg_words v, const int right) {
    SMG_FOUR(v.val[i] = vshlq_u32(v.val[i], vdupq_n_s32(-right));)
    return v;
}

SMG_INLINE smg_words smg_masked(smg_words v, uint32_t mask) {
    SMG_FOUR(v.val[i] = vandq_u32(v.val[i], vdupq_n_u32(mask));)
    return v;
}

/* table[the lowest 4 bits]: the four bytes of a float are looked up side by side. */
SMG_INLINE smg_floats smg_look_up(smg_floats table, smg_words v) {
    uint8x16x4_t bytes;
    SMG_FOUR(bytes.val[i] = vreinterpretq_u8_f32(table.val[i]);)
    SMG_FOUR({
        const uint32x4_t first = vmulq_n_u32(vandq_u32(v.val[i], vdupq_n_u32(15)), 0x04040404u);
        const uint8x16_t at = vreinterpretq_u8_u32(vorrq_u32(first, vdupq_n_u32(0x03020100u)));
        table.val[i] = vreinterpretq_f32_u8(vqtbl4q_u8(bytes, at));
    })
    return table;
}

SMG_INLINE smg_words smg_all_words(int32_t v) {
    const uint32x4_t all = vdupq_n_u32((uint32_t)v);
    return (smg_words){{all, all, all, all}};
}

SMG_INLINE uint32x4_t smg_dot4(uint32x4_t sum, uint32x4_t codes, uint32x4_t x) {
    const int8x16_t a = vreinterpretq_s8_u32(codes), b = vreinterpretq_s8_u32(x);
#ifdef __ARM_FEATURE_DOTPROD
    return vreinterpretq_u32_s32(vdotq_s32(vreinterpretq_s32_u32(sum), a, b));
#else
    /* At most 2 * 15 * 128: pairs fit into 16 bits. */
    const int16x8_t low = vmull_s8(vget_low_s8(a), vget_low_s8(b)), high = vmull_high_s8(a, b);
    return vreinterpretq_u32_s32(vpadalq_s16(vreinterpretq_s32_u32(sum), vpaddq_s16(low, high)));
#endif
}

/* sum + the four bytes of `codes` (0..15) times those of `x` (signed) */
SMG_INLINE smg_words smg_dot(smg_words sum, smg_words codes, smg_words x) {
    SMG_FOUR(sum.val[i] = smg_dot4(sum.val[i], codes.val[i], x.val[i]);)
    return sum;
}

/* sum + v * 16 bytes (unsigned) */
SMG_INLINE smg_words smg_add_multiple(smg_words sum, smg_words v, const uint8_t *bytes) {
    const uint8x16_t narrow = vld1q_u8(bytes);
    const uint16x8_t low = vmovl_u8(vget_low_u8(narrow)), high = vmovl_high_u8(narrow);
    const smg_words wide = {{vmovl_u16(vget_low_u16(low)), vmovl_high_u16(low), vmovl_u16(vget_low_u16(high)),
                             vmovl_high_u16(high)}};
    SMG_FOUR(sum.val[i] = vmlaq_u32(sum.val[i], v.val[i], wide.val[i]);)
    return sum;
}

SMG_INLINE void smg_store_words(int32_t *p, int32_t n, smg_words v) {
    uint32_t some[SMG_LANES];
    SMG_FOUR(vst1q_u32(some + 4 * i, v.val[i]);)
    __builtin_memcpy(p, some, (size_t)smg_least(n, SMG_LANES) * sizeof(int32_t));
}

#endif
