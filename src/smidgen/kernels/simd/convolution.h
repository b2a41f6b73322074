/* smg_convolution: the image gets its padding; then a row of outputs is one product with the taps below it.
 */
#ifndef SMIDGEN_CONVOLUTION_H
#define SMIDGEN_CONVOLUTION_H

#include "product.h"

static void with_padding(const smg_convolution_args *a, const float *x, float *padded) {
    const size_t in = (size_t)a->in, wide = ((size_t)a->width + 2 * (size_t)a->pad_w) * in;
    const size_t before = (size_t)a->pad_w * in, row = (size_t)a->width * in;
    for (int32_t i = -a->pad_h; i < a->height + a->pad_h; i++, padded += wide) {
        if (i < 0 || i >= a->height) {
            __builtin_memset(padded, 0, wide * sizeof(float));
            continue;
        }
        __builtin_memset(padded, 0, before * sizeof(float));
        __builtin_memcpy(padded + before, x + (size_t)i * row, row * sizeof(float));
        __builtin_memset(padded + before + row, 0, before * sizeof(float));
    }
}

void SIMD(smg_convolution)(const smg_convolution_args *a, const float *x, float *y, int32_t samples,
                           void *scratch) {
    const int32_t rows = a->height + 2 * a->pad_h - a->kernel_h + 1;
    const int32_t columns = a->width + 2 * a->pad_w - a->kernel_w + 1;
    const size_t in = (size_t)a->in, out = (size_t)a->out,
                 wide = ((size_t)a->width + 2 * (size_t)a->pad_w) * in;
    for (int32_t s = 0; s < samples; s++, x += (size_t)a->height * (size_t)a->width * in) {
        with_padding(a, x, scratch);
        for (int32_t row = 0; row < rows; row++, y += (size_t)columns * out) {
            const smg_product p = {(const float *)scratch + (size_t)row * wide,
                                   a->weight,
                                   y,
                                   in,
                                   out,
                                   out,
                                   columns,
                                   a->out,
                                   a->kernel_w * a->in,
                                   a->kernel_h,
                                   wide};
            smg_multiply(&p);
        }
    }
}

#endif
