#include "smg_library.h"

/* The part of the image and its padding that windows reach. */
size_t smg_convolution_scratch(const smg_convolution_args *a) {
    const size_t rows = (size_t)smg_reach(a->out_h, a->stride_h, a->kernel_h);
    return rows * (size_t)smg_reach(a->out_w, a->stride_w, a->kernel_w) * (size_t)a->in * sizeof(float);
}

static float output(const smg_convolution_args *a, const float *x, int32_t row, int32_t column, int32_t o) {
    float sum = 0;
    for (int32_t i = 0; i < a->kernel_h; i++)
        for (int32_t j = 0; j < a->kernel_w; j++) {
            const int32_t from = row * a->stride_h + i - a->pad_top;
            const int32_t at = column * a->stride_w + j - a->pad_left;
            if (from < 0 || from >= a->height || at < 0 || at >= a->width)
                continue;
            const float *pixel = x + ((size_t)from * (size_t)a->width + (size_t)at) * (size_t)a->in;
            const float *weight = a->weight + (size_t)(i * a->kernel_w + j) * (size_t)a->in * (size_t)a->out;
            for (int32_t c = 0; c < a->in; c++)
                sum += pixel[c] * weight[(size_t)c * (size_t)a->out + (size_t)o];
        }
    return sum;
}

void smg_convolution(const smg_convolution_args *a, const float *x, float *y, int32_t samples,
                     void *scratch) {
    (void)scratch;
    for (int32_t s = 0; s < samples; s++, x += (size_t)a->height * (size_t)a->width * (size_t)a->in)
        for (int32_t row = 0; row < a->out_h; row++)
            for (int32_t column = 0; column < a->out_w; column++)
                for (int32_t o = 0; o < a->out; o++)
                    *y++ = output(a, x, row, column, o);
}
