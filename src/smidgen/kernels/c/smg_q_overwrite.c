#include "smidgen.h"

/* A code rounded to steps of a lane. */
static int32_t smg_lane_steps(const smg_q_overwrite_args *a, int8_t x) {
    return (x + 128 + ((1 << a->fraction) >> 1)) >> a->fraction;
}

static int32_t smg_smaller(int32_t a, int32_t b) {
    return a < b ? a : b;
}

/* How far the nearest zero among the next `most` lanes is, or 0. */
static int32_t smg_zero_within(const smg_q_overwrite_args *a, const int8_t *x, int32_t most) {
    for (int32_t j = 1; j <= most; j++)
        if (smg_lane_steps(a, x[j]) == 0)
            return j;
    return 0;
}

/* One tile of n lanes. */
static void smg_overwrite_tile(const smg_q_overwrite_args *a, int32_t n, const int8_t *x, int8_t *y) {
    const int32_t most = (1 << a->bits) - 1;
    const int32_t top = smg_smaller((1 << 2 * a->bits) - 1, 255 >> a->fraction);
    int32_t busy = 0; /* lanes that hold a part of what stands to their left */
    for (int32_t i = 0; i < n; i++) {
        const int32_t left = n - 1 - i, q = smg_lane_steps(a, x[i]);
        int32_t takes = 0, code = smg_smaller(q, most) << a->fraction;
        if (busy) {
            busy--;
        } else if (q > most) {
            takes = smg_zero_within(a, x + i, smg_smaller(a->reach, left));
            if (takes)
                code = smg_smaller(q, top) << a->fraction;
        } else if (x[i] + 128 != q << a->fraction) {
            takes = smg_zero_within(a, x + i, smg_smaller(1, left));
            if (takes)
                code = x[i] + 128;
        }
        busy = takes ? takes : busy;
        y[i] = (int8_t)(code - 128);
    }
}

void smg_q_overwrite(const smg_q_overwrite_args *a, const int8_t *x, int8_t *y) {
    for (int32_t r = 0; r < a->rows; r++, x += a->channels, y += a->channels)
        for (int32_t first = 0; first < a->channels; first += a->tile)
            smg_overwrite_tile(a, smg_smaller(a->tile, a->channels - first), x + first, y + first);
}
