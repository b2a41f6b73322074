/* Canonical Huffman codes of at most 15 bits: only the lengths are stored. A token's raw bits follow its
 * code.
 *
 * Codes are assigned in the order (length, token). Ref: Schwartz and Kallick 1964 (canonical form).
 */
#ifndef SMG_HUFFMAN_H
#define SMG_HUFFMAN_H

#include "smg_bits_tokens.h"

enum { SMG_HUFFMAN_LONGEST = 15 };

typedef struct {
    smg_tokens tokens;
    uint16_t sorted[SMG_TOKENS_MAX];         /* tokens by (length, token) */
    uint32_t limit[SMG_HUFFMAN_LONGEST + 1]; /* left-aligned first code beyond each length */
    int32_t first[SMG_HUFFMAN_LONGEST + 1];  /* index in `sorted` minus the first code of each length */
} smg_huffman_workspace;

void smg_huffman_write_table(const smg_tokens *tokens, unsigned width, smg_bit_writer *out);

/* Code `values`; `lookup[value >> shift]` is the value's token. Levels must make a complete code. */
void smg_huffman_encode(const uint32_t *values, size_t count, const uint16_t *lookup, unsigned shift,
                        smg_tokens *tokens, smg_bit_writer *out);

/* Decode table and values: out[i] = offset + value. `width` 1..32. */
smg_status smg_huffman_decode(const uint8_t *data, size_t size, unsigned width, uint32_t offset, size_t count,
                              smg_huffman_workspace *work, smg_output out);

#endif
