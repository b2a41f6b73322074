#include "smidgen.h"

/* The larger of 32 numbers each: in the first plane where they differ, it has a 1. */
static void larger(int32_t planes, const uint32_t *x, size_t x_plane, uint32_t *y, size_t y_plane) {
    uint32_t equal = ~0u, above = 0;
    for (int32_t p = 0; p < planes; p++) {
        const uint32_t differ = equal & (x[(size_t)p * x_plane] ^ y[(size_t)p * y_plane]);
        above |= differ & x[(size_t)p * x_plane];
        equal &= ~differ;
    }
    for (int32_t p = 0; p < planes; p++)
        y[(size_t)p * y_plane] = (x[(size_t)p * x_plane] & above) | (y[(size_t)p * y_plane] & ~above);
}

void smg_q_planes_max_pool(const smg_q_planes_max_pool_args *a, const uint32_t *x, uint32_t *y) {
    const size_t x_plane = (size_t)a->in_h * a->in_w * a->words,
                 y_plane = (size_t)a->out_h * a->out_w * a->words;
    for (size_t i = 0; i < (size_t)a->planes * y_plane; i++)
        y[i] = 0;
    for (int32_t oh = 0; oh < a->out_h; oh++)
        for (int32_t ow = 0; ow < a->out_w; ow++, y += a->words) {
            const int32_t top = oh * a->stride_h - a->pad_top, left = ow * a->stride_w - a->pad_left;
            const smg_taps rows = smg_inside(top, a->k_h, 1, a->in_h);
            const smg_taps cols = smg_inside(left, a->k_w, 1, a->in_w);
            for (int32_t kh = rows.first; kh < rows.last; kh++)
                for (int32_t kw = cols.first; kw < cols.last; kw++) {
                    const uint32_t *at = x + ((size_t)(top + kh) * a->in_w + left + kw) * a->words;
                    for (int32_t i = 0; i < a->words; i++)
                        larger(a->planes, at + i, x_plane, y + i, y_plane);
                }
        }
}
