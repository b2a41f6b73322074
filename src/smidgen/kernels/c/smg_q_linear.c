#include "smidgen.h"

#if defined(__ARM_FEATURE_DSP)
#include "dsp/smg_q_linear.h"
#else

void smg_q_linear(const smg_q_linear_args *a, const int8_t *x, const int8_t *w, const int32_t *bias,
                  const uint16_t *multiplier, const uint8_t *shift, int8_t *y) {
    for (int32_t o = 0; o < a->out; o++, w += a->in) {
        const int32_t c = a->per_channel ? o : 0;
        const int8_t *row = x;
        for (int32_t r = 0; r < a->rows; r++, row += a->in) {
            uint32_t sum = (uint32_t)bias[o];
            for (int32_t i = 0; i < a->in; i++)
                sum += (uint32_t)((row[i] - a->zero_x) * w[i]);
            y[(size_t)r * a->out + o] =
                smg_saturate(smg_requantize((int32_t)sum, multiplier[c], shift[c]) + a->zero_y, a->lo, a->hi);
        }
    }
}

#endif
