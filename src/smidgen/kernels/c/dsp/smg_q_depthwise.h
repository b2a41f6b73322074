/* smg_q_depthwise, a block of channels at a time. */
#include "smg_block.h"

static void load(const int8_t *w, int32_t taps, smg_block *b) {
    for (int32_t i = 0; i < b->lanes; i++, w += taps)
        for (int32_t t = 0; t < taps; t++)
            b->weight[t * b->lanes + i] = w[t];
}

void smg_q_depthwise(const smg_q_depthwise_args *a, const int8_t *x, const int8_t *w, const int32_t *bias,
                     const uint16_t *multiplier, const uint8_t *shift, int8_t *y) {
    const smg_end end = {multiplier, shift, a->per_channel, a->zero_y, a->lo, a->hi};
    const int32_t taps = a->k_h * a->k_w;
    smg_block b;
    for (b.first = 0; b.first < a->channels; b.first += b.lanes) {
        b.lanes = smg_lanes(a, b.first);
        load(w + (size_t)b.first * taps, taps, &b);
        smg_run_block(a, &b, &end, x, bias, y + b.first);
    }
}
