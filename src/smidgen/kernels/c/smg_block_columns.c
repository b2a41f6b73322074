#include "smg_library.h"

void smg_block_columns(const smg_block_args *a, const float *x, float *y, int32_t samples, void *scratch) {
    (void)scratch;
    for (int32_t s = 0; s < samples; s++, x += a->in, y += a->out)
        for (int32_t o = 0; o < a->out; o++) {
            float sum = 0;
            for (int32_t i = a->first[o / SMG_LANES]; i < a->first[o / SMG_LANES + 1]; i++)
                sum += a->values[(size_t)i * SMG_LANES + (size_t)(o % SMG_LANES)] * x[a->columns[i]];
            y[o] = sum;
        }
}
