/* A float image inside its padding. */
#ifndef SMIDGEN_PADDED_H
#define SMIDGEN_PADDED_H

#include "library.h"

/* to [rows][columns][in]: x from row -pad_top and column -pad_left on. */
static void with_padding(const smg_convolution_args *a, const float *x, int32_t rows, int32_t columns,
                         float *to) {
    const size_t in = (size_t)a->in, wide = (size_t)columns * in;
    const int32_t before = smg_least(a->pad_left, columns), inside = smg_least(a->width, columns - before);
    const size_t left = (size_t)before * in, filled = (size_t)inside * in;
    for (int32_t i = -a->pad_top; i < rows - a->pad_top; i++, to += wide) {
        if (i < 0 || i >= a->height) {
            __builtin_memset(to, 0, wide * sizeof(float));
            continue;
        }
        __builtin_memset(to, 0, left * sizeof(float));
        __builtin_memcpy(to + left, x + (size_t)i * (size_t)a->width * in, filled * sizeof(float));
        __builtin_memset(to + left + filled, 0, (wide - left - filled) * sizeof(float));
    }
}

/* The rows and columns that windows reach: x itself where it is just that, else a copy in scratch memory. */
static const float *padded(const smg_convolution_args *a, const float *x, int32_t rows, int32_t columns,
                           float *scratch) {
    if (a->pad_top == 0 && a->pad_left == 0 && rows <= a->height && columns == a->width)
        return x;
    with_padding(a, x, rows, columns, scratch);
    return scratch;
}

#endif
