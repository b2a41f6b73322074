/* smg_convolution: the image gets its padding; then a row of outputs is one product with the taps below it.
 */
#ifndef SMIDGEN_CONVOLUTION_H
#define SMIDGEN_CONVOLUTION_H

#include "product.h"

/* padded [rows][columns][in]: x from row -pad_top and column -pad_left on. */
static void with_padding(const smg_convolution_args *a, const float *x, int32_t rows, int32_t columns,
                         float *padded) {
    const size_t in = (size_t)a->in, wide = (size_t)columns * in;
    const int32_t before = smg_least(a->pad_left, columns), inside = smg_least(a->width, columns - before);
    const size_t left = (size_t)before * in, filled = (size_t)inside * in;
    for (int32_t i = -a->pad_top; i < rows - a->pad_top; i++, padded += wide) {
        if (i < 0 || i >= a->height) {
            __builtin_memset(padded, 0, wide * sizeof(float));
            continue;
        }
        __builtin_memset(padded, 0, left * sizeof(float));
        __builtin_memcpy(padded + left, x + (size_t)i * (size_t)a->width * in, filled * sizeof(float));
        __builtin_memset(padded + left + filled, 0, (wide - left - filled) * sizeof(float));
    }
}

void SIMD(smg_convolution)(const smg_convolution_args *a, const float *x, float *y, int32_t samples,
                           void *scratch) {
    const int32_t rows = smg_reach(a->out_h, a->stride_h, a->kernel_h);
    const int32_t columns = smg_reach(a->out_w, a->stride_w, a->kernel_w);
    const int whole = a->pad_top == 0 && a->pad_left == 0 && rows <= a->height && columns == a->width;
    const size_t in = (size_t)a->in, out = (size_t)a->out, wide = (size_t)columns * in;
    for (int32_t s = 0; s < samples; s++, x += (size_t)a->height * (size_t)a->width * in) {
        const float *image = whole ? x : scratch;
        if (!whole)
            with_padding(a, x, rows, columns, scratch);
        for (int32_t row = 0; row < a->out_h; row++, y += (size_t)a->out_w * out) {
            const smg_product p = {image + (size_t)(row * a->stride_h) * wide,
                                   a->weight,
                                   y,
                                   (size_t)a->stride_w * in,
                                   out,
                                   out,
                                   a->out_w,
                                   a->out,
                                   a->kernel_w * a->in,
                                   a->kernel_h,
                                   wide};
            smg_multiply(&p);
        }
    }
}

#endif
