#include "smg_stored.h"

void smg_decode(const smg_decode_args *a, const uint8_t *symbols, const int8_t *table, const uint8_t *zeros,
                const uint8_t *multiples, const uint8_t *positions, int8_t *y) {
    const smg_stored s = {symbols,       table,     zeros,       multiples,    positions,
                          a->row,        a->bits,   a->entries,  a->zeros,     a->group,
                          a->row_groups, a->stored, a->gap_bits, a->gap_count, a->position_bits};
    if (positions == NULL) {
        for (int32_t r = 0; r < a->rows; r++, y += a->row)
            smg_unpack(&s, r, 0, a->row, y);
        return;
    }
    smg_walk w = smg_first_row(&s);
    for (int32_t r = 0; r < a->rows; r++, y += a->row) {
        if (r)
            smg_next_row(&s, &w);
        for (int32_t i = 0; i < a->row; i++)
            y[i] = 0;
        while (smg_next_weight(&s, &w))
            y[w.at] = (int8_t)w.value;
    }
}
