#include "smg_library.h"

/* The inner values of 8 samples. */
size_t smg_lowrank_scratch(const smg_lowrank_args *a) {
    return (size_t)a->rank * 8 * sizeof(float);
}

void smg_lowrank(const smg_lowrank_args *a, const float *x, float *y, int32_t samples, void *scratch) {
    float *inner = scratch;
    for (int32_t s = 0; s < samples; s++, x += a->in, y += a->out) {
        for (int32_t r = 0; r < a->rank; r++) {
            inner[r] = 0;
            for (int32_t k = 0; k < a->in; k++)
                inner[r] += a->right[(size_t)r * (size_t)a->in + (size_t)k] * x[k];
        }
        for (int32_t o = 0; o < a->out; o++) {
            float sum = 0;
            for (int32_t r = 0; r < a->rank; r++)
                sum += a->left[(size_t)r * (size_t)a->out + (size_t)o] * inner[r];
            y[o] = sum;
        }
    }
}
