/* Adaptive binary context coder: no table; the statistics of each neighbourhood are learned while decoding.
 *
 * A symbol is the (stored) most common one plus a difference, coded as decisions of two outcomes:
 *   is it nonzero; is it negative; the octave floor(log2 |difference|) in unary; then, below the leading one
 *   of |difference|, three modelled bits and the rest raw, highest first.
 * The first and third look at the octave of a running mean of |difference| over the symbols before, plus one
 * over those at the same position of earlier rows: weights differ in size from channel to channel.
 *
 * A decision's probability p (22 bits) moves by (outcome - p) / (n + 1.5) after its n-th use, n up to a limit
 * that the stream sets. The range coder keeps 32 bits and codes with the upper 15 bits of p.
 * Ref: Martin 1979, "Range encoding"; carry and normalisation as in Schindler 1998. Running counts:
 * Krichevsky and Trofimov 1981.
 *
 * A stream: byte: limit (3 bits: n stops at 2^(4 + limit) - 1, 0..6), left (3), sides (2)
 *           byte: columns (3), scale (5)
 *           if columns > 0, two bytes, low first: row, the symbols in one row, 1..4096
 *           the code, as many bytes as decisions need, and one
 * left, columns: the running mean moves by 2^-left or 2^-columns of the way; 0: there is none.
 * sides: 1 no difference is negative, 2 none is positive, 0 both occur: otherwise the sign is not coded.
 * scale: running means see |difference| >> scale, 255 at most.
 */
#ifndef SMG_CONTEXT_H
#define SMG_CONTEXT_H

#include "smg_bits.h"
#include "smg_limits.h"

enum {
    SMG_CONTEXT_CLASSES = 18, /* bit lengths of the sum of two 16-bit means */
    SMG_CONTEXT_LIMIT_MAX = 6,
    SMG_CONTEXT_UPWARD = 1,
    SMG_CONTEXT_DOWNWARD = 2
};

typedef struct {
    uint16_t row; /* read only if columns > 0 */
    uint8_t limit, left, sides, columns, scale;
} smg_context_settings;

/* 14 KiB with the longest rows. A decision is p (22 bits, above) and its count (10 bits). */
typedef struct {
    smg_context_settings settings;
    uint32_t nonzero[SMG_CONTEXT_CLASSES], negative[3];
    uint32_t octave[SMG_CONTEXT_CLASSES][32], mantissa[32][8];
    uint16_t column[SMG_CONTEXT_ROW_MAX], rate[1 << 10];
    uint32_t left, at, last_sign; /* mean before, position in the row, 0 none 1 positive 2 negative */
} smg_context_workspace;

/* Code `count` differences, two's complement. Returns the length in bytes, or 0 if it exceeds `capacity`
 * or the settings are not legal (`sides` must hold for all differences). */
size_t smg_context_encode(const uint32_t *differences, size_t count, const smg_context_settings *settings,
                          smg_context_workspace *work, uint8_t *out, size_t capacity);

/* out[i] = offset + difference, in the bits of an item. The data must end where the last symbol ends. */
smg_status smg_context_decode(const uint8_t *data, size_t size, uint32_t offset, size_t count,
                              smg_context_workspace *work, smg_output out);

#endif
