/* Linear layers: smg_q_linear and smg_q_linear16, rows of all samples together. */
#ifndef SMIDGEN_LINEAR_H
#define SMIDGEN_LINEAR_H

#include "linear_rows.h"

static smg_window linear_window(const smg_q_linear_args *a) {
    const smg_window w = {1, 1, a->in, 0, 0};
    return w;
}

static size_t linear_packed(const void *args, void *const *pointers) {
    (void)pointers;
    const smg_q_linear_args *a = args;
    const smg_window w = linear_window(a);
    return smg_gemm_bytes(&w, a->out);
}

static size_t linear_scratch(const void *args) {
    return (linear_row(args) * LINEAR_ROWS + 64) * sizeof(smg_x);
}

static void linear_pack(const void *args, void *const *pointers, void *packed) {
    const smg_q_linear_args *a = args;
    const smg_window w = linear_window(a);
    const smg_layer layer = linear_layer(a, pointers);
    smg_pack_gemm(&w, &layer, a->out, packed);
}

/* Rows `first` .. `first + n - 1`; they lie in one sample. */
SMG_INLINE void linear_rows(const smg_q_linear_args *a, const smg_job *job, const smg_gemm *g, int32_t first,
                            int32_t n, const int wide) {
    linear_convert(a, job, first, n, job->scratch);
    smg_run_gemm(n, wide, g, job->scratch, linear_output(a, job, first, wide));
}

SMG_INLINE void linear_run(const smg_q_linear_args *a, const smg_job *job, const int wide) {
    const smg_channels *channels = job->packed;
    smg_gemm g = {linear_window(a), channels,       (const smg_w *)(channels + smg_blocks(a->out)), a->out,
                  linear_row(a),    (size_t)a->out, smg_make_bounds(a->lo, a->hi, a->zero_y)};
    /* One row a sample: the rows of y are as far apart as the samples. Else samples take turns. */
    const int32_t all = a->rows * job->samples, limit = a->rows == 1 ? all : a->rows;
    if (a->rows == 1)
        g.y_step = (size_t)job->strides[5] / (wide ? 2 : 1);
    for (int32_t r = 0; r < all;) {
        const int32_t left = limit - r % limit, n = left < LINEAR_ROWS ? left : LINEAR_ROWS;
        linear_rows(a, job, &g, r, n, wide);
        r += n;
    }
}

/* The two kernels of an instruction set, in a file of its own. */
#define LINEAR_VARIANTS(packed, scratch, pack, run8, run16)                                                  \
    const smg_variant SIMD(smg_q_linear) = {"smg_q_linear", ISA, packed, scratch, pack, run8};               \
    const smg_variant SIMD(smg_q_linear16) = {"smg_q_linear16", ISA, packed, scratch, pack, run16};

#endif
