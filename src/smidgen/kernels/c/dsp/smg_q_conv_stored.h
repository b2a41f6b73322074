/* smg_q_conv_stored with all weights stored: parts of the rows of four output channels are unpacked to the
 * stack, then multiplied by SIMD at several positions. */
#include "smg_block.h"
#include "smg_dot_four.h"

enum { PART = 64 };      /* weights of a row that are unpacked at a time */
enum { POSITIONS = 16 }; /* that they are unpacked for, where a row is longer than a part */

/* Not inlined, as its stack would be taken all the time. */
__attribute__((noinline)) static void walk(const smg_q_conv_stored_args *a, const smg_stored *s,
                                           const int8_t *x, const int32_t *bias, const uint16_t *multiplier,
                                           const uint8_t *shift, int8_t *y);

/* `count` neighbouring weights of a row of the window, whose inputs lie side by side too, from number `first`
 * of a run on. The run's first tap is `row` rows below and `column` columns beside the window's first. */
typedef struct {
    int32_t row, column, first, count;
} part;

/* Adds the products of a part at `count` positions from number `at` on. `x` is at the first channel of the
 * group, `w` holds the part, of four channels that lie `apart` bytes from each other. */
static void add_part(const smg_q_conv_stored_args *a, const part *p, const int8_t *x, const int8_t *w,
                     int32_t apart, int32_t at, int32_t count, int32_t *sums) {
    const int32_t depth = a->in_c / a->groups;
    const int16x2_t minus = smg_minus(a->zero_x);
    int32_t row = at / a->out_w * a->stride_h - a->pad_top + p->row;
    int32_t ow = at % a->out_w;
    for (int32_t i = 0; i < count; i++, sums += SMG_SIDE_BY_SIDE) {
        const int32_t left = ow * a->stride_w - a->pad_left + p->column;
        /* Only what lies inside the image. */
        int32_t first = -left * depth, last = (a->in_w - left) * depth;
        first = first > p->first ? first : p->first;
        last = last < p->first + p->count ? last : p->first + p->count;
        if (row >= 0 && row < a->in_h && first < last)
            smg_dot_four(sums, x + ((row * a->in_w + left) * a->in_c + first), w + (first - p->first), apart,
                         last - first, minus);
        if (++ow == a->out_w) {
            ow = 0;
            row += a->stride_h;
        }
    }
}

/* `channels` output channels of a group (four or one) from number `o` on. */
__attribute__((noinline)) static void few_channels(const smg_q_conv_stored_args *a, const smg_stored *s,
                                                   const smg_end *end, const int8_t *x, const int32_t *bias,
                                                   int32_t o, int32_t channels, int8_t *y) {
    const int32_t depth = a->in_c / a->groups, pixels = a->out_h * a->out_w;
    /* Neighbouring taps of a row are neighbours in memory, so one run covers them. */
    const int dense = a->groups == 1 && a->dilation_w == 1;
    const int32_t runs = dense ? 1 : a->k_w, run = dense ? a->k_w * depth : depth;
    const int whole = s->row <= PART;
    const int32_t apart = channels == SMG_SIDE_BY_SIDE ? PART : 0;
    int8_t weights[SMG_SIDE_BY_SIDE * PART];
    int32_t sums[SMG_SIDE_BY_SIDE * POSITIONS];
    if (whole)
        for (int32_t k = 0; k < channels; k++)
            smg_unpack(s, o + k, 0, s->row, weights + k * PART);
    for (int32_t at = 0; at < pixels; at += POSITIONS) {
        const int32_t count = pixels - at < POSITIONS ? pixels - at : POSITIONS;
        for (int32_t i = 0; i < count * SMG_SIDE_BY_SIDE; i++)
            sums[i] = bias[o + (i % SMG_SIDE_BY_SIDE) % channels];
        for (int32_t j = 0; j < a->k_h * runs; j++) {
            part p = {j / runs * a->dilation_h, j % runs * a->dilation_w, 0, 0};
            for (; p.first < run; p.first += PART) {
                p.count = run - p.first < PART ? run - p.first : PART;
                const int32_t number = j * run + p.first;
                for (int32_t k = 0; k < channels && !whole; k++)
                    smg_unpack(s, o + k, number, p.count, weights + k * PART);
                add_part(a, &p, x, weights + (whole ? number : 0), apart, at, count, sums);
            }
        }
        for (int32_t i = 0; i < count; i++)
            smg_finish(end, o, channels, sums + i * SMG_SIDE_BY_SIDE, y + (size_t)(at + i) * a->out_c + o, 0);
    }
}

static void unpack_block(const smg_stored *s, smg_block *b) {
    int8_t some[PART];
    for (int32_t i = 0; i < b->lanes; i++) {
        for (int32_t first = 0; first < s->row; first += PART) {
            const int32_t count = s->row - first < PART ? s->row - first : PART;
            smg_unpack(s, b->first + i, first, count, some);
            for (int32_t t = 0; t < count; t++)
                b->weight[(first + t) * b->lanes + i] = some[t];
        }
    }
}

__attribute__((noinline)) static void unpacked_depthwise(const smg_q_conv_stored_args *a, const smg_stored *s,
                                                         const smg_end *end, const int8_t *x,
                                                         const int32_t *bias, int8_t *y) {
    const smg_q_depthwise_args d = {.in_h = a->in_h,
                                    .in_w = a->in_w,
                                    .channels = a->in_c,
                                    .out_h = a->out_h,
                                    .out_w = a->out_w,
                                    .k_h = a->k_h,
                                    .k_w = a->k_w,
                                    .stride_h = a->stride_h,
                                    .stride_w = a->stride_w,
                                    .pad_top = a->pad_top,
                                    .pad_left = a->pad_left,
                                    .dilation_h = a->dilation_h,
                                    .dilation_w = a->dilation_w,
                                    .zero_x = a->zero_x};
    smg_block b;
    for (b.first = 0; b.first < d.channels; b.first += b.lanes) {
        b.lanes = smg_lanes(&d, b.first);
        unpack_block(s, &b);
        smg_run_block(&d, &b, end, x, bias, y + b.first);
    }
}

static void unpacked(const smg_q_conv_stored_args *a, const smg_stored *s, const int8_t *x,
                     const int32_t *bias, const uint16_t *multiplier, const uint8_t *shift, int8_t *y) {
    const smg_end end = {multiplier, shift, a->per_channel, a->zero_y, a->lo, a->hi};
    const int32_t depth = a->in_c / a->groups, out_per_group = a->out_c / a->groups;
    if (depth == 1 && out_per_group == 1 && a->k_h * a->k_w <= SMG_DEPTHWISE_TAPS) {
        unpacked_depthwise(a, s, &end, x, bias, y);
        return;
    }
    for (int32_t g = 0; g < a->groups; g++, x += depth) {
        const int32_t last = (g + 1) * out_per_group;
        for (int32_t o = g * out_per_group; o < last;) {
            const int32_t channels = last - o < SMG_SIDE_BY_SIDE ? 1 : SMG_SIDE_BY_SIDE;
            few_channels(a, s, &end, x, bias, o, channels, y);
            o += channels;
        }
    }
}
