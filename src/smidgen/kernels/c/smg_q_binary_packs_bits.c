#include "smidgen.h"

void smg_q_binary_packs_bits(const smg_q_binary_packs_bits_args *a, const uint32_t *x, const uint32_t *w,
                             const uint16_t *index, const int32_t *threshold, uint32_t *y) {
    const smg_bit_window v = {a->in_h, a->in_w, a->in_c, a->k_h, a->k_w, a->dilation_h, a->dilation_w};
    const size_t packs = (size_t)a->packs;
    for (int32_t oh = 0; oh < a->out_h; oh++)
        for (int32_t ow = 0; ow < a->out_w; ow++) {
            const int32_t top = oh * a->stride_h - a->pad_top, left = ow * a->stride_w - a->pad_left;
            for (int32_t first = 0; first < a->out_c; first += 32) {
                const int32_t bits = smg_bits_of_word(a->out_c, first / 32);
                uint32_t word = 0;
                for (int32_t b = 0; b < bits; b++) {
                    const int32_t o = first + b;
                    const size_t at = (size_t)o * packs;
                    const int32_t sum = smg_pack_sum(&v, x, w + at, index + at, a->packs, top, left);
                    word |= (uint32_t)(sum >= threshold[o]) << b;
                }
                *y++ = word;
            }
        }
}
