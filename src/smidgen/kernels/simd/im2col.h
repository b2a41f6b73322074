/* Convolution by im2col: the values under each window are gathered into a row of a matrix first. Compared
 * with conv.h, tiles are full where an image is narrow, and taps of few channels waste no DEPTH; the price is
 * the gathering. A plan uses it where it measured it to be faster. One group only. */
#ifndef SMIDGEN_IM2COL_H
#define SMIDGEN_IM2COL_H

#include "gemm.h"
#include "image.h"

enum { IM2COL_ROWS = 24 }; /* windows gathered at a time: whole tiles of 12, 8 or 6 rows */

static int im2col_serves(const smg_q_conv_args *a) {
    const size_t taps = smg_times((size_t)a->k_h, smg_times((size_t)a->k_w, (size_t)a->in_c));
    return a->groups == 1 && taps <= SMG_MOST_BYTES && (a->k_h > 1 || a->k_w > 1);
}

static smg_window im2col_window(const smg_q_conv_args *a) {
    const smg_window w = {1, 1, a->k_h * a->k_w * a->in_c, 0, 0};
    return w;
}

static size_t im2col_packed(const void *args) {
    const smg_q_conv_args *a = args;
    if (!im2col_serves(a))
        return SMG_MOST_BYTES + 1; /* refused */
    const smg_window w = im2col_window(a);
    return smg_gemm_bytes(&w, a->out_c);
}

static size_t im2col_row(const smg_q_conv_args *a) {
    return smg_rounded((size_t)a->k_h * a->k_w * a->in_c, 64);
}

static size_t im2col_scratch(const void *args) {
    const smg_q_conv_args *a = args;
    if (!im2col_serves(a))
        return SMG_MOST_BYTES + 1;
    const smg_image m = smg_conv_image(a);
    return smg_rounded(smg_image_bytes(&m), 64) + (IM2COL_ROWS * im2col_row(a) + 64) * sizeof(smg_x);
}

static void im2col_pack(const void *args, void *const *pointers, void *packed) {
    const smg_q_conv_args *a = args;
    const smg_window w = im2col_window(a);
    const smg_layer layer = {pointers[1],    pointers[2], pointers[3], pointers[4],
                             a->per_channel, a->zero_x,   a->zero_y};
    smg_pack_gemm(&w, &layer, a->out_c, packed);
}

/* `n` values in steps of 32 bytes: what is copied too much lies in the image's spare bytes, and is
 * overwritten by the next run or never used. */
SMG_INLINE void im2col_copy(const smg_x *x, size_t n, smg_x *y) {
    for (size_t i = 0; i < n; i += 32 / sizeof(smg_x))
        __builtin_memcpy(y + i, x + i, 32);
}

/* row [k_h][k_w][in_c]: the values under the window whose first one is `x`. */
static void im2col_gather(const smg_q_conv_args *a, int32_t image_w, const smg_x *x, smg_x *row) {
    const int32_t runs = a->dilation_w == 1 ? 1 : a->k_w;
    const size_t run = (size_t)(a->k_w / runs) * a->in_c;
    for (int32_t i = 0; i < a->k_h; i++, x += (size_t)a->dilation_h * image_w * a->in_c)
        for (int32_t j = 0; j < runs; j++, row += run)
            im2col_copy(x + (size_t)j * a->dilation_w * a->in_c, run, row);
}

static void im2col_sample(const smg_q_conv_args *a, const smg_gemm *g, int32_t image_w, const smg_x *image,
                          smg_x *rows, int8_t *y) {
    const int32_t all = a->out_h * a->out_w;
    int32_t n;
    for (int32_t first = 0; first < all; first += n, y += (size_t)n * a->out_c) {
        n = all - first < IM2COL_ROWS ? all - first : IM2COL_ROWS;
        for (int32_t r = 0; r < n; r++) {
            const int32_t i = (first + r) / a->out_w * a->stride_h, j = (first + r) % a->out_w * a->stride_w;
            im2col_gather(a, image_w, image + ((size_t)i * image_w + j) * a->in_c,
                          rows + (size_t)r * g->x_step);
        }
        smg_run_gemm(n, 0, g, rows, y);
    }
}

static void im2col_run(const void *args, const smg_job *job) {
    const smg_q_conv_args *a = args;
    const smg_image m = smg_conv_image(a);
    const smg_channels *channels = job->packed;
    smg_x *image = job->scratch;
    smg_x *rows = (smg_x *)((char *)job->scratch + smg_rounded(smg_image_bytes(&m), 64));
    const smg_gemm g = {
        im2col_window(a), channels,         (const smg_w *)(channels + smg_blocks(a->out_c)), a->out_c,
        im2col_row(a),    (size_t)a->out_c, smg_make_bounds(a->lo, a->hi, a->zero_y)};
    for (int32_t s = 0; s < job->samples; s++) {
        smg_pad_image(&m, smg_at(job, 0, s), a->zero_x, image);
        im2col_sample(a, &g, m.w, image, rows, smg_at(job, 5, s));
    }
}

const smg_variant SIMD(smg_q_conv_im2col) = {"smg_q_conv",   ISA,         im2col_packed,
                                             im2col_scratch, im2col_pack, im2col_run};

#endif
