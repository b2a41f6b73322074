#include "smidgen.h"

#if defined(__ARM_FEATURE_DSP)
#include "dsp/smg_q_depthwise.h"
#else

enum { LANES = 16 }; /* most channels computed side by side */

/* A block of `lanes` channels from `first` on. Its weights are turned to [taps][lanes]: neighbouring channels
 * lie side by side, as in x. Large windows get fewer lanes, so that the stack stays small. */
typedef struct {
    int8_t weight[SMG_DEPTHWISE_TAPS];
    int32_t first, lanes;
} block;

static void load(const smg_q_depthwise_args *a, const int8_t *w, int32_t first, block *b) {
    const int32_t taps = a->k_h * a->k_w, left = a->channels - first, room = SMG_DEPTHWISE_TAPS / taps;
    const int32_t most = room < LANES ? room : LANES;
    b->first = first;
    b->lanes = left < most ? left : most;
    for (int32_t t = 0; t < taps; t++)
        for (int32_t i = 0; i < b->lanes; i++)
            b->weight[t * b->lanes + i] = w[(size_t)(first + i) * taps + t];
}

static inline void multiply(int32_t *acc, const int8_t *x, const int8_t *w, int32_t zero, int32_t lanes) {
    for (int32_t i = 0; i < lanes; i++)
        acc[i] += (x[i] - zero) * w[i];
}

static void window(const smg_q_depthwise_args *a, const block *b, const int8_t *x, int32_t top, int32_t left,
                   int32_t *acc) {
    const smg_taps rows = smg_inside(top, a->k_h, a->dilation_h, a->in_h);
    const smg_taps cols = smg_inside(left, a->k_w, a->dilation_w, a->in_w);
    for (int32_t kh = rows.first; kh < rows.last; kh++) {
        for (int32_t kw = cols.first; kw < cols.last; kw++) {
            const size_t at = (size_t)(top + kh * a->dilation_h) * a->in_w + (left + kw * a->dilation_w);
            const int8_t *xs = x + at * a->channels + b->first,
                         *ws = b->weight + (kh * a->k_w + kw) * b->lanes;
            if (b->lanes == LANES)
                multiply(acc, xs, ws, a->zero_x, LANES); /* a constant count: no remainder loop */
            else
                multiply(acc, xs, ws, a->zero_x, b->lanes);
        }
    }
}

void smg_q_depthwise(const smg_q_depthwise_args *a, const int8_t *x, const int8_t *w, const int32_t *bias,
                     const uint16_t *multiplier, const uint8_t *shift, int8_t *y) {
    block b;
    for (int32_t first = 0; first < a->channels; first += b.lanes) {
        load(a, w, first, &b);
        for (int32_t at = 0; at < a->out_h * a->out_w; at++) {
            const int32_t top = at / a->out_w * a->stride_h - a->pad_top;
            const int32_t left = at % a->out_w * a->stride_w - a->pad_left;
            int32_t acc[LANES];
            for (int32_t i = 0; i < b.lanes; i++)
                acc[i] = bias[first + i];
            window(a, &b, x, top, left, acc);
            for (int32_t i = 0; i < b.lanes; i++) {
                const int32_t c = a->per_channel ? first + i : 0;
                y[(size_t)at * a->channels + first + i] =
                    smg_saturate(smg_requantize(acc[i], multiplier[c], shift[c]) + a->zero_y, a->lo, a->hi);
            }
        }
    }
}

#endif
