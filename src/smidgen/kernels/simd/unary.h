/* One value at a time: smg_q_requantize, smg_q_requantize16 and smg_q_table16. */
#ifndef SMIDGEN_UNARY_H
#define SMIDGEN_UNARY_H

#include "flat.h"

/* Packed: the ratio of each channel, or one; the last vector is whole. */
static size_t requantize_packed(const void *args, void *const *pointers) {
    (void)pointers;
    const smg_q_requantize_args *a = args;
    return smg_rounded(a->per_channel ? (size_t)a->channels : 1, LANES) * sizeof(double);
}

static void requantize_pack(const void *args, void *const *pointers, void *packed) {
    const smg_q_requantize_args *a = args;
    const uint16_t *multiplier = pointers[1];
    const uint8_t *shift = pointers[2];
    double *ratio = packed;
    for (int32_t c = 0; c < (a->per_channel ? a->channels : 1); c++)
        ratio[c] = multiplier[c] / (double)((int64_t)1 << shift[c]);
}

typedef struct {
    int32_t zero_x, wide_x, wide_y;
    smg_range range;
} smg_unary;

/* `n` values; `ratio` has one for each of them, or one where `alike`. */
SMG_INLINE void requantize_row(const smg_unary *u, int32_t n, const double *ratio, const int alike,
                               const void *x, size_t at, void *y) {
    for (int32_t i = 0; i < n; i += LANES) {
        const int32_t now = n - i < LANES ? n - i : LANES;
        const smg_vec v = smg_difference(smg_values(x, u->wide_x, at + (size_t)i, now), smg_all(u->zero_x));
        const smg_real low = alike ? smg_reals(*ratio) : smg_load_reals(ratio + i);
        const smg_real high = alike ? low : smg_load_reals(ratio + i + LANES / 2);
        smg_put(y, u->wide_y, at + (size_t)i, now,
                smg_floors(smg_affine(smg_half(v, 0), low, smg_reals(0.5)),
                           smg_affine(smg_half(v, 1), high, smg_reals(0.5)), &u->range));
    }
}

static void requantize(const smg_q_requantize_args *a, const smg_unary *u, const smg_job *job) {
    for (int32_t s = 0; s < job->samples; s++)
        for (int32_t r = 0; r < a->rows; r++) {
            const size_t at = (size_t)r * a->channels;
            if (a->per_channel)
                requantize_row(u, a->channels, job->packed, 0, smg_at(job, 0, s), at, smg_at(job, 3, s));
            else
                requantize_row(u, a->channels, job->packed, 1, smg_at(job, 0, s), at, smg_at(job, 3, s));
        }
}

static void requantize_run(const void *args, const smg_job *job) {
    const smg_q_requantize_args *a = args;
    const smg_unary u = {a->zero_x, 0, 0, smg_make_range(a->lo, a->hi, a->zero_y)};
    requantize(a, &u, job);
}

static void requantize16_run(const void *args, const smg_job *job) {
    const smg_q_requantize16_args *a = args;
    const smg_unary u = {a->zero_x, a->wide_x, a->wide_y, smg_make_range(a->lo, a->hi, a->zero_y)};
    requantize((const void *)a, &u, job); /* begins with the fields of smg_q_requantize_args */
}

static void table16_run(const void *args, const smg_job *job) {
    const smg_q_table16_args *a = args;
    const int32_t lo = a->wide_y ? -32768 : -128, hi = a->wide_y ? 32767 : 127;
    const int16_t *table = job->pointers[1];
    for (int32_t s = 0; s < job->samples; s++)
        for (int32_t i = 0; i < a->count; i += LANES) {
            const int32_t n = a->count - i < LANES ? a->count - i : LANES;
            const smg_vec u = smg_plus(smg_values(smg_at(job, 0, s), 1, (size_t)i, n), smg_all(32768));
            const smg_vec whole = smg_shifted(u, 8), part = smg_masked(u, 255);
            const smg_vec knots = smg_knots(table, whole);
            /* first + ((second - first) * part + 128 >> 8): a multiple of 256 may go through the shift. */
            const smg_vec weights = smg_plus(smg_difference(smg_left(part, 16), part), smg_all(256));
            const smg_vec v = smg_shifted(smg_plus(smg_dot_pairs(knots, weights), smg_all(128)), 8);
            smg_put(smg_at(job, 2, s), a->wide_y, (size_t)i, n, smg_clamped(v, lo, hi));
        }
}

const smg_variant SIMD(smg_q_requantize) = {"smg_q_requantize", ISA,           requantize_packed, NULL,
                                            requantize_pack,    requantize_run};
const smg_variant SIMD(smg_q_requantize16) = {
    "smg_q_requantize16", ISA, requantize_packed, NULL, requantize_pack, requantize16_run};
const smg_variant SIMD(smg_q_table16) = {"smg_q_table16", ISA, NULL, NULL, NULL, table16_run};

#endif
