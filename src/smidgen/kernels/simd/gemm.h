/* Sums of products over windows, requantized: what convolutions and linear layers share.
 *
 *     y[r][o] = finish(bias[o] + sum over the window of w[o][..] * x[r * x_step + ..])
 *
 * A window is `outer` x `inner` runs of neighbouring values. Packed constants of `blocks` blocks of LANES
 * outputs: smg_channels [blocks], then weights [blocks][runs][run / DEPTH][LANES][DEPTH], a run filled up to
 * whole RUN_STEP with zeros: x may be read up to RUN_STEP - 1 values beyond its end. */
#ifndef SMIDGEN_GEMM_H
#define SMIDGEN_GEMM_H

#include "vector.h"

#ifndef RUN_STEP
#define RUN_STEP DEPTH
#endif

typedef struct {
    int32_t outer, inner, run;
    size_t outer_step, inner_step; /* values from one run to the next */
} smg_window;

typedef struct {
    smg_window window;
    const smg_channels *channels;
    const smg_w *weights;
    int32_t out;
    size_t x_step, y_step; /* values from one row to the next */
    smg_bounds bounds;
} smg_gemm;

static inline int32_t smg_blocks(int32_t out) {
    return out / LANES + (out % LANES != 0);
}

/* Weights of one block. */
static inline size_t smg_block_size(const smg_window *w) {
    const size_t run = smg_rounded((size_t)w->run, RUN_STEP);
    return smg_times(smg_times((size_t)w->outer * (size_t)w->inner, run), LANES);
}

static inline size_t smg_gemm_bytes(const smg_window *w, int32_t out) {
    const size_t block = sizeof(smg_channels) + smg_block_size(w) * sizeof(smg_w);
    return smg_rounded(smg_times((size_t)smg_blocks(out), block), 64);
}

/* The constants of a layer as the reference takes them; weights [out][outer][inner][run]. */
typedef struct {
    const int8_t *w;
    const int32_t *bias;
    const uint16_t *multiplier;
    const uint8_t *shift;
    int32_t per_channel, zero_x, zero_y;
} smg_layer;

/* What turns the sum of output `o` into a result; `sum`: of its weights. */
static inline void smg_pack_channel(const smg_layer *l, int32_t o, int32_t bias, int32_t sum,
                                    smg_channels *channels) {
    const int32_t c = l->per_channel ? o : 0;
    smg_set_channel(channels + o / LANES, o % LANES, bias, sum, l->zero_x, l->multiplier[c], l->shift[c],
                    l->zero_y);
}

static inline void smg_pack_output(const smg_window *win, const smg_layer *l, int32_t o, smg_w *to,
                                   smg_channels *channels) {
    const int32_t runs = win->outer * win->inner, lane = smg_lane(o % LANES);
    const int8_t *w = l->w + (size_t)o * runs * win->run;
    uint32_t sum = 0;
    for (int32_t r = 0; r < runs; r++, to += smg_rounded((size_t)win->run, RUN_STEP) * LANES)
        for (int32_t i = 0; i < win->run; i++, w++) {
            to[((size_t)(i / DEPTH) * LANES + lane) * DEPTH + i % DEPTH] = *w;
            sum += (uint32_t)(int32_t)*w;
        }
    smg_pack_channel(l, o, l->bias[o], (int32_t)sum, channels);
}

/* `packed` has smg_gemm_bytes and is zero; a channel beyond the last one never gets stored. */
static inline void smg_pack_gemm(const smg_window *win, const smg_layer *l, int32_t out, void *packed) {
    smg_channels *channels = packed;
    smg_w *weights = (smg_w *)(channels + smg_blocks(out));
    for (int32_t o = 0; o < out; o++)
        smg_pack_output(win, l, o, weights + (size_t)(o / LANES) * smg_block_size(win), channels);
}

/* `rows` rows of `blocks` blocks from `block` on: all sums stay in registers. Rows are reached from every
 * third one, which leaves enough address registers. */
