#include "smg_library.h"

/* The image with its padding. */
size_t smg_convolution_scratch(const smg_convolution_args *a) {
    const size_t pixels = (size_t)(a->height + 2 * a->pad_h) * (size_t)(a->width + 2 * a->pad_w);
    return pixels * (size_t)a->in * sizeof(float);
}

static float output(const smg_convolution_args *a, const float *x, int32_t row, int32_t column, int32_t o) {
    float sum = 0;
    for (int32_t i = 0; i < a->kernel_h; i++)
        for (int32_t j = 0; j < a->kernel_w; j++) {
            const int32_t from = row + i - a->pad_h, at = column + j - a->pad_w;
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
    const int32_t rows = a->height + 2 * a->pad_h - a->kernel_h + 1;
    const int32_t columns = a->width + 2 * a->pad_w - a->kernel_w + 1;
    (void)scratch;
    for (int32_t s = 0; s < samples; s++, x += (size_t)a->height * (size_t)a->width * (size_t)a->in)
        for (int32_t row = 0; row < rows; row++)
            for (int32_t column = 0; column < columns; column++)
                for (int32_t o = 0; o < a->out; o++)
                    *y++ = output(a, x, row, column, o);
}
