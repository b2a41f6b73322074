/* Sums and products of two values: smg_q_add, smg_q_mul and their 16-bit twins. */
#ifndef SMIDGEN_BINARY_H
#define SMIDGEN_BINARY_H

#include "flat.h"

/* y = floor(x0 * factor_0 + x1 * factor_1 + rest) of a sum, floor(x0 * x1 * factor_0 + rest) of a product;
 * zero points are taken off before. */
typedef struct {
    const int32_t *dims, *strides_0, *strides_1; /* [4] each */
    int32_t zero_0, zero_1, wide_0, wide_1, wide_y;
    double factor_0, factor_1;
    smg_range range;
} smg_binary;

typedef smg_vec (*smg_pair)(const smg_binary *, smg_vec, smg_vec);

SMG_INLINE smg_vec pair_sum(const smg_binary *b, smg_vec x0, smg_vec x1) {
    smg_real half[2];
    for (int i = 0; i < 2; i++) {
        half[i] = smg_affine(smg_half(x0, i), smg_reals(b->factor_0), smg_reals(0.5));
        half[i] = smg_affine(smg_half(x1, i), smg_reals(b->factor_1), half[i]);
    }
    return smg_floors(half[0], half[1], &b->range);
}

SMG_INLINE smg_vec pair_product(const smg_binary *b, smg_vec x0, smg_vec x1) {
    const smg_vec v = smg_product(x0, x1);
    return smg_floors(smg_affine(smg_half(v, 0), smg_reals(b->factor_0), smg_reals(0.5)),
                      smg_affine(smg_half(v, 1), smg_reals(b->factor_0), smg_reals(0.5)), &b->range);
}

/* The operand at element `at` + i, or at `at` where it is broadcast. */
SMG_INLINE smg_vec operand(const void *x, int32_t wide, size_t at, int32_t stride, int32_t i, int32_t n) {
    return stride == 0 ? smg_all(smg_load(x, wide, at)) : smg_values(x, wide, at + (size_t)i, n);
}

SMG_INLINE void binary_run(const smg_binary *b, smg_pair pair, const void *x0, const void *x1, void *y) {
    const int32_t *d = b->dims, *s0 = b->strides_0, *s1 = b->strides_1;
    const smg_vec zero_0 = smg_all(b->zero_0), zero_1 = smg_all(b->zero_1);
    size_t at = 0;
    for (int32_t i = 0; i < d[0]; i++)
        for (int32_t j = 0; j < d[1]; j++)
            for (int32_t k = 0; k < d[2]; k++, at += (size_t)d[3]) {
                const size_t from0 = (size_t)i * s0[0] + (size_t)j * s0[1] + (size_t)k * s0[2];
                const size_t from1 = (size_t)i * s1[0] + (size_t)j * s1[1] + (size_t)k * s1[2];
                for (int32_t l = 0; l < d[3]; l += LANES) {
                    const int32_t n = d[3] - l < LANES ? d[3] - l : LANES;
                    const smg_vec v0 = operand(x0, b->wide_0, from0, s0[3], l, n);
                    const smg_vec v1 = operand(x1, b->wide_1, from1, s1[3], l, n);
                    const smg_vec v = pair(b, smg_difference(v0, zero_0), smg_difference(v1, zero_1));
                    smg_put(y, b->wide_y, at + (size_t)l, n, v);
                }
            }
}

static int unit_steps(const smg_binary *b) {
    return (b->dims[3] == 1 || (b->strides_0[3] <= 1 && b->strides_1[3] <= 1));
}

static double power_of_half(int32_t shift) {
    return 1.0 / (double)((int64_t)1 << shift);
}

static void sums(const smg_binary *b, const smg_job *job) {
    for (int32_t s = 0; s < job->samples; s++)
        binary_run(b, pair_sum, smg_at(job, 0, s), smg_at(job, 1, s), smg_at(job, 2, s));
}

