#include "smg_context_model.h"

enum { UNREAD = 3 }; /* bytes of the range coder's window that a stream leaves out at its end */

int smg_context_is_legal(const smg_context_settings *s) {
    int is_row = !s->columns || (s->row >= 1 && s->row <= SMG_CONTEXT_ROW_MAX);
    return is_row && s->limit <= SMG_CONTEXT_LIMIT_MAX && s->left < 8 && s->columns < 8 && s->sides < 3 &&
           s->scale < 32;
}

static void forget(uint32_t *decisions, size_t count) {
    for (size_t i = 0; i < count; i++)
        decisions[i] = (uint32_t)1 << 31;
}

void smg_context_start(const smg_context_settings *settings, smg_context_workspace *work) {
    work->settings = *settings;
    work->left = work->at = work->last_sign = 0;
    forget(work->nonzero, SMG_CONTEXT_CLASSES);
    forget(work->negative, 3);
    for (int i = 0; i < SMG_CONTEXT_CLASSES; i++)
        forget(work->octave[i], 32);
    for (int i = 0; i < 32; i++)
        forget(work->mantissa[i], SMG_CONTEXT_MODELLED);
    for (uint32_t i = 0; settings->columns && i < settings->row; i++)
        work->column[i] = 0;
    for (uint32_t n = 0; n < (uint32_t)16 << settings->limit; n++)
        work->rate[n] = (uint16_t)(131072 / (2 * n + 3));
}

typedef struct {
    const uint8_t *next, *end;
    uint32_t range, code;
    unsigned missing; /* zeros read beyond the end */
} source;

static uint32_t next_byte(source *s) {
    if (s->next < s->end)
        return *s->next++;
    s->missing++;
    return 0;
}

static inline void normalise(source *s) {
    while (s->range < SMG_CONTEXT_LOWEST) {
        s->range <<= 8;
        s->code = s->code << 8 | next_byte(s);
    }
}

static inline unsigned halve(source *s, uint32_t bound) {
    unsigned outcome = s->code < bound;
    if (outcome) {
        s->range = bound;
    } else {
        s->code -= bound;
        s->range -= bound;
    }
    normalise(s);
    return outcome;
}

static inline unsigned decide(source *s, const smg_context_workspace *work, uint32_t *decision) {
    unsigned outcome = halve(s, smg_context_share(s->range, *decision));
    smg_context_learn(work, decision, outcome);
    return outcome;
}

static uint32_t read_magnitude(source *s, smg_context_workspace *work, unsigned class) {
    uint32_t node = 1, value = 1;
    unsigned octave = 0;
    while (octave < 31 && !decide(s, work, &work->octave[class][octave]))
        octave++;
    for (unsigned i = 0; i < octave; i++) {
        unsigned bit;
        if (node < SMG_CONTEXT_MODELLED) {
            bit = decide(s, work, &work->mantissa[octave][node]);
            node = node << 1 | bit;
        } else {
            bit = halve(s, s->range >> 1);
        }
        value = value << 1 | bit;
    }
    return value;
}

static uint32_t read_difference(source *s, smg_context_workspace *work) {
    unsigned class = smg_context_class(work), sign = 1;
    uint32_t magnitude;
    if (!decide(s, work, &work->nonzero[class])) {
        smg_context_pass(work, 0, 0);
        return 0;
    }
    if (work->settings.sides == SMG_CONTEXT_DOWNWARD ||
        (!work->settings.sides && decide(s, work, &work->negative[work->last_sign])))
        sign = 2;
    magnitude = read_magnitude(s, work, class);
    smg_context_pass(work, magnitude, sign);
    return sign == 2 ? 0 - magnitude : magnitude;
}

/* Header bytes taken, or 0 if there are too few. */
static size_t read_settings(const uint8_t *data, size_t size, smg_context_settings *s) {
    if (size < 2)
        return 0;
    s->limit = data[0] >> 5;
    s->left = data[0] >> 2 & 7;
    s->sides = data[0] & 3;
    s->columns = data[1] >> 5;
    s->scale = data[1] & 31;
    s->row = 0;
    if (!s->columns)
        return 2;
    if (size < 4)
        return 0;
    s->row = (uint16_t)(data[2] | data[3] << 8);
    return 4;
}

smg_status smg_context_decode(const uint8_t *data, size_t size, uint32_t offset, size_t count,
                              smg_context_workspace *work, smg_output out) {
    smg_context_settings settings;
    size_t at = read_settings(data, size, &settings);
    source s = {data + at, data + size, 0xFFFFFFFF, 0, 0};
    if (at == 0)
        return SMG_TRUNCATED;
    if (!smg_context_is_legal(&settings))
        return SMG_BAD_TABLE;
    smg_context_start(&settings, work);
    for (int byte = 0; byte < 4; byte++)
        s.code = s.code << 8 | next_byte(&s);
    for (size_t i = 0; i < count; i++) {
        smg_put(&out, i, offset + read_difference(&s, work));
        if (s.missing > UNREAD)
            return SMG_TRUNCATED;
    }
    /* The encoder ends on the largest number of its range whose last bytes are zeros, and leaves those out.
     */
    if (s.missing != UNREAD || s.code >= s.range || s.range - s.code > SMG_CONTEXT_LOWEST)
        return SMG_CORRUPT;
    return SMG_OK;
}
