#include "smg_library.h"

void smg_block_rows(const smg_block_args *a, const float *x, float *y, int32_t samples, void *scratch) {
    (void)scratch;
    for (int32_t s = 0; s < samples; s++, x += a->in, y += a->out)
        for (int32_t o = 0; o < a->out; o++) {
            float sum = 0;
            for (int32_t i = a->first[o]; i < a->first[o + 1]; i++) {
                const int32_t from = a->columns[i] * SMG_LANES, lanes = smg_least(SMG_LANES, a->in - from);
                for (int32_t k = 0; k < lanes; k++)
                    sum += a->values[(size_t)i * SMG_LANES + (size_t)k] * x[from + k];
            }
            y[o] = sum;
        }
}
