#include "smidgen.h"

void smg_fill(const smg_fill_args *a, int8_t *y) {
    for (int32_t i = 0; i < a->count; i++)
        y[i] = (int8_t)a->value;
}
