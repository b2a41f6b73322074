#include "smidgen.h"

void smg_q_serial_conv_planes(const smg_q_serial_conv_planes_args *a, const uint32_t *x, const uint32_t *w,
                              const int32_t *bias, const uint16_t *multiplier, const uint8_t *shift,
                              uint32_t *y) {
    const smg_bit_window v = {a->in_h, a->in_w, a->in_c, a->k_h, a->k_w, a->dilation_h, a->dilation_w};
    const size_t size = (size_t)a->k_h * a->k_w * SMG_WORDS(a->in_c);
    const size_t plane = (size_t)a->out_h * a->out_w * SMG_WORDS(a->out_c);
    const int32_t most = (1 << a->planes_y) - 1;
    for (int32_t oh = 0; oh < a->out_h; oh++)
        for (int32_t ow = 0; ow < a->out_w; ow++) {
            const int32_t top = oh * a->stride_h - a->pad_top, left = ow * a->stride_w - a->pad_left;
            for (int32_t first = 0; first < a->out_c; first += 32, y++) {
                const int32_t rest = a->out_c - first, bits = rest < 32 ? rest : 32;
                uint32_t word[SMG_PLANES] = {0};
                for (int32_t b = 0; b < bits; b++) {
                    const int32_t o = first + b, c = a->per_channel ? o : 0;
                    const uint32_t sum = (uint32_t)smg_serial_sum(&v, a->planes, x, w + o * size, top, left);
                    const int32_t acc = (int32_t)((uint32_t)bias[o] + sum);
                    const uint32_t level =
                        (uint32_t)smg_saturate(smg_requantize(acc, multiplier[c], shift[c]), 0, most);
                    for (int32_t p = 0; p < a->planes_y; p++)
                        word[p] |= (level >> (a->planes_y - 1 - p) & 1u) << b;
                }
                for (int32_t p = 0; p < a->planes_y; p++)
                    y[(size_t)p * plane] = word[p];
            }
        }
}
