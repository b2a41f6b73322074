/* Sums and products of two values: smg_q_add, smg_q_mul and their 16-bit twins. */
#ifndef SMIDGEN_BINARY_H
#define SMIDGEN_BINARY_H

#include "flat.h"

/* y = (x0 * m_0 + x1 * m_1 + half) >> shift of a sum, (x0 * x1 * m_0 + half) >> shift of a product, in 32
 * bits if that is `narrow` enough, else as the floor of a double; zero points are taken off before. */
typedef struct {
    const int32_t *dims, *strides_0, *strides_1; /* [4] each */
    int32_t zero_0, zero_1, wide_0, wide_1, wide_y;
    int32_t m_0, m_1, shift, zero_y, lo, hi;
    double unit; /* 2^-shift */
    smg_range range;
} smg_binary;

typedef smg_vec (*smg_pair)(const smg_binary *, smg_vec, smg_vec);

SMG_INLINE smg_vec pair_sum(const smg_binary *b, smg_vec x0, smg_vec x1) {
    smg_real half[2];
    for (int i = 0; i < 2; i++) {
        half[i] = smg_affine(smg_half(x0, i), smg_reals(b->m_0 * b->unit), smg_reals(0.5));
        half[i] = smg_affine(smg_half(x1, i), smg_reals(b->m_1 * b->unit), half[i]);
    }
    return smg_floors(half[0], half[1], &b->range);
}

SMG_INLINE smg_vec pair_product(const smg_binary *b, smg_vec x0, smg_vec x1) {
    const smg_vec v = smg_product(x0, x1);
    const smg_real ratio = smg_reals(b->m_0 * b->unit);
    return smg_floors(smg_affine(smg_half(v, 0), ratio, smg_reals(0.5)),
                      smg_affine(smg_half(v, 1), ratio, smg_reals(0.5)), &b->range);
}

SMG_INLINE smg_vec narrow_end(const smg_binary *b, smg_vec v) {
    v = smg_shifted(smg_plus(v, smg_all(1 << (b->shift - 1))), b->shift);
    return smg_clamped(smg_plus(v, smg_all(b->zero_y)), b->lo, b->hi);
}

SMG_INLINE smg_vec narrow_sum(const smg_binary *b, smg_vec x0, smg_vec x1) {
    return narrow_end(b, smg_plus(smg_product(x0, smg_all(b->m_0)), smg_product(x1, smg_all(b->m_1))));
}

SMG_INLINE smg_vec narrow_product(const smg_binary *b, smg_vec x0, smg_vec x1) {
    return narrow_end(b, smg_product(smg_product(x0, x1), smg_all(b->m_0)));
}

/* The largest distance of a stored value from its zero point. */
static int64_t swing(int32_t wide, int32_t zero) {
    return (wide ? 32768 : 128) + (zero < 0 ? -(int64_t)zero : zero);
}

/* Halves multipliers and shift as long as nothing is lost, which makes powers of two 1. */
static void reduce(smg_binary *b) {
    while (b->shift > 1 && b->m_0 % 2 == 0 && b->m_1 % 2 == 0) {
        b->m_0 /= 2;
        b->m_1 /= 2;
        b->shift--;
    }
    b->unit = 1.0 / (double)((int64_t)1 << b->shift);
}

/* Whether a value of at most `most` can be rounded and shifted in 32 bits. */
static int is_narrow(const smg_binary *b, int64_t most) {
    return b->shift <= 30 && most + ((int64_t)1 << (b->shift - 1)) <= INT32_MAX;
}

/* Both rows of `n` int16 values as far as they fill vectors of 2 * LANES; returns how many that are. */
SMG_INLINE int32_t many_run(const smg_binary *b, const int product, int32_t n, const int16_t *x0,
                            const int16_t *x1, int16_t *y) {
    const smg_vec factors = smg_all((int32_t)((uint32_t)b->m_1 << 16 | (uint16_t)b->m_0));
    const smg_vec half = smg_all(1 << (b->shift - 1));
    int32_t i = 0;
    for (; i + MANY <= n; i += MANY) {
        const smg_vec v0 = smg_many(x0 + i), v1 = smg_many(x1 + i);
        smg_two v = product ? smg_many_products(v0, v1) : smg_many_sums(v0, v1, factors);
        for (int h = 0; h < 2; h++) {
            if (product && b->m_0 != 1)
                v.half[h] = smg_product(v.half[h], smg_all(b->m_0));
            v.half[h] = smg_shifted(smg_plus(v.half[h], half), b->shift);
        }
        smg_put_many(y + i, v, b->lo, b->hi);
    }
    return i;
}

/* Whether rows are int16 values around 0 in their order, and the factors of a sum fit into 16 bits. */
static int many_at_once(const smg_binary *b) {
    const int plain = b->wide_0 && b->wide_1 && b->wide_y && !b->zero_0 && !b->zero_1 && !b->zero_y;
    const int small = b->m_0 == (int16_t)b->m_0 && b->m_1 == (int16_t)b->m_1;
    return plain && small && b->dims[3] >= MANY && b->strides_0[3] == 1 && b->strides_1[3] == 1;
}

/* The operand at element `at` + i, or at `at` where it is broadcast. */
SMG_INLINE smg_vec operand(const void *x, int32_t wide, size_t at, int32_t stride, int32_t i, int32_t n) {
    return stride == 0 ? smg_all(smg_load(x, wide, at)) : smg_values(x, wide, at + (size_t)i, n);
}

