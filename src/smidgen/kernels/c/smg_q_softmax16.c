#include "smidgen.h"

enum { OCTAVES = 16 }; /* beyond, a weight is below the smallest of 16 bits */

/* 2^-(distance): the octave is a shift, what is left of it a table entry. */
static uint32_t power(int32_t distance, const uint16_t *table, uint16_t multiplier, uint8_t shift) {
    const int64_t u = smg_requantize(distance, multiplier, shift);
    return u >> 8 < OCTAVES ? (uint32_t)table[u & 255] >> (u >> 8) : 0;
}

static void row(int32_t size, const int16_t *x, const uint16_t *table, uint16_t multiplier, uint8_t shift,
                const uint8_t *mask, int8_t *y) {
    int32_t max = INT16_MIN;
    uint32_t sum = 0;
    for (int32_t i = 0; i < size; i++)
        max = (!mask || mask[i]) && x[i] > max ? x[i] : max;
    for (int32_t i = 0; i < size; i++)
        sum += !mask || mask[i] ? power(max - x[i], table, multiplier, shift) : 0;
    for (int32_t i = 0; i < size; i++) {
        const uint32_t e = !mask || mask[i] ? power(max - x[i], table, multiplier, shift) : 0;
        const uint32_t share = e ? (e * 256 + sum / 2) / sum : 0;
        y[i] = (int8_t)((int32_t)(share > 255 ? 255 : share) - 128);
    }
}

void smg_q_softmax16(const smg_q_softmax16_args *a, const int16_t *x, const uint16_t *table,
                     const uint16_t *multiplier, const uint8_t *shift, const uint8_t *mask, int8_t *y) {
    for (int32_t r = 0; r < a->rows; r++, x += a->size, y += a->size)
        row(a->size, x, table, *multiplier, *shift, mask ? mask + (size_t)(r % a->mask_rows) * a->size : NULL,
            y);
}
