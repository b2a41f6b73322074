/* The table of a coded stream: how values in [0, 2^width) are grouped into tokens, and each token's level.
 *
 * A token is an aligned interval of 2^extra values; the position inside it follows as `extra` raw bits. So
 * frequent values have tokens of their own, rare neighbours share one, and no alphabet is too large.
 * Levels (0 = the token never occurs) are Huffman code lengths, or bit lengths of rANS frequencies. Both
 * follow the density of the values, so each is predicted from its neighbour and the ratio of the intervals.
 */
#ifndef SMG_BITS_TOKENS_H
#define SMG_BITS_TOKENS_H

#include "smg_bits.h"
#include "smg_limits.h"

typedef struct {
    uint32_t count;
    uint32_t base[SMG_TOKENS_MAX];   /* first value */
    uint8_t extra[SMG_TOKENS_MAX];   /* raw bits, 0..32 */
    uint8_t level[SMG_TOKENS_MAX];   /* 0..15 */
    uint16_t weight[SMG_TOKENS_MAX]; /* Huffman code or rANS frequency */
} smg_tokens;

/* Intervals that tile [0, 2^width), width 1..32, written as the splits of a binary tree. */
void smg_tokens_write_intervals(const smg_tokens *tokens, unsigned width, smg_bit_writer *out);
smg_status smg_tokens_read_intervals(smg_bit_reader *in, unsigned width, smg_tokens *tokens);

/* Levels up to `limit` (<= 15). `slope`: change of the level when an interval doubles, +1 or -1. */
void smg_tokens_write_levels(const smg_tokens *tokens, int slope, int limit, smg_bit_writer *out);
smg_status smg_tokens_read_levels(smg_bit_reader *in, int slope, int limit, smg_tokens *tokens);

#endif
