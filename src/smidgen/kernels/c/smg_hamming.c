#include "smg_library.h"

static int32_t ones(uint64_t v) {
    v -= v >> 1 & 0x5555555555555555u;
    v = (v & 0x3333333333333333u) + (v >> 2 & 0x3333333333333333u);
    v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (int32_t)(v * 0x0101010101010101u >> 56);
}

void smg_hamming(const smg_hamming_args *a, const uint64_t *x, int32_t *y, int32_t samples, void *scratch) {
    (void)scratch;
    for (int32_t s = 0; s < samples; s++, x += a->words, y += 2 * a->nearest) {
        int32_t *indices = y + a->nearest;
        for (int32_t i = 0; i < a->count; i++) {
            const uint64_t *code = a->codes + (size_t)(i / 8) * (size_t)a->words * 8 + (size_t)(i % 8);
            int32_t distance = 0, at = smg_least(i, a->nearest);
            for (int32_t w = 0; w < a->words; w++)
                distance += ones(code[w * 8] ^ x[w]);
            for (; at > 0 && y[at - 1] > distance; at--)
                if (at < a->nearest) {
                    y[at] = y[at - 1];
                    indices[at] = indices[at - 1];
                }
            if (at < a->nearest) {
                y[at] = distance;
                indices[at] = i;
            }
        }
    }
}
