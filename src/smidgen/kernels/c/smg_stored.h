/* Weights in the form in which they are stored: packed, shared, sparse. A walk visits those of a row.
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
 *   gap_bits 0  a mask, 0 or 1 for each weight
 *   gap_bits n  gap_count codes below 2^n (n 1..8): the zeros before the next stored weight; the largest code
 *               is that many zeros and no weight. A gap may lead into a later row.
 * position_bits (1..8) is how wide such a code or entry of the mask is stored.
 */
#ifndef SMG_STORED_H
#define SMG_STORED_H

#include "smidgen.h"

/* The streams of one tensor; `row` weights in each of its rows. */
typedef struct {
    const uint8_t *symbols;
    const int8_t *table;
    const uint8_t *zeros, *multiples, *positions;
    int32_t row, bits, entries, zero_count, group, row_groups, stored, gap_bits, gap_count, position_bits;
} smg_stored;

/* A walk through it: weight number `at` of row number `line` is `value`. The rest is how far its streams are
 * read: the search goes on at place `next`, where a weight is stored for certain if `found` is 1. */
typedef struct {
    int32_t line, at, value, next, found, symbol, code, zero;
} smg_walk;

/* Before the first weight of the first row. */
smg_walk smg_first_row(const smg_stored *s);

/* From the end of a row to before the first weight of the next one, which must exist. */
void smg_next_row(const smg_stored *s, smg_walk *w);

/* To the next stored weight of the row: 1, or 0 if there are no more. */
int32_t smg_next_weight(const smg_stored *s, smg_walk *w);

/* `count` weights of row `line` from number `first` on, to `to` [count]; `positions` must be null. A fifth of
 * what a walk takes. */
void smg_unpack(const smg_stored *s, int32_t line, int32_t first, int32_t count, int8_t *to);

#endif
