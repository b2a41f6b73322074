#include "smidgen.h"

void smg_q_binarize(const smg_q_binarize_args *a, const int8_t *x, const int16_t *threshold,
                    const uint32_t *flip, uint32_t *y) {
    for (int32_t r = 0; r < a->rows; r++, x += a->channels)
        for (int32_t first = 0; first < a->channels; first += 32) {
            const int32_t left = a->channels - first, bits = left < 32 ? left : 32;
            uint32_t word = flip[first / 32];
            for (int32_t b = 0; b < bits; b++)
                word ^= (uint32_t)(x[first + b] >= threshold[first + b]) << b;
            *y++ = word;
        }
}
