#include "smg_stored.h"

#if defined(__ARM_FEATURE_DSP)
#include "dsp/smg_q_conv_stored.h"
#endif

/* Outputs of a channel computed side by side: a weight is unpacked once for all of them. */
enum { TILE = 32 };

/* `rows` by `columns` neighbouring outputs; the first one's window starts at (top, left) of the image. */
typedef struct {
    int32_t acc[TILE];
    int32_t rows, columns, top, left;
} tile;

/* Adds one weight's products: `x` is its input channel, (kh, kw) its place in the window. */
static inline void add(const smg_q_conv_stored_args *a, tile *t, const int8_t *x, int32_t kh, int32_t kw,
                       int32_t weight) {
    const int32_t step = a->stride_w * a->in_c;
    int32_t left = t->left + kw * a->dilation_w, first = 0, last = t->columns;
    int32_t right = left + (last - 1) * a->stride_w;
    for (; left < 0 && first < last; left += a->stride_w)
        first++;
    for (; right >= a->in_w && first < last; right -= a->stride_w)
        last--;
    if (first >= last)
        return;
    for (int32_t r = 0; r < t->rows; r++) {
        const int32_t row = t->top + r * a->stride_h + kh * a->dilation_h;
        if (row < 0 || row >= a->in_h)
            continue;
        const int8_t *from = x + ((size_t)row * a->in_w + left) * a->in_c;
        int32_t *acc = t->acc + r * t->columns;
        for (int32_t i = first; i < last; i++, from += step)
            acc[i] += weight * (*from - a->zero_x);
    }
}

/* All weights of the row where `w` is; their order is [kh][kw][channel]. */
static void accumulate(const smg_q_conv_stored_args *a, const smg_stored *s, smg_walk *w, const int8_t *x,
                       tile *t) {
    const int32_t depth = a->in_c / a->groups;
    int32_t kh = 0, kw = 0, start = 0;
    while (smg_next_weight(s, w)) {
        while (w->at - start >= depth) {
            start += depth;
            if (++kw == a->k_w) {
                kw = 0;
                kh++;
            }
        }
        add(a, t, x + (w->at - start), kh, kw, w->value);
    }
}

/* Several whole rows of outputs, or a part of one. */
static void place(const smg_q_conv_stored_args *a, tile *t, int32_t oh, int32_t ow) {
    const int32_t fitting = TILE / a->out_w;
    t->rows = fitting < 1 ? 1 : fitting < a->out_h - oh ? fitting : a->out_h - oh;
    t->columns = a->out_w - ow < TILE ? a->out_w - ow : TILE;
    t->top = oh * a->stride_h - a->pad_top;
    t->left = ow * a->stride_w - a->pad_left;
}

/* The stored weights one after the other, each for all outputs of a tile. */
static void walk(const smg_q_conv_stored_args *a, const smg_stored *s, const int8_t *x, const int32_t *bias,
                 const uint16_t *multiplier, const uint8_t *shift, int8_t *y) {
    const int32_t depth = a->in_c / a->groups, out_per_group = a->out_c / a->groups;
    const int32_t pixels = a->out_h * a->out_w;
    smg_walk row = smg_first_row(s), end = row;
    for (int32_t o = 0; o < a->out_c; o++) {
        const int8_t *group = x + o / out_per_group * depth;
        const int32_t c = a->per_channel ? o : 0;
        tile t;
        for (int32_t at = 0; at < pixels;) {
            place(a, &t, at / a->out_w, at % a->out_w);
            const int32_t count = t.rows * t.columns;
            for (int32_t i = 0; i < count; i++)
                t.acc[i] = bias[o];
            end = row;
            accumulate(a, s, &end, group, &t);
            for (int32_t i = 0; i < count; i++, at++)
                y[(size_t)at * a->out_c + o] =
                    smg_saturate(smg_requantize(t.acc[i], multiplier[c], shift[c]) + a->zero_y, a->lo, a->hi);
        }
        row = end;
        if (o + 1 < a->out_c)
            smg_next_row(s, &row);
    }
}

void smg_q_conv_stored(const smg_q_conv_stored_args *a, const int8_t *x, const uint8_t *symbols,
                       const int8_t *table, const uint8_t *zeros, const uint8_t *multiples,
                       const uint8_t *positions, const int32_t *bias, const uint16_t *multiplier,
                       const uint8_t *shift, int8_t *y) {
    const int32_t row = a->k_h * a->k_w * (a->in_c / a->groups);
    const smg_stored s = {symbols,       table,     zeros,       multiples,    positions,
                          row,           a->bits,   a->entries,  a->zeros,     a->group,
                          a->row_groups, a->stored, a->gap_bits, a->gap_count, a->position_bits};
#if defined(__ARM_FEATURE_DSP)
    if (positions == NULL) {
        unpacked(a, &s, x, bias, multiplier, shift, y);
        return;
    }
#endif
    walk(a, &s, x, bias, multiplier, shift, y);
}
