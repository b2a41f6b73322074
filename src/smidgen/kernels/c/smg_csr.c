#include "smg_library.h"

void smg_csr(const smg_csr_args *a, const float *x, float *y, int32_t samples, void *scratch) {
    (void)scratch;
    for (int32_t s = 0; s < samples; s++, x += a->in, y += a->out)
        for (int32_t o = 0; o < a->out; o++) {
            float sum = 0;
            for (int32_t i = a->first[o]; i < a->first[o + 1]; i++)
                sum += a->values[i] * x[a->columns[i]];
            y[o] = sum;
        }
}
