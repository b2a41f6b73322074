#include "smidgen.h"

void smg_decode_codebook(const smg_decode_codebook_args *a, const uint8_t *symbols, const int8_t *table,
                         int8_t *y) {
    for (int32_t i = 0; i < a->count; i++)
        y[i] = smg_entry(symbols, i, a->bits, table, a->entries);
}
