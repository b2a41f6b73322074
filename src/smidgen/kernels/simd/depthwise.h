/* Depthwise convolution: DEPTH taps of LANES channels a product, gathered where they lie in the padded image.
 */
#ifndef SMIDGEN_DEPTHWISE_H
#define SMIDGEN_DEPTHWISE_H

#include "gemm.h"
#include "image.h"

enum { TAP_PIXELS = 8 }; /* most positions side by side */

static smg_image depthwise_image(const smg_q_depthwise_args *a) {
    const smg_image m = {a->in_h,
                         a->in_w,
                         a->channels,
                         a->pad_top,
                         a->pad_left,
                         smg_reached(a->out_h, a->stride_h, a->k_h, a->dilation_h),
                         smg_reached(a->out_w, a->stride_w, a->k_w, a->dilation_w)};
    return m;
}

static smg_window depthwise_window(const smg_q_depthwise_args *a) {
    const smg_window w = {1, 1, a->k_h * a->k_w, 0, 0};
    return w;
}

static size_t depthwise_packed(const void *args, void *const *pointers) {
    (void)pointers;
    const smg_q_depthwise_args *a = args;
    const smg_window w = depthwise_window(a);
    return smg_gemm_bytes(&w, a->channels);
}

static size_t depthwise_scratch(const void *args) {
    const smg_image m = depthwise_image(args);
    return smg_image_bytes(&m);
}

static void depthwise_pack(const void *args, void *const *pointers, void *packed) {
    const smg_q_depthwise_args *a = args;
    const smg_window w = depthwise_window(a);
    const smg_layer layer = {pointers[1],    pointers[2], pointers[3], pointers[4],
                             a->per_channel, a->zero_x,   a->zero_y};
    smg_pack_gemm(&w, &layer, a->channels, packed);
}

/* `n` neighbouring positions of one block. */
SMG_INLINE void depthwise_tile(const int n, const smg_gemm *g, const size_t *taps, int32_t block,
                               const smg_x *x, int8_t *y) {
    const smg_channels *channels = g->channels + block;
    const smg_w *w = g->weights + (size_t)block * smg_block_size(&g->window);
    const int32_t left = g->out - block * LANES, lanes = left < LANES ? left : LANES;
    smg_vec sum[TAP_PIXELS];
#pragma GCC unroll 8
    for (int p = 0; p < n; p++)
        sum[p] = smg_start(channels);
    for (int32_t t = 0; t < g->window.run; t += DEPTH, w += LANES * DEPTH) {
        const smg_vec weights = smg_weights(w);
#pragma GCC unroll 8
        for (int p = 0; p < n; p++)
            sum[p] = smg_multiply_add(sum[p], smg_taps_of(x + (size_t)p * g->x_step, taps + t), weights);
    }
#pragma GCC unroll 8
    for (int p = 0; p < n; p++)
        smg_finish8(sum[p], channels, &g->bounds, lanes, y + (size_t)p * g->y_step);
}

static void depthwise_row(const smg_gemm *g, const size_t *taps, int32_t cols, const smg_x *x, int8_t *y) {
    for (int32_t block = 0; block < smg_blocks(g->out); block++) {
        const smg_x *from = x + (size_t)block * LANES;
        int8_t *to = y + (size_t)block * LANES;
        int32_t left = cols;
        for (; left >= TAP_PIXELS; left -= TAP_PIXELS) {
            depthwise_tile(TAP_PIXELS, g, taps, block, from, to);
            from += TAP_PIXELS * g->x_step;
            to += TAP_PIXELS * g->y_step;
        }
        for (; left >= 4; left -= 4, from += 4 * g->x_step, to += 4 * g->y_step)
            depthwise_tile(4, g, taps, block, from, to);
        for (; left > 0; left--, from += g->x_step, to += g->y_step)
            depthwise_tile(1, g, taps, block, from, to);
    }
}

static void depthwise_run(const void *args, const smg_job *job) {
    const smg_q_depthwise_args *a = args;
    const smg_image m = depthwise_image(a);
    const smg_channels *channels = job->packed;
    const smg_gemm g = {depthwise_window(a),
                        channels,
                        (const smg_w *)(channels + smg_blocks(a->channels)),
                        a->channels,
                        (size_t)a->stride_w * a->channels,
                        (size_t)a->channels,
                        smg_make_bounds(a->lo, a->hi, a->zero_y)};
    size_t taps[SMG_DEPTHWISE_TAPS + DEPTH] = {0}; /* those that fill up DEPTH have weight 0 */
    for (int32_t t = 0; t < a->k_h * a->k_w; t++)
        taps[t] =
            ((size_t)(t / a->k_w) * a->dilation_h * m.w + (size_t)(t % a->k_w) * a->dilation_w) * a->channels;
    for (int32_t s = 0; s < job->samples; s++) {
        smg_pad_image(&m, smg_at(job, 0, s), a->zero_x, job->scratch);
        for (int32_t i = 0; i < a->out_h; i++)
            depthwise_row(&g, taps, a->out_w,
                          (const smg_x *)job->scratch + (size_t)i * a->stride_h * m.w * a->channels,
                          (int8_t *)smg_at(job, 5, s) + (size_t)i * a->out_w * a->channels);
    }
}

const smg_variant SIMD(smg_q_depthwise) = {
    "smg_q_depthwise", ISA, depthwise_packed, depthwise_scratch, depthwise_pack, depthwise_run};

#endif
