#include "smidgen.h"

void smg_decode_codebook_mask(const smg_decode_codebook_mask_args *a, const uint8_t *symbols,
                              const int8_t *table, const uint8_t *mask, int8_t *y) {
    int32_t next = 0;
    for (int32_t i = 0; i < a->count; i++) {
        y[i] = 0;
        if (smg_unsigned(mask, i, 1) && next < a->stored)
            y[i] = smg_entry(symbols, next++, a->bits, table, a->entries);
    }
}
