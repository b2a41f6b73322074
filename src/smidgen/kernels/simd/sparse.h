/* smg_block_columns, smg_block_rows and smg_csr: stored entries only, four sums at a time. */
#ifndef SMIDGEN_SPARSE_H
#define SMIDGEN_SPARSE_H

#include "lanes.h"

enum { FETCH_AHEAD = 256 }; /* floats: further than hardware looks past the end of a page */

/* The sum of entries `from` .. `end` - 1 of a row of 16 outputs. */
SMG_INLINE smg_floats columns_sum(const smg_block_args *a, int32_t from, int32_t end, const float *x) {
    const float *values = a->values + (size_t)from * SMG_LANES;
    const uint16_t *columns = a->columns + from, *last = a->columns + end;
    smg_floats sum[4] = {smg_none(), smg_none(), smg_none(), smg_none()};
    for (; columns + 4 <= last; columns += 4, values += 4 * SMG_LANES)
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            __builtin_prefetch(values + i * SMG_LANES + FETCH_AHEAD);
            sum[i] = smg_add_product(smg_load(values + i * SMG_LANES), smg_all(x[columns[i]]), sum[i]);
        }
    for (; columns < last; columns++, values += SMG_LANES)
        sum[0] = smg_add_product(smg_load(values), smg_all(x[*columns]), sum[0]);
    return smg_plus(smg_plus(sum[0], sum[1]), smg_plus(sum[2], sum[3]));
}

void SIMD(smg_block_columns)(const smg_block_args *a, const float *x, float *y, int32_t samples,
                             void *scratch) {
    (void)scratch;
    for (int32_t s = 0; s < samples; s++, x += a->in, y += a->out)
        for (int32_t o = 0; o < a->out; o += SMG_LANES) {
            const int32_t *first = a->first + o / SMG_LANES;
            smg_store_some(y + o, smg_least(SMG_LANES, a->out - o), columns_sum(a, first[0], first[1], x));
        }
}

/* One output. All inputs of a block exist but in the last block of a row that ends within it. */
SMG_INLINE float rows_sum(const smg_block_args *a, int32_t from, int32_t end, const float *x) {
    const int32_t whole = a->in / SMG_LANES;
    const float *values = a->values;
    smg_floats sum[2] = {smg_none(), smg_none()};
    int32_t i = from;
    for (; i + 2 <= end && a->columns[i + 1] < whole; i += 2)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++)
            sum[j] = smg_add_product(smg_load(values + (size_t)(i + j) * SMG_LANES),
                                     smg_load(x + a->columns[i + j] * SMG_LANES), sum[j]);
    for (; i < end; i++) {
        const int32_t at = a->columns[i] * SMG_LANES, lanes = smg_least(SMG_LANES, a->in - at);
        sum[0] =
            smg_add_product(smg_load(values + (size_t)i * SMG_LANES), smg_load_some(x + at, lanes), sum[0]);
    }
    return smg_total(smg_plus(sum[0], sum[1]));
}

void SIMD(smg_block_rows)(const smg_block_args *a, const float *x, float *y, int32_t samples, void *scratch) {
    (void)scratch;
    for (int32_t s = 0; s < samples; s++, x += a->in, y += a->out)
        for (int32_t o = 0; o < a->out; o++)
            y[o] = rows_sum(a, a->first[o], a->first[o + 1], x);
}

void SIMD(smg_csr)(const smg_csr_args *a, const float *x, float *y, int32_t samples, void *scratch) {
    (void)scratch;
    for (int32_t s = 0; s < samples; s++, x += a->in, y += a->out)
        for (int32_t o = 0; o < a->out; o++) {
            smg_floats sum = smg_none();
            for (int32_t i = a->first[o], end = a->first[o + 1]; i < end; i += SMG_LANES) {
                const int32_t lanes = smg_least(SMG_LANES, end - i);
                sum = smg_add_product(smg_load_some(a->values + i, lanes), smg_take(x, a->columns + i, lanes),
                                      sum);
            }
            y[o] = smg_total(sum);
        }
}

#endif
