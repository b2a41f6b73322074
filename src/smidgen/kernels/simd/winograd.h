/* smg_winograd: a batch of tiles to points, one product a point, and back. The transforms' constants are
 * known to the compiler, which leaves out what is multiplied by 0 and 1. */
#ifndef SMIDGEN_WINOGRAD_H
#define SMIDGEN_WINOGRAD_H

#include "product.h"
#include "winograd_matrices.h"

/* One output size and kernel length. points_*, tile_*: 1 along an axis that is not transformed. */
typedef struct {
    int32_t points_h, points_w, tile_h, tile_w;
    const float *input, *output;
} winograd_form;

typedef struct {
    const smg_winograd_args *a;
    const float *x;
    float *y, *points, *products;
    int32_t rows, columns, across, first, tiles; /* tiles `first` .. of an image, `across` in a row */
} winograd_job;

/* out[i] = sum over j of matrix[i][j] * v[j]; neighbours are `v_step` and `out_step` registers apart. */
SMG_INLINE void winograd_apply(const int rows, const int columns, const float *matrix, const smg_floats *v,
                               const int v_step, smg_floats *out, const int out_step) {
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        smg_floats sum = smg_none();
        int begun = 0;
#pragma GCC unroll 8
        for (int j = 0; j < columns; j++) {
            const float m = matrix[i * columns + j];
            const smg_floats value = v[j * v_step];
            if (m == 0)
                continue;
            if (m == 1)
                sum = begun ? smg_plus(sum, value) : value;
            else if (m == -1)
                sum = smg_minus(sum, value);
            else
                sum = smg_add_product(value, smg_all(m), sum);
            begun = 1;
        }
        out[i * out_step] = sum;
    }
}

/* 16 channels of one tile to its points. */
SMG_INLINE void winograd_input(const winograd_form f, const winograd_job *job, int32_t tile,
                               int32_t channel) {
    static const float zeros[SMG_LANES];
    const smg_winograd_args *a = job->a;
    const int32_t at = job->first + tile, lanes = smg_least(SMG_LANES, a->in - channel);
    const int32_t row = at / job->across * f.tile_h - a->pad_h,
                  column = at % job->across * f.tile_w - a->pad_w;
    smg_floats v[64], t[64];
#pragma GCC unroll 8
    for (int p = 0; p < f.points_h; p++)
#pragma GCC unroll 8
        for (int q = 0; q < f.points_w; q++) {
            const int32_t i = row + p, j = column + q;
            const int inside = i >= 0 && i < a->height && j >= 0 && j < a->width;
            const size_t from = ((size_t)i * (size_t)a->width + (size_t)j) * (size_t)a->in + (size_t)channel;
            v[p * f.points_w + q] = smg_load_some(inside ? job->x + from : zeros, lanes);
        }
    if (f.points_h > 1)
#pragma GCC unroll 8
        for (int q = 0; q < f.points_w; q++)
            winograd_apply(f.points_h, f.points_h, f.input, v + q, f.points_w, t + q, f.points_w);
    if (f.points_w > 1)
#pragma GCC unroll 8
        for (int p = 0; p < f.points_h; p++)
            winograd_apply(f.points_w, f.points_w, f.input, (f.points_h > 1 ? t : v) + p * f.points_w, 1,
                           (f.points_h > 1 ? v : t) + p * f.points_w, 1);
    const smg_floats *result = f.points_h > 1 && f.points_w > 1 ? v : t;
#pragma GCC unroll 64
    for (int p = 0; p < f.points_h * f.points_w; p++)
        smg_store_some(job->points + ((size_t)p * (size_t)job->tiles + (size_t)tile) * (size_t)a->in +
                           channel,
                       lanes, result[p]);
}

/* 16 channels of one tile back from its points. */
SMG_INLINE void winograd_output(const winograd_form f, const winograd_job *job, int32_t tile,
                                int32_t channel) {
    const smg_winograd_args *a = job->a;
    const int32_t at = job->first + tile, lanes = smg_least(SMG_LANES, a->out - channel);
    const int32_t row = at / job->across * f.tile_h, column = at % job->across * f.tile_w;
    smg_floats v[64], t[64];
#pragma GCC unroll 64
    for (int p = 0; p < f.points_h * f.points_w; p++)
        v[p] = smg_load_some(job->products +
                                 ((size_t)p * (size_t)job->tiles + (size_t)tile) * (size_t)a->out + channel,
                             lanes);
    if (f.points_h > 1)
#pragma GCC unroll 8
        for (int q = 0; q < f.points_w; q++)
            winograd_apply(f.tile_h, f.points_h, f.output, v + q, f.points_w, t + q, f.points_w);
    if (f.points_w > 1)
#pragma GCC unroll 8
        for (int p = 0; p < f.tile_h; p++)
            winograd_apply(f.tile_w, f.points_w, f.output, (f.points_h > 1 ? t : v) + p * f.points_w, 1,
                           (f.points_h > 1 ? v : t) + p * f.points_w, 1);
    const smg_floats *result = f.points_h > 1 && f.points_w > 1 ? v : t;
#pragma GCC unroll 4
    for (int p = 0; p < f.tile_h; p++)
#pragma GCC unroll 4
        for (int q = 0; q < f.tile_w; q++)
            if (row + p < job->rows && column + q < job->columns)
                smg_store_some(job->y +
                                   ((size_t)(row + p) * (size_t)job->columns + (size_t)(column + q)) *
                                       (size_t)a->out +
                                   channel,
                               lanes, result[p * f.points_w + q]);
}