SMG_INLINE void binary_run(const smg_binary *b, smg_pair pair, const int many, const void *x0, const void *x1,
                           void *y) {
    const int32_t *d = b->dims, *s0 = b->strides_0, *s1 = b->strides_1;
    const smg_vec zero_0 = smg_all(b->zero_0), zero_1 = smg_all(b->zero_1);
    size_t at = 0;
    for (int32_t i = 0; i < d[0]; i++)
        for (int32_t j = 0; j < d[1]; j++)
            for (int32_t k = 0; k < d[2]; k++, at += (size_t)d[3]) {
                const size_t from0 = (size_t)i * s0[0] + (size_t)j * s0[1] + (size_t)k * s0[2];
                const size_t from1 = (size_t)i * s1[0] + (size_t)j * s1[1] + (size_t)k * s1[2];
                int32_t l = 0;
                if (many)
                    l = many_run(b, pair == narrow_product, d[3], (const int16_t *)x0 + from0,
                                 (const int16_t *)x1 + from1, (int16_t *)y + at);
                for (; l < d[3]; l += LANES) {
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

static void sums(smg_binary *b, const smg_job *job) {
    reduce(b);
    const int64_t most = swing(b->wide_0, b->zero_0) * (b->m_0 < 0 ? -b->m_0 : b->m_0) +
                         swing(b->wide_1, b->zero_1) * (b->m_1 < 0 ? -b->m_1 : b->m_1);
    const int narrow = is_narrow(b, most);
    const int many = narrow && many_at_once(b);
    for (int32_t s = 0; s < job->samples; s++)
        if (many)
            binary_run(b, narrow_sum, 1, smg_at(job, 0, s), smg_at(job, 1, s), smg_at(job, 2, s));
        else if (narrow)
            binary_run(b, narrow_sum, 0, smg_at(job, 0, s), smg_at(job, 1, s), smg_at(job, 2, s));
        else
            binary_run(b, pair_sum, 0, smg_at(job, 0, s), smg_at(job, 1, s), smg_at(job, 2, s));
}

static void products(smg_binary *b, const smg_job *job) {
    b->m_0 = *(const uint16_t *)job->pointers[2];
    b->shift = *(const uint8_t *)job->pointers[3];
    reduce(b);
    const int narrow = is_narrow(b, swing(b->wide_0, b->zero_0) * swing(b->wide_1, b->zero_1) * b->m_0);
    const int many = narrow && many_at_once(b);
    for (int32_t s = 0; s < job->samples; s++)
        if (many)
            binary_run(b, narrow_product, 1, smg_at(job, 0, s), smg_at(job, 1, s), smg_at(job, 4, s));
        else if (narrow)
            binary_run(b, narrow_product, 0, smg_at(job, 0, s), smg_at(job, 1, s), smg_at(job, 4, s));
        else
            binary_run(b, pair_product, 0, smg_at(job, 0, s), smg_at(job, 1, s), smg_at(job, 4, s));
}

/* What all four operators have. */
#define SMG_BINARY(a)                                                                                        \
    {.dims = &(a)->d0,                                                                                       \
     .strides_0 = &(a)->s0_0,                                                                                \
     .strides_1 = &(a)->s1_0,                                                                                \
     .zero_0 = (a)->zero_0,                                                                                  \
     .zero_1 = (a)->zero_1,                                                                                  \
     .zero_y = (a)->zero_y,                                                                                  \
     .lo = (a)->lo,                                                                                          \
     .hi = (a)->hi,                                                                                          \
     .range = smg_make_range((a)->lo, (a)->hi, (a)->zero_y)}

static void add_run(const void *args, const smg_job *job) {
    const smg_q_add_args *a = args;
    smg_binary b = SMG_BINARY(a);
    b.m_0 = a->multiplier_0, b.m_1 = a->multiplier_1, b.shift = a->shift;
    if (unit_steps(&b))
        sums(&b, job);
    else
        for (int32_t s = 0; s < job->samples; s++)
            smg_q_add(a, smg_at(job, 0, s), smg_at(job, 1, s), smg_at(job, 2, s));
}

static void add16_run(const void *args, const smg_job *job) {
    const smg_q_add16_args *a = args;
    smg_binary b = SMG_BINARY(a);
    b.m_0 = a->multiplier_0, b.m_1 = a->multiplier_1, b.shift = a->shift;
    b.wide_0 = a->wide_0, b.wide_1 = a->wide_1, b.wide_y = a->wide_y;
    if (unit_steps(&b))
        sums(&b, job);
    else
        for (int32_t s = 0; s < job->samples; s++)
            smg_q_add16(a, smg_at(job, 0, s), smg_at(job, 1, s), smg_at(job, 2, s));
}

static void mul_run(const void *args, const smg_job *job) {
    const smg_q_mul_args *a = args;
    smg_binary b = SMG_BINARY(a);
    if (unit_steps(&b))
        products(&b, job);
    else
        for (int32_t s = 0; s < job->samples; s++)
            smg_q_mul(a, smg_at(job, 0, s), smg_at(job, 1, s), job->pointers[2], job->pointers[3],
                      smg_at(job, 4, s));
}

static void mul16_run(const void *args, const smg_job *job) {
    const smg_q_mul16_args *a = args;
    smg_binary b = SMG_BINARY(a);
    b.wide_0 = a->wide_0, b.wide_1 = a->wide_1, b.wide_y = a->wide_y;
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
