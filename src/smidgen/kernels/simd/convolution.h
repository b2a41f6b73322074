/* smg_convolution: the image gets its padding; then a row of outputs is one product with the taps below it.
 */
#ifndef SMIDGEN_CONVOLUTION_H
#define SMIDGEN_CONVOLUTION_H

#include "padded.h"
#include "product.h"

void SIMD(smg_convolution)(const smg_convolution_args *a, const float *x, float *y, int32_t samples,
                           void *scratch) {
    const int32_t rows = smg_reach(a->out_h, a->stride_h, a->kernel_h);
    const int32_t columns = smg_reach(a->out_w, a->stride_w, a->kernel_w);
    const size_t in = (size_t)a->in, out = (size_t)a->out, wide = (size_t)columns * in;
    for (int32_t s = 0; s < samples; s++, x += (size_t)a->height * (size_t)a->width * in) {
        const float *image = padded(a, x, rows, columns, scratch);
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
