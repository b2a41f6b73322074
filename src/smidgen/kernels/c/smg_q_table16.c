#include "smidgen.h"

void smg_q_table16(const smg_q_table16_args *a, const int16_t *x, const int16_t *table, void *y) {
    const int32_t lo = a->wide_y ? -32768 : -128, hi = a->wide_y ? 32767 : 127;
    for (int32_t i = 0; i < a->count; i++) {
        const int32_t u = x[i] + 32768;
        const int16_t *knot = table + (u >> 8);
        smg_store(y, a->wide_y, (size_t)i, knot[0] + (((knot[1] - knot[0]) * (u & 255) + 128) >> 8), lo, hi);
    }
}
