#include "smg_library.h"

/* B X [out_b][in_c] or X C^T [in_b][out_c], whichever comes first. */
size_t smg_kronecker_scratch(const smg_kronecker_args *a) {
    const size_t first = (size_t)a->out_b * (size_t)a->in_c, other = (size_t)a->in_b * (size_t)a->out_c;
    return (first > other ? first : other) * sizeof(float);
}

void smg_kronecker(const smg_kronecker_args *a, const float *x, float *y, int32_t samples, void *scratch) {
    const size_t in_c = (size_t)a->in_c, out_c = (size_t)a->out_c;
    float *inner = scratch;
    for (int32_t s = 0; s < samples; s++, x += (size_t)a->in_b * in_c, y += (size_t)a->out_b * out_c) {
        for (int32_t i = 0; i < a->out_b; i++)
            for (size_t k = 0; k < in_c; k++) {
                float sum = 0;
                for (int32_t j = 0; j < a->in_b; j++)
                    sum += a->b[(size_t)i * (size_t)a->in_b + (size_t)j] * x[(size_t)j * in_c + k];
                inner[(size_t)i * in_c + k] = sum;
            }
        for (int32_t i = 0; i < a->out_b; i++)
            for (size_t o = 0; o < out_c; o++) {
                float sum = 0;
                for (size_t k = 0; k < in_c; k++)
                    sum += inner[(size_t)i * in_c + k] * a->c[k * out_c + o];
                y[(size_t)i * out_c + o] = sum;
            }
    }
}
