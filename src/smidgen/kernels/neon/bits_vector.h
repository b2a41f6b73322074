/* Counting unequal bits: 8 lanes of one word each, whose four bytes count by themselves until they are about
 * to overflow. */
#ifndef SMIDGEN_BITS_VECTOR_H
#define SMIDGEN_BITS_VECTOR_H

#include "vector.h"

#define SMG_BIT_BLOCKS 2
enum { SMG_PENDING = 31 }; /* words, of which each adds at most 8 to a byte */
static const int32_t MOST_BIT_ROWS[] = {0, 8, 4};

typedef struct {
    uint8x16_t low_bytes, high_bytes; /* lanes 0..3 and 4..7 */
    smg_vec words;
} smg_counts;

SMG_INLINE smg_vec smg_repeat32(int32_t v) {
    return (smg_vec){vdupq_n_s32(v), vdupq_n_s32(v)};
}

SMG_INLINE smg_counts smg_no_counts(void) {
    return (smg_counts){vdupq_n_u8(0), vdupq_n_u8(0), smg_repeat32(0)};
}

SMG_INLINE smg_vec smg_load32(const int32_t *v) {
    return smg_sums(v);
}

SMG_INLINE smg_vec smg_add32(smg_vec a, smg_vec b) {
    return smg_joined(a, b);
}

SMG_INLINE smg_vec smg_sub32(smg_vec a, smg_vec b) {
    return (smg_vec){vsubq_s32(a.lo, b.lo), vsubq_s32(a.hi, b.hi)};
}

SMG_INLINE smg_vec smg_load_words(const uint32_t *w) {
    return (smg_vec){vreinterpretq_s32_u32(vld1q_u32(w)), vreinterpretq_s32_u32(vld1q_u32(w + 4))};
}

SMG_INLINE smg_vec smg_repeat_word(const uint32_t *x) {
    return smg_repeat32((int32_t)*x);
}

/* The words of x at 8 places, one by one, as nothing gathers. */
SMG_INLINE smg_vec smg_gather_words(const uint32_t *x, smg_vec places) {
    int32_t at[LANES];
    vst1q_s32(at, places.lo);
    vst1q_s32(at + 4, places.hi);
    for (int i = 0; i < LANES; i++)
        at[i] = (int32_t)x[at[i]];
    return smg_sums(at);
}

SMG_INLINE uint8x16_t smg_unequal_bits(int32x4_t w, int32x4_t x) {
    return vcntq_u8(vreinterpretq_u8_s32(veorq_s32(w, x)));
}

SMG_INLINE void smg_count_unequal(smg_counts *count, smg_vec w, smg_vec x) {
    count->low_bytes = vaddq_u8(count->low_bytes, smg_unequal_bits(w.lo, x.lo));
    count->high_bytes = vaddq_u8(count->high_bytes, smg_unequal_bits(w.hi, x.hi));
}

/* The four bytes of each lane, added to its word. */
SMG_INLINE int32x4_t smg_with_bytes(int32x4_t words, uint8x16_t bytes) {
    return vpadalq_s16(words, vreinterpretq_s16_u16(vpaddlq_u8(bytes)));
}

SMG_INLINE smg_vec smg_counted(const smg_counts *count) {
    return (smg_vec){smg_with_bytes(count->words.lo, count->low_bytes),
                     smg_with_bytes(count->words.hi, count->high_bytes)};
}

SMG_INLINE void smg_settle(smg_counts *count) {
    count->words = smg_counted(count);
    count->low_bytes = count->high_bytes = vdupq_n_u8(0);
}

SMG_INLINE void smg_double(smg_counts *count) {
    smg_settle(count);
    count->words = smg_joined(count->words, count->words);
}

/* Of `n` bits at most so many may differ for n - 2 unequal >= threshold. */
SMG_INLINE smg_vec smg_limit(int32_t n, const int32_t *thresholds) {
    const smg_vec twice = smg_sub32(smg_repeat32(n), smg_load32(thresholds));
    return (smg_vec){vshrq_n_s32(twice.lo, 1), vshrq_n_s32(twice.hi, 1)};
}

/* A bit for each of 8 bytes that is all ones, the others being 0. */
SMG_INLINE uint32_t smg_bits_of(uint8x8_t bytes) {
    static const uint8_t bits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    return vaddv_u8(vand_u8(bytes, vld1_u8(bits)));
}

/* A bit for each lane that is at most its limit. */
SMG_INLINE uint32_t smg_at_most(smg_vec unequal, smg_vec limit) {
    const uint16x4_t low = vmovn_u32(vcleq_s32(unequal.lo, limit.lo));
    return smg_bits_of(vmovn_u16(vmovn_high_u32(low, vcleq_s32(unequal.hi, limit.hi))));
}

SMG_INLINE void smg_store_bits(smg_vec unequal, smg_vec limit, void *y) {
    *(uint8_t *)y = (uint8_t)smg_at_most(unequal, limit);
}

/* bias + n - 2 unequal */
SMG_INLINE smg_vec smg_sum_of(const smg_channels *c, int32_t n, smg_vec unequal) {
    return smg_sub32(smg_joined(smg_start(c), smg_repeat32(n)), smg_joined(unequal, unequal));
}

typedef struct {
    uint8x16_t lo, hi;
} smg_levels;

/* `n` bytes (1..32) with the zero point taken off, then zeros. */
SMG_INLINE smg_levels smg_levels32(const int8_t *x, int32_t zero, int32_t n) {
    int8_t whole[32];
    const int8x16_t minus = vdupq_n_s8((int8_t)zero);
    if (n < 32) {
        __builtin_memset(whole, zero, sizeof whole);
        __builtin_memcpy(whole, x, (size_t)n);
        x = whole;
    }
    return (smg_levels){vreinterpretq_u8_s8(vsubq_s8(vld1q_s8(x), minus)),
                        vreinterpretq_u8_s8(vsubq_s8(vld1q_s8(x + 16), minus))};
}

SMG_INLINE uint32_t smg_bits_of16(uint8x16_t bytes) {
    return smg_bits_of(vget_low_u8(bytes)) | smg_bits_of(vget_high_u8(bytes)) << 8;
}

/* Bit `bit` of each of 32 bytes. */
SMG_INLINE uint32_t smg_plane(smg_levels v, int32_t bit) {
    const uint8x16_t mask = vdupq_n_u8((uint8_t)(1 << bit));
    return smg_bits_of16(vtstq_u8(v.lo, mask)) | smg_bits_of16(vtstq_u8(v.hi, mask)) << 16;
}

/* Which of 8 values are at least their thresholds. */
SMG_INLINE uint32_t smg_reached8(const int8_t *x, const int16_t *thresholds) {
    return smg_bits_of(vmovn_u16(vcgeq_s16(vmovl_s8(vld1_s8(x)), vld1q_s16(thresholds))));
}

/* Which of `n` values (1..32) are at least their thresholds, of which there are 32. */
SMG_INLINE uint32_t smg_reached32(const int8_t *x, const int16_t *thresholds, int32_t n) {
    int8_t whole[32] = {0};
    uint32_t reached = 0;
    if (n < 32) {
        __builtin_memcpy(whole, x, (size_t)n);
        x = whole;
    }
    for (int i = 0; i < 32; i += 8)
        reached |= smg_reached8(x + i, thresholds + i) << i;
    return reached;
}

#endif
