/* Where the rows of linear layers lie: those of all samples count as rows one after the other. */
#ifndef SMIDGEN_LINEAR_ROWS_H
#define SMIDGEN_LINEAR_ROWS_H

#include "gemm.h"

enum { LINEAR_ROWS = 12 }; /* rows converted at a time */

static inline size_t linear_row(const smg_q_linear_args *a) {
    return smg_rounded((size_t)a->in, 64);
}

static inline smg_layer linear_layer(const smg_q_linear_args *a, void *const *pointers) {
    const smg_layer layer = {pointers[1],    pointers[2], pointers[3], pointers[4],
                             a->per_channel, a->zero_x,   a->zero_y};
    return layer;
}

/* A row of all samples' rows one after the other. */
static inline const int8_t *linear_input(const smg_q_linear_args *a, const smg_job *job, int32_t row) {
    return (const int8_t *)smg_at(job, 0, row / a->rows) + (size_t)(row % a->rows) * a->in;
}

static inline int8_t *linear_output(const smg_q_linear_args *a, const smg_job *job, int32_t row,
                                    const int wide) {
    return (int8_t *)smg_at(job, 5, row / a->rows) + (size_t)(row % a->rows) * a->out * (wide ? 2 : 1);
}

/* x [n][linear_row]: rows `first` .. `first + n - 1`. */
static inline void linear_convert(const smg_q_linear_args *a, const smg_job *job, int32_t first, int32_t n,
                                  smg_x *x) {
    for (int32_t i = 0; i < n; i++)
        smg_convert(linear_input(a, job, first + i), (size_t)a->in, a->zero_x, x + (size_t)i * linear_row(a));
}

#endif
