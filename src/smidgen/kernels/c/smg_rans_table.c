#include "smg_rans.h"

enum { MANTISSA_WIDTH = 4 };

/* The token whose frequency is what the others leave: the first of the highest level. */
static uint32_t absorber(const smg_tokens *tokens) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < tokens->count; i++)
        if (tokens->level[i] > tokens->level[best])
            best = i;
    return best;
}

/* Stored bits below the leading one of a frequency of this level (>= 1). */
static unsigned stored(unsigned level, unsigned mantissa_bits) {
    return level - 1 < mantissa_bits ? level - 1 : mantissa_bits;
}

void smg_rans_write_table(const smg_tokens *tokens, unsigned width, unsigned mantissa_bits,
                          smg_bit_writer *out) {
    uint32_t rest = absorber(tokens);
    smg_tokens_write_intervals(tokens, width, out);
    smg_tokens_write_levels(tokens, 1, SMG_RANS_BITS, out);
    smg_bits_write(out, mantissa_bits, MANTISSA_WIDTH);
    for (uint32_t i = 0; i < tokens->count; i++)
        if (tokens->level[i] && i != rest) {
            unsigned bits = stored(tokens->level[i], mantissa_bits);
            smg_bits_write(out, (uint32_t)tokens->weight[i] >> (tokens->level[i] - 1 - bits), bits);
        }
    smg_bits_flush(out);
}

static smg_status read_frequencies(smg_bit_reader *in, smg_tokens *tokens) {
    unsigned mantissa_bits = smg_bits_read(in, MANTISSA_WIDTH);
    uint32_t rest = absorber(tokens), sum = 0;
    for (uint32_t i = 0; i < tokens->count; i++) {
        unsigned level = tokens->level[i];
        tokens->weight[i] = 0;
        if (level && i != rest) {
            unsigned bits = stored(level, mantissa_bits);
            uint32_t mantissa = (uint32_t)1 << bits | smg_bits_read(in, bits);
            tokens->weight[i] = (uint16_t)(mantissa << (level - 1 - bits));
        }
        sum += tokens->weight[i];
    }
    if (in->overrun)
        return SMG_TRUNCATED;
    /* One token alone would code any number of values in no bytes. */
    if (sum == 0 || sum >= SMG_RANS_TOTAL)
        return SMG_BAD_TABLE;
    tokens->weight[rest] = (uint16_t)(SMG_RANS_TOTAL - sum);
    return SMG_OK;
}

smg_status smg_rans_read_table(smg_bit_reader *in, unsigned width, smg_tokens *tokens) {
    smg_status status = smg_tokens_read_intervals(in, width, tokens);
    if (status == SMG_OK)
        status = smg_tokens_read_levels(in, 1, SMG_RANS_BITS, tokens);
    if (status == SMG_OK)
        status = read_frequencies(in, tokens);
    return status;
}
