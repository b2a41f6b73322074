/* Layers on packed bits: smg_q_binary_conv and smg_q_binary_conv_bits, each lane the count of one output.
 *
 * Only taps inside the image are visited, so nothing is copied or padded: the rows of taps inside are the
 * same for a row of outputs, the columns for all but those at its ends. Packed constants of a layer:
 * smg_channels (to int8) or thresholds [LANES] (to bits) of each block of LANES outputs, then weights
 * [blocks][k_h][k_w][words][LANES]. */
#ifndef SMIDGEN_BITS_H
#define SMIDGEN_BITS_H

#include "bits_vector.h"

enum { BIT_ALIGNMENT = 64, MOST_BITS = 1 << 30 };

/* What the tiles of a layer share; `to_bits` says which of `channels` and `thresholds` there is. */
typedef struct {
    const smg_q_binary_conv_bits_args *shape; /* with which smg_q_binary_conv_args begins */
    const smg_channels *channels;
    const int32_t *thresholds;
    const uint32_t *weights;
    smg_bounds bounds;
    int32_t words, blocks;
    size_t block_words,
        y_step; /* words of a block for one lane; bytes from one output position to the next */
} smg_bit_layer;

/* The taps inside for some neighbouring positions: outer x inner runs of neighbouring words. Steps are words
 * of the image, those of the weights words for one lane. */
typedef struct {
    int32_t outer, inner, run, bits;
    size_t outer_step, inner_step, x_step, w_first, w_outer, w_inner;
} smg_bit_taps;

/* Outputs are rounded up to whole words where they are bits: the last word is written to its end. */
static inline int32_t smg_bit_blocks(int32_t out_c, int to_bits) {
    const int32_t step = to_bits ? 32 : LANES;
    return (out_c / step + (out_c % step != 0)) * (step / LANES);
}

static inline size_t smg_bit_block_words(const smg_q_binary_conv_bits_args *a) {
    return smg_times((size_t)a->k_h * (size_t)a->k_w, (size_t)SMG_WORDS(a->in_c));
}

static inline size_t smg_bit_head(int32_t blocks, int to_bits) {
    const size_t each = to_bits ? LANES * sizeof(int32_t) : sizeof(smg_channels);
    return smg_rounded((size_t)blocks * each, BIT_ALIGNMENT);
}

static inline size_t smg_bit_bytes(const smg_q_binary_conv_bits_args *a, int to_bits) {
    const int32_t blocks = smg_bit_blocks(a->out_c, to_bits);
    return smg_bit_head(blocks, to_bits) + smg_times((size_t)blocks * LANES * 4, smg_bit_block_words(a));
}

static inline int32_t smg_clamped(int32_t threshold) {
    return threshold > MOST_BITS ? MOST_BITS : threshold < -MOST_BITS ? -MOST_BITS : threshold;
}

/* Weights [out_c][words of all taps] to lanes. */
static inline void smg_pack_bits(const smg_q_binary_conv_bits_args *a, const uint32_t *w, int to_bits,
                                 uint32_t *to) {
    const size_t size = smg_bit_block_words(a);
    for (int32_t o = 0; o < a->out_c; o++) {
        const int32_t lane = to_bits ? o % LANES : smg_lane(o % LANES);
        for (size_t i = 0; i < size; i++)
            to[((size_t)(o / LANES) * size + i) * LANES + (size_t)lane] = *w++;
    }
}

/* `rows` neighbouring positions of `blocks` blocks from `block` on. */
SMG_INLINE void smg_bit_tile(const int rows, const int blocks, const int to_bits, const smg_bit_layer *l,
                             const smg_bit_taps *t, int32_t block, const uint32_t *x, char *y) {
    smg_counts count[12][4];
    const size_t size = l->block_words * LANES;
    const uint32_t *w = l->weights + (size_t)block * size + t->w_first * LANES;
#pragma GCC unroll 12
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++)
            count[r][b] = smg_no_counts();
    int32_t pending = 0;
    for (int32_t i = 0; i < t->outer; i++)
        for (int32_t j = 0; j < t->inner; j++) {
            const uint32_t *xs = x + (size_t)i * t->outer_step + (size_t)j * t->inner_step;
            const uint32_t *ws = w + ((size_t)i * t->w_outer + (size_t)j * t->w_inner) * LANES;
            for (int32_t k = 0; k < t->run; k++, xs++, ws += LANES) {
                smg_vec weights[4];
#pragma GCC unroll 4
                for (int b = 0; b < blocks; b++)
                    weights[b] = smg_load_words(ws + (size_t)b * size);
#pragma GCC unroll 12
                for (int r = 0; r < rows; r++) {
                    const smg_vec value = smg_repeat_word(xs + (size_t)r * t->x_step);
#pragma GCC unroll 4
                    for (int b = 0; b < blocks; b++)
                        smg_count_unequal(&count[r][b], weights[b], value);
                }
                if (SMG_PENDING > 0 && ++pending == SMG_PENDING) {
                    pending = 0;
#pragma GCC unroll 12
                    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
                        for (int b = 0; b < blocks; b++)
                            smg_settle(&count[r][b]);
                }
            }
        }
