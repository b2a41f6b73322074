/* Whole rows: smg_q_softmax, and smg_q_normalize where a group is a row. */
#ifndef SMIDGEN_ROWS_H
#define SMIDGEN_ROWS_H

#include "flat.h"

SMG_INLINE int32_t fewer(int32_t left) {
    return left < LANES ? left : LANES;
}

/* Softmax. Packed: the table. Scratch: the exponentials of a row, up to a whole vector. */
static size_t softmax_packed(const void *args, void *const *pointers) {
    (void)args, (void)pointers;
    return 256 * sizeof(smg_entry);
}

static size_t softmax_scratch(const void *args) {
    return smg_rounded((size_t)((const smg_q_softmax_args *)args)->size, LANES) * sizeof(int32_t);
}

static void softmax_pack(const void *args, void *const *pointers, void *packed) {
    (void)args;
    for (int32_t i = 0; i < 256; i++)
        ((smg_entry *)packed)[i] = ((const uint16_t *)pointers[1])[i];
}

static int32_t largest(int32_t size, const int8_t *x) {
    smg_vec most = smg_all(0); /* of x + 128, so that no lane is below what lies behind the end */
    for (int32_t i = 0; i < size; i += LANES) {
        const int32_t n = fewer(size - i);
        most = smg_larger(most, smg_kept(smg_plus(smg_values(x, 0, (size_t)i, n), smg_all(128)), n));
    }
    return smg_lanes_max(most) - 128;
}

/* The exponentials of a row into `e`, and their sum; lanes behind the end take any entry and do not count. */
static uint32_t exponentials(int32_t size, const int8_t *x, const smg_entry *table, int32_t *e) {
    const smg_vec max = smg_all(largest(size, x));
    smg_vec sums = smg_all(0);
    for (int32_t i = 0; i < size; i += LANES) {
        const int32_t n = fewer(size - i);
        const smg_vec index = smg_difference(max, smg_values(x, 0, (size_t)i, n));
        const smg_vec found = smg_entries(table, smg_masked(index, 255));
        __builtin_memcpy(e + i, &found, sizeof found);
        sums = smg_plus(sums, smg_kept(found, n));
    }
    return (uint32_t)smg_lanes_sum(sums);
}

/* floor((256 e + sum / 2) / sum) by the reciprocal: quotients that are no integers are at least 2^-32 below
 * the next one, and 2^-34 is far more than the error of doubles. */
static void softmax_row(int32_t size, const int8_t *x, const smg_entry *table, int32_t *e, int8_t *y) {
    const uint32_t sum = exponentials(size, x, table, e);
    const double each = 1.0 / sum;
    const smg_real factor = smg_reals(256 * each), rest = smg_reals(sum / 2 * each + 0x1p-34);
    const smg_range range = smg_make_range(INT8_MIN, INT8_MAX, INT8_MIN);
    for (int32_t i = 0; i < size; i += LANES) {
        smg_vec v;
        __builtin_memcpy(&v, e + i, sizeof v);
        smg_put(y, 0, (size_t)i, fewer(size - i),
                smg_floors(smg_affine(smg_half(v, 0), factor, rest), smg_affine(smg_half(v, 1), factor, rest),
                           &range));
    }
}

static void softmax_run(const void *args, const smg_job *job) {
    const smg_q_softmax_args *a = args;
    for (int32_t s = 0; s < job->samples; s++)
        for (int32_t r = 0; r < a->rows; r++) {
            const size_t at = (size_t)r * a->size;
            softmax_row(a->size, (const int8_t *)smg_at(job, 0, s) + at, job->packed, job->scratch,
                        (int8_t *)smg_at(job, 2, s) + at);
        }
}

/* Normalization. Packed: multiplier / 2^shift and bias / 256 + 1/2 of each channel, or of all; the last
 * vector is whole. All steps are exact in doubles: see the limits of smg_q_normalize. */
static size_t normalize_channels(const void *args) {
    const int32_t channels = ((const smg_q_normalize_args *)args)->channels;
    return smg_rounded((size_t)channels, LANES);
}

static size_t normalize_packed(const void *args, void *const *pointers) {
    (void)pointers;
    return 2 * normalize_channels(args) * sizeof(double);
}

static void normalize_pack(const void *args, void *const *pointers, void *packed) {
    const smg_q_normalize_args *a = args;
    double *factor = packed, *term = factor + normalize_channels(args);
    for (int32_t c = 0; c < a->channels; c++) {
        factor[c] = ((const int32_t *)pointers[1])[c] / (double)((int64_t)1 << a->shift);
        term[c] = ((const int32_t *)pointers[2])[c] / 256.0 + 0.5;
    }
}

/* floor(sqrt(v)), v < 2^62: a double is off by one at most. */
static uint64_t root(uint64_t v) {
    uint64_t found = (uint64_t)__builtin_sqrt((double)v);
    found -= found * found > v;
    return found + ((found + 1) * (found + 1) <= v);
}

