/* smg_dense, smg_lowrank, smg_kronecker and smg_hmd: a few dense products each. */
#ifndef SMIDGEN_STRUCTURED_H
#define SMIDGEN_STRUCTURED_H

#include "product.h"

enum { DOT_ROWS = TILE_BLOCKS < 4 ? 2 : 4, DOT_SAMPLES = DOT_ROWS }; /* whose sums fit into registers */

/* DOT_ROWS rows of w times DOT_SAMPLES samples. */
SMG_INLINE void dot_tile(const smg_dense_args *a, const float *w, const float *x, float *y) {
    const size_t in = (size_t)a->in;
    smg_floats sum[DOT_ROWS][DOT_SAMPLES];
#pragma GCC unroll 4
    for (int r = 0; r < DOT_ROWS; r++)
#pragma GCC unroll 4
        for (int s = 0; s < DOT_SAMPLES; s++)
            sum[r][s] = smg_none();
    for (int32_t k = 0; k < a->in; k += SMG_LANES) {
        const int32_t lanes = smg_least(SMG_LANES, a->in - k);
        smg_floats right[DOT_SAMPLES];
#pragma GCC unroll 4
        for (int s = 0; s < DOT_SAMPLES; s++)
            right[s] = lanes < SMG_LANES ? smg_load_some(x + (size_t)s * in + k, lanes)
                                         : smg_load(x + (size_t)s * in + k);
#pragma GCC unroll 4
        for (int r = 0; r < DOT_ROWS; r++) {
            const float *at = w + (size_t)r * in + k;
            const smg_floats left = lanes < SMG_LANES ? smg_load_some(at, lanes) : smg_load(at);
#pragma GCC unroll 4
            for (int s = 0; s < DOT_SAMPLES; s++)
                sum[r][s] = smg_add_product(left, right[s], sum[r][s]);
        }
    }
#pragma GCC unroll 4
    for (int s = 0; s < DOT_SAMPLES; s++)
#pragma GCC unroll 4
        for (int r = 0; r < DOT_ROWS; r++)
            y[(size_t)s * (size_t)a->out + r] = smg_total(sum[r][s]);
}

/* Some rows of the weight at a time, which stay in the first-level cache, for all samples. */
void SIMD(smg_dense)(const smg_dense_args *a, const float *x, float *y, int32_t samples, void *scratch) {
    const int32_t tiled = samples - samples % DOT_SAMPLES, rows = a->out - a->out % DOT_ROWS;
    const size_t in = (size_t)a->in, out = (size_t)a->out;
    (void)scratch;
    for (int32_t row = 0; tiled > 0 && row < rows; row += DOT_ROWS)
        for (int32_t s = 0; s < tiled; s += DOT_SAMPLES)
            dot_tile(a, a->weight + (size_t)row * in, x + (size_t)s * in, y + (size_t)s * out + row);
    for (int32_t s = 0; s < samples; s++) {
        const int32_t from = s < tiled ? rows : 0;
        smg_rows_times(a->weight + (size_t)from * in, a->out - from, a->in, x + (size_t)s * in,
                       y + (size_t)s * out + from);
    }
}

void SIMD(smg_lowrank)(const smg_lowrank_args *a, const float *x, float *y, int32_t samples, void *scratch) {
    float *inner = scratch;
    const size_t in = (size_t)a->in, out = (size_t)a->out, rank = (size_t)a->rank;
    for (int32_t n; samples > 0; samples -= n, x += (size_t)n * in, y += (size_t)n * out) {
        n = smg_least(samples, 8);
        for (int32_t s = 0; s < n; s++)
            smg_rows_times(a->right, a->rank, a->in, x + (size_t)s * in, inner + (size_t)s * rank);
        const smg_product p = {inner, a->left, y, rank, out, out, n, a->out, a->rank, 1, 0};
        smg_multiply(&p);
    }
}

void SIMD(smg_kronecker)(const smg_kronecker_args *a, const float *x, float *y, int32_t samples,
                         void *scratch) {
    const size_t in_b = (size_t)a->in_b, in_c = (size_t)a->in_c, out_b = (size_t)a->out_b,
                 out_c = (size_t)a->out_c;
    const int b_first = out_b * in_c * (in_b + out_c) <= in_b * out_c * (in_c + out_b);
    float *inner = scratch;
    for (int32_t s = 0; s < samples; s++, x += in_b * in_c, y += out_b * out_c) {
        if (b_first) {
            const smg_product one = {a->b, x, inner, in_b, in_c, in_c, a->out_b, a->in_c, a->in_b, 1, 0};
            const smg_product two = {inner, a->c, y, in_c, out_c, out_c, a->out_b, a->out_c, a->in_c, 1, 0};
            smg_multiply(&one);
            smg_multiply(&two);
        } else {
            const smg_product one = {x, a->c, inner, in_c, out_c, out_c, a->in_b, a->out_c, a->in_c, 1, 0};
            const smg_product two = {a->b, inner, y, in_b, out_c, out_c, a->out_b, a->out_c, a->in_b, 1, 0};
            smg_multiply(&one);
            smg_multiply(&two);
        }
    }
}

void SIMD(smg_hmd)(const smg_hmd_args *a, const float *x, float *y, int32_t samples, void *scratch) {
    const int32_t part = a->in / a->blocks, lower = a->out - a->full;
    (void)scratch;
    for (int32_t s = 0; s < samples; s++, x += a->in, y += a->out) {
        float *below = y + a->full;
        smg_rows_times(a->upper, a->full, a->in, x, y);
        for (int32_t i = 0; i < a->blocks; i++) {
            const float *left = a->left + (size_t)i * (size_t)lower;
            float dot;
            smg_rows_times(a->right + (size_t)i * (size_t)part, 1, part, x + (size_t)i * (size_t)part, &dot);
            const smg_floats factor = smg_all(dot);
            for (int32_t o = 0; o < lower; o += SMG_LANES) {
                const int32_t lanes = smg_least(SMG_LANES, lower - o);
                const smg_floats before = i ? smg_load_some(below + o, lanes) : smg_none();
                smg_store_some(below + o, lanes,
                               smg_add_product(smg_load_some(left + o, lanes), factor, before));
            }
        }
    }
}

#endif
