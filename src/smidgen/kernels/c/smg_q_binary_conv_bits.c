#include "smidgen.h"

void smg_q_binary_conv_bits(const smg_q_binary_conv_bits_args *a, const uint32_t *x, const uint32_t *w,
                            const int32_t *threshold, uint32_t *y) {
    const smg_bit_window v = {a->in_h, a->in_w, a->in_c, a->k_h, a->k_w, a->dilation_h, a->dilation_w};
    const size_t size = (size_t)a->k_h * a->k_w * SMG_WORDS(a->in_c);
    for (int32_t oh = 0; oh < a->out_h; oh++)
        for (int32_t ow = 0; ow < a->out_w; ow++) {
            const int32_t top = oh * a->stride_h - a->pad_top, left = ow * a->stride_w - a->pad_left;
            for (int32_t first = 0; first < a->out_c; first += 32) {
                const int32_t rest = a->out_c - first, bits = rest < 32 ? rest : 32;
                uint32_t word = 0;
                for (int32_t b = 0; b < bits; b++) {
                    const int32_t o = first + b;
                    word |= (uint32_t)(smg_bit_sum(&v, x, w + o * size, top, left) >= threshold[o]) << b;
                }
                *y++ = word;
            }
        }
}
