#include "smg_huffman.h"

/* first[length]: the smallest code of that length; counts[length]: how many there are. */
static void first_codes(const smg_tokens *tokens, uint32_t *first, uint32_t *counts) {
    uint32_t code = 0;
    for (int length = 0; length <= SMG_HUFFMAN_LONGEST; length++)
        counts[length] = 0;
    for (uint32_t i = 0; i < tokens->count; i++)
        counts[tokens->level[i]]++;
    counts[0] = first[0] = 0;
    for (int length = 1; length <= SMG_HUFFMAN_LONGEST; length++)
        first[length] = code = (code + counts[length - 1]) << 1;
}

void smg_huffman_write_table(const smg_tokens *tokens, unsigned width, smg_bit_writer *out) {
    smg_tokens_write_intervals(tokens, width, out);
    smg_tokens_write_levels(tokens, -1, SMG_HUFFMAN_LONGEST, out);
}

void smg_huffman_encode(const uint32_t *values, size_t count, const uint16_t *lookup, unsigned shift,
                        smg_tokens *tokens, smg_bit_writer *out) {
    uint32_t next[SMG_HUFFMAN_LONGEST + 1], counts[SMG_HUFFMAN_LONGEST + 1];
    first_codes(tokens, next, counts);
    for (uint32_t i = 0; i < tokens->count; i++)
        tokens->weight[i] = (uint16_t)next[tokens->level[i]]++;
    for (size_t i = 0; i < count; i++) {
        uint16_t t = lookup[values[i] >> shift];
        smg_bits_write(out, tokens->weight[t], tokens->level[t]);
        smg_bits_write(out, values[i] - tokens->base[t], tokens->extra[t]);
    }
    smg_bits_flush(out);
}

/* A complete code has a token for every sequence of bits; each takes at least one bit. */
static smg_status prepare(smg_huffman_workspace *work) {
    const smg_tokens *tokens = &work->tokens;
    uint32_t first[SMG_HUFFMAN_LONGEST + 1], counts[SMG_HUFFMAN_LONGEST + 1];
    uint32_t index = 0, kraft = 0;
    first_codes(tokens, first, counts);
    for (int length = 1; length <= SMG_HUFFMAN_LONGEST; length++) {
        unsigned align = (unsigned)(SMG_HUFFMAN_LONGEST - length);
        kraft += counts[length] << align;
        if (kraft > (uint32_t)1 << SMG_HUFFMAN_LONGEST)
            return SMG_BAD_TABLE;
        work->limit[length] = (first[length] + counts[length]) << align;
        work->first[length] = (int32_t)index - (int32_t)first[length];
        for (uint32_t i = 0; counts[length] && i < tokens->count; i++)
            if (tokens->level[i] == length)
                work->sorted[index++] = (uint16_t)i;
    }
    return kraft == (uint32_t)1 << SMG_HUFFMAN_LONGEST ? SMG_OK : SMG_BAD_TABLE;
}

smg_status smg_huffman_decode(const uint8_t *data, size_t size, unsigned width, uint32_t offset, size_t count,
                              smg_huffman_workspace *work, smg_output out) {
    smg_tokens *tokens = &work->tokens;
    smg_bit_reader reader = smg_bits_reader(data, size);
    smg_status status = smg_tokens_read_intervals(&reader, width, tokens);
    if (status == SMG_OK)
        status = smg_tokens_read_levels(&reader, -1, SMG_HUFFMAN_LONGEST, tokens);
    if (status == SMG_OK)
        status = prepare(work);
    for (size_t i = 0; i < count && status == SMG_OK; i++) {
        uint32_t bits = smg_bits_peek(&reader, SMG_HUFFMAN_LONGEST);
        int length = 1;
        while (bits >= work->limit[length])
            length++;
        uint32_t code = bits >> (SMG_HUFFMAN_LONGEST - length);
        uint16_t t = work->sorted[work->first[length] + (int32_t)code];
        smg_bits_skip(&reader, (unsigned)length);
        smg_put(&out, i, offset + tokens->base[t] + smg_bits_read(&reader, tokens->extra[t]));
        if (reader.overrun)
            status = SMG_TRUNCATED;
    }
    if (status != SMG_OK)
        return status;
    return smg_bits_position(&reader) == size ? SMG_OK : SMG_CORRUPT;
}
