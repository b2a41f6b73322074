#include "smidgen.h"

void smg_q_planes(const smg_q_planes_args *a, const int8_t *x, uint32_t *y) {
    for (int32_t p = 0; p < a->planes; p++) {
        const int32_t place = a->planes - 1 - p;
        const int8_t *row = x;
        for (int32_t r = 0; r < a->rows; r++, row += a->channels)
            for (int32_t first = 0; first < a->channels; first += 32) {
                const int32_t left = a->channels - first, bits = left < 32 ? left : 32;
                uint32_t word = 0;
                for (int32_t b = 0; b < bits; b++)
                    word |= ((uint32_t)(row[first + b] - a->zero_x) >> place & 1u) << b;
                *y++ = word;
            }
    }
}
