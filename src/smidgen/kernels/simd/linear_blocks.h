/* Linear layers most of whose weights lie in empty blocks, an input of LANES neighbouring outputs each: empty
 * blocks are neither stored nor multiplied. The inputs of the others are gathered before. */
#ifndef SMIDGEN_LINEAR_BLOCKS_H
#define SMIDGEN_LINEAR_BLOCKS_H

#include "linear_rows.h"

/* Where fewer blocks than this share are empty, skipping them costs more than it saves. */
enum { LEAST_EMPTY_PERCENT = 60, MOST_COLUMNS = 1 << 16 };
enum { AHEAD = 64 }; /* steps: further than hardware looks past the end of a page */

/* The constants, in this order. Step s multiplies the inputs columns[s][DEPTH] with weights[s][LANES][DEPTH];
 * those of block b are first[b] .. first[b + 1] - 1. */
typedef struct {
    smg_channels *channels;
    int32_t *first;
    smg_w *weights;
    uint16_t *columns;
} block_constants;

static size_t block_head_bytes(int32_t blocks) {
    const size_t first = ((size_t)blocks + 1) * sizeof(int32_t);
    return smg_rounded((size_t)blocks * sizeof(smg_channels) + first, 64);
}

static block_constants block_parts(int32_t blocks, int32_t steps, const void *packed) {
    block_constants c;
    c.channels = (smg_channels *)packed;
    c.first = (int32_t *)(c.channels + blocks);
    c.weights = (smg_w *)((char *)packed + block_head_bytes(blocks));
    c.columns = (uint16_t *)(c.weights + (size_t)steps * LANES * DEPTH);
    return c;
}

static int block_is_empty(const smg_q_linear_args *a, const int8_t *w, int32_t block, int32_t column) {
    const int32_t end = block * LANES + LANES < a->out ? block * LANES + LANES : a->out;
    for (int32_t o = block * LANES; o < end; o++)
        if (w[(size_t)o * a->in + column] != 0)
            return 0;
    return 1;
}

/* Steps of all blocks; -1 where too few blocks are empty, or inputs too many. */
static int32_t block_steps(const smg_q_linear_args *a, const int8_t *w) {
    const int32_t blocks = smg_blocks(a->out);
    int64_t all = 0, steps = 0;
    for (int32_t b = 0; b < blocks; b++) {
        int32_t full = a->in;
        for (int32_t i = 0; i < a->in; i++)
            full -= block_is_empty(a, w, b, i);
        all += full;
        steps += (full + DEPTH - 1) / DEPTH;
    }
    const int few = all * 100 <= (int64_t)blocks * a->in * (100 - LEAST_EMPTY_PERCENT);
    return few && a->in <= MOST_COLUMNS ? (int32_t)steps : -1;
}

static size_t blocks_packed(const void *args, void *const *pointers) {
    const smg_q_linear_args *a = args;
    const int32_t steps = block_steps(a, pointers[1]);
    const size_t step = DEPTH * (LANES * sizeof(smg_w) + sizeof(uint16_t));
    return steps < 0 ? SMG_REFUSED : block_head_bytes(smg_blocks(a->out)) + (size_t)steps * step;
}

/* The full columns of a block from step `step` on; returns the step behind them. */
static int32_t block_pack_columns(const smg_q_linear_args *a, const int8_t *w, int32_t block, int32_t step,
                                  const block_constants *c) {
    const int32_t outputs = a->out - block * LANES < LANES ? a->out - block * LANES : LANES;
    int32_t n = 0;
    for (int32_t i = 0; i < a->in; i++) {
        if (block_is_empty(a, w, block, i))
            continue;
        const size_t at = (size_t)(step + n / DEPTH);
        c->columns[at * DEPTH + (size_t)(n % DEPTH)] = (uint16_t)i;
        for (int32_t o = 0; o < outputs; o++)
            c->weights[(at * LANES + (size_t)smg_lane(o)) * DEPTH + (size_t)(n % DEPTH)] =
                w[(size_t)(block * LANES + o) * a->in + i];
        n++;
    }
    return step + (n + DEPTH - 1) / DEPTH;
}