/* The sum of x and of its squares; what lies behind the end counts as 0. */
SMG_INLINE void moments(int32_t n, const void *x, size_t at, const int wide, int64_t *sum, int64_t *squares) {
    smg_vec sums = smg_all(0), products = smg_all(0);
    smg_real low = smg_reals(0), high = smg_reals(0);
    for (int32_t i = 0; i < n; i += LANES) {
        const smg_vec v = smg_values(x, wide, at + (size_t)i, fewer(n - i));
        sums = smg_plus(sums, v);
        if (wide) {
            low = smg_affine(smg_half(v, 0), smg_half(v, 0), low);
            high = smg_affine(smg_half(v, 1), smg_half(v, 1), high);
        } else {
            products = smg_plus(products, smg_product(v, v));
        }
    }
    *sum = smg_lanes_sum(sums);
    *squares = smg_lanes_sum(products);
    if (wide) {
        double lanes[LANES];
        __builtin_memcpy(lanes, &low, sizeof low);
        __builtin_memcpy(lanes + LANES / 2, &high, sizeof high);
        for (int32_t i = 0; i < LANES; i++)
            *squares += (int64_t)lanes[i];
    }
}

SMG_INLINE void normalize_row(const smg_q_normalize_args *a, const smg_range *range, const double *packed,
                              const int alike, const int wide, const void *x, size_t at, int8_t *y) {
    const int32_t n = a->r1, zero = a->zero_x;
    const double *term = packed + normalize_channels(a);
    int64_t sum, squares;
    moments(n, x, at, wide, &sum, &squares);
    squares += (int64_t)zero * ((int64_t)n * zero - 2 * sum);
    sum = a->centered ? sum - (int64_t)n * zero : 0;
    const uint64_t spread = (uint64_t)(squares * n - sum * sum);
    const uint64_t under = (spread << 2 * a->root_shift) + ((uint64_t)a->epsilon << a->epsilon_shift);
    const int64_t inverse = ((int64_t)1 << (a->root_shift + 43)) / (int64_t)root(under);
    const smg_real scale = smg_reals((double)inverse * 0x1p-27), half = smg_reals(0.5);
    const smg_vec count = smg_all(n), moved = smg_all((int32_t)(sum + (int64_t)n * zero));
    for (int32_t i = 0; i < n; i += LANES) {
        const int32_t now = fewer(n - i), c = alike ? 0 : i;
        const smg_vec d = smg_difference(smg_product(smg_values(x, wide, at + (size_t)i, now), count), moved);
        const smg_real z0 = smg_floor(smg_affine(smg_half(d, 0), scale, half));
        const smg_real z1 = smg_floor(smg_affine(smg_half(d, 1), scale, half));
        const smg_real f0 = alike ? smg_reals(*packed) : smg_load_reals(packed + c);
        const smg_real f1 = alike ? f0 : smg_load_reals(packed + c + LANES / 2);
        const smg_real t0 = alike ? smg_reals(*term) : smg_load_reals(term + c);
        const smg_real t1 = alike ? t0 : smg_load_reals(term + c + LANES / 2);
        smg_put(y, 0, at + (size_t)i, now, smg_floors(smg_affine(z0, f0, t0), smg_affine(z1, f1, t1), range));
    }
}

static void normalize_run(const void *args, const smg_job *job) {
    const smg_q_normalize_args *a = args;
    const smg_range range = smg_make_range(a->lo, a->hi, a->zero_y);
    const int rows = a->r0 == 1 && a->k2 == 1 && (a->channels == 1 || a->channels == a->r1);
    for (int32_t s = 0; s < job->samples; s++) {
        const void *x = smg_at(job, 0, s);
        int8_t *y = smg_at(job, 3, s);
        if (!rows) {
            smg_q_normalize(a, x, job->pointers[1], job->pointers[2], y);
            continue;
        }
        for (size_t r = 0; r < (size_t)a->k0 * (size_t)a->k1; r++) {
            const size_t at = r * (size_t)a->r1;
            if (a->channels == 1 && a->wide_x)
                normalize_row(a, &range, job->packed, 1, 1, x, at, y);
            else if (a->channels == 1)
                normalize_row(a, &range, job->packed, 1, 0, x, at, y);
            else if (a->wide_x)
                normalize_row(a, &range, job->packed, 0, 1, x, at, y);
            else
                normalize_row(a, &range, job->packed, 0, 0, x, at, y);
        }
    }
}

const smg_variant SIMD(smg_q_softmax) = {"smg_q_softmax", ISA,          softmax_packed,
                                         softmax_scratch, softmax_pack, softmax_run};
const smg_variant SIMD(smg_q_normalize) = {"smg_q_normalize", ISA,          normalize_packed, NULL,
                                           normalize_pack,    normalize_run};

#endif
