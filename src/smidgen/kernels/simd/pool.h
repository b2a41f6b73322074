/* Maxima and averages over windows, LANES channels at a time. */
#ifndef SMIDGEN_POOL_H
#define SMIDGEN_POOL_H

#include "flat.h"

static double pool_ratio(const smg_job *job, int32_t entry) {
    const uint16_t *multiplier = job->pointers[1];
    const uint8_t *shift = job->pointers[2];
    return multiplier[entry] / (double)((int64_t)1 << shift[entry]);
}

SMG_INLINE smg_vec scaled(smg_vec sum, double ratio, const smg_range *range) {
    return smg_floors(smg_affine(smg_half(sum, 0), smg_reals(ratio), smg_reals(0.5)),
                      smg_affine(smg_half(sum, 1), smg_reals(ratio), smg_reals(0.5)), range);
}

static void max_window(const smg_q_max_pool_args *a, const int8_t *x, int32_t top, int32_t left, int8_t *y) {
    const smg_taps rows = smg_inside(top, a->k_h, 1, a->in_h), cols = smg_inside(left, a->k_w, 1, a->in_w);
    for (int32_t c = 0; c < a->channels; c += LANES) {
        const int32_t n = a->channels - c < LANES ? a->channels - c : LANES;
        smg_vec most = smg_all(-128);
        for (int32_t i = rows.first; i < rows.last; i++)
            for (int32_t j = cols.first; j < cols.last; j++)
                most = smg_larger(
                    most, smg_values(x, 0, ((size_t)(top + i) * a->in_w + (left + j)) * a->channels + c, n));
        smg_put(y, 0, (size_t)c, n, most);
    }
}

static void max_pool_run(const void *args, const smg_job *job) {
    const smg_q_max_pool_args *a = args;
    for (int32_t s = 0; s < job->samples; s++) {
        int8_t *y = smg_at(job, 1, s);
        for (int32_t i = 0; i < a->out_h; i++)
            for (int32_t j = 0; j < a->out_w; j++, y += a->channels)
                max_window(a, smg_at(job, 0, s), i * a->stride_h - a->pad_top, j * a->stride_w - a->pad_left,
                           y);
    }
}

static void avg_window(const smg_q_avg_pool_args *a, const smg_job *job, const smg_range *range,
                       const int8_t *x, int32_t top, int32_t left, int8_t *y) {
    const smg_taps rows = smg_inside(top, a->k_h, 1, a->in_h), cols = smg_inside(left, a->k_w, 1, a->in_w);
    const int32_t count = (rows.last - rows.first) * (cols.last - cols.first);
    const double ratio = pool_ratio(job, a->by_count && count > 0 ? count - 1 : 0);
    for (int32_t c = 0; c < a->channels; c += LANES) {
        const int32_t n = a->channels - c < LANES ? a->channels - c : LANES;
        smg_vec sum = smg_all(-count * a->zero_x);
        for (int32_t i = rows.first; i < rows.last; i++)
            for (int32_t j = cols.first; j < cols.last; j++)
                sum = smg_plus(
                    sum, smg_values(x, 0, ((size_t)(top + i) * a->in_w + (left + j)) * a->channels + c, n));
        smg_put(y, 0, (size_t)c, n, scaled(sum, ratio, range));
    }
}

static void avg_pool_run(const void *args, const smg_job *job) {
    const smg_q_avg_pool_args *a = args;
    const smg_range range = smg_make_range(a->lo, a->hi, a->zero_y);
    for (int32_t s = 0; s < job->samples; s++) {
        int8_t *y = smg_at(job, 3, s);
        for (int32_t i = 0; i < a->out_h; i++)
            for (int32_t j = 0; j < a->out_w; j++, y += a->channels)
                avg_window(a, job, &range, smg_at(job, 0, s), i * a->stride_h - a->pad_top,
                           j * a->stride_w - a->pad_left, y);
    }
}

/* y [k2] from x [r0][..][r1][k2], rows of r0 `step` values apart. */
static void mean_of(const smg_q_mean_args *a, double ratio, const smg_range *range, const int8_t *x,
                    size_t step, int8_t *y) {
    const int32_t start = (int32_t)(0 - (uint32_t)(a->r0 * a->r1) * (uint32_t)a->zero_x);
    for (int32_t c = 0; c < a->k2; c += LANES) {
        const int32_t n = a->k2 - c < LANES ? a->k2 - c : LANES;
        smg_vec sum = smg_all(start);
        for (int32_t i = 0; i < a->r0; i++)
            for (int32_t j = 0; j < a->r1; j++)
                sum = smg_plus(sum, smg_values(x, 0, (size_t)i * step + (size_t)j * a->k2 + c, n));
        smg_put(y, 0, (size_t)c, n, scaled(sum, ratio, range));
    }
}

static void mean_run(const void *args, const smg_job *job) {
    const smg_q_mean_args *a = args;
    const smg_range range = smg_make_range(a->lo, a->hi, a->zero_y);
    const double ratio = pool_ratio(job, 0);
    const size_t step1 = (size_t)a->r1 * a->k2, step0 = (size_t)a->k1 * step1;
    for (int32_t s = 0; s < job->samples; s++) {
        const int8_t *x = smg_at(job, 0, s);
        int8_t *y = smg_at(job, 3, s);
        for (int32_t i = 0; i < a->k0; i++)
            for (int32_t j = 0; j < a->k1; j++, y += a->k2)
                mean_of(a, ratio, &range, x + (size_t)i * a->r0 * step0 + (size_t)j * step1, step0, y);
    }
}

const smg_variant SIMD(smg_q_max_pool) = {"smg_q_max_pool", ISA, NULL, NULL, NULL, max_pool_run};
const smg_variant SIMD(smg_q_avg_pool) = {"smg_q_avg_pool", ISA, NULL, NULL, NULL, avg_pool_run};
const smg_variant SIMD(smg_q_mean) = {"smg_q_mean", ISA, NULL, NULL, NULL, mean_run};

#endif
