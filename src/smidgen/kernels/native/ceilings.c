/* What portable kernels can reach: vectors of 16 bytes, which every compiler of a 64-bit processor makes. */
#include "ceilings.h"

typedef float reals __attribute__((vector_size(16)));
typedef int16_t integers __attribute__((vector_size(16)));
typedef uint64_t words __attribute__((vector_size(16)));

ROOF_INLINE reals some_reals(int v) {
    const float x = (float)v * 1e-3f;
    return (reals){x, x, x, x};
}

ROOF_INLINE reals multiply_add(reals chain, reals operand) {
    return chain * operand + operand;
}

ROOF_INLINE uint64_t first_real(reals v) {
    return (uint64_t)v[0];
}

ROOF_INLINE integers some_integers(int v) {
    return (integers){(int16_t)v, 1, 2, 3, 4, 5, 6, 7};
}

ROOF_INLINE integers dot(integers chain, integers operand) {
    return chain + chain * operand;
}

ROOF_INLINE uint64_t first_integer(integers v) {
    return (uint64_t)(uint16_t)v[0];
}

ROOF_INLINE words some_words(int v) {
    return (words){(uint64_t)v, 1};
}

ROOF_INLINE words popcount(words chain, words operand) {
    const words v = chain ^ operand;
    return chain + (words){(uint64_t)__builtin_popcountll(v[0]), (uint64_t)__builtin_popcountll(v[1])};
}

ROOF_INLINE uint64_t first_word(words v) {
    return v[0];
}

ROOF_ARITHMETIC(run_multiply_add, reals, some_reals, multiply_add, first_real)
ROOF_ARITHMETIC(run_dot, integers, some_integers, dot, first_integer)
ROOF_ARITHMETIC(run_popcount, words, some_words, popcount, first_word)

static uint64_t run_read(const uint8_t *x, size_t nbytes) {
    words sum[4] = {some_words(0), some_words(0), some_words(0), some_words(0)}, v;
    for (size_t i = 0; i + ROOF_BLOCK <= nbytes; i += ROOF_BLOCK)
#pragma GCC unroll 32
        for (int j = 0; j < 32; j++) {
            __builtin_memcpy(&v, x + i + 16 * j, sizeof(v));
            sum[j % 4] |= v;
        }
    return first_word(sum[0] | sum[1] | sum[2] | sum[3]);
}

const smg_ceilings smg_ceilings_ref = {
    run_multiply_add,     run_dot, run_popcount, run_read, ROOF_CHAINS * 4 * 2, ROOF_CHAINS * 8 * 2,
    ROOF_CHAINS * 128 * 2};
