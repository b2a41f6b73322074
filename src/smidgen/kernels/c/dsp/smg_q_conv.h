/* smg_q_conv, four output channels of a position at a time; a window's bounds are found once a position. */
#include "smg_dot_four.h"

typedef struct {
    const int8_t *x;                    /* the first tap inside the input */
    int32_t rows, runs, run;            /* rows of `runs` runs of `run` neighbouring values */
    int32_t row_x, row_w, run_x, run_w; /* from one row or run to the next, in x and in w */
    int32_t w;                          /* the first tap's place in the weights */
} smg_window;

static inline smg_window smg_find(const smg_q_conv_args *a, const int8_t *x, int32_t per_group, int32_t top,
                                  int32_t left) {
    const smg_taps rows = smg_inside(top, a->k_h, a->dilation_h, a->in_h);
    const smg_taps cols = smg_inside(left, a->k_w, a->dilation_w, a->in_w);
    const int32_t taps = cols.last - cols.first;
    /* Neighbouring taps of a row are neighbours in memory, so one run covers them. */
    const int dense = a->groups == 1 && a->dilation_w == 1;
    smg_window s;
    s.rows = rows.last - rows.first;
    s.runs = dense ? taps > 0 : taps;
    s.run = dense ? taps * per_group : per_group;
    s.row_x = a->dilation_h * a->in_w * a->in_c;
    s.row_w = a->k_w * per_group;
    s.run_x = a->dilation_w * a->in_c;
    s.run_w = per_group;
    s.x = x;
    if (s.rows > 0 && taps > 0)
        s.x += ((size_t)(top + rows.first * a->dilation_h) * a->in_w + (left + cols.first * a->dilation_w)) *
               a->in_c;
    s.w = (rows.first * a->k_w + cols.first) * per_group;
    return s;
}

/* Adds the window's sums for four channels whose weights lie `apart` bytes from each other. */
static inline void smg_sum_window(const smg_window *s, int32_t *sums, const int8_t *x, const int8_t *w,
                                  int32_t apart, int16x2_t minus) {
    w += s->w;
    for (int32_t i = 0; i < s->rows; i++, x += s->row_x, w += s->row_w) {
        const int8_t *xs = x, *ws = w;
        for (int32_t j = 0; j < s->runs; j++, xs += s->run_x, ws += s->run_w)
            smg_dot_four(sums, xs, ws, apart, s->run, minus);
    }
}

void smg_q_conv(const smg_q_conv_args *a, const int8_t *x, const int8_t *w, const int32_t *bias,
                const uint16_t *multiplier, const uint8_t *shift, int8_t *y) {
    const smg_end end = {multiplier, shift, a->per_channel, a->zero_y, a->lo, a->hi};
    const int32_t per_group = a->in_c / a->groups, out_per_group = a->out_c / a->groups;
    const int32_t size = a->k_h * a->k_w * per_group;
    const int16x2_t minus = smg_minus(a->zero_x);
    for (int32_t at = 0; at < a->out_h * a->out_w; at++, y += a->out_c) {
        const int32_t top = at / a->out_w * a->stride_h - a->pad_top;
        const int32_t left = at % a->out_w * a->stride_w - a->pad_left;
        const smg_window s = smg_find(a, x, per_group, top, left);
        for (int32_t g = 0, o = 0; g < a->groups; g++) {
            const int32_t last = (g + 1) * out_per_group;
            const int8_t *group = s.x + g * per_group;
            for (; o + SMG_SIDE_BY_SIDE <= last; o += SMG_SIDE_BY_SIDE) {
                int32_t sums[SMG_SIDE_BY_SIDE] = {bias[o], bias[o + 1], bias[o + 2], bias[o + 3]};
                smg_sum_window(&s, sums, group, w + (size_t)o * size, size, minus);
                smg_finish(&end, o, SMG_SIDE_BY_SIDE, sums, y + o, 0);
            }
            /* What is left over takes its own weights four times. */
            for (; o < last; o++) {
                int32_t sums[SMG_SIDE_BY_SIDE] = {bias[o]};
                smg_sum_window(&s, sums, group, w + (size_t)o * size, 0, minus);
                smg_finish(&end, o, 1, sums, y + o, 0);
            }
        }
    }
}
