/* smg_copy: runs of bytes, as the C library copies them. */
#ifndef SMIDGEN_COPY_H
#define SMIDGEN_COPY_H

#include "vector.h"

static void copy_run(const void *args, const smg_job *job) {
    const smg_copy_args *a = args;
    for (int32_t s = 0; s < job->samples; s++) {
        const char *x = smg_at(job, 0, s);
        char *y = smg_at(job, 1, s);
        for (int32_t r = 0; r < a->rows; r++)
            __builtin_memmove(y + (size_t)r * a->stride_y, x + (size_t)r * a->stride_x, (size_t)a->run);
    }
}

const smg_variant SIMD(smg_copy) = {"smg_copy", ISA, NULL, NULL, NULL, copy_run};

#endif
