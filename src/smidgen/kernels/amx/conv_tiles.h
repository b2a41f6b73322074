/* Convolutions in tiles of AMX: 16 x 64 unsigned bytes by 64 x 16 signed ones, 32-bit sums.
 *
 * A tile's rows are neighbouring positions of the padded image, read where they lie. With a stride of 1 all
 * positions of the image are one row after the other, those between the end of one line of outputs and the
 * start of the next computed and dropped; otherwise each line of outputs is by itself. Weights are packed as
 * gemm.h does, runs filled up to RUN_STEP. What is to be done with sums is done while the next ones are made:
 * products in tiles leave the vector units free. */
#ifndef SMIDGEN_CONV_TILES_H
#define SMIDGEN_CONV_TILES_H

#define RUN_STEP 64 /* bytes of a tile's row */

#include "conv_window.h"
#include "tile.h"

enum { SPAN = 2 * TILE_ROWS };

/* Stores the sums [blocks][LANES] of one position, for `blocks` blocks from `block` on. */
typedef void (*smg_tile_store)(const void *layer, const int32_t *sums, int32_t block, int32_t blocks,
                               size_t position, char *y);

/* Where outputs go: rows of which the first `out_w` of every `period` are stored, `least` at a time or more.
 */
typedef struct {
    smg_tile_store store;
    const void *layer;
    int32_t least, period, out_w;
    char *y;
} smg_tile_sink;

/* Sums [left][2][LANES] that are still to be stored. */
typedef struct {
    const int32_t *sums;
    int32_t left, column, block, blocks;
    size_t position;
} smg_tile_rest;

/* Bytes of scratch for an image: rows of the last tile may lie beyond it. */
static inline size_t smg_tiles_scratch(const smg_q_conv_args *a) {
    const smg_image m = smg_conv_image(a);
    return smg_image_bytes(&m) + smg_times(SPAN, smg_times((size_t)a->stride_w, (size_t)a->in_c));
}

/* Stores `rows` rows of what is left, or all if there are less; what is left then. */
SMG_INLINE smg_tile_rest smg_store_rest(const smg_tile_sink *to, int32_t rows, smg_tile_rest rest) {
    const smg_tile_sink sink = *to; /* in registers: outputs might overwrite it for all the compiler knows */
    rows = rows < rest.left ? rows : rest.left;
    rest.left -= rows;
    for (; rows > 0; rows--, rest.sums += 2 * LANES) {
        if (rest.column < sink.out_w)
            sink.store(sink.layer, rest.sums, rest.block, rest.blocks, rest.position++, sink.y);
        rest.column = rest.column + 1 == sink.period ? 0 : rest.column + 1;
    }
    return rest;
}

/* sums [SPAN][2][LANES] of the rows `x`, `x` + x_step, .. and the blocks whose weights are at `w`, `w` +
 * size; of less rows or blocks where there are not so many. */
SMG_INLINE void smg_tile_sums(const int many_rows, const int two_blocks, const smg_gemm *g, const smg_x *x,
                              const smg_w *w, const smg_tile_sink *to, smg_tile_rest rest, int32_t *sums) {
    const size_t step = g->x_step, size = smg_block_size(&g->window);
    const int32_t steps = (int32_t)(size / TILE_BYTES);
    const int32_t even = (SPAN + steps - 1) / steps, each = even < to->least ? to->least : even;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int32_t i = 0; i < g->window.outer; i++)
        for (int32_t j = 0; j < g->window.inner; j++) {
            const smg_x *at = x + i * g->window.outer_step + j * g->window.inner_step;
            for (int32_t k = 0; k < g->window.run; k += RUN_STEP, at += RUN_STEP, w += TILE_BYTES) {
                _tile_loadd(4, at, step);
                _tile_loadd(6, w, RUN_STEP);
                _tile_dpbusd(0, 4, 6);
                if (two_blocks) {
                    _tile_loadd(7, w + size, RUN_STEP);
                    _tile_dpbusd(1, 4, 7);
                }
                if (many_rows) {
                    _tile_loadd(5, at + TILE_ROWS * step, step);
                    _tile_dpbusd(2, 5, 6);
                }
                if (many_rows && two_blocks)
                    _tile_dpbusd(3, 5, 7);
                rest = smg_store_rest(to, each, rest);
            }
        }
    _tile_stored(0, sums, 2 * LANES * 4);
    _tile_stored(1, sums + LANES, 2 * LANES * 4);
    _tile_stored(2, sums + TILE_ROWS * 2 * LANES, 2 * LANES * 4);
    _tile_stored(3, sums + TILE_ROWS * 2 * LANES + LANES, 2 * LANES * 4);
}

