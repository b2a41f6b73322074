#include "smidgen.h"

static void pool(const smg_q_max_pool_args *a, const int8_t *x, int32_t top, int32_t left, int8_t *y) {
    const smg_taps rows = smg_inside(top, a->k_h, 1, a->in_h), cols = smg_inside(left, a->k_w, 1, a->in_w);
    for (int32_t c = 0; c < a->channels; c++)
        y[c] = INT8_MIN;
    for (int32_t kh = rows.first; kh < rows.last; kh++) {
        for (int32_t kw = cols.first; kw < cols.last; kw++) {
            const int8_t *at = x + ((size_t)(top + kh) * a->in_w + (left + kw)) * a->channels;
            for (int32_t c = 0; c < a->channels; c++)
                y[c] = at[c] > y[c] ? at[c] : y[c];
        }
    }
}

void smg_q_max_pool(const smg_q_max_pool_args *a, const int8_t *x, int8_t *y) {
    for (int32_t oh = 0; oh < a->out_h; oh++)
        for (int32_t ow = 0; ow < a->out_w; ow++, y += a->channels)
            pool(a, x, oh * a->stride_h - a->pad_top, ow * a->stride_w - a->pad_left, y);
}
