#include "smg_stored.h"

#if defined(__ARM_FEATURE_DSP)
#include "dsp/smg_q_linear_stored.h"
#endif

void smg_q_linear_stored(const smg_q_linear_stored_args *a, const int8_t *x, const uint8_t *symbols,
                         const int8_t *table, const uint8_t *zeros, const uint8_t *multiples,
                         const uint8_t *positions, const int32_t *bias, const uint16_t *multiplier,
                         const uint8_t *shift, void *y) {
    const smg_stored s = {symbols,       table,     zeros,       multiples,    positions,
                          a->in,         a->bits,   a->entries,  a->zeros,     a->group,
                          a->row_groups, a->stored, a->gap_bits, a->gap_count, a->position_bits};
#if defined(__ARM_FEATURE_DSP)
    if (positions == NULL) {
        unpacked(a, &s, x, bias, multiplier, shift, y);
        return;
    }
#endif
    smg_walk w = smg_first_row(&s);
    for (int32_t o = 0; o < a->out; o++) {
        const int32_t c = a->per_channel ? o : 0;
        int32_t acc = bias[o];
        while (smg_next_weight(&s, &w))
            acc += w.value * (x[w.at] - a->zero_x);
        smg_store(y, a->wide_y, (size_t)o, smg_requantize(acc, multiplier[c], shift[c]) + a->zero_y, a->lo,
                  a->hi);
        if (o + 1 < a->out)
            smg_next_row(&s, &w);
    }
}