/* Of `layer`, an smg_gemm: requantized. */
SMG_INLINE void smg_store_bytes(const void *layer, const int32_t *sums, int32_t block, int32_t blocks,
                                size_t position, char *y) {
    const smg_gemm *g = layer;
    for (int32_t b = 0; b < blocks; b++) {
        const smg_channels *channels = g->channels + block + b;
        const int32_t left = g->out - (block + b) * LANES, lanes = left < LANES ? left : LANES;
        const smg_vec sum = _mm512_add_epi32(smg_start(channels), _mm512_load_si512(sums + b * LANES));
        smg_finish8(sum, channels, &g->bounds, lanes, y + position * g->y_step + (block + b) * LANES);
    }
}

/* `n` rows from `x` on; the first is output `position`. */
SMG_INLINE void smg_tile_rows(const smg_gemm *g, int32_t n, const smg_x *x, size_t position,
                              const smg_tile_sink *to) {
    int32_t sums[2][SPAN * 2 * LANES] __attribute__((aligned(64)));
    const int32_t all = smg_blocks(g->out);
    smg_tile_rest rest = {0};
    int turn = 0;
    for (int32_t block = 0; block < all; block += 2) {
        const smg_w *w = g->weights + (size_t)block * smg_block_size(&g->window);
        const int32_t blocks = all - block < 2 ? 1 : 2;
        for (int32_t first = 0; first < n; first += SPAN, turn ^= 1) {
            const smg_x *from = x + (size_t)first * g->x_step;
            const int32_t rows = n - first < SPAN ? n - first : SPAN, column = first % to->period;
            if (blocks == 1)
                smg_tile_sums(1, 0, g, from, w, to, rest, sums[turn]);
            else if (rows > TILE_ROWS)
                smg_tile_sums(1, 1, g, from, w, to, rest, sums[turn]);
            else
                smg_tile_sums(0, 1, g, from, w, to, rest, sums[turn]);
            const int32_t inside = column < to->out_w ? column : to->out_w;
            rest = (smg_tile_rest){sums[turn], rows,
                                   column,     block,
                                   blocks,     position + (size_t)(first / to->period) * to->out_w + inside};
        }
    }
    smg_store_rest(to, SPAN, rest);
}

/* All positions of the padded image `x`. */
SMG_INLINE void smg_tile_image(const smg_q_conv_args *a, const smg_gemm *g, const smg_x *x,
                               smg_tile_store store, int32_t least, const void *layer, char *y) {
    const int32_t w = smg_conv_image(a).w;
    smg_stored_before_tiles();
    if (a->stride_h == 1 && a->stride_w == 1) {
        const smg_tile_sink to = {store, layer, least, w, a->out_w, y};
        smg_tile_rows(g, (a->out_h - 1) * w + a->out_w, x, 0, &to);
        return;
    }
    const smg_tile_sink to = {store, layer, least, a->out_w, a->out_w, y};
    for (int32_t i = 0; i < a->out_h; i++)
        smg_tile_rows(g, a->out_w, x + (size_t)i * a->stride_h * w * a->in_c, (size_t)i * a->out_w, &to);
}

#endif
