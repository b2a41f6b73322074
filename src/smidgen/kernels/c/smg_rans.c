#include "smg_rans.h"

#define LOWEST ((uint32_t)1 << 23)
#define HIGHEST ((uint32_t)1 << 31)

static uint32_t ones(unsigned bits) {
    return ((uint32_t)1 << bits) - 1;
}

static unsigned chunk(unsigned left) {
    return left < SMG_RANS_BITS ? left : SMG_RANS_BITS;
}

/* Encoder: a stack of bytes that grows downwards. */
typedef struct {
    uint8_t *bottom, *top;
    uint32_t state;
    int full;
} stack;

static void shed(stack *s, uint32_t bound) {
    while (s->state >= bound) {
        if (s->top == s->bottom) {
            s->full = 1;
            return;
        }
        *--s->top = (uint8_t)s->state;
        s->state >>= 8;
    }
}

static void push_raw(stack *s, uint32_t value, unsigned bits) {
    unsigned done = bits - (bits ? (bits - 1) % SMG_RANS_BITS + 1 : 0);
    while (bits) { /* the highest chunk first: decoding is in reverse */
        unsigned part = bits - done;
        shed(s, HIGHEST >> part);
        s->state = s->state << part | (value >> done & ones(part));
        bits = done;
        done = bits ? bits - SMG_RANS_BITS : 0;
    }
}

size_t smg_rans_encode(const uint32_t *values, size_t count, const uint16_t *lookup, unsigned shift,
                       const smg_tokens *tokens, uint8_t *out, size_t capacity) {
    uint16_t start[SMG_TOKENS_MAX];
    uint16_t sum = 0;
    stack s = {out, out + capacity, LOWEST, 0};
    for (uint32_t i = 0; i < tokens->count; i++) {
        start[i] = sum;
        sum = (uint16_t)(sum + tokens->weight[i]);
    }
    for (size_t i = count; i-- > 0 && !s.full;) {
        uint16_t t = lookup[values[i] >> shift];
        uint32_t f = tokens->weight[t];
        push_raw(&s, values[i] - tokens->base[t], tokens->extra[t]);
        shed(&s, (HIGHEST >> SMG_RANS_BITS) * f);
        s.state = (s.state / f << SMG_RANS_BITS) + s.state % f + start[t];
    }
    if (s.full || s.top - s.bottom < 4)
        return 0;
    for (int byte = 0; byte < 4; byte++)
        *--s.top = (uint8_t)(s.state >> 8 * byte);
    return (size_t)(out + capacity - s.top);
}

/* Decoder. */
typedef struct {
    const uint8_t *next, *end;
    uint32_t state;
    int overrun;
} source;

static inline void refill(source *s) {
    while (s->state < LOWEST) {
        if (s->next == s->end) {
            s->overrun = 1;
            return;
        }
        s->state = s->state << 8 | *s->next++;
    }
}

static uint32_t pop_raw(source *s, unsigned bits) {
    uint32_t value = 0;
    for (unsigned done = 0; done < bits && !s->overrun;) {
        unsigned part = chunk(bits - done);
        value |= (s->state & ones(part)) << done;
        s->state >>= part;
        refill(s);
        done += part;
    }
    return value;
}

typedef struct {
    uint32_t token, frequency, offset;
} share;

#if SMG_RANS_SLOTS
static void fill_slots(smg_rans_workspace *work) {
    uint32_t at = 0;
    for (uint32_t i = 0; i < work->tokens.count; i++)
        for (uint32_t j = 0; j < work->tokens.weight[i]; j++, at++) {
            work->slot[at].token = (uint16_t)i;
            work->slot[at].frequency = work->tokens.weight[i];
            work->slot[at].offset = (uint16_t)j;
        }
}

static inline share find(const smg_rans_workspace *work, uint32_t at) {
    const share s = {work->slot[at].token, work->slot[at].frequency, work->slot[at].offset};
    return s;
}
#else
static void fill_slots(smg_rans_workspace *work) {
    uint32_t at = 0;
    for (uint32_t i = 0; i < work->tokens.count; at += work->tokens.weight[i++])
        work->start[i] = (uint16_t)at;
}

/* The last token that starts at or before `at`: those that never occur end where they start. */
static share find(const smg_rans_workspace *work, uint32_t at) {
    uint32_t first = 0, last = work->tokens.count;
    while (last - first > 1) {
        const uint32_t middle = (first + last) / 2;
        if (work->start[middle] <= at)
            first = middle;
        else
            last = middle;
    }
    const share s = {first, work->tokens.weight[first], at - work->start[first]};
    return s;
}
#endif

static smg_status pop_values(source *s, const smg_rans_workspace *work, uint32_t offset, size_t count,
                             smg_output out) {
    const smg_tokens *tokens = &work->tokens;
    for (size_t i = 0; i < count; i++) {
        const share found = find(work, s->state & ones(SMG_RANS_BITS));
        uint32_t t = found.token;
        s->state = found.frequency * (s->state >> SMG_RANS_BITS) + found.offset;
        refill(s);
        smg_put(&out, i, offset + tokens->base[t] + (tokens->extra[t] ? pop_raw(s, tokens->extra[t]) : 0));
        if (s->overrun)
            return SMG_TRUNCATED;
    }
    return s->state == LOWEST && s->next == s->end ? SMG_OK : SMG_CORRUPT;
}

smg_status smg_rans_decode(const uint8_t *data, size_t size, unsigned width, uint32_t offset, size_t count,
                           smg_rans_workspace *work, smg_output out) {
    smg_bit_reader reader = smg_bits_reader(data, size);
    smg_status status = smg_rans_read_table(&reader, width, &work->tokens);
    size_t at = smg_bits_position(&reader);
    source s = {data + at, data + size, 0, 0};
    if (status != SMG_OK)
        return status;
    if (size - at < 4)
        return SMG_TRUNCATED;
    fill_slots(work);
    for (int byte = 0; byte < 4; byte++)
        s.state = s.state << 8 | *s.next++;
    if (s.state < LOWEST || s.state >= HIGHEST)
        return SMG_CORRUPT;
    return pop_values(&s, work, offset, count, out);
}
