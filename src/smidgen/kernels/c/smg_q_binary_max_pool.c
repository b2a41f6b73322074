#include "smidgen.h"

void smg_q_binary_max_pool(const smg_q_binary_max_pool_args *a, const uint32_t *x, uint32_t *y) {
    for (int32_t oh = 0; oh < a->out_h; oh++)
        for (int32_t ow = 0; ow < a->out_w; ow++, y += a->words) {
            const int32_t top = oh * a->stride_h - a->pad_top, left = ow * a->stride_w - a->pad_left;
            const smg_taps rows = smg_inside(top, a->k_h, 1, a->in_h);
            const smg_taps cols = smg_inside(left, a->k_w, 1, a->in_w);
            for (int32_t i = 0; i < a->words; i++)
                y[i] = 0;
            for (int32_t kh = rows.first; kh < rows.last; kh++)
                for (int32_t kw = cols.first; kw < cols.last; kw++) {
                    const uint32_t *at = x + ((size_t)(top + kh) * a->in_w + left + kw) * a->words;
                    for (int32_t i = 0; i < a->words; i++)
                        y[i] |= at[i];
                }
        }
}