SMG_INLINE void winograd_tiles(const winograd_form f, const winograd_job *job) {
    const smg_winograd_args *a = job->a;
    const size_t in = (size_t)a->in, out = (size_t)a->out, tiles = (size_t)job->tiles;
    for (int32_t tile = 0; tile < job->tiles; tile++)
        for (int32_t channel = 0; channel < a->in; channel += SMG_LANES)
            winograd_input(f, job, tile, channel);
    for (int32_t p = 0; p < f.points_h * f.points_w; p++) {
        const smg_product product = {job->points + (size_t)p * tiles * in,
                                     a->filters + (size_t)p * in * out,
                                     job->products + (size_t)p * tiles * out,
                                     in,
                                     out,
                                     out,
                                     job->tiles,
                                     a->out,
                                     a->in,
                                     1,
                                     0};
        smg_multiply(&product);
    }
    for (int32_t tile = 0; tile < job->tiles; tile++)
        for (int32_t channel = 0; channel < a->out; channel += SMG_LANES)
            winograd_output(f, job, tile, channel);
}

SMG_INLINE void winograd_image(const winograd_form f, const smg_winograd_args *a, const float *x, float *y,
                               float *scratch) {
    const int32_t rows = a->height + 2 * a->pad_h - a->kernel_h + 1;
    const int32_t columns = a->width + 2 * a->pad_w - a->kernel_w + 1;
    const int32_t across = smg_up(columns, f.tile_w), all = smg_up(rows, f.tile_h) * across;
    const int32_t batch = smg_winograd_batch(a);
    float *products = scratch + (size_t)batch * (size_t)(f.points_h * f.points_w) * (size_t)a->in;
    for (int32_t first = 0; first < all; first += batch) {
        const winograd_job job = {a,    x,       y,      scratch, products,
                                  rows, columns, across, first,   smg_least(batch, all - first)};
        winograd_tiles(f, &job);
    }
}

#define WINOGRAD_FORM(m, r)                                                                                  \
    static __attribute__((noinline)) void winograd_##m##_##r##_rows(                                         \
        const smg_winograd_args *a, const float *x, float *y, float *scratch) {                              \
        const winograd_form f = {m + r - 1, 1, m, 1, WINOGRAD_INPUT_##m##_##r, WINOGRAD_OUTPUT_##m##_##r};   \
        winograd_image(f, a, x, y, scratch);                                                                 \
    }                                                                                                        \
    static __attribute__((noinline)) void winograd_##m##_##r##_columns(                                      \
        const smg_winograd_args *a, const float *x, float *y, float *scratch) {                              \
        const winograd_form f = {1, m + r - 1, 1, m, WINOGRAD_INPUT_##m##_##r, WINOGRAD_OUTPUT_##m##_##r};   \
        winograd_image(f, a, x, y, scratch);                                                                 \
    }
#define WINOGRAD_SQUARE(m, r)                                                                                \
    static __attribute__((noinline)) void winograd_##m##_##r##_square(                                       \
        const smg_winograd_args *a, const float *x, float *y, float *scratch) {                              \
        const winograd_form f = {                                                                            \
            m + r - 1, m + r - 1, m, m, WINOGRAD_INPUT_##m##_##r, WINOGRAD_OUTPUT_##m##_##r};                \
        winograd_image(f, a, x, y, scratch);                                                                 \
    }
WINOGRAD_FORM(2, 3)
WINOGRAD_FORM(4, 3)
WINOGRAD_FORM(2, 7)
WINOGRAD_SQUARE(2, 3)
WINOGRAD_SQUARE(4, 3)

typedef void winograd_run(const smg_winograd_args *, const float *, float *, float *);

static winograd_run *winograd_choice(const smg_winograd_args *a) {
    const int32_t longest = a->kernel_h > a->kernel_w ? a->kernel_h : a->kernel_w;
    if (a->kernel_h == a->kernel_w)
        return a->tile == 2 ? winograd_2_3_square : winograd_4_3_square;
    if (longest == 7)
        return a->kernel_h == 7 ? winograd_2_7_rows : winograd_2_7_columns;
    if (a->tile == 2)
        return a->kernel_h == 3 ? winograd_2_3_rows : winograd_2_3_columns;
    return a->kernel_h == 3 ? winograd_4_3_rows : winograd_4_3_columns;
}

void SIMD(smg_winograd)(const smg_winograd_args *a, const float *x, float *y, int32_t samples,
                        void *scratch) {
    const size_t x_size = (size_t)a->height * (size_t)a->width * (size_t)a->in;
    const size_t y_size = (size_t)(a->height + 2 * a->pad_h - a->kernel_h + 1) *
                          (size_t)(a->width + 2 * a->pad_w - a->kernel_w + 1) * (size_t)a->out;
    winograd_run *const run = winograd_choice(a);
    for (int32_t s = 0; s < samples; s++)
        run(a, x + (size_t)s * x_size, y + (size_t)s * y_size, scratch);
}

#endif
