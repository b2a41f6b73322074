#include "smidgen.h"

void smg_q_binary_packs(const smg_q_binary_packs_args *a, const uint32_t *x, const uint32_t *w,
                        const uint16_t *index, const int32_t *bias, const uint16_t *multiplier,
                        const uint8_t *shift, int8_t *y) {
    const smg_bit_window v = {a->in_h, a->in_w, a->in_c, a->k_h, a->k_w, a->dilation_h, a->dilation_w};
    const size_t packs = (size_t)a->packs;
    for (int32_t oh = 0; oh < a->out_h; oh++)
        for (int32_t ow = 0; ow < a->out_w; ow++) {
            const int32_t top = oh * a->stride_h - a->pad_top, left = ow * a->stride_w - a->pad_left;
            for (int32_t o = 0; o < a->out_c; o++) {
                const int32_t c = a->per_channel ? o : 0;
                const size_t first = (size_t)o * packs;
                const int32_t sum = smg_pack_sum(&v, x, w + first, index + first, a->packs, top, left);
                const int32_t acc = (int32_t)((uint32_t)bias[o] + (uint32_t)sum);
                *y++ = smg_saturate(smg_requantize(acc, multiplier[c], shift[c]) + a->zero_y, a->lo, a->hi);
            }
        }
}
