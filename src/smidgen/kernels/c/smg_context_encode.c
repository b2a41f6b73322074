#include "smg_context_model.h"

typedef struct {
    uint8_t *data;
    size_t capacity, size;
    uint32_t low, range;
    int full;
} sink;

/* All numbers coded so far are below one, so a carry always finds a byte to stop at. */
static void carry(sink *s) {
    for (size_t i = s->size; i-- > 0 && ++s->data[i] == 0;)
        ;
}

static void emit(sink *s, uint32_t byte) {
    if (s->size == s->capacity)
        s->full = 1;
    else
        s->data[s->size++] = (uint8_t)byte;
}

static void put(sink *s, uint32_t bound, unsigned outcome) {
    if (outcome) {
        s->range = bound;
    } else {
        s->low += bound;
        s->range -= bound;
        if (s->low < bound)
            carry(s);
    }
    while (s->range < SMG_CONTEXT_LOWEST) {
        emit(s, s->low >> 24);
        s->low <<= 8;
        s->range <<= 8;
    }
}

static void decide(sink *s, const smg_context_workspace *work, uint32_t *decision, unsigned outcome) {
    put(s, smg_context_share(s->range, *decision), outcome);
    smg_context_learn(work, decision, outcome);
}

static void write_magnitude(sink *s, smg_context_workspace *work, unsigned class, uint32_t magnitude) {
    unsigned octave = smg_context_bit_length(magnitude) - 1;
    uint32_t node = 1;
    for (unsigned i = 0; i < octave; i++)
        decide(s, work, &work->octave[class][i], 0);
    if (octave < 31)
        decide(s, work, &work->octave[class][octave], 1);
    for (unsigned i = octave; i-- > 0;) {
        unsigned bit = magnitude >> i & 1;
        if (node < SMG_CONTEXT_MODELLED) {
            decide(s, work, &work->mantissa[octave][node], bit);
            node = node << 1 | bit;
        } else {
            put(s, s->range >> 1, bit);
        }
    }
}

static void write_difference(sink *s, smg_context_workspace *work, uint32_t difference) {
    unsigned class = smg_context_class(work), is_negative = difference >> 31;
    uint32_t magnitude = is_negative ? 0 - difference : difference;
    decide(s, work, &work->nonzero[class], magnitude != 0);
    if (magnitude) {
        if (!work->settings.sides)
            decide(s, work, &work->negative[work->last_sign], is_negative);
        write_magnitude(s, work, class, magnitude);
    }
    smg_context_pass(work, magnitude, magnitude ? 1 + is_negative : 0);
}

static void write_settings(sink *s, const smg_context_settings *settings) {
    emit(s, (uint32_t)settings->limit << 5 | (uint32_t)settings->left << 2 | settings->sides);
    emit(s, (uint32_t)settings->columns << 5 | settings->scale);
    if (settings->columns) {
        emit(s, settings->row);
        emit(s, (uint32_t)settings->row >> 8);
    }
}

static int is_one_sided(const uint32_t *differences, size_t count, unsigned sides) {
    for (size_t i = 0; sides && i < count; i++)
        if (differences[i] && (differences[i] >> 31) != (sides == SMG_CONTEXT_DOWNWARD))
            return 0;
    return 1;
}

size_t smg_context_encode(const uint32_t *differences, size_t count, const smg_context_settings *settings,
                          smg_context_workspace *work, uint8_t *out, size_t capacity) {
    sink s = {out, capacity, 0, 0, 0xFFFFFFFF, 0};
    uint32_t end;
    if (!smg_context_is_legal(settings) || !is_one_sided(differences, count, settings->sides))
        return 0;
    write_settings(&s, settings);
    smg_context_start(settings, work);
    for (size_t i = 0; i < count && !s.full; i++)
        write_difference(&s, work, differences[i]);
    /* At least one multiple of 2^24 lies in the range: its other bytes are zeros, and need not be stored. */
    end = s.low + (s.range - 1);
    if (end < s.low)
        carry(&s);
    emit(&s, end >> 24);
    return s.full ? 0 : s.size;
}
