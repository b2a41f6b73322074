/* What the context encoder and decoder must do alike: settings, neighbourhoods, learning. */
#ifndef SMG_CONTEXT_MODEL_H
#define SMG_CONTEXT_MODEL_H

#include "smg_context.h"

enum { SMG_CONTEXT_COUNT_BITS = 10, SMG_CONTEXT_MODELLED = 8, SMG_CONTEXT_LARGEST = 255 };

#define SMG_CONTEXT_ONE (((uint32_t)1 << 22) - 1)
#define SMG_CONTEXT_LOWEST ((uint32_t)1 << 24)

int smg_context_is_legal(const smg_context_settings *settings);
void smg_context_start(const smg_context_settings *settings, smg_context_workspace *work);

static inline unsigned smg_context_bit_length(uint32_t value) {
    unsigned bits = 0;
    for (unsigned step = 16; step; step >>= 1)
        if (value >> step) {
            value >>= step;
            bits += step;
        }
    return bits + value;
}

/* Where the neighbourhood of the next symbol stands among the classes. */
static inline unsigned smg_context_class(const smg_context_workspace *work) {
    return smg_context_bit_length(work->left + (work->settings.columns ? work->column[work->at] : 0));
}

/* Part of a 32-bit range that the outcome 1 gets; never none, never all of it. */
static inline uint32_t smg_context_share(uint32_t range, uint32_t decision) {
    uint32_t p = decision >> 17;
    return (range >> 15) * (p ? p : 1);
}

static inline void smg_context_learn(const smg_context_workspace *work, uint32_t *decision,
                                     unsigned outcome) {
    uint32_t p = *decision >> SMG_CONTEXT_COUNT_BITS;
    uint32_t n = *decision & (((uint32_t)1 << SMG_CONTEXT_COUNT_BITS) - 1);
    /* 16 bits of the error and 16 of the rate: their product fits 32 */
    if (outcome)
        p += ((SMG_CONTEXT_ONE - p) >> 6) * work->rate[n] >> 10;
    else
        p -= (p >> 6) * work->rate[n] >> 10;
    n += n + 1 < (uint32_t)16 << work->settings.limit;
    *decision = p << SMG_CONTEXT_COUNT_BITS | n;
}

/* Take a coded difference into the running means. */
static inline void smg_context_pass(smg_context_workspace *work, uint32_t magnitude, unsigned sign) {
    const smg_context_settings *s = &work->settings;
    uint32_t seen = magnitude >> s->scale;
    seen = (seen < SMG_CONTEXT_LARGEST ? seen : SMG_CONTEXT_LARGEST) << 8;
    work->last_sign = sign;
    if (s->left)
        work->left += (seen >> s->left) - (work->left >> s->left);
    if (s->columns) {
        uint32_t mean = work->column[work->at];
        work->column[work->at] = (uint16_t)(mean + (seen >> s->columns) - (mean >> s->columns));
        work->at = work->at + 1 < s->row ? work->at + 1 : 0;
    }
}

#endif