#pragma GCC unroll 4
    for (int b = 0; b < blocks; b++) {
        const int32_t left = l->shape->out_c - (block + b) * LANES, lanes = left < LANES ? left : LANES;
        const smg_vec limit =
            to_bits ? smg_limit(t->bits, l->thresholds + (size_t)(block + b) * LANES) : smg_repeat32(0);
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++) {
            const smg_vec unequal = smg_counted(&count[r][b]);
            char *to = y + (size_t)r * l->y_step;
            if (to_bits)
                smg_store_bits(unequal, limit, to + (size_t)(block + b) * (LANES / 8));
            else
                smg_finish8(smg_sum_of(l->channels + block + b, t->bits, unequal), l->channels + block + b,
                            &l->bounds, lanes, to + (size_t)(block + b) * LANES);
        }
    }
}

#define SMG_BIT_CASE(r)                                                                                      \
    case r:                                                                                                  \
        if (r <= MOST_BIT_ROWS[blocks])                                                                      \
            smg_bit_tile(r, blocks, to_bits, l, t, block, x, y);                                             \
        break;

/* `n` neighbouring positions, in tiles of about one size. */
SMG_INLINE void smg_bit_block(int32_t n, const int blocks, const int to_bits, const smg_bit_layer *l,
                              const smg_bit_taps *t, int32_t block, const uint32_t *x, char *y) {
    int32_t tiles = (n + MOST_BIT_ROWS[blocks] - 1) / MOST_BIT_ROWS[blocks];
    for (; n > 0; tiles--) {
        const int32_t rows = (n + tiles - 1) / tiles;
        switch (rows) {
            SMG_BIT_CASE(1)
            SMG_BIT_CASE(2)
            SMG_BIT_CASE(3)
            SMG_BIT_CASE(4)
            SMG_BIT_CASE(5)
            SMG_BIT_CASE(6)
            SMG_BIT_CASE(7)
            SMG_BIT_CASE(8)
        }
        x += (size_t)rows * t->x_step;
        y += (size_t)rows * l->y_step;
        n -= rows;
    }
}

SMG_INLINE void smg_bit_positions(int32_t n, const int to_bits, const smg_bit_layer *l, const smg_bit_taps *t,
                                  const uint32_t *x, char *y) {
    for (int32_t block = 0; block < l->blocks; block += SMG_BIT_BLOCKS) {
        const int32_t left = l->blocks - block;
        switch (left < SMG_BIT_BLOCKS ? left : SMG_BIT_BLOCKS) {
        case 1:
            smg_bit_block(n, 1, to_bits, l, t, block, x, y);
            break;
        case 2:
            smg_bit_block(n, 2, to_bits, l, t, block, x, y);
            break;
#if SMG_BIT_BLOCKS > 2
        case 3:
            smg_bit_block(n, 3, to_bits, l, t, block, x, y);
            break;
        case 4:
            smg_bit_block(n, 4, to_bits, l, t, block, x, y);
            break;
#endif
        }
    }
}

