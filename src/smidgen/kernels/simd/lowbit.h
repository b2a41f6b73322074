/* smg_lowbit and smg_lowbit_int: codes become weights or dot products in registers, a few blocks of outputs
 * and a few samples at a time. One sample of 2-bit weights looks sums of two products up instead. */
#ifndef SMIDGEN_LOWBIT_H
#define SMIDGEN_LOWBIT_H

#include "fetch.h"
#include "lanes.h"

enum { LOWBIT_BLOCKS = TILE_BLOCKS < 2 ? 2 : TILE_BLOCKS, LOWBIT_SAMPLES = TILE_BLOCKS < 4 ? 2 : 4 };

/* What the samples of a tile have in common. `last`: the inputs of the last word, filled up with zeros. */
typedef struct {
    const smg_lowbit_args *a;
    const float *x, *last;
    size_t block_words;
} lowbit_job;

/* Adds the products of `words` words from word `w` on. x: the samples' inputs there, x_step apart. */
SMG_INLINE void lowbit_words(const int bits, const int samples, const int blocks, const lowbit_job *job,
                             const uint32_t *codes, const uint32_t *end, int32_t words, const float *x,
                             size_t x_step, smg_floats sum[LOWBIT_SAMPLES][LOWBIT_BLOCKS]) {
    const smg_floats levels = smg_load(job->a->levels);
    for (; words > 0; words--, codes += SMG_LANES, x += 32 / bits) {
        smg_words packed[LOWBIT_BLOCKS];
        const uint32_t *ahead = smg_ahead(codes, end, (size_t)(blocks - 1) * job->block_words);
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++) {
            packed[b] = smg_load_words(codes + b * job->block_words);
            __builtin_prefetch(ahead + b * job->block_words);
        }
#pragma GCC unroll 16
        for (int i = 0; i < 32 / bits; i++) {
            const int k = i * bits / 8 + i * bits % 8 / bits * 4;
#pragma GCC unroll 4
            for (int b = 0; b < blocks; b++) {
                const smg_floats weight = smg_look_up(levels, smg_shifted(packed[b], bits * i));
#pragma GCC unroll 4
                for (int s = 0; s < samples; s++)
                    sum[s][b] = smg_add_product(weight, smg_all(x[s * x_step + k]), sum[s][b]);
            }
        }
    }
}

/* Sums of 2-bit weights times inputs, from tables: the next 16 floats for the next 4 bits of every word. */
SMG_INLINE void lowbit_sums(const int blocks, const lowbit_job *job, const uint32_t *codes,
                            const uint32_t *end, int32_t words, const float *tables,
                            smg_floats sum[LOWBIT_SAMPLES][LOWBIT_BLOCKS]) {
    for (; words > 0; words--, codes += SMG_LANES) {
        smg_words packed[LOWBIT_BLOCKS];
        const uint32_t *ahead = smg_ahead(codes, end, (size_t)(blocks - 1) * job->block_words);
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++) {
            packed[b] = smg_load_words(codes + b * job->block_words);
            __builtin_prefetch(ahead + b * job->block_words);
        }
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++, tables += SMG_LANES) {
            const smg_floats table = smg_load(tables);
#pragma GCC unroll 4
            for (int b = 0; b < blocks; b++)
                sum[0][b] = smg_plus(sum[0][b], smg_look_up(table, smg_shifted(packed[b], 4 * i)));
        }
    }
}

