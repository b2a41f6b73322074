#include "smidgen.h"

enum { COLUMNS = 16 }; /* sums held at once: rows of b are read in order, whatever their length */

static void tile(const smg_q_matmul_args *a, const int8_t *x0, const int8_t *x1, int32_t columns,
                 uint16_t multiplier, uint8_t shift, void *y, size_t at) {
    int32_t acc[COLUMNS] = {0};
    for (int32_t k = 0; k < a->inner; k++, x1 += a->columns) {
        const int32_t v = x0[k] - a->zero_0;
        for (int32_t j = 0; j < columns; j++)
            acc[j] += v * (x1[j] - a->zero_1);
    }
    for (int32_t j = 0; j < columns; j++)
        smg_store(y, a->wide_y, at + (size_t)j, smg_requantize(acc[j], multiplier, shift) + a->zero_y, a->lo,
                  a->hi);
}

static void product(const smg_q_matmul_args *a, const int8_t *x0, const int8_t *x1, uint16_t multiplier,
                    uint8_t shift, void *y, size_t at) {
    for (int32_t r = 0; r < a->rows; r++, x0 += a->inner, at += (size_t)a->columns)
        for (int32_t j = 0; j < a->columns; j += COLUMNS) {
            const int32_t left = a->columns - j;
            tile(a, x0, x1 + j, left < COLUMNS ? left : COLUMNS, multiplier, shift, y, at + (size_t)j);
        }
}

void smg_q_matmul(const smg_q_matmul_args *a, const int8_t *x0, const int8_t *x1, const uint16_t *multiplier,
                  const uint8_t *shift, void *y) {
    size_t at = 0;
    for (int32_t i = 0; i < a->d0; i++)
        for (int32_t j = 0; j < a->d1; j++)
            for (int32_t k = 0; k < a->d2; k++, at += (size_t)a->rows * (size_t)a->columns)
                product(a, x0 + (size_t)i * a->s0_0 + (size_t)j * a->s0_1 + (size_t)k * a->s0_2,
                        x1 + (size_t)i * a->s1_0 + (size_t)j * a->s1_1 + (size_t)k * a->s1_2, *multiplier,
                        *shift, y, at);
}
