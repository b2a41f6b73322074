#include "smidgen.h"

void smg_decode_gaps(const smg_decode_gaps_args *a, const uint8_t *symbols, const uint8_t *zeros,
                     const uint8_t *multiples, const uint8_t *gaps, int8_t *y) {
    const int32_t escape = (1 << a->gap_bits) - 1;
    int32_t at = 0, next = 0;
    for (int32_t i = 0; i < a->count; i++)
        y[i] = 0;
    for (int32_t g = 0; g < a->gap_count; g++) {
        const int32_t code = smg_unsigned(gaps, g, a->gap_bits);
        if (code >= a->count - at)
            return;
        at += code;
        if (code != escape && next < a->stored) {
            const int32_t q = smg_signed(symbols, next++, a->bits);
            y[at] = smg_weight(q, at, a->row, a->group, a->bits, zeros, multiples);
            at++;
        }
    }
}
