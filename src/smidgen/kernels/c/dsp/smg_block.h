/* A depthwise convolution, four channels at a time whose weights are in a buffer and whose sums in registers.
 */
#ifndef SMG_BLOCK_H
#define SMG_BLOCK_H

#include "smg_dsp.h"

enum { SMG_LANES = 4 };

/* `lanes` channels from `first` on, their weights as [taps][lanes], like x. */
typedef struct {
    int8_t weight[SMG_DEPTHWISE_TAPS];
    int32_t first, lanes;
} smg_block;

/* How many channels from `first` on make a block: four, or fewer where the window is so large or no more are
 * left. */
static inline int32_t smg_lanes(const smg_q_depthwise_args *a, int32_t first) {
    const int32_t left = a->channels - first, room = SMG_DEPTHWISE_TAPS / (a->k_h * a->k_w);
    const int32_t most = room < SMG_LANES ? room : SMG_LANES;
    return left < most ? left : most;
}

/* Four sums over `taps` neighbouring taps of a row, `step` bytes apart in x. */
static inline void smg_add_four(int32_t *sums, const int8_t *x, const int8_t *w, int32_t taps, int32_t step,
                                int16x2_t minus) {
    int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    for (; taps > 0; taps--, x += step, w += SMG_LANES) {
        const uint32_t word = smg_word(x), weights = smg_word(w);
        const int16x2_t even = __sxtab16(minus, (int8x4_t)word), w_even = __sxtb16((int8x4_t)weights);
        const int16x2_t odd = __sxtab16(minus, (int8x4_t)__ror(word, 8));
        const int16x2_t w_odd = __sxtb16((int8x4_t)__ror(weights, 8));
        s0 = __smlabb(even, w_even, s0);
        s1 = __smlabb(odd, w_odd, s1);
        s2 = __smlatt(even, w_even, s2);
        s3 = __smlatt(odd, w_odd, s3);
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

static inline void smg_add_few(int32_t *sums, const int8_t *x, const int8_t *w, int32_t taps, int32_t step,
                               int32_t zero, int32_t lanes) {
    for (; taps > 0; taps--, x += step, w += lanes)
        for (int32_t i = 0; i < lanes; i++)
            sums[i] += (x[i] - zero) * w[i];
}

/* All outputs of the block's channels; `y` is at the first one's first. */
static void smg_run_block(const smg_q_depthwise_args *a, const smg_block *b, const smg_end *end,
                          const int8_t *x, const int32_t *bias, int8_t *y) {
    const int16x2_t minus = smg_minus(a->zero_x);
    const int32_t step = a->dilation_w * a->channels, first = b->first, lanes = b->lanes;
    for (int32_t oh = 0; oh < a->out_h; oh++) {
        const int32_t top = oh * a->stride_h - a->pad_top;
        const smg_taps rows = smg_inside(top, a->k_h, a->dilation_h, a->in_h);
        for (int32_t ow = 0; ow < a->out_w; ow++, y += a->channels) {
            const int32_t left = ow * a->stride_w - a->pad_left;
            const smg_taps cols = smg_inside(left, a->k_w, a->dilation_w, a->in_w);
            int32_t sums[SMG_LANES];
            for (int32_t i = 0; i < lanes; i++)
                sums[i] = bias[first + i];
            for (int32_t kh = rows.first; kh < rows.last && cols.first < cols.last; kh++) {
                const size_t at =
                    (size_t)(top + kh * a->dilation_h) * a->in_w + (left + cols.first * a->dilation_w);
                const int8_t *xs = x + at * a->channels + first;
                const int8_t *ws = b->weight + (kh * a->k_w + cols.first) * lanes;
                if (lanes == SMG_LANES)
                    smg_add_four(sums, xs, ws, cols.last - cols.first, step, minus);
                else
                    smg_add_few(sums, xs, ws, cols.last - cols.first, step, a->zero_x, lanes);
            }
            smg_finish(end, first, lanes, sums, y, 0);
        }
    }
}

#endif
