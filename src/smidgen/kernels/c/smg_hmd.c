#include "smg_library.h"

void smg_hmd(const smg_hmd_args *a, const float *x, float *y, int32_t samples, void *scratch) {
    const int32_t part = a->in / a->blocks, lower = a->out - a->full;
    (void)scratch;
    for (int32_t s = 0; s < samples; s++, x += a->in, y += a->out) {
        for (int32_t o = 0; o < a->full; o++) {
            y[o] = 0;
            for (int32_t k = 0; k < a->in; k++)
                y[o] += a->upper[(size_t)o * (size_t)a->in + (size_t)k] * x[k];
        }
        for (int32_t o = 0; o < lower; o++)
            y[a->full + o] = 0;
        for (int32_t i = 0; i < a->blocks; i++) {
            float dot = 0;
            for (int32_t k = i * part; k < (i + 1) * part; k++)
                dot += a->right[k] * x[k];
            for (int32_t o = 0; o < lower; o++)
                y[a->full + o] += a->left[(size_t)i * (size_t)lower + (size_t)o] * dot;
        }
    }
}
