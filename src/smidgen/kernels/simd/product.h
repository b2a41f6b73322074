/* C [m][n] = A [m][k] B [k][n], rows `*_step` floats apart: the sums of a tile stay in registers. Or the sum
 * of `parts` such products, whose A lie `a_part` floats apart and whose B follow each other. */
#ifndef SMIDGEN_PRODUCT_H
#define SMIDGEN_PRODUCT_H

#include "lanes.h"

typedef struct {
    const float *a, *b;
    float *c;
    size_t a_step, b_step, c_step;
    int32_t m, n, k, parts;
    size_t a_part;
} smg_product;

enum { NARROW_ROWS = TILE_BLOCKS < 4 ? 6 : 8 }; /* of tiles of one or two blocks */

/* `lanes` of the last block are stored. */
SMG_INLINE void smg_product_tile(const int rows, const int blocks, const int some, int32_t lanes,
                                 const smg_product *p, int32_t row, int32_t column) {
    const float *a = p->a + (size_t)row * p->a_step, *b = p->b + column;
    float *c = p->c + (size_t)row * p->c_step + column;
    smg_floats sum[8][4];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int j = 0; j < blocks; j++)
            sum[r][j] = smg_none();
    for (int32_t i = 0; i < p->parts; i++, a += p->a_part)
        for (int32_t k = 0; k < p->k; k++, b += p->b_step) {
            smg_floats right[4];
#pragma GCC unroll 4
            for (int j = 0; j < blocks; j++)
                right[j] = some ? smg_load_some(b, lanes) : smg_load(b + j * SMG_LANES);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) {
                const smg_floats left = smg_all(a[(size_t)r * p->a_step + (size_t)k]);
#pragma GCC unroll 4
                for (int j = 0; j < blocks; j++)
                    sum[r][j] = smg_add_product(left, right[j], sum[r][j]);
            }
        }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int j = 0; j < blocks; j++)
            if (some)
                smg_store_some(c + (size_t)r * p->c_step, lanes, sum[r][j]);
            else
                smg_store(c + (size_t)r * p->c_step + j * SMG_LANES, sum[r][j]);
}

/* All rows of some columns. */
SMG_INLINE void smg_product_columns(const int most, const int blocks, const int some, int32_t lanes,
                                    const smg_product *p, int32_t column) {
    int32_t row = 0;
    for (; row + most <= p->m; row += most)
        smg_product_tile(most, blocks, some, lanes, p, row, column);
    if (row + 4 <= p->m) {
        smg_product_tile(4, blocks, some, lanes, p, row, column);
        row += 4;
    }
    if (row + 2 <= p->m) {
        smg_product_tile(2, blocks, some, lanes, p, row, column);
        row += 2;
    }
    for (; row < p->m; row++)
        smg_product_tile(1, blocks, some, lanes, p, row, column);
}

static __attribute__((unused)) void smg_multiply(const smg_product *p) {
    int32_t column = 0;
    for (; column + TILE_BLOCKS * SMG_LANES <= p->n; column += TILE_BLOCKS * SMG_LANES)
        smg_product_columns(TILE_ROWS, TILE_BLOCKS, 0, SMG_LANES, p, column);
#if SMG_WIDE_TILES
    if (column + 2 * SMG_LANES <= p->n) {
        smg_product_columns(NARROW_ROWS, 2, 0, SMG_LANES, p, column);
        column += 2 * SMG_LANES;
    }
    if (column + SMG_LANES <= p->n) {
        smg_product_columns(NARROW_ROWS, 1, 0, SMG_LANES, p, column);
        column += SMG_LANES;
    }
#endif
    if (column < p->n)
        smg_product_columns(NARROW_ROWS, 1, 1, p->n - column, p, column);
}

/* y[i] = the product of row i of w [n][k] with x: each row is read once, from its start to its end. */
SMG_INLINE void smg_dots(const int rows, const float *w, size_t step, const float *x, int32_t n, float *y) {
    smg_floats sum[4][2];
    int32_t k = 0;
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
        sum[r][0] = sum[r][1] = smg_none();
    for (; k + 2 * SMG_LANES <= n; k += 2 * SMG_LANES) {
        const smg_floats low = smg_load(x + k), high = smg_load(x + k + SMG_LANES);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) {
            const float *at = w + (size_t)r * step + k;
            sum[r][0] = smg_add_product(smg_load(at), low, sum[r][0]);
            sum[r][1] = smg_add_product(smg_load(at + SMG_LANES), high, sum[r][1]);
        }
    }
    for (; k < n; k += SMG_LANES) {
        const int32_t lanes = smg_least(SMG_LANES, n - k);
        const smg_floats some = smg_load_some(x + k, lanes);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++)
            sum[r][0] = smg_add_product(smg_load_some(w + (size_t)r * step + k, lanes), some, sum[r][0]);
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
        y[r] = smg_total(smg_plus(sum[r][0], sum[r][1]));
}

static __attribute__((unused)) void smg_rows_times(const float *w, int32_t rows, int32_t n, const float *x,
                                                   float *y) {
    int32_t row = 0;
    for (; row + 4 <= rows; row += 4)
        smg_dots(4, w + (size_t)row * (size_t)n, (size_t)n, x, n, y + row);
    for (; row < rows; row++)
        smg_dots(1, w + (size_t)row * (size_t)n, (size_t)n, x, n, y + row);
}

#endif