SMG_INLINE void smg_tile(const int rows, const int blocks, const int wide, const smg_gemm *g, int32_t block,
                         const smg_x *x, int8_t *y) {
    const smg_channels *channels = g->channels + block;
    const size_t step = g->x_step, size = smg_block_size(&g->window);
    const smg_w *w = g->weights + (size_t)block * size;
    smg_vec sum[12][4];
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++)
            sum[r][b] = smg_start(channels + b);
    for (int32_t i = 0; i < g->window.outer; i++)
        for (int32_t j = 0; j < g->window.inner; j++) {
            const smg_x *at = x + i * g->window.outer_step + j * g->window.inner_step;
            for (int32_t k = 0; k < g->window.run; k += DEPTH, at += DEPTH, w += LANES * DEPTH) {
                smg_vec weights[4];
#pragma GCC unroll 4
                for (int b = 0; b < blocks; b++)
                    weights[b] = smg_weights(w + b * size);
#pragma GCC unroll 12
                for (int r = 0; r < rows; r++) {
                    const smg_vec value = smg_repeat(at + (size_t)r * step);
#pragma GCC unroll 4
                    for (int b = 0; b < blocks; b++)
                        sum[r][b] = smg_multiply_add(sum[r][b], value, weights[b]);
                }
            }
        }
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++) {
            const int32_t left = g->out - (block + b) * LANES, lanes = left < LANES ? left : LANES;
            int8_t *to = y + (r * g->y_step + (size_t)(block + b) * LANES) * (wide ? 2 : 1);
            if (wide)
                smg_finish16(sum[r][b], channels + b, &g->bounds, lanes, to);
            else
                smg_finish8(sum[r][b], channels + b, &g->bounds, lanes, to);
        }
}

#define SMG_ROW_CASE(r)                                                                                      \
    case r:                                                                                                  \
        if (r <= MOST_ROWS[blocks])                                                                          \
            smg_tile(r, blocks, wide, g, block, x, y);                                                       \
        break;

/* At most MOST_ROWS[blocks] rows. */
SMG_INLINE void smg_some_rows(int32_t rows, const int blocks, const int wide, const smg_gemm *g,
                              int32_t block, const smg_x *x, int8_t *y) {
    switch (rows) {
        SMG_ROW_CASE(1)
        SMG_ROW_CASE(2)
        SMG_ROW_CASE(3)
        SMG_ROW_CASE(4)
        SMG_ROW_CASE(5)
        SMG_ROW_CASE(6)
        SMG_ROW_CASE(7)
        SMG_ROW_CASE(8)
        SMG_ROW_CASE(9)
        SMG_ROW_CASE(10)
        SMG_ROW_CASE(11)
        SMG_ROW_CASE(12)
    }
}

/* All rows of some blocks, shared out evenly among tiles. */
SMG_INLINE void smg_all_rows(int32_t rows, const int blocks, const int wide, const smg_gemm *g, int32_t block,
                             const smg_x *x, int8_t *y) {
    int32_t tiles = (rows + MOST_ROWS[blocks] - 1) / MOST_ROWS[blocks];
    for (; rows > 0; tiles--) {
        const int32_t n = (rows + tiles - 1) / tiles;
        smg_some_rows(n, blocks, wide, g, block, x, y);
        x += (size_t)n * g->x_step;
        y += (size_t)n * g->y_step * (wide ? 2 : 1);
        rows -= n;
    }
}

/* y [rows][out] as int8, or as int16 where `wide`, which the caller knows when it is compiled. */
SMG_INLINE void smg_run_gemm(int32_t rows, const int wide, const smg_gemm *g, const smg_x *x, int8_t *y) {
    const int32_t blocks = smg_blocks(g->out);
    for (int32_t block = 0; block < blocks; block += MOST_BLOCKS) {
        const int32_t left = blocks - block;
        switch (left < MOST_BLOCKS ? left : MOST_BLOCKS) {
        case 1:
            smg_all_rows(rows, 1, wide, g, block, x, y);
            break;
        case 2:
            smg_all_rows(rows, 2, wide, g, block, x, y);
            break;
#if SMG_TILES > 2
        case 3:
            smg_all_rows(rows, 3, wide, g, block, x, y);
            break;
        case 4:
            smg_all_rows(rows, 4, wide, g, block, x, y);
            break;
#endif
        }
    }
}

#endif