static void products(const smg_binary *b, const smg_job *job) {
    for (int32_t s = 0; s < job->samples; s++)
        binary_run(b, pair_product, smg_at(job, 0, s), smg_at(job, 1, s), smg_at(job, 4, s));
}

static void add_run(const void *args, const smg_job *job) {
    const smg_q_add_args *a = args;
    const double unit = power_of_half(a->shift);
    const smg_binary b = {&a->d0,
                          &a->s0_0,
                          &a->s1_0,
                          a->zero_0,
                          a->zero_1,
                          0,
                          0,
                          0,
                          a->multiplier_0 * unit,
                          a->multiplier_1 * unit,
                          smg_make_range(a->lo, a->hi, a->zero_y)};
    if (unit_steps(&b))
        sums(&b, job);
    else
        for (int32_t s = 0; s < job->samples; s++)
            smg_q_add(a, smg_at(job, 0, s), smg_at(job, 1, s), smg_at(job, 2, s));
}

static void add16_run(const void *args, const smg_job *job) {
    const smg_q_add16_args *a = args;
    const double unit = power_of_half(a->shift);
    const smg_binary b = {&a->d0,
                          &a->s0_0,
                          &a->s1_0,
                          a->zero_0,
                          a->zero_1,
                          a->wide_0,
                          a->wide_1,
                          a->wide_y,
                          a->multiplier_0 * unit,
                          a->multiplier_1 * unit,
                          smg_make_range(a->lo, a->hi, a->zero_y)};
    if (unit_steps(&b))
        sums(&b, job);
    else
        for (int32_t s = 0; s < job->samples; s++)
            smg_q_add16(a, smg_at(job, 0, s), smg_at(job, 1, s), smg_at(job, 2, s));
}

static double ratio_at(const smg_job *job, int which) {
    const uint16_t *multiplier = job->pointers[which];
    const uint8_t *shift = job->pointers[which + 1];
    return *multiplier * power_of_half(*shift);
}

static void mul_run(const void *args, const smg_job *job) {
    const smg_q_mul_args *a = args;
    const smg_binary b = {&a->d0,
                          &a->s0_0,
                          &a->s1_0,
                          a->zero_0,
                          a->zero_1,
                          0,
                          0,
                          0,
                          ratio_at(job, 2),
                          0.0,
                          smg_make_range(a->lo, a->hi, a->zero_y)};
    if (unit_steps(&b))
        products(&b, job);
    else
        for (int32_t s = 0; s < job->samples; s++)
            smg_q_mul(a, smg_at(job, 0, s), smg_at(job, 1, s), job->pointers[2], job->pointers[3],
                      smg_at(job, 4, s));
}

static void mul16_run(const void *args, const smg_job *job) {
    const smg_q_mul16_args *a = args;
    const smg_binary b = {&a->d0,
                          &a->s0_0,
                          &a->s1_0,
                          a->zero_0,
                          a->zero_1,
                          a->wide_0,
                          a->wide_1,
                          a->wide_y,
                          ratio_at(job, 2),
                          0.0,
                          smg_make_range(a->lo, a->hi, a->zero_y)};
    if (unit_steps(&b))
        products(&b, job);
    else
        for (int32_t s = 0; s < job->samples; s++)
            smg_q_mul16(a, smg_at(job, 0, s), smg_at(job, 1, s), job->pointers[2], job->pointers[3],
                        smg_at(job, 4, s));
}

const smg_variant SIMD(smg_q_add) = {"smg_q_add", ISA, NULL, NULL, NULL, add_run};
const smg_variant SIMD(smg_q_add16) = {"smg_q_add16", ISA, NULL, NULL, NULL, add16_run};
const smg_variant SIMD(smg_q_mul) = {"smg_q_mul", ISA, NULL, NULL, NULL, mul_run};
const smg_variant SIMD(smg_q_mul16) = {"smg_q_mul16", ISA, NULL, NULL, NULL, mul16_run};

#endif
