/* smg_q_table: the table's 256 bytes stay in sixteen registers. */
#include "vector.h"

/* The entries of unsigned values: indices beyond a quarter of the table leave what another one gave. */
SMG_INLINE uint8x16_t look_up(const uint8x16x4_t table[4], uint8x16_t x) {
    uint8x16_t found = vqtbl4q_u8(table[0], x);
    for (int i = 1; i < 4; i++)
        found = vqtbx4q_u8(found, table[i], vsubq_u8(x, vdupq_n_u8((uint8_t)(64 * i))));
    return found;
}

static void table_run(const void *args, const smg_job *job) {
    const smg_q_table_args *a = args;
    const uint8_t *given = job->pointers[1];
    const uint8x16_t flip = vdupq_n_u8(128);
    uint8x16x4_t table[4];
    for (int i = 0; i < 16; i++)
        table[i / 4].val[i % 4] = vld1q_u8(given + 16 * i);
    for (int32_t s = 0; s < job->samples; s++) {
        const uint8_t *x = smg_at(job, 0, s);
        uint8_t *y = smg_at(job, 2, s);
        int32_t i = 0;
        for (; i + 16 <= a->count; i += 16)
            vst1q_u8(y + i, look_up(table, veorq_u8(vld1q_u8(x + i), flip)));
        for (; i < a->count; i++)
            y[i] = given[x[i] ^ 128];
    }
}

const smg_variant SIMD(smg_q_table) = {"smg_q_table", ISA, NULL, NULL, NULL, table_run};
