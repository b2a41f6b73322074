#include "smidgen.h"

#if defined(__ARM_FEATURE_DSP)
#include "dsp/smg_q_conv.h"
#else

/* sum w * (x - zero_x) over one window. `x` and `w` are at the first channel of the group; `total` is the sum
 * of all of `w`. The zero point is subtracted once a window: over the whole of it from `total`, at the border
 * from the taps that lie inside. */
static uint32_t window(const smg_q_conv_args *a, const int8_t *x, const int8_t *w, uint32_t total,
                       int32_t top, int32_t left) {
    const int32_t per_group = a->in_c / a->groups;
    const smg_taps rows = smg_inside(top, a->k_h, a->dilation_h, a->in_h);
    const smg_taps cols = smg_inside(left, a->k_w, a->dilation_w, a->in_w);
    const int32_t taps = cols.last - cols.first;
    /* Neighbouring taps of a row are neighbours in memory, so one run covers them. */
    const int dense = a->groups == 1 && a->dilation_w == 1;
    const int32_t runs = dense ? taps > 0 : taps, run = dense ? taps * per_group : per_group;
    const int whole = rows.last - rows.first == a->k_h && taps == a->k_w;
    uint32_t sum = 0, inside = whole ? total : 0;
    for (int32_t kh = rows.first; kh < rows.last; kh++) {
        const int8_t *row = x + (size_t)(top + kh * a->dilation_h) * a->in_w * a->in_c;
        for (int32_t i = 0; i < runs; i++) {
            const int32_t kw = cols.first + i;
            const int8_t *xs = row + (size_t)(left + kw * a->dilation_w) * a->in_c;
            const int8_t *ws = w + (size_t)(kh * a->k_w + kw) * per_group;
            sum += smg_dot(xs, ws, run);
            if (!whole)
                inside += smg_sum(ws, run);
        }
    }
    return sum - (uint32_t)a->zero_x * inside;
}

void smg_q_conv(const smg_q_conv_args *a, const int8_t *x, const int8_t *w, const int32_t *bias,
                const uint16_t *multiplier, const uint8_t *shift, int8_t *y) {
    const int32_t per_group = a->in_c / a->groups, out_per_group = a->out_c / a->groups;
    const int32_t size = a->k_h * a->k_w * per_group;
    for (int32_t o = 0; o < a->out_c; o++, w += size) {
        const int8_t *group = x + o / out_per_group * per_group;
        const uint32_t total = smg_sum(w, size);
        const int32_t c = a->per_channel ? o : 0;
        for (int32_t oh = 0; oh < a->out_h; oh++) {
            for (int32_t ow = 0; ow < a->out_w; ow++) {
                const int32_t top = oh * a->stride_h - a->pad_top, left = ow * a->stride_w - a->pad_left;
                const int32_t acc = (int32_t)((uint32_t)bias[o] + window(a, group, w, total, top, left));
                y[((size_t)oh * a->out_w + ow) * a->out_c + o] =
                    smg_saturate(smg_requantize(acc, multiplier[c], shift[c]) + a->zero_y, a->lo, a->hi);
            }
        }
    }
}

#endif
