#include "smidgen.h"

static int8_t *skip(int8_t *y, size_t n, int32_t value) {
    while (n-- > 0)
        *y++ = (int8_t)value;
    return y;
}

void smg_spread(const smg_spread_args *a, const int8_t *x, int8_t *y) {
    const size_t size_2 = (size_t)(a->d2 - 1) * a->step_2 + 1;
    const size_t size_1 = (size_t)(a->d1 - 1) * a->step_1 + 1;
    const size_t row = size_2 * a->run, plane = size_1 * row;
    for (int32_t i = 0; i < a->d0; i++) {
        y = skip(y, i ? (a->step_0 - 1) * plane : 0, a->value);
        for (int32_t j = 0; j < a->d1; j++) {
            y = skip(y, j ? (a->step_1 - 1) * row : 0, a->value);
            for (int32_t k = 0; k < a->d2; k++) {
                y = skip(y, k ? (size_t)(a->step_2 - 1) * a->run : 0, a->value);
                for (int32_t l = 0; l < a->run; l++)
                    *y++ = *x++;
            }
        }
    }
}
