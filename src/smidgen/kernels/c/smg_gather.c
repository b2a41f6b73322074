#include "smidgen.h"

void smg_gather(const smg_gather_args *a, const int8_t *x, const int32_t *indices, int8_t *y) {
    for (int32_t r = 0; r < a->rows; r++, x += (size_t)a->size * a->run)
        for (int32_t i = 0; i < a->count; i++) {
            const int8_t *from = x + (size_t)indices[i] * a->run;
            for (int32_t b = 0; b < a->run; b++)
                *y++ = from[b];
        }
}
