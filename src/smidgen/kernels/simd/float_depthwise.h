/* smg_depthwise: 16 channels of a pixel at a time. */
#ifndef SMIDGEN_FLOAT_DEPTHWISE_H
#define SMIDGEN_FLOAT_DEPTHWISE_H

#include "lanes.h"
#include "padded.h"

/* `pixels` neighbouring outputs from y on, `lanes` channels of each; `wide`: from a row of x to the next. */
SMG_INLINE void depthwise_pixels(const int pixels, const int some, int32_t lanes, const smg_depthwise_args *a,
                                 const float *x, size_t wide, const float *w, float *y) {
    const size_t in = (size_t)a->in, step = (size_t)a->stride_w * in;
    smg_floats sum[4];
#pragma GCC unroll 4
    for (int p = 0; p < pixels; p++)
        sum[p] = smg_none();
    for (int32_t i = 0; i < a->kernel_h; i++, x += wide)
        for (int32_t j = 0; j < a->kernel_w; j++, w += in) {
            const smg_floats tap = some ? smg_load_some(w, lanes) : smg_load(w);
            const float *at = x + (size_t)j * in;
#pragma GCC unroll 4
            for (int p = 0; p < pixels; p++, at += step)
                sum[p] = smg_add_product(tap, some ? smg_load_some(at, lanes) : smg_load(at), sum[p]);
        }
#pragma GCC unroll 4
    for (int p = 0; p < pixels; p++, y += in)
        if (some)
            smg_store_some(y, lanes, sum[p]);
        else
            smg_store(y, sum[p]);
}

/* One row of outputs, `lanes` channels from the first of x, w and y on. */
SMG_INLINE void depthwise_row(const int some, int32_t lanes, const smg_depthwise_args *a, const float *x,
                              size_t wide, const float *w, float *y) {
    const size_t in = (size_t)a->in, step = (size_t)a->stride_w * in;
    int32_t column = 0;
    for (; column + 4 <= a->out_w; column += 4, x += 4 * step, y += 4 * in)
        depthwise_pixels(4, some, lanes, a, x, wide, w, y);
    for (; column < a->out_w; column++, x += step, y += in)
        depthwise_pixels(1, some, lanes, a, x, wide, w, y);
}

void SIMD(smg_depthwise)(const smg_depthwise_args *a, const float *x, float *y, int32_t samples,
                         void *scratch) {
    const int32_t rows = smg_reach(a->out_h, a->stride_h, a->kernel_h);
    const int32_t columns = smg_reach(a->out_w, a->stride_w, a->kernel_w);
    const size_t in = (size_t)a->in, wide = (size_t)columns * in;
    for (int32_t s = 0; s < samples; s++, x += (size_t)a->height * (size_t)a->width * in) {
        const float *image = padded(a, x, rows, columns, scratch);
        for (int32_t row = 0; row < a->out_h; row++, y += (size_t)a->out_w * in) {
            const float *from = image + (size_t)(row * a->stride_h) * wide;
            int32_t c = 0;
            for (; c + SMG_LANES <= a->in; c += SMG_LANES)
                depthwise_row(0, SMG_LANES, a, from + c, wide, a->weight + c, y + c);
            if (c < a->in)
                depthwise_row(1, a->in - c, a, from + c, wide, a->weight + c, y + c);
        }
    }
}

#endif
