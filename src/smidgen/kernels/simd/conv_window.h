/* Where the windows of a convolution lie in its padded image. */
#ifndef SMIDGEN_CONV_WINDOW_H
#define SMIDGEN_CONV_WINDOW_H

#include "gemm.h"
#include "image.h"

/* Of one group. A row of taps is one run if nothing lies between them. */
static inline smg_window conv_window(const smg_q_conv_args *a) {
    const smg_image m = smg_conv_image(a);
    const int32_t per_group = a->in_c / a->groups;
    const int dense = a->groups == 1 && a->dilation_w == 1;
    const smg_window w = {a->k_h, dense ? 1 : a->k_w, dense ? a->k_w * per_group : per_group,
                          (size_t)a->dilation_h * (size_t)m.w * (size_t)a->in_c,
                          (size_t)a->dilation_w * (size_t)a->in_c};
    return w;
}

#endif
