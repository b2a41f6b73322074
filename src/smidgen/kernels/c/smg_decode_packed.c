#include "smidgen.h"

void smg_decode_packed(const smg_decode_packed_args *a, const uint8_t *symbols, const uint8_t *zeros,
                       const uint8_t *multiples, int8_t *y) {
    for (int32_t i = 0; i < a->count; i++)
        y[i] = smg_weight(smg_signed(symbols, i, a->bits), i, a->row, a->group, a->bits, zeros, multiples);
}
