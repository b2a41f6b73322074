#include "smg_library.h"

void smg_clamp(const smg_clamp_args *a, const float *x, float *y, int32_t samples, void *scratch) {
    (void)scratch;
    for (int32_t s = 0; s < samples; s++, x += a->channels, y += a->channels)
        for (int32_t c = 0; c < a->channels; c++) {
            const float v = x[c] + a->bias[c];
            y[c] = v < a->lo ? a->lo : v > a->hi ? a->hi : v;
        }
}
