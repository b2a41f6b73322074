#include "ceilings.h"

#include <immintrin.h>

ROOF_INLINE __m512 reals(int v) {
    return _mm512_set1_ps((float)v * 1e-3f);
}

ROOF_INLINE __m512 multiply_add(__m512 chain, __m512 operand) {
    return _mm512_fmadd_ps(chain, operand, operand);
}

ROOF_INLINE uint64_t first_real(__m512 v) {
    return (uint64_t)_mm512_cvtss_f32(v);
}

ROOF_INLINE __m512i integers(int v) {
    return _mm512_set1_epi8((char)v);
}

ROOF_INLINE __m512i dot(__m512i chain, __m512i operand) {
    return _mm512_dpbusd_epi32(chain, operand, operand);
}

/* Assembly, so that the other functions are not compiled for processors with this extension. */
ROOF_INLINE __m512i popcount(__m512i chain, __m512i operand) {
    __m512i ones = _mm512_xor_si512(chain, operand);
    __asm__("vpopcntq\t%0, %0" : "+v"(ones));
    return _mm512_add_epi64(chain, ones);
}

ROOF_INLINE uint64_t first_integer(__m512i v) {
    return (uint64_t)_mm_cvtsi128_si64(_mm512_castsi512_si128(v));
}

ROOF_ARITHMETIC(run_multiply_add, __m512, reals, multiply_add, first_real)
ROOF_ARITHMETIC(run_dot, __m512i, integers, dot, first_integer)
ROOF_ARITHMETIC(run_popcount, __m512i, integers, popcount, first_integer)

static uint64_t run_read(const uint8_t *x, size_t nbytes) {
    __m512i sum[4] = {integers(0), integers(0), integers(0), integers(0)};
    for (size_t i = 0; i + ROOF_BLOCK <= nbytes; i += ROOF_BLOCK)
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++)
            sum[j % 4] = _mm512_or_si512(sum[j % 4], _mm512_loadu_si512(x + i + 64 * j));
    return first_integer(_mm512_or_si512(_mm512_or_si512(sum[0], sum[1]), _mm512_or_si512(sum[2], sum[3])));
}

const smg_ceilings smg_ceilings_avx512 = {
    run_multiply_add,     run_dot, run_popcount, run_read, ROOF_CHAINS * 16 * 2, ROOF_CHAINS * 64 * 2,
    ROOF_CHAINS * 512 * 2};
