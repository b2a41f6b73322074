/* Range asymmetric numeral system: 32-bit state, 12-bit frequencies, bytes in and out.
 *
 * Ref: Duda 2013, arXiv 1311.2540. The state stays in [2^23, 2^31); a stream starts with its final state (4
 * bytes, big endian), and decoding must end at 2^23 exactly where the bytes end, which catches almost all
 * corruption. A token's raw bits are symbols of uniform probability in the same state, at most 12 at a time.
 */
#ifndef SMG_RANS_H
#define SMG_RANS_H

#include "smg_bits_tokens.h"

enum { SMG_RANS_BITS = 12, SMG_RANS_TOTAL = 1 << SMG_RANS_BITS };

typedef struct {
    smg_tokens tokens;
#if SMG_RANS_SLOTS
    struct {
        uint16_t token, frequency, offset; /* offset: position inside the token's share */
    } slot[SMG_RANS_TOTAL];
#else
    uint16_t start[SMG_TOKENS_MAX]; /* of each token's share */
#endif
} smg_rans_workspace;

/* The table: intervals, bit lengths of frequencies, and `mantissa_bits` (0..11) bits below each leading one.
 * The first token of the highest level gets what the others leave of 4096, so it has no mantissa. */
void smg_rans_write_table(const smg_tokens *tokens, unsigned width, unsigned mantissa_bits,
                          smg_bit_writer *out);
smg_status smg_rans_read_table(smg_bit_reader *in, unsigned width, smg_tokens *tokens);

/* Code `values` into the end of `out`. `lookup[value >> shift]` is the value's token; frequencies sum to
 * 4096. Returns the length in bytes, or 0 if `capacity` is too small. */
size_t smg_rans_encode(const uint32_t *values, size_t count, const uint16_t *lookup, unsigned shift,
                       const smg_tokens *tokens, uint8_t *out, size_t capacity);

/* Decode table and values: out[i] = offset + value. `width` 1..32. */
smg_status smg_rans_decode(const uint8_t *data, size_t size, unsigned width, uint32_t offset, size_t count,
                           smg_rans_workspace *work, smg_output out);

#endif
