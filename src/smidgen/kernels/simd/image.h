/* An image inside its padding, in the form that products take. */
#ifndef SMIDGEN_IMAGE_H
#define SMIDGEN_IMAGE_H

#include "vector.h"

/* Sizes of the padded image: just what the windows reach, which may be less than the image. */
typedef struct {
    int32_t in_h, in_w, channels, pad_top, pad_left, h, w;
} smg_image;

static inline int32_t smg_reached(int32_t out, int32_t stride, int32_t kernel, int32_t dilation) {
    return (out - 1) * stride + (kernel - 1) * dilation + 1;
}

/* What the windows of a convolution reach. */
static inline smg_image smg_conv_image(const smg_q_conv_args *a) {
    const smg_image m = {a->in_h,
                         a->in_w,
                         a->in_c,
                         a->pad_top,
                         a->pad_left,
                         smg_reached(a->out_h, a->stride_h, a->k_h, a->dilation_h),
                         smg_reached(a->out_w, a->stride_w, a->k_w, a->dilation_w)};
    return m;
}

/* Values of the padded image and a vector more, which is read but not used. */
static inline size_t smg_image_bytes(const smg_image *m) {
    const size_t pixels = smg_times((size_t)m->h, (size_t)m->w);
    return smg_times(pixels, (size_t)m->channels * sizeof(smg_x)) + 128;
}

static inline smg_x *smg_fill_values(smg_x *y, size_t n, smg_x value) {
    for (size_t i = 0; i < n; i++)
        y[i] = value;
    return y + n;
}

/* How many of `n` positions from -`pad` on lie before the image's start, and inside its `size`. */
static inline void smg_split(int32_t pad, int32_t size, int32_t n, int32_t *before, int32_t *inside) {
    *before = pad < n ? pad : n;
    *inside = n - *before < size ? n - *before : size;
}

/* y [h][w][channels]: x [in_h][in_w][channels], and `zero` around it. */
static inline void smg_pad_image(const smg_image *m, const int8_t *x, int32_t zero, smg_x *y) {
    int32_t top, rows, left, cols;
    const smg_x fill = smg_from((int8_t)zero, zero);
    const size_t c = (size_t)m->channels, row = (size_t)m->w * c;
    smg_split(m->pad_top, m->in_h, m->h, &top, &rows);
    smg_split(m->pad_left, m->in_w, m->w, &left, &cols);
    y = smg_fill_values(y, (size_t)top * row, fill);
    if (cols == m->w && cols == m->in_w) {
        smg_convert(x, (size_t)rows * row, zero, y);
        y += (size_t)rows * row;
    } else {
        for (int32_t i = 0; i < rows; i++, x += (size_t)m->in_w * c) {
            y = smg_fill_values(y, (size_t)left * c, fill);
            smg_convert(x, (size_t)cols * c, zero, y);
            y = smg_fill_values(y + (size_t)cols * c, (size_t)(m->w - left - cols) * c, fill);
        }
    }
    smg_fill_values(y, (size_t)(m->h - top - rows) * row, fill);
}

#endif
