#include "smidgen.h"

void smg_decode_mask(const smg_decode_mask_args *a, const uint8_t *symbols, const uint8_t *zeros,
                     const uint8_t *multiples, const uint8_t *mask, int8_t *y) {
    int32_t next = 0;
    for (int32_t i = 0; i < a->count; i++) {
        y[i] = 0;
        if (smg_unsigned(mask, i, 1) && next < a->stored) {
            const int32_t q = smg_signed(symbols, next++, a->bits);
            y[i] = smg_weight(q, i, a->row, a->group, a->bits, zeros, multiples);
        }
    }
}
