/* Dot products of one vector with four, for smg_q_linear and smg_q_conv. */
#ifndef SMG_DOT_FOUR_H
#define SMG_DOT_FOUR_H

#include "smg_dsp.h"

enum { SMG_SIDE_BY_SIDE = 4 }; /* outputs that are computed together, each word of x widened once */

#if defined(__ARM_FEATURE_MVE)
#include "../mve/smg_dot_four.h"
#else

/* sum += the products of a word of x, widened to `even` and `odd`, and a word of weights. */
static inline int32_t smg_products(int16x2_t even, int16x2_t odd, uint32_t weights, int32_t sum) {
    sum = __smlad(even, __sxtb16((int8x4_t)weights), sum);
    return __smlad(odd, __sxtb16((int8x4_t)__ror(weights, 8)), sum);
}

/* sums[k] += sum over i < n of (x[i] - zero) * w[k * apart + i]. A function of its own, as its loop fills all
 * registers. Compilers load ahead and run out of them, so that optimized code has the loop's body in
 * assembly: 25 instructions for 16 products instead of 33. */
__attribute__((noinline)) static void smg_dot_four(int32_t *sums, const int8_t *x, const int8_t *w,
                                                   int32_t apart, int32_t n, int16x2_t minus) {
    const int8_t *v = w + 2 * apart;
    int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    for (int32_t words = n >> 2; words > 0; words--) {
#if defined(__OPTIMIZE__) && defined(__thumb2__)
        int32_t even, odd, word, pair;
        __asm__("ldr %[word], [%[x]], #4\n\t"
                "sxtab16 %[even], %[minus], %[word]\n\t"
                "sxtab16 %[odd], %[minus], %[word], ror #8\n\t"
                "ldr %[word], [%[w], %[apart]]\n\t"
                "sxtb16 %[pair], %[word]\n\t"
                "smlad %[s1], %[even], %[pair], %[s1]\n\t"
                "sxtb16 %[pair], %[word], ror #8\n\t"
                "smlad %[s1], %[odd], %[pair], %[s1]\n\t"
                "ldr %[word], [%[w]], #4\n\t"
                "sxtb16 %[pair], %[word]\n\t"
                "smlad %[s0], %[even], %[pair], %[s0]\n\t"
                "sxtb16 %[pair], %[word], ror #8\n\t"
                "smlad %[s0], %[odd], %[pair], %[s0]\n\t"
                "ldr %[word], [%[v], %[apart]]\n\t"
                "sxtb16 %[pair], %[word]\n\t"
                "smlad %[s3], %[even], %[pair], %[s3]\n\t"
                "sxtb16 %[pair], %[word], ror #8\n\t"
                "smlad %[s3], %[odd], %[pair], %[s3]\n\t"
                "ldr %[word], [%[v]], #4\n\t"
                "sxtb16 %[pair], %[word]\n\t"
                "smlad %[s2], %[even], %[pair], %[s2]\n\t"
                "sxtb16 %[pair], %[word], ror #8\n\t"
                "smlad %[s2], %[odd], %[pair], %[s2]"
                : [x] "+&r"(x), [w] "+&r"(w), [v] "+&r"(v), [s0] "+&r"(s0), [s1] "+&r"(s1), [s2] "+&r"(s2),
                  [s3] "+&r"(s3), [even] "=&r"(even), [odd] "=&r"(odd), [word] "=&r"(word), [pair] "=&r"(pair)
                : [apart] "r"(apart), [minus] "r"(minus)
                : "memory");
#else
        const uint32_t word = smg_word(x);
        const int16x2_t even = __sxtab16(minus, (int8x4_t)word);
        const int16x2_t odd = __sxtab16(minus, (int8x4_t)__ror(word, 8));
        s0 = smg_products(even, odd, smg_word(w), s0);
        s1 = smg_products(even, odd, smg_word(w + apart), s1);
        s2 = smg_products(even, odd, smg_word(v), s2);
        s3 = smg_products(even, odd, smg_word(v + apart), s3);
        x += 4;
        w += 4;
        v += 4;
#endif
    }
    for (n &= 3; n > 0; n--, x++, w++, v++) {
        const int32_t value = *x + (int16_t)minus;
        s0 += value * *w;
        s1 += value * w[apart];
        s2 += value * *v;
        s3 += value * v[apart];
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

#endif

#endif
