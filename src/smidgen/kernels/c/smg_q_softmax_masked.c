#include "smidgen.h"

static void row(int32_t size, const int8_t *x, const uint16_t *table, const uint8_t *mask, int8_t *y) {
    int32_t max = INT8_MIN;
    uint32_t sum = 0;
    for (int32_t i = 0; i < size; i++)
        max = mask[i] && x[i] > max ? x[i] : max;
    for (int32_t i = 0; i < size; i++)
        sum += mask[i] ? table[max - x[i]] : 0;
    for (int32_t i = 0; i < size; i++) {
        const uint32_t share = mask[i] ? ((uint32_t)table[max - x[i]] * 256 + sum / 2) / sum : 0;
        y[i] = (int8_t)((int32_t)(share > 255 ? 255 : share) - 128);
    }
}

void smg_q_softmax_masked(const smg_q_softmax_masked_args *a, const int8_t *x, const uint16_t *table,
                          const uint8_t *mask, int8_t *y) {
    for (int32_t r = 0; r < a->rows; r++, x += a->size, y += a->size)
        row(a->size, x, table, mask + (size_t)(r % a->mask_rows) * a->size, y);
}
