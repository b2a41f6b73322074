#include "smg_library.h"

/* A table of 16 sums for every two inputs of 2 bits. */
size_t smg_lowbit_scratch(const smg_lowbit_args *a) {
    return (size_t)smg_lowbit_words(a->in, a->bits) * (size_t)(32 / a->bits) / 2 * SMG_LANES * sizeof(float);
}

void smg_lowbit(const smg_lowbit_args *a, const float *x, float *y, int32_t samples, void *scratch) {
    (void)scratch;
    for (int32_t s = 0; s < samples; s++, x += a->in, y += a->out)
        for (int32_t o = 0; o < a->out; o++) {
            float total = 0;
            for (int32_t g = 0; g * a->group < a->in; g++) {
                const int32_t end = smg_least(a->in, (g + 1) * a->group);
                float sum = 0;
                for (int32_t k = g * a->group; k < end; k++)
                    sum += a->levels[smg_lowbit_code(a->codes, a->in, a->bits, o, k)] * x[k];
                total += a->scales[smg_lowbit_scale(a->in, a->group, o, g)] * sum;
            }
            y[o] = total;
        }
}
