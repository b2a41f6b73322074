/* smg_q_linear16, four outputs at a time. */
#include "smg_dot_four.h"

void smg_q_linear16(const smg_q_linear16_args *a, const int8_t *x, const int8_t *w, const int32_t *bias,
                    const uint16_t *multiplier, const uint8_t *shift, int16_t *y) {
    const smg_end end = {multiplier, shift, a->per_channel, a->zero_y, a->lo, a->hi};
    const int16x2_t minus = smg_minus(a->zero_x);
    for (int32_t r = 0; r < a->rows; r++, x += a->in, y += a->out) {
        int32_t o = 0;
        for (; o + SMG_SIDE_BY_SIDE <= a->out; o += SMG_SIDE_BY_SIDE) {
            int32_t sums[SMG_SIDE_BY_SIDE] = {bias[o], bias[o + 1], bias[o + 2], bias[o + 3]};
            smg_dot_four(sums, x, w + (size_t)o * a->in, a->in, a->in, minus);
            smg_finish(&end, o, SMG_SIDE_BY_SIDE, sums, y + o, 1);
        }
        /* What is left over takes its own weights four times. */
        for (; o < a->out; o++) {
            int32_t sums[SMG_SIDE_BY_SIDE] = {bias[o]};
            smg_dot_four(sums, x, w + (size_t)o * a->in, 0, a->in, minus);
            smg_finish(&end, o, 1, sums, y + o, 1);
        }
    }
}