static void blocks_pack(const void *args, void *const *pointers, void *packed) {
    const smg_q_linear_args *a = args;
    const smg_layer layer = linear_layer(a, pointers);
    const int32_t blocks = smg_blocks(a->out);
    const block_constants c = block_parts(blocks, block_steps(a, layer.w), packed);
    int32_t step = 0;
    for (int32_t b = 0; b < blocks; b++) {
        c.first[b] = step;
        step = block_pack_columns(a, layer.w, b, step, &c);
    }
    c.first[blocks] = step;
    for (int32_t o = 0; o < a->out; o++) {
        int32_t sum = 0;
        for (int32_t i = 0; i < a->in; i++)
            sum += layer.w[(size_t)o * a->in + i];
        smg_pack_channel(&layer, o, layer.bias[o], sum, c.channels);
    }
}

/* Rows of inputs and a block's inputs side by side. */
static size_t blocks_scratch(const void *args) {
    return (linear_row(args) * (LINEAR_ROWS + 1) + 64) * sizeof(smg_x);
}

/* One block of one row. Two sums, so that a product need not wait for the one before. */
SMG_INLINE smg_vec block_sum(const smg_channels *channels, const smg_w *w, const uint16_t *columns,
                             int32_t steps, const smg_x *x, smg_x *gathered) {
    const smg_x zeros[DEPTH] = {0};
    smg_vec even = smg_start(channels), odd = smg_repeat(zeros);
    for (int32_t s = 0; s < steps; s++) {
        __builtin_prefetch(w + (s + AHEAD) * LANES * DEPTH);
        for (int32_t i = s * DEPTH; i < (s + 1) * DEPTH; i++)
            gathered[i] = x[columns[i]];
    }
    for (; steps >= 2; steps -= 2, w += 2 * LANES * DEPTH, gathered += 2 * DEPTH) {
        even = smg_multiply_add(even, smg_repeat(gathered), smg_weights(w));
        odd = smg_multiply_add(odd, smg_repeat(gathered + DEPTH), smg_weights(w + LANES * DEPTH));
    }
    if (steps > 0)
        even = smg_multiply_add(even, smg_repeat(gathered), smg_weights(w));
    return smg_joined(even, odd);
}

/* `n` rows, whose inputs are at x; all of them take a block in turn, whose weights then lie in a cache. */
SMG_INLINE void blocks_rows(const smg_q_linear_args *a, const smg_job *job, int32_t row, int32_t n,
                            const smg_x *x, smg_x *gathered, const int wide) {
    const int32_t blocks = smg_blocks(a->out);
    const smg_bounds bounds = smg_make_bounds(a->lo, a->hi, a->zero_y);
    block_constants c = block_parts(blocks, 0, job->packed);
    c = block_parts(blocks, c.first[blocks], job->packed);
    for (int32_t b = 0; b < blocks; b++) {
        const int32_t left = a->out - b * LANES, lanes = left < LANES ? left : LANES;
        const size_t at = (size_t)c.first[b] * DEPTH;
        for (int32_t i = 0; i < n; i++) {
            const smg_vec sum =
                block_sum(c.channels + b, c.weights + at * LANES, c.columns + at, c.first[b + 1] - c.first[b],
                          x + (size_t)i * linear_row(a), gathered);
            int8_t *y = linear_output(a, job, row + i, wide) + (size_t)b * LANES * (wide ? 2 : 1);
            if (wide)
                smg_finish16(sum, c.channels + b, &bounds, lanes, y);
            else
                smg_finish8(sum, c.channels + b, &bounds, lanes, y);
        }
    }
}

SMG_INLINE void blocks_run(const smg_q_linear_args *a, const smg_job *job, const int wide) {
    const int32_t all = a->rows * job->samples;
    smg_x *gathered = job->scratch, *x = gathered + linear_row(a);
    for (int32_t row = 0, n; row < all; row += n) {
        n = all - row < LINEAR_ROWS ? all - row : LINEAR_ROWS;
        linear_convert(a, job, row, n, x);
        blocks_rows(a, job, row, n, x, gathered, wide);
    }
}

static void blocks_run8(const void *args, const smg_job *job) {
    blocks_run(args, job, 0);
}

static void blocks_run16(const void *args, const smg_job *job) {
    blocks_run(args, job, 1); /* the same fields as smg_q_linear_args */
}

const smg_variant SIMD(smg_q_linear_blocks) = {"smg_q_linear", ISA,         blocks_packed,
                                               blocks_scratch, blocks_pack, blocks_run8};
const smg_variant SIMD(smg_q_linear16_blocks) = {"smg_q_linear16", ISA,         blocks_packed,
                                                 blocks_scratch,   blocks_pack, blocks_run16};

#endif
