#include "smidgen.h"

void smg_decode_codebook_gaps(const smg_decode_codebook_gaps_args *a, const uint8_t *symbols,
                              const int8_t *table, const uint8_t *gaps, int8_t *y) {
    const int32_t escape = (1 << a->gap_bits) - 1;
    int32_t at = 0, next = 0;
    for (int32_t i = 0; i < a->count; i++)
        y[i] = 0;
    for (int32_t g = 0; g < a->gap_count; g++) {
        const int32_t code = smg_unsigned(gaps, g, a->gap_bits);
        if (code >= a->count - at)
            return;
        at += code;
        if (code != escape && next < a->stored)
            y[at++] = smg_entry(symbols, next++, a->bits, table, a->entries);
    }
}
