#include "smidgen.h"

static int8_t *fill(int8_t *y, size_t n, int32_t value) {
    while (n-- > 0)
        *y++ = (int8_t)value;
    return y;
}

void smg_pad(const smg_pad_args *a, const int8_t *x, int8_t *y) {
    const size_t size_3 = (size_t)(a->before_3 + a->d3 + a->after_3);
    const size_t size_2 = (size_t)(a->before_2 + a->d2 + a->after_2) * size_3;
    const size_t size_1 = (size_t)(a->before_1 + a->d1 + a->after_1) * size_2;
    y = fill(y, a->before_0 * size_1, a->value);
    for (int32_t i = 0; i < a->d0; i++) {
        y = fill(y, a->before_1 * size_2, a->value);
        for (int32_t j = 0; j < a->d1; j++) {
            y = fill(y, a->before_2 * size_3, a->value);
            for (int32_t k = 0; k < a->d2; k++) {
                y = fill(y, (size_t)a->before_3, a->value);
                for (int32_t l = 0; l < a->d3; l++)
                    *y++ = *x++;
                y = fill(y, (size_t)a->after_3, a->value);
            }
            y = fill(y, a->after_2 * size_3, a->value);
        }
        y = fill(y, a->after_1 * size_2, a->value);
    }
    fill(y, a->after_0 * size_1, a->value);
}
