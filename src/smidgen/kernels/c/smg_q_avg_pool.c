#include "smidgen.h"

static void pool(const smg_q_avg_pool_args *a, const int8_t *x, const uint16_t *multiplier,
                 const uint8_t *shift, int32_t top, int32_t left, int8_t *y) {
    const smg_taps rows = smg_inside(top, a->k_h, 1, a->in_h), cols = smg_inside(left, a->k_w, 1, a->in_w);
    const int32_t count = (rows.last - rows.first) * (cols.last - cols.first);
    const int32_t entry = a->by_count && count > 0 ? count - 1 : 0;
    for (int32_t c = 0; c < a->channels; c++) {
        int32_t acc = -count * a->zero_x;
        for (int32_t kh = rows.first; kh < rows.last; kh++)
            for (int32_t kw = cols.first; kw < cols.last; kw++)
                acc += x[((size_t)(top + kh) * a->in_w + (left + kw)) * a->channels + c];
        y[c] = smg_saturate(smg_requantize(acc, multiplier[entry], shift[entry]) + a->zero_y, a->lo, a->hi);
    }
}

void smg_q_avg_pool(const smg_q_avg_pool_args *a, const int8_t *x, const uint16_t *multiplier,
                    const uint8_t *shift, int8_t *y) {
    for (int32_t oh = 0; oh < a->out_h; oh++)
        for (int32_t ow = 0; ow < a->out_w; ow++, y += a->channels)
            pool(a, x, multiplier, shift, oh * a->stride_h - a->pad_top, ow * a->stride_w - a->pad_left, y);
}