/* The taps of rows `rows` and columns `cols`. */
SMG_INLINE smg_bit_taps smg_taps_inside(const smg_bit_layer *l, smg_taps rows, smg_taps cols) {
    const smg_q_binary_conv_bits_args *a = l->shape;
    const int32_t n = cols.last - cols.first, dense = a->dilation_w == 1;
    const size_t words = (size_t)l->words;
    const smg_bit_taps t = {rows.last - rows.first,
                            dense ? n > 0 : n,
                            dense ? n * l->words : l->words,
                            (rows.last - rows.first) * n * a->in_c,
                            (size_t)a->dilation_h * (size_t)a->in_w * words,
                            (size_t)a->dilation_w * words,
                            (size_t)a->stride_w * words,
                            ((size_t)rows.first * (size_t)a->k_w + (size_t)cols.first) * words,
                            (size_t)a->k_w * words,
                            words};
    return t;
}

/* One row of outputs: positions at its ends one by one, those between them together. */
SMG_INLINE void smg_bit_row(const int to_bits, const smg_bit_layer *l, int32_t oh, const uint32_t *x,
                            char *y) {
    const smg_q_binary_conv_bits_args *a = l->shape;
    const int32_t top = oh * a->stride_h - a->pad_top;
    const smg_taps rows = smg_inside(top, a->k_h, a->dilation_h, a->in_h);
    for (int32_t ow = 0; ow < a->out_w;) {
        const int32_t left = ow * a->stride_w - a->pad_left, last = left + (a->k_w - 1) * a->dilation_w;
        const smg_taps cols = smg_inside(left, a->k_w, a->dilation_w, a->in_w);
        int32_t n = 1;
        if (left >= 0 && last < a->in_w) {
            n += (a->in_w - 1 - last) / a->stride_w;
            n = n < a->out_w - ow ? n : a->out_w - ow;
        }
        const smg_bit_taps t = smg_taps_inside(l, rows, cols);
        const int32_t h = top + rows.first * a->dilation_h, v = left + cols.first * a->dilation_w;
        const uint32_t *at = t.bits == 0 ? x : x + ((size_t)h * (size_t)a->in_w + (size_t)v) * l->words;
        smg_bit_positions(n, to_bits, l, &t, at, y + (size_t)ow * l->y_step);
        ow += n;
    }
}

/* A linear layer with one row a sample: samples are the neighbours. */
SMG_INLINE void smg_bit_samples(const int to_bits, smg_bit_layer *l, const smg_job *job, int out) {
    const smg_taps one = {0, 1};
    smg_bit_taps t = smg_taps_inside(l, one, one);
    t.x_step = (size_t)job->strides[0] / 4;
    l->y_step = (size_t)job->strides[out];
    smg_bit_positions(job->samples, to_bits, l, &t, job->pointers[0], job->pointers[out]);
}

SMG_INLINE void smg_bit_run(const int to_bits, smg_bit_layer *l, const smg_job *job, const int out) {
    const smg_q_binary_conv_bits_args *a = l->shape;
    const size_t y_row = (size_t)a->out_w * l->y_step;
    const int linear = a->in_h == 1 && a->in_w == 1 && a->k_h == 1 && a->k_w == 1 && a->out_h == 1;
    if (linear && a->out_w == 1 && a->pad_top == 0 && a->pad_left == 0 && job->strides[0] % 4 == 0) {
        smg_bit_samples(to_bits, l, job, out);
        return;
    }
    for (int32_t s = 0; s < job->samples; s++)
        for (int32_t oh = 0; oh < a->out_h; oh++)
            smg_bit_row(to_bits, l, oh, smg_at(job, 0, s), (char *)smg_at(job, out, s) + (size_t)oh * y_row);
}

static smg_bit_layer smg_bit_layer_of(const smg_q_binary_conv_bits_args *a, const char *packed, int to_bits) {
    const int32_t blocks = smg_bit_blocks(a->out_c, to_bits);
    smg_bit_layer l = {.shape = a,
                       .channels = (const smg_channels *)packed,
                       .thresholds = (const int32_t *)packed,
                       .weights = (const uint32_t *)(packed + smg_bit_head(blocks, to_bits)),
                       .words = SMG_WORDS(a->in_c),
                       .blocks = blocks,
                       .block_words = smg_bit_block_words(a),
                       .y_step = to_bits ? (size_t)SMG_WORDS(a->out_c) * 4 : (size_t)a->out_c};
    return l;
}

/* To bits */

static size_t bits_packed(const void *args, void *const *pointers) {
    (void)pointers;
    return smg_bit_bytes(args, 1);
}

