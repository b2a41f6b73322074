#include "linear.h"

static void linear_run8(const void *args, const smg_job *job) {
    linear_run(args, job, 0);
}

static void linear_run16(const void *args, const smg_job *job) {
    linear_run(args, job, 1); /* the same fields as smg_q_linear_args */
}

LINEAR_VARIANTS(linear_packed, linear_scratch, linear_pack, linear_run8, linear_run16)
