/* smg_q_table: the table's 256 bytes stay in four registers. */
#include "vector.h"

/* The entries of unsigned values: two registers for each half of the table, the top bit chooses. */
SMG_INLINE __m512i look_up(const __m512i table[4], __m512i x) {
    const __m512i low = _mm512_permutex2var_epi8(table[0], x, table[1]);
    const __m512i high = _mm512_permutex2var_epi8(table[2], x, table[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high);
}

static void table_run(const void *args, const smg_job *job) {
    const smg_q_table_args *a = args;
    const __m512i flip = _mm512_set1_epi8((char)0x80);
    __m512i table[4];
    for (int i = 0; i < 4; i++)
        table[i] = _mm512_loadu_si512((const int8_t *)job->pointers[1] + 64 * i);
    for (int32_t s = 0; s < job->samples; s++)
        for (int32_t i = 0; i < a->count; i += 64) {
            const int32_t left = a->count - i;
            const __mmask64 some = left < 64 ? ((__mmask64)1 << left) - 1 : ~(__mmask64)0;
            const __m512i x = _mm512_maskz_loadu_epi8(some, (const int8_t *)smg_at(job, 0, s) + i);
            _mm512_mask_storeu_epi8((int8_t *)smg_at(job, 2, s) + i, some,
                                    look_up(table, _mm512_xor_si512(x, flip)));
        }
}

const smg_variant smg_q_table_avx512 = {"smg_q_table", ISA, NULL, NULL, NULL, table_run};
