/* smg_q_linear_stored with all weights stored: parts of four rows are unpacked, then multiplied by SIMD. */
#include "smg_dot_four.h"

enum { PART = 64 }; /* weights of a row that are unpacked at a time */

static void unpacked(const smg_q_linear_stored_args *a, const smg_stored *s, const int8_t *x,
                     const int32_t *bias, const uint16_t *multiplier, const uint8_t *shift, void *y) {
    const smg_end end = {multiplier, shift, a->per_channel, a->zero_y, a->lo, a->hi};
    const int16x2_t minus = smg_minus(a->zero_x);
    int8_t weights[SMG_SIDE_BY_SIDE * PART];
    int8_t *out = y;
    for (int32_t o = 0, rows; o < a->out; o += rows, out += a->wide_y ? 2 * rows : rows) {
        int32_t sums[SMG_SIDE_BY_SIDE] = {0};
        rows = a->out - o < SMG_SIDE_BY_SIDE ? a->out - o : SMG_SIDE_BY_SIDE;
        for (int32_t k = 0; k < rows; k++)
            sums[k] = bias[o + k];
        for (int32_t first = 0; first < a->in; first += PART) {
            const int32_t count = a->in - first < PART ? a->in - first : PART;
            for (int32_t k = 0; k < rows; k++)
                smg_unpack(s, o + k, first, count, weights + k * PART);
            smg_dot_four(sums, x + first, weights, PART, count, minus);
        }
        smg_finish(&end, o, rows, sums, out, a->wide_y);
    }
}
