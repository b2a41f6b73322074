#include "smidgen.h"

void smg_q_table(const smg_q_table_args *a, const int8_t *x, const int8_t *table, int8_t *y) {
    for (int32_t i = 0; i < a->count; i++)
        y[i] = table[x[i] + 128];
}
