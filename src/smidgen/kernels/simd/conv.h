/* Convolution without im2col: a window's taps lie in the padded image where they are, a row of taps as one
 * run if nothing lies between them. */
#ifndef SMIDGEN_CONV_H
#define SMIDGEN_CONV_H

#include "gemm.h"
#include "image.h"

static smg_window conv_window(const smg_q_conv_args *a) {
    const smg_image m = smg_conv_image(a);
    const int32_t per_group = a->in_c / a->groups;
    const int dense = a->groups == 1 && a->dilation_w == 1;
    const smg_window w = {a->k_h, dense ? 1 : a->k_w, dense ? a->k_w * per_group : per_group,
                          (size_t)a->dilation_h * (size_t)m.w * (size_t)a->in_c,
                          (size_t)a->dilation_w * (size_t)a->in_c};
    return w;
}

static size_t conv_packed(const void *args) {
    const smg_q_conv_args *a = args;
    const smg_window w = conv_window(a);
    return smg_times((size_t)a->groups, smg_gemm_bytes(&w, a->out_c / a->groups));
}

static size_t conv_scratch(const void *args) {
    const smg_image m = smg_conv_image(args);
    return smg_image_bytes(&m);
}

/* One group after the other. */
static void conv_pack(const void *args, void *const *pointers, void *packed) {
    const smg_q_conv_args *a = args;
    const smg_window w = conv_window(a);
    const int32_t out = a->out_c / a->groups;
    char *to = packed;
    for (int32_t o = 0; o < a->out_c; o += out, to += smg_gemm_bytes(&w, out)) {
        const int32_t c = a->per_channel ? o : 0;
        const smg_layer layer = {(const int8_t *)pointers[1] + (size_t)o * w.outer * w.inner * w.run,
                                 (const int32_t *)pointers[2] + o,
                                 (const uint16_t *)pointers[3] + c,
                                 (const uint8_t *)pointers[4] + c,
                                 a->per_channel,
                                 a->zero_x,
                                 a->zero_y};
        smg_pack_gemm(&w, &layer, out, to);
    }
}

/* All positions of one group; `x` and `y` are at its first channels. */
static void conv_group(const smg_q_conv_args *a, const smg_gemm *g, int32_t padded_w, const smg_x *x,
                       int8_t *y) {
    const int32_t whole = a->k_h == 1 && a->k_w == 1 && a->stride_h == 1 && a->stride_w == 1;
    const int32_t rows = whole ? 1 : a->out_h, cols = whole ? a->out_h * a->out_w : a->out_w;
    for (int32_t i = 0; i < rows; i++)
        smg_run_gemm(cols, 0, g, x + (size_t)i * a->stride_h * padded_w * a->in_c,
                     y + (size_t)i * a->out_w * a->out_c);
}

static void conv_run(const void *args, const smg_job *job) {
    const smg_q_conv_args *a = args;
    const smg_image m = smg_conv_image(a);
    smg_x *x = job->scratch;
    const int32_t out = a->out_c / a->groups;
    smg_gemm g = {conv_window(a),
                  0,
                  0,
                  out,
                  (size_t)a->stride_w * a->in_c,
                  (size_t)a->out_c,
                  smg_make_bounds(a->lo, a->hi, a->zero_y)};
    const size_t group_bytes = smg_gemm_bytes(&g.window, out);
    for (int32_t s = 0; s < job->samples; s++) {
        smg_pad_image(&m, smg_at(job, 0, s), a->zero_x, x);
        for (int32_t group = 0; group < a->groups; group++) {
            g.channels = (const void *)((const char *)job->packed + group * group_bytes);
            g.weights = (const smg_w *)(g.channels + smg_blocks(out));
            conv_group(a, &g, m.w, x + group * (a->in_c / a->groups),
                       (int8_t *)smg_at(job, 5, s) + group * out);
        }
    }
}

const smg_variant SIMD(smg_q_conv) = {"smg_q_conv", ISA, conv_packed, conv_scratch, conv_pack, conv_run};

#endif
