#include "smg_bits_tokens.h"

enum { EXTRA_WIDTH = 6, LEVEL_WIDTH = 4 };

/* In preorder, a subtree that starts at `at` > 0 is a right child, and its lowest set bit is its size. */
static unsigned subtree(uint64_t at, unsigned largest) {
    unsigned size = 0;
    while (size < largest && !(at >> size & 1))
        size++;
    return size;
}

void smg_tokens_write_intervals(const smg_tokens *tokens, unsigned width, smg_bit_writer *out) {
    unsigned most = 0, least = width;
    for (uint32_t i = 0; i < tokens->count; i++) {
        if (tokens->extra[i] > most)
            most = tokens->extra[i];
        if (tokens->extra[i] < least)
            least = tokens->extra[i];
    }
    smg_bits_write(out, most, EXTRA_WIDTH);
    smg_bits_write(out, least, EXTRA_WIDTH);
    for (uint32_t i = 0; i < tokens->count; i++) {
        unsigned size = subtree(tokens->base[i], most);
        for (; size > tokens->extra[i]; size--)
            smg_bits_write(out, 1, 1);
        if (size > least)
            smg_bits_write(out, 0, 1);
    }
}

smg_status smg_tokens_read_intervals(smg_bit_reader *in, unsigned width, smg_tokens *tokens) {
    unsigned most = smg_bits_read(in, EXTRA_WIDTH), least = smg_bits_read(in, EXTRA_WIDTH);
    uint64_t at = 0;
    tokens->count = 0;
    if (width < 1 || width > 32 || most > width || least > most)
        return SMG_BAD_TABLE;
    while (at >> width == 0) {
        unsigned size = subtree(at, most);
        while (size > least && smg_bits_read(in, 1))
            size--;
        if (in->overrun)
            return SMG_TRUNCATED;
        if (tokens->count == SMG_TOKENS_MAX)
            return SMG_BAD_TABLE;
        tokens->base[tokens->count] = (uint32_t)at;
        tokens->extra[tokens->count++] = (uint8_t)size;
        at += (uint64_t)1 << size;
    }
    return SMG_OK;
}

/* The level expected of token i, after `last`, the latest token that occurs. */
static int predicted(const smg_tokens *tokens, uint32_t i, int64_t last, int slope, int limit) {
    int level;
    if (last < 0)
        return limit / 2;
    level = tokens->level[last] + slope * ((int)tokens->extra[i] - (int)tokens->extra[last]);
    return level < 1 ? 1 : level > limit ? limit : level;
}

void smg_tokens_write_levels(const smg_tokens *tokens, int slope, int limit, smg_bit_writer *out) {
    int64_t last = -1;
    for (uint32_t i = 0; i < tokens->count; i++) {
        int level = tokens->level[i], expected = predicted(tokens, i, last, slope, limit);
        if (level == 0)
            smg_bits_write(out, 6, 3);
        else if (level == expected)
            smg_bits_write(out, 0, 1);
        else if (level == expected + 1)
            smg_bits_write(out, 4, 3);
        else if (level == expected - 1)
            smg_bits_write(out, 5, 3);
        else
            smg_bits_write(out, (uint32_t)(7 << LEVEL_WIDTH | level), 3 + LEVEL_WIDTH);
        if (level)
            last = i;
    }
}

smg_status smg_tokens_read_levels(smg_bit_reader *in, int slope, int limit, smg_tokens *tokens) {
    int64_t last = -1;
    for (uint32_t i = 0; i < tokens->count; i++) {
        int level = predicted(tokens, i, last, slope, limit);
        if (smg_bits_read(in, 1)) {
            uint32_t code = smg_bits_read(in, 2);
            if (code == 3)
                level = (int)smg_bits_read(in, LEVEL_WIDTH);
            else
                level = code == 2 ? 0 : code == 0 ? level + 1 : level - 1;
        }
        if (in->overrun)
            return SMG_TRUNCATED;
        if (level > limit)
            return SMG_BAD_TABLE;
        tokens->level[i] = (uint8_t)level;
        if (level)
            last = i;
    }
    return SMG_OK;
}
