#include "smg_stored.h"

enum { TILE = 16 }; /* outputs side by side: a weight is unpacked once for all of them */

/* Neighbouring outputs of one row of one channel: their windows start at (top, left), (top, left + stride)...
 */
typedef struct {
    int32_t acc[TILE];
    int32_t count, top, left;
} tile;

/* Adds one weight's products; `channel` points at its input channel, (kh, kw) is its place in the window. */
static inline void add(const smg_q_conv_stored_args *a, tile *t, const int8_t *channel, int32_t kh,
                       int32_t kw, int32_t weight) {
    const int32_t row = t->top + kh * a->dilation_h;
    int32_t column = t->left + kw * a->dilation_w, first = 0, last = t->count;
    if (row < 0 || row >= a->in_h)
        return;
    for (; column < 0 && first < last; column += a->stride_w)
        first++;
    if (column < 0 || column >= a->in_w)
        return;
    const int32_t step = a->stride_w * a->in_c;
    const int8_t *x = channel + ((size_t)row * a->in_w + (size_t)column) * a->in_c;
    for (int32_t i = first; i < last && column < a->in_w; i++, x += step, column += a->stride_w)
        t->acc[i] += weight * (*x - a->zero_x);
}

/* All weights of the row where `w` is; their order is [kh][kw][channel]. */
static void accumulate(const smg_q_conv_stored_args *a, const smg_stored *s, smg_walk *w, const int8_t *x,
                       tile *t) {
    const int32_t depth = a->in_c / a->groups;
    int32_t kh = 0, kw = 0, start = 0;
    while (smg_find(s, w)) {
        while (w->at - start >= depth) {
            start += depth;
            if (++kw == a->k_w) {
                kw = 0;
                kh++;
            }
        }
        const int8_t *channel = x + (w->at - start);
        add(a, t, channel, kh, kw, smg_take(s, w));
    }
}

void smg_q_conv_stored(const smg_q_conv_stored_args *a, const int8_t *x, const uint8_t *symbols,
                       const int8_t *table, const uint8_t *zeros, const uint8_t *multiples,
                       const uint8_t *positions, const int32_t *bias, const uint16_t *multiplier,
                       const uint8_t *shift, void *y) {
    const int32_t depth = a->in_c / a->groups, out_per_group = a->out_c / a->groups;
    const smg_stored s = {
        symbols,     table,       zeros,    multiples, positions,     a->k_h * a->k_w * depth,
        a->bits,     a->entries,  a->zeros, a->group,  a->row_groups, a->stored,
        a->gap_bits, a->gap_count};
    smg_walk row = smg_first_row(&s), end = row;
    for (int32_t o = 0; o < a->out_c; o++) {
        const int32_t c = a->per_channel ? o : 0;
        for (int32_t at = 0, oh = 0; oh < a->out_h; oh++) {
            tile t;
            for (int32_t ow = 0; ow < a->out_w; ow += t.count) {
                t.count = a->out_w - ow < TILE ? a->out_w - ow : TILE;
                t.top = oh * a->stride_h - a->pad_top;
                t.left = ow * a->stride_w - a->pad_left;
                for (int32_t i = 0; i < t.count; i++)
                    t.acc[i] = bias[o];
                end = row;
                accumulate(a, &s, &end, x + o / out_per_group * depth, &t);
                for (int32_t i = 0; i < t.count; i++, at++)
                    smg_store(y, a->wide_y, (size_t)at * a->out_c + o,
                              smg_requantize(t.acc[i], multiplier[c], shift[c]) + a->zero_y, a->lo, a->hi);
            }
        }
        row = end;
        if (o + 1 < a->out_c)
            smg_next_row(&s, &row);
    }
}
