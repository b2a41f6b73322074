#include "smidgen.h"

enum { LANES = 16 }; /* most outputs summed in one walk over the trees */

static int32_t feature(const smg_q_trees_args *a, const void *x, int32_t index) {
    return a->bytes_x == 2 ? ((const int16_t *)x)[index] : ((const int8_t *)x)[index];
}

/* The number of the leaf within its tree. */
static int32_t walk(const smg_q_trees_args *a, const void *x, const int16_t *split) {
    for (;;) {
        const int32_t step = feature(a, x, split[0]) <= split[1] ? split[2] : split[3];
        if (step <= 0)
            return -step;
        split += (size_t)step * 4;
    }
}

/* acc[i] += the leaf's value for output `first` + i, for those of the `lanes` outputs that it adds to. */
static void add(uint32_t *acc, const int16_t *leaf, int32_t width, int32_t target, int32_t first,
                int32_t lanes) {
    const int32_t from = target > first ? target - first : 0;
    const int32_t end = target + width - first, to = end < lanes ? end : lanes;
    for (int32_t i = from; i < to; i++)
        acc[i] += (uint32_t)(int32_t)leaf[first + i - target];
}

void smg_q_trees(const smg_q_trees_args *a, const void *x, const int16_t *splits, const int32_t *tree_table,
                 const int16_t *leaves, const int32_t *bias, const uint16_t *multiplier, const uint8_t *shift,
                 int8_t *y) {
    for (int32_t first = 0; first < a->out; first += LANES) {
        const int32_t lanes = a->out - first < LANES ? a->out - first : LANES;
        uint32_t acc[LANES];
        for (int32_t i = 0; i < lanes; i++)
            acc[i] = (uint32_t)bias[first + i];
        for (int32_t t = 0; t < a->trees; t++) {
            const int32_t *tree = tree_table + (size_t)t * 3;
            if (tree[2] >= first + lanes || tree[2] + a->width <= first)
                continue;
            const int32_t leaf = tree[1] + walk(a, x, splits + (size_t)tree[0] * 4);
            add(acc, leaves + (size_t)leaf * a->width, a->width, tree[2], first, lanes);
        }
        for (int32_t i = 0; i < lanes; i++)
            y[first + i] =
                smg_saturate(smg_requantize((int32_t)acc[i], *multiplier, *shift) + a->zero_y, a->lo, a->hi);
    }
}
