/* smg_lowbit_int: four codes a lane at a time times four inputs; zeros are taken back once a group. */
#ifndef SMIDGEN_LOWBIT_INT_H
#define SMIDGEN_LOWBIT_INT_H

#include "fetch.h"
#include "lanes.h"

enum { INT_BLOCKS = TILE_BLOCKS < 2 ? 2 : TILE_BLOCKS, INT_SAMPLES = TILE_BLOCKS < 4 ? 2 : 4 };

/* sums: of every group's inputs, a sample after the other. last: as in lowbit_words. */
typedef struct {
    const smg_lowbit_int_args *a;
    const int8_t *x, *last;
    const int32_t *sums;
    size_t block_words;
} lowbit_int_job;

SMG_INLINE smg_words four_inputs(const int8_t *x) {
    int32_t four;
    __builtin_memcpy(&four, x, 4);
    return smg_all_words(four);
}

SMG_INLINE void lowbit_int_words(const int bits, const int samples, const int blocks,
                                 const lowbit_int_job *job, const uint32_t *codes, const uint32_t *end,
                                 int32_t words, const int8_t *x, size_t x_step,
                                 smg_words sum[INT_SAMPLES][INT_BLOCKS]) {
    const uint32_t mask = bits == 4 ? 0x0f0f0f0fu : 0x03030303u;
    for (; words > 0; words--, codes += SMG_LANES, x += 32 / bits) {
        smg_words packed[INT_BLOCKS];
        const uint32_t *ahead = smg_ahead(codes, end, (size_t)(blocks - 1) * job->block_words);
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++) {
            packed[b] = smg_load_words(codes + b * job->block_words);
            __builtin_prefetch(ahead + b * job->block_words);
        }
#pragma GCC unroll 4
        for (int i = 0; i < 8 / bits; i++)
#pragma GCC unroll 4
            for (int b = 0; b < blocks; b++) {
                const smg_words some = smg_masked(smg_shifted(packed[b], bits * i), mask);
#pragma GCC unroll 4
                for (int s = 0; s < samples; s++)
                    sum[s][b] = smg_dot(sum[s][b], some, four_inputs(x + (size_t)s * x_step + 4 * i));
            }
    }
}

SMG_INLINE void lowbit_int_tile(const int bits, const int samples, const int blocks,
                                const lowbit_int_job *job, int32_t block, int32_t *y) {
    const smg_lowbit_int_args *a = job->a;
    const int32_t inputs = 32 / bits, whole = a->in / inputs, groups = smg_up(a->in, a->group);
    const uint32_t *codes = a->codes + (size_t)block * job->block_words;
    const uint8_t *multipliers = a->multipliers + (size_t)block * (size_t)groups * SMG_LANES;
    smg_words total[INT_SAMPLES][INT_BLOCKS], sum[INT_SAMPLES][INT_BLOCKS];
#pragma GCC unroll 4
    for (int s = 0; s < samples; s++)
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++)
            total[s][b] = smg_all_words(0);
    for (int32_t g = 0, w = 0; g < groups; g++) {
        const int32_t end = (g + 1) * (a->group / inputs), n = smg_least(end, whole) - w;
#pragma GCC unroll 4
        for (int s = 0; s < samples; s++)
#pragma GCC unroll 4
            for (int b = 0; b < blocks; b++)
                sum[s][b] = smg_all_words(-a->zero * job->sums[s * groups + g]);
        lowbit_int_words(bits, samples, blocks, job, codes + (size_t)w * SMG_LANES, codes + job->block_words,
                         n, job->x + (size_t)w * (size_t)inputs, (size_t)a->in, sum);
        if (w + n == whole && end > whole && whole * inputs < a->in)
            lowbit_int_words(bits, samples, blocks, job, codes + (size_t)whole * SMG_LANES,
                             codes + job->block_words, 1, job->last, SMG_LANES, sum);
        w += n;
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++) {
            const uint8_t *at = multipliers + ((size_t)b * (size_t)groups + (size_t)g) * SMG_LANES;
            __builtin_prefetch(at + (size_t)blocks * (size_t)groups * SMG_LANES);
#pragma GCC unroll 4
            for (int s = 0; s < samples; s++)
                total[s][b] = smg_add_multiple(total[s][b], sum[s][b], at);
        }
    }
#pragma GCC unroll 4
    for (int s = 0; s < samples; s++)
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++) {
            const int32_t o = (block + b) * SMG_LANES;
            smg_store_words(y + (size_t)s * (size_t)a->out + o, smg_least(SMG_LANES, a->out - o),
                            total[s][b]);
        }
}

SMG_INLINE void lowbit_int_samples(const int bits, const int samples, const lowbit_int_job *job, int32_t *y) {
    const int32_t blocks = smg_up(job->a->out, SMG_LANES);
    int32_t block = 0;
    for (; block + INT_BLOCKS <= blocks; block += INT_BLOCKS)
        lowbit_int_tile(bits, samples, INT_BLOCKS, job, block, y);
    for (; block < blocks; block++)
        lowbit_int_tile(bits, samples, 1, job, block, y);
}

SMG_INLINE void lowbit_int_run(const smg_lowbit_int_args *a, const int8_t *x, int32_t *y, int32_t samples,
                               const int bits, int32_t *sums) {
    const int32_t rest = a->in % (32 / bits), groups = smg_up(a->in, a->group);
    int8_t last[INT_SAMPLES][SMG_LANES] = {{0}};
    lowbit_int_job job = {a, x, last[0], sums, (size_t)smg_lowbit_words(a->in, bits) * SMG_LANES};
    for (int32_t n; samples > 0;
         samples -= n, x += (size_t)n * (size_t)a->in, y += (size_t)n * (size_t)a->out) {
        n = samples >= INT_SAMPLES ? INT_SAMPLES : 1;
        for (int32_t s = 0; s < n; s++) {
            const int8_t *row = x + (size_t)s * (size_t)a->in;
            for (int32_t k = 0; k < rest; k++)
                last[s][k] = row[a->in - rest + k];
            for (int32_t g = 0; g < groups; g++) {
                const int32_t end = smg_least(a->in, (g + 1) * a->group);
                int32_t sum = 0;
                for (int32_t k = g * a->group; k < end; k++)
                    sum += row[k];
                sums[s * groups + g] = sum;
            }
        }
        job.x = x;
        if (n > 1)
            lowbit_int_samples(bits, INT_SAMPLES, &job, y);
        else
            lowbit_int_samples(bits, 1, &job, y);
    }
}

void SIMD(smg_lowbit_int)(const smg_lowbit_int_args *a, const int8_t *x, int32_t *y, int32_t samples,
                          void *scratch) {
    if (a->bits == 2)
        lowbit_int_run(a, x, y, samples, 2, scratch);
    else
        lowbit_int_run(a, x, y, samples, 4, scratch);
}

#endif
