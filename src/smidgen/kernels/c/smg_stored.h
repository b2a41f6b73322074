/* Weights in the form in which they are stored: packed, shared, sparse. A walk visits the stored ones of a
 * row.
 *
 * A stream of n-bit symbols is packed without gaps, least significant bit first. Fields of argument structs:
 *   bits        of a symbol, 1..8
 *   entries     > 0: a symbol (unsigned) is an index into `table` [entries], at most 256; beyond it means 0.
 *               0: symbols are signed, the weight is (symbol - zero) * multiple, saturated to int8
 *   zeros       how many zero points `zeros` holds, signed, `bits` wide: 0, 1 (for all rows), or one a row
 *   group       weights of a row that share a multiple (>= 1), row_groups of them in a row: `multiples` holds
 *               4 bits each, stored minus 1; null: 1
 *   stored      how many weights have a symbol; the others are 0
 * Which ones, is in `positions`:
 *   null        all
 *   gap_bits 0  a mask, one bit a weight
 *   gap_bits n  gap_count unsigned codes of n bits (1..8): the zeros before the next stored weight; the
 * largest code is that many zeros and no weight. A gap may lead into a later row.
 */
#ifndef SMG_STORED_H
#define SMG_STORED_H

#include "smidgen.h"

/* The streams of one tensor; `row` weights in each of its rows. */
typedef struct {
    const uint8_t *symbols;
    const int8_t *table;
    const uint8_t *zeros, *multiples, *positions;
    int32_t row, bits, entries, zero_count, group, row_groups, stored, gap_bits, gap_count;
} smg_stored;

/* How far a walk came: `at` is a place in row number `line`; `found` is 1 if a gap led to it. */
typedef struct {
    int32_t line, at, zero, symbol, code, found;
} smg_walk;

/* The `index`-th symbol of a stream. No products of 64 bits: small cores would call a function for them. */
static inline int32_t smg_unsigned(const uint8_t *stream, int32_t index, int32_t bits) {
    const int32_t first = (index & 7) * bits, low = first & 7;
    const uint8_t *byte = stream + (size_t)(index >> 3) * (size_t)bits + (first >> 3);
    uint32_t word = byte[0];
    if (low + bits > 8)
        word |= (uint32_t)byte[1] << 8;
    return (int32_t)(word >> low) & ((1 << bits) - 1);
}

static inline int32_t smg_signed(const uint8_t *stream, int32_t index, int32_t bits) {
    const int32_t sign = 1 << (bits - 1);
    return (smg_unsigned(stream, index, bits) ^ sign) - sign;
}

static inline int32_t smg_zero_of(const smg_stored *s, int32_t line) {
    return s->zero_count ? smg_signed(s->zeros, s->zero_count == 1 ? 0 : line, s->bits) : 0;
}

static inline smg_walk smg_first_row(const smg_stored *s) {
    smg_walk w = {0, 0, smg_zero_of(s, 0), 0, 0, 0};
    return w;
}

/* From the end of a row to the next one, which must exist. */
static inline void smg_next_row(const smg_stored *s, smg_walk *w) {
    w->line++;
    w->at -= s->row; /* 0, or as far as a gap reached */
    w->zero = smg_zero_of(s, w->line);
}

static inline void smg_find_in_mask(const smg_stored *s, smg_walk *w) {
    while (w->at < s->row && !smg_unsigned(s->positions, w->line * s->row + w->at, 1))
        w->at++;
}

static inline void smg_find_by_gaps(const smg_stored *s, smg_walk *w) {
    while (!w->found && w->at < s->row) {
        if (w->code == s->gap_count) { /* behind the last gap there is nothing more */
            w->at = s->row;
            return;
        }
        const int32_t code = smg_unsigned(s->positions, w->code++, s->gap_bits);
        w->found = code != (1 << s->gap_bits) - 1;
        w->at += code;
    }
}

/* Moves `at` to the next stored weight of the row: 1, or 0 if the row has no more. */
static inline int32_t smg_find(const smg_stored *s, smg_walk *w) {
    if (s->positions != NULL) {
        if (s->gap_bits)
            smg_find_by_gaps(s, w);
        else
            smg_find_in_mask(s, w);
    }
    return w->at < s->row;
}

/* The weight that `smg_find` has found; moves on behind it. */
static inline int32_t smg_take(const smg_stored *s, smg_walk *w) {
    const int32_t at = w->at++, number = w->symbol++;
    w->found = 0;
    if (number >= s->stored)
        return 0;
    if (s->entries) {
        const int32_t symbol = smg_unsigned(s->symbols, number, s->bits);
        return symbol < s->entries ? s->table[symbol] : 0;
    }
    int32_t q = smg_signed(s->symbols, number, s->bits) - w->zero;
    if (s->multiples != NULL)
        q *= smg_unsigned(s->multiples, w->line * s->row_groups + at / s->group, 4) + 1;
    return smg_saturate(q, -128, 127);
}

#endif
