#include "smidgen.h"

#define ROOT_BITS 31

/* floor(sqrt(v)) for v < 2^62, a bit at a time: no division, no floating point. */
static uint32_t root(uint64_t v) {
    uint64_t found = 0;
    for (uint64_t bit = (uint64_t)1 << (2 * ROOT_BITS - 2); bit; bit >>= 2) {
        const uint64_t next = found + bit;
        found >>= 1;
        if (v >= next) {
            v -= next;
            found += bit;
        }
    }
    return (uint32_t)found;
}

/* What the values of one group share: y depends on x by d * count - sum, times inverse. */
typedef struct {
    int32_t sum;
    int64_t inverse;
} moments;

static moments measure(const smg_q_normalize_args *a, const void *x, size_t at, size_t step0) {
    int64_t sum = 0, squares = 0;
    for (int32_t r0 = 0; r0 < a->r0; r0++) {
        for (int32_t r1 = 0; r1 < a->r1; r1++) {
            const size_t i = at + r0 * step0 + (size_t)r1 * a->k2;
            const int64_t d = smg_load(x, a->wide_x, i) - a->zero_x;
            sum += d;
            squares += d * d;
        }
    }
    sum = a->centered ? sum : 0;
    const uint64_t spread = (uint64_t)(squares * a->r0 * a->r1 - sum * sum);
    const uint64_t epsilon = (uint64_t)a->epsilon << a->epsilon_shift;
    const moments found = {(int32_t)sum, ((int64_t)1 << (a->root_shift + 43)) /
                                             root((spread << 2 * a->root_shift) + epsilon)};
    return found;
}

/* One group of y, from element `at` on. Channels lie `k2` apart along r1; `hop` is that within their cycle,
 * so that only a run of r1 divides. */
static void write(const smg_q_normalize_args *a, const moments *m, const void *x, size_t at, size_t step0,
                  const int32_t *multiplier, const int32_t *bias, int8_t *y) {
    const int64_t half = (int64_t)1 << (a->shift - 1), part = (int64_t)1 << (a->shift - 8);
    const int32_t count = a->r0 * a->r1, hop = a->k2 % a->channels;
    for (int32_t r0 = 0; r0 < a->r0; r0++) {
        size_t i = at + r0 * step0;
        int32_t c = (int32_t)(i % (size_t)a->channels);
        for (int32_t r1 = 0; r1 < a->r1; r1++, i += (size_t)a->k2) {
            const int64_t d = (int64_t)(smg_load(x, a->wide_x, i) - a->zero_x) * count - m->sum;
            const int64_t normal = (d * m->inverse + (1 << 26)) >> 27;
            const int64_t scaled = normal * multiplier[c] + bias[c] * part;
            y[i] = smg_saturate(((scaled + half) >> a->shift) + a->zero_y, a->lo, a->hi);
            c += hop;
            c -= c >= a->channels ? a->channels : 0;
        }
    }
}

void smg_q_normalize(const smg_q_normalize_args *a, const void *x, const int32_t *multiplier,
                     const int32_t *bias, int8_t *y) {
    const size_t step1 = (size_t)a->r1 * a->k2, step0 = (size_t)a->k1 * step1;
    for (int32_t k0 = 0; k0 < a->k0; k0++) {
        for (int32_t k1 = 0; k1 < a->k1; k1++) {
            for (int32_t k2 = 0; k2 < a->k2; k2++) {
                const size_t at = (size_t)k0 * a->r0 * step0 + (size_t)k1 * step1 + k2;
                const moments m = measure(a, x, at, step0);
                write(a, &m, x, at, step0, multiplier, bias, y);
            }
        }
    }
}
