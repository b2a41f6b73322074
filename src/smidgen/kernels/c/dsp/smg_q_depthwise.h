/* smg_q_depthwise, four channels at a time whose sums stay in registers. */
#include "smg_dsp.h"

enum { LANES = 4 };

/* A block of `lanes` channels from `first` on, its weights turned to [taps][lanes] as in x. Four lanes, or
 * fewer where the window is so large or no more channels are left. */
typedef struct {
    int8_t weight[SMG_DEPTHWISE_TAPS];
    int32_t first, lanes;
} block;

static void load(const smg_q_depthwise_args *a, const int8_t *w, int32_t first, block *b) {
    const int32_t taps = a->k_h * a->k_w, left = a->channels - first, room = SMG_DEPTHWISE_TAPS / taps;
    const int32_t most = room < LANES ? room : LANES;
    b->first = first;
    b->lanes = left < most ? left : most;
    for (int32_t i = 0; i < b->lanes; i++, w += taps)
        for (int32_t t = 0; t < taps; t++)
            b->weight[t * b->lanes + i] = w[t];
}

/* Four sums over `taps` neighbouring taps of a row, `step` bytes apart in x. */
static inline void add_four(int32_t *sums, const int8_t *x, const int8_t *w, int32_t taps, int32_t step,
                            int16x2_t minus) {
    int32_t s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
    for (; taps > 0; taps--, x += step, w += LANES) {
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

static inline void add_few(int32_t *sums, const int8_t *x, const int8_t *w, int32_t taps, int32_t step,
                           int32_t zero, int32_t lanes) {
    for (; taps > 0; taps--, x += step, w += lanes)
        for (int32_t i = 0; i < lanes; i++)
            sums[i] += (x[i] - zero) * w[i];
}

void smg_q_depthwise(const smg_q_depthwise_args *a, const int8_t *x, const int8_t *w, const int32_t *bias,
                     const uint16_t *multiplier, const uint8_t *shift, int8_t *y) {
    const smg_end end = {multiplier, shift, a->per_channel, a->zero_y, a->lo, a->hi};
    const int16x2_t minus = smg_minus(a->zero_x);
    const int32_t step = a->dilation_w * a->channels;
    block b;
    for (int32_t first = 0; first < a->channels; first += b.lanes) {
        int8_t *out = y + first;
        load(a, w + (size_t)first * a->k_h * a->k_w, first, &b);
        for (int32_t oh = 0; oh < a->out_h; oh++) {
            const int32_t top = oh * a->stride_h - a->pad_top;
            const smg_taps rows = smg_inside(top, a->k_h, a->dilation_h, a->in_h);
            for (int32_t ow = 0; ow < a->out_w; ow++, out += a->channels) {
                const int32_t left = ow * a->stride_w - a->pad_left;
                const smg_taps cols = smg_inside(left, a->k_w, a->dilation_w, a->in_w);
                int32_t sums[LANES];
                for (int32_t i = 0; i < b.lanes; i++)
                    sums[i] = bias[first + i];
                for (int32_t kh = rows.first; kh < rows.last && cols.first < cols.last; kh++) {
                    const size_t at =
                        (size_t)(top + kh * a->dilation_h) * a->in_w + (left + cols.first * a->dilation_w);
                    const int8_t *xs = x + at * a->channels + first;
                    const int8_t *ws = b.weight + (kh * a->k_w + cols.first) * b.lanes;
                    if (b.lanes == LANES)
                        add_four(sums, xs, ws, cols.last - cols.first, step, minus);
                    else
                        add_few(sums, xs, ws, cols.last - cols.first, step, a->zero_x, b.lanes);
                }
                smg_finish(&end, first, b.lanes, sums, out, 0);
            }
        }
    }
}
