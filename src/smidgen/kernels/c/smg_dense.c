#include "smg_library.h"

void smg_dense(const smg_dense_args *a, const float *x, float *y, int32_t samples, void *scratch) {
    (void)scratch;
    for (int32_t s = 0; s < samples; s++, x += a->in, y += a->out)
        for (int32_t o = 0; o < a->out; o++) {
            float sum = 0;
            for (int32_t k = 0; k < a->in; k++)
                sum += a->weight[(size_t)o * (size_t)a->in + (size_t)k] * x[k];
            y[o] = sum;
        }
}
