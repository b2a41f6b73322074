#include "ceilings.h"

#include <immintrin.h>

ROOF_INLINE __m256 reals(int v) {
    return _mm256_set1_ps((float)v * 1e-3f);
}

ROOF_INLINE __m256 multiply_add(__m256 chain, __m256 operand) {
    return _mm256_fmadd_ps(chain, operand, operand);
}

ROOF_INLINE uint64_t first_real(__m256 v) {
    return (uint64_t)_mm256_cvtss_f32(v);
}

ROOF_INLINE __m256i integers(int v) {
    return _mm256_set1_epi8((char)v);
}

/* As vector.h multiplies: pairs of 16-bit numbers. The operands never change, which is hidden. */
ROOF_INLINE __m256i dot(__m256i chain, __m256i operand) {
    __m256i pairs;
    __asm__ volatile("vpmaddwd\t%1, %1, %0" : "=x"(pairs) : "x"(operand));
    return _mm256_add_epi32(chain, pairs);
}

/* A table of 16 counts, looked up for both halves of every byte. */
ROOF_INLINE __m256i popcount(__m256i chain, __m256i operand) {
    const __m256i counts = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2,
                                            2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i low = _mm256_set1_epi8(15), v = _mm256_xor_si256(chain, operand);
    const __m256i a = _mm256_shuffle_epi8(counts, _mm256_and_si256(v, low));
    const __m256i b = _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi16(v, 4), low));
    return _mm256_add_epi8(chain, _mm256_add_epi8(a, b));
}

ROOF_INLINE uint64_t first_integer(__m256i v) {
    return (uint64_t)_mm256_extract_epi64(v, 0);
}

ROOF_ARITHMETIC(run_multiply_add, __m256, reals, multiply_add, first_real)
ROOF_ARITHMETIC(run_dot, __m256i, integers, dot, first_integer)
ROOF_ARITHMETIC(run_popcount, __m256i, integers, popcount, first_integer)

static uint64_t run_read(const uint8_t *x, size_t nbytes) {
    __m256i sum[4] = {integers(0), integers(0), integers(0), integers(0)};
    for (size_t i = 0; i + ROOF_BLOCK <= nbytes; i += ROOF_BLOCK)
#pragma GCC unroll 16
        for (int j = 0; j < 16; j++)
            sum[j % 4] = _mm256_or_si256(sum[j % 4], _mm256_loadu_si256((const __m256i *)(x + i + 32 * j)));
    return first_integer(_mm256_or_si256(_mm256_or_si256(sum[0], sum[1]), _mm256_or_si256(sum[2], sum[3])));
}

const smg_ceilings smg_ceilings_avx2 = {
    run_multiply_add,     run_dot, run_popcount, run_read, ROOF_CHAINS * 8 * 2, ROOF_CHAINS * 16 * 2,
    ROOF_CHAINS * 256 * 2};
