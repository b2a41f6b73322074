#include "smg_library.h"

void smg_hadamard(const smg_hadamard_args *a, const float *x, float *y, int32_t samples, void *scratch) {
    (void)scratch;
    for (int32_t s = 0; s < samples; s++, x += a->in, y += a->in) {
        for (int32_t i = 0; i < a->in; i++)
            y[i] = x[i] * a->factor;
        for (int32_t step = 1; step < a->in; step *= 2)
            for (int32_t i = 0; i < a->in; i++)
                if (!(i & step)) {
                    const float one = y[i], other = y[i + step];
                    y[i] = one + other;
                    y[i + step] = one - other;
                }
    }
}
