/* Sums with the DSP extension of Cortex-M4, M7 and M33: two 16-bit products an instruction.
 *
 * A word of four int8 becomes two pairs of int16 (bytes 0 and 2, bytes 1 and 3); which pair a product is in
 * does not matter for a sum. The zero point is subtracted while x is widened, for free. Sums wrap modulo 2^32
 * like those of the portable kernels. Words need no alignment on these cores.
 */
#ifndef SMG_DSP_H
#define SMG_DSP_H

#include <arm_acle.h>

#include "../smidgen.h"

static inline uint32_t smg_word(const int8_t *p) {
    uint32_t word;
    __builtin_memcpy(&word, p, sizeof word);
    return word;
}

/* Twice -zero: what x is widened onto. */
static inline int16x2_t smg_minus(int32_t zero) {
    const uint32_t low = (uint32_t)-zero & 0xFFFFu;
    return (int16x2_t)(low << 16 | low);
}

/* What ends a sum: sat(requantize(acc) + zero), see smidgen.h. */
typedef struct {
    const uint16_t *multiplier;
    const uint8_t *shift;
    int32_t per_channel, zero, lo, hi;
} smg_end;

/* A function of its own, as it is hardly ever called. */
__attribute__((noinline)) static int32_t smg_any_shift(int32_t acc, uint16_t multiplier, uint8_t shift) {
    const int64_t v = smg_requantize(acc, multiplier, shift);
    return (int32_t)(v > 65535 ? 65535 : v < -65535 ? -65535 : v);
}

/* y[k] (int16_t where `wide`) from sums[k] for `count` neighbouring channels. Where the shift is 17 to 32, as
 * it nearly always is, one multiplication keeps the upper word and adds half of its last bit. */
static inline void smg_finish(const smg_end *e, int32_t channel, int32_t count, const int32_t *sums, void *y,
                              int32_t wide) {
    const int32_t step = e->per_channel, zero = e->zero, lo = e->lo, hi = e->hi;
    const uint16_t *multiplier = e->multiplier + channel * step;
    const uint8_t *shift = e->shift + channel * step;
    for (int32_t k = 0; k < count; k++, multiplier += step, shift += step) {
        const int32_t s = *shift, acc = sums[k];
        int32_t v;
        if (s >= 17 && s <= 32)
            v = (int32_t)(((int64_t)acc * (int32_t)((uint32_t)*multiplier << (32 - s)) + 0x80000000LL) >> 32);
        else
            v = smg_any_shift(acc, *multiplier, *shift);
        v += zero;
        v = v < lo ? lo : v;
        v = v > hi ? hi : v;
        if (wide)
            ((int16_t *)y)[k] = (int16_t)v;
        else
            ((int8_t *)y)[k] = (int8_t)v;
    }
}

#endif