/* All outputs of some blocks for some samples. */
SMG_INLINE void lowbit_tile(const int bits, const int samples, const int blocks, const int tables,
                            const lowbit_job *job, int32_t block, float *y) {
    const smg_lowbit_args *a = job->a;
    const int32_t inputs = 32 / bits, whole = a->in / inputs, groups = smg_up(a->in, a->group);
    const uint32_t *codes = a->codes + (size_t)block * job->block_words;
    const float *scales = a->scales + (size_t)block * (size_t)groups * SMG_LANES;
    smg_floats total[LOWBIT_SAMPLES][LOWBIT_BLOCKS], sum[LOWBIT_SAMPLES][LOWBIT_BLOCKS];
#pragma GCC unroll 4
    for (int s = 0; s < samples; s++)
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++)
            total[s][b] = smg_none();
    for (int32_t g = 0, w = 0; g < groups; g++) {
        const int32_t end = (g + 1) * (a->group / inputs), n = smg_least(end, whole) - w;
#pragma GCC unroll 4
        for (int s = 0; s < samples; s++)
#pragma GCC unroll 4
            for (int b = 0; b < blocks; b++)
                sum[s][b] = smg_none();
        if (tables) {
            const int32_t all = smg_least(end, smg_up(a->in, inputs)) - w;
            lowbit_sums(blocks, job, codes + (size_t)w * SMG_LANES, codes + job->block_words, all,
                        job->x + (size_t)w * 8 * SMG_LANES, sum);
        } else {
            lowbit_words(bits, samples, blocks, job, codes + (size_t)w * SMG_LANES, codes + job->block_words,
                         n, job->x + (size_t)w * (size_t)inputs, (size_t)a->in, sum);
            if (w + n == whole && end > whole && whole * inputs < a->in)
                lowbit_words(bits, samples, blocks, job, codes + (size_t)whole * SMG_LANES,
                             codes + job->block_words, 1, job->last, SMG_LANES, sum);
        }
        w += n;
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++) {
            const float *at = scales + ((size_t)b * (size_t)groups + (size_t)g) * SMG_LANES;
            const smg_floats scale = smg_load(at);
            __builtin_prefetch(at + (size_t)blocks * (size_t)groups * SMG_LANES);
#pragma GCC unroll 4
            for (int s = 0; s < samples; s++)
                total[s][b] = smg_add_product(scale, sum[s][b], total[s][b]);
        }
    }
#pragma GCC unroll 4
    for (int s = 0; s < samples; s++)
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++) {
            const int32_t o = (block + b) * SMG_LANES;
            smg_store_some(y + (size_t)s * (size_t)a->out + o, smg_least(SMG_LANES, a->out - o), total[s][b]);
        }
}

SMG_INLINE void lowbit_samples(const int bits, const int samples, const int tables, const lowbit_job *job,
                               float *y) {
    const int32_t blocks = smg_up(job->a->out, SMG_LANES);
    int32_t block = 0;
    for (; block + LOWBIT_BLOCKS <= blocks; block += LOWBIT_BLOCKS)
        lowbit_tile(bits, samples, LOWBIT_BLOCKS, tables, job, block, y);
    for (; block < blocks; block++)
        lowbit_tile(bits, samples, 1, tables, job, block, y);
}

/* For every two neighbouring codes of a word the 16 sums of their levels times their inputs. */
static void lowbit_tables(const smg_lowbit_args *a, const float *x, float *tables) {
    float low[SMG_LANES], high[SMG_LANES];
    for (int i = 0; i < SMG_LANES; i++) {
        low[i] = a->levels[i % 4];
        high[i] = a->levels[i / 4];
    }
    for (int32_t from = 0; from < a->in; from += 16)
        for (int i = 0; i < 8; i++, tables += SMG_LANES) {
            const int32_t k = from + i / 2 + i % 2 * 8, next = k + 4;
            const smg_floats one = smg_by(smg_load(low), smg_all(k < a->in ? x[k] : 0));
            smg_store(tables, smg_add_product(smg_load(high), smg_all(next < a->in ? x[next] : 0), one));
        }
}

SMG_INLINE void lowbit_run(const smg_lowbit_args *a, const float *x, float *y, int32_t samples,
                           const int bits, void *scratch) {
    const int32_t inputs = 32 / bits, rest = a->in % inputs;
    float last[LOWBIT_SAMPLES][SMG_LANES] = {{0}};
    lowbit_job job = {a, x, last[0], (size_t)smg_lowbit_words(a->in, bits) * SMG_LANES};
    for (int32_t n; samples > 0;
         samples -= n, x += (size_t)n * (size_t)a->in, y += (size_t)n * (size_t)a->out) {
        n = samples >= LOWBIT_SAMPLES ? LOWBIT_SAMPLES : 1;
        for (int32_t s = 0; s < n; s++)
            for (int32_t k = 0; k < rest; k++)
                last[s][k] = x[(size_t)(s + 1) * (size_t)a->in - (size_t)(rest - k)];
        job.x = x;
        if (n > 1) {
            lowbit_samples(bits, LOWBIT_SAMPLES, 0, &job, y);
        } else if (bits == 2) {
            lowbit_tables(a, x, scratch);
            job.x = scratch;
            lowbit_samples(2, 1, 1, &job, y);
        } else {
            lowbit_samples(4, 1, 0, &job, y);
        }
    }
}

void SIMD(smg_lowbit)(const smg_lowbit_args *a, const float *x, float *y, int32_t samples, void *scratch) {
    if (a->bits == 2)
        lowbit_run(a, x, y, samples, 2, scratch);
    else
        lowbit_run(a, x, y, samples, 4, scratch);
}

#endif
