#include "smidgen.h"

void smg_copy(const smg_copy_args *a, const int8_t *x, int8_t *y) {
    for (int32_t r = 0; r < a->rows; r++)
        for (int32_t i = 0; i < a->run; i++)
            y[(size_t)r * a->stride_y + i] = x[(size_t)r * a->stride_x + i];
}
