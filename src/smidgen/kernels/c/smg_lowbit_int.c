#include "smg_library.h"

/* The sum of every group of inputs, and the last inputs of a row filled up with zeros, for 4 samples. */
size_t smg_lowbit_int_scratch(const smg_lowbit_int_args *a) {
    return 4 * ((size_t)smg_up(a->in, a->group) * sizeof(int32_t) + 64);
}

void smg_lowbit_int(const smg_lowbit_int_args *a, const int8_t *x, int32_t *y, int32_t samples,
                    void *scratch) {
    (void)scratch;
    for (int32_t s = 0; s < samples; s++, x += a->in, y += a->out)
        for (int32_t o = 0; o < a->out; o++) {
            int32_t total = 0;
            for (int32_t g = 0; g * a->group < a->in; g++) {
                const int32_t end = smg_least(a->in, (g + 1) * a->group);
                int32_t sum = 0;
                for (int32_t k = g * a->group; k < end; k++)
                    sum += ((int32_t)smg_lowbit_code(a->codes, a->in, a->bits, o, k) - a->zero) * x[k];
                total += a->multipliers[smg_lowbit_scale(a->in, a->group, o, g)] * sum;
            }
            y[o] = total;
        }
}
