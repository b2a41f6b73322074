#include "smg_stored.h"

/* The `index`-th symbol of a stream. No products of 64 bits: small cores would call a function for them. */
static inline int32_t read(const uint8_t *stream, int32_t index, int32_t bits) {
    const int32_t first = (index & 7) * bits, low = first & 7;
    const uint8_t *byte = stream + (size_t)(index >> 3) * (size_t)bits + (first >> 3);
    uint32_t word = byte[0];
    if (low + bits > 8)
        word |= (uint32_t)byte[1] << 8;
    return (int32_t)(word >> low) & ((1 << bits) - 1);
}

static int32_t with_sign(int32_t symbol, int32_t bits) {
    const int32_t sign = 1 << (bits - 1);
    return (symbol ^ sign) - sign;
}

static void start_row(const smg_stored *s, smg_walk *w) {
    if (s->zero_count)
        w->zero = with_sign(read(s->zeros, s->zero_count == 1 ? 0 : w->line, s->bits), s->bits);
}

smg_walk smg_first_row(const smg_stored *s) {
    smg_walk w = {0, 0, 0, 0, 0, 0, 0, 0};
    start_row(s, &w);
    return w;
}

void smg_next_row(const smg_stored *s, smg_walk *w) {
    w->line++;
    w->next -= s->row; /* 0, or as far as a gap reached */
    start_row(s, w);
}

static void follow_mask(const smg_stored *s, smg_walk *w) {
    const int32_t before = w->line * s->row;
    while (w->next < s->row && !read(s->positions, before + w->next, s->position_bits))
        w->next++;
}

static void follow_gaps(const smg_stored *s, smg_walk *w) {
    while (!w->found && w->next < s->row) {
        if (w->code == s->gap_count) { /* behind the last gap there is nothing more */
            w->next = s->row;
            return;
        }
        const int32_t code = read(s->positions, w->code++, s->position_bits);
        w->found = code != (1 << s->gap_bits) - 1;
        w->next += code;
    }
}

static int8_t saturated(int32_t q) {
    return (int8_t)(q < -128 ? -128 : q > 127 ? 127 : q);
}

static int32_t weight_at(const smg_stored *s, const smg_walk *w) {
    if (w->symbol >= s->stored)
        return 0;
    const int32_t symbol = read(s->symbols, w->symbol, s->bits);
    if (s->entries)
        return symbol < s->entries ? s->table[symbol] : 0;
    int32_t q = with_sign(symbol, s->bits) - w->zero;
    if (s->multiples != NULL)
        q *= read(s->multiples, w->line * s->row_groups + w->at / s->group, 4) + 1;
    return saturated(q);
}

int32_t smg_next_weight(const smg_stored *s, smg_walk *w) {
    if (s->positions != NULL) {
        if (s->gap_bits)
            follow_gaps(s, w);
        else
            follow_mask(s, w);
    }
    if (w->next >= s->row)
        return 0;
    w->at = w->next++;
    w->found = 0;
    w->value = weight_at(s, w);
    w->symbol++;
    return 1;
}

/* `count` symbols from number `index` on, as if all were signed. */
static void unpack_symbols(const uint8_t *stream, int32_t index, int32_t bits, int32_t count, int8_t *to) {
    const int32_t first = (index & 7) * bits, skipped = first & 7, spare = 32 - bits;
    const uint8_t *byte = stream + (size_t)(index >> 3) * (size_t)bits + (first >> 3);
    uint32_t word = 0;
    int32_t held = 0;
    if (skipped && count > 0) {
        word = (uint32_t)*byte++ >> skipped;
        held = 8 - skipped;
    }
    for (; count > 0; count--) {
        if (held < bits) {
            word |= (uint32_t)*byte++ << held;
            held += 8;
        }
        *to++ = (int8_t)((int32_t)(word << spare) >> spare);
        word >>= bits;
        held -= bits;
    }
}

static void look_up(const smg_stored *s, int32_t count, int8_t *to) {
    for (int32_t i = 0; i < count; i++) {
        const int32_t symbol = to[i] & ((1 << s->bits) - 1);
        to[i] = symbol < s->entries ? s->table[symbol] : 0;
    }
}

/* Symbols of row `line` from number `first` on become weights. */
static void scale(const smg_stored *s, int32_t line, int32_t first, int32_t count, int8_t *to) {
    smg_walk w = {line, 0, 0, 0, 0, 0, 0, 0};
    start_row(s, &w);
    int32_t multiple = 1, left = 0; /* of the group */
    for (int32_t i = 0; i < count; i++, left--) {
        if (s->multiples != NULL && !left) {
            multiple = read(s->multiples, line * s->row_groups + (first + i) / s->group, 4) + 1;
            left = s->group - (first + i) % s->group;
        }
        to[i] = saturated((to[i] - w.zero) * multiple);
    }
}

void smg_unpack(const smg_stored *s, int32_t line, int32_t first, int32_t count, int8_t *to) {
    const int32_t index = line * s->row + first;
    for (; count > 0 && index + count > s->stored; count--)
        to[count - 1] = 0;
    unpack_symbols(s->symbols, index, s->bits, count, to);
    if (s->entries)
        look_up(s, count, to);
    else if (s->zero_count || s->multiples != NULL)
        scale(s, line, first, count, to);
}