static void bits_pack(const void *args, void *const *pointers, void *packed) {
    const smg_q_binary_conv_bits_args *a = args;
    const int32_t blocks = smg_bit_blocks(a->out_c, 1), *given = pointers[2];
    int32_t *thresholds = packed;
    for (int32_t o = 0; o < blocks * LANES; o++)
        thresholds[o] = o < a->out_c ? smg_clamped(given[o]) : MOST_BITS;
    smg_pack_bits(a, pointers[1], 1, (uint32_t *)((char *)packed + smg_bit_head(blocks, 1)));
}

static void bits_run(const void *args, const smg_job *job) {
    smg_bit_layer l = smg_bit_layer_of(args, job->packed, 1);
    smg_bit_run(1, &l, job, 3);
}

/* To int8 */

/* The fields that both argument structs begin with. */
static smg_q_binary_conv_bits_args shape_of(const smg_q_binary_conv_args *a) {
    smg_q_binary_conv_bits_args shape;
    __builtin_memcpy(&shape, a, sizeof shape);
    return shape;
}

static size_t bytes_packed(const void *args, void *const *pointers) {
    (void)pointers;
    const smg_q_binary_conv_bits_args shape = shape_of(args);
    return smg_bit_bytes(&shape, 0);
}

static void bytes_pack(const void *args, void *const *pointers, void *packed) {
    const smg_q_binary_conv_args *a = args;
    const smg_q_binary_conv_bits_args shape = shape_of(a);
    const int32_t *bias = pointers[2];
    const uint16_t *multiplier = pointers[3];
    const uint8_t *shift = pointers[4];
    smg_channels *channels = packed;
    for (int32_t o = 0; o < a->out_c; o++) {
        const int32_t c = a->per_channel ? o : 0;
        smg_set_channel(channels + o / LANES, o % LANES, bias[o], 0, 0, multiplier[c], shift[c], a->zero_y);
    }
    const size_t head = smg_bit_head(smg_bit_blocks(a->out_c, 0), 0);
    smg_pack_bits(&shape, pointers[1], 0, (uint32_t *)((char *)packed + head));
}

static void bytes_run(const void *args, const smg_job *job) {
    const smg_q_binary_conv_args *a = args;
    const smg_q_binary_conv_bits_args shape = shape_of(a);
    smg_bit_layer l = smg_bit_layer_of(&shape, job->packed, 0);
    l.bounds = smg_make_bounds(a->lo, a->hi, a->zero_y);
    smg_bit_run(0, &l, job, 5);
}

/* Thresholds of int8 values: filled up to whole words with ones that nothing reaches. */

static size_t binarize_packed(const void *args, void *const *pointers) {
    (void)pointers;
    const smg_q_binarize_args *a = args;
    return (size_t)SMG_WORDS(a->channels) * 32 * sizeof(int16_t);
}

static void binarize_pack(const void *args, void *const *pointers, void *packed) {
    const smg_q_binarize_args *a = args;
    const int16_t *given = pointers[1];
    int16_t *thresholds = packed;
    for (int32_t c = 0; c < SMG_WORDS(a->channels) * 32; c++)
        thresholds[c] = c < a->channels ? given[c] : 128;
}

static void binarize_run(const void *args, const smg_job *job) {
    const smg_q_binarize_args *a = args;
    const uint32_t *flip = job->pointers[2];
    for (int32_t s = 0; s < job->samples; s++) {
        const int8_t *x = smg_at(job, 0, s);
        uint32_t *y = smg_at(job, 3, s);
        for (int32_t r = 0; r < a->rows; r++, x += a->channels)
            for (int32_t c = 0; c < a->channels; c += 32) {
                const int32_t left = a->channels - c;
                *y++ = flip[c / 32] ^
                       smg_reached32(x + c, (const int16_t *)job->packed + c, left < 32 ? left : 32);
            }
    }
}

const smg_variant SIMD(smg_q_binary_conv_bits) = {
    "smg_q_binary_conv_bits", ISA, bits_packed, NULL, bits_pack, bits_run};
const smg_variant SIMD(smg_q_binary_conv) = {"smg_q_binary_conv", ISA,      bytes_packed, NULL,
                                             bytes_pack,          bytes_run};
const smg_variant SIMD(smg_q_binarize) = {"smg_q_binarize", ISA,         binarize_packed, NULL,
                                          binarize_pack,    binarize_run};

#endif
