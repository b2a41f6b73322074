/* smg_hamming: eight codes at a time, four queries side by side, as many codes as stay in a cache between
 * them. `popcount.h` of the instruction set counts the differing bits. */
#ifndef SMIDGEN_HAMMING_H
#define SMIDGEN_HAMMING_H

#include "popcount.h"

enum { HAMMING_QUERIES = 4, HAMMING_BYTES = 1 << 17 };

typedef struct {
    int32_t *distances, *indices, nearest;
} hamming_list;

/* In order of distance; what came first stays first. */
static void hamming_insert(const hamming_list *l, int32_t distance, int32_t index) {
    int32_t at = l->nearest - 1;
    if (distance >= l->distances[at])
        return;
    for (; at > 0 && l->distances[at - 1] > distance; at--) {
        l->distances[at] = l->distances[at - 1];
        l->indices[at] = l->indices[at - 1];
    }
    l->distances[at] = distance;
    l->indices[at] = index;
}

static __attribute__((noinline)) void hamming_insert_some(const hamming_list *l, smg_counts counts,
                                                          uint32_t below, int32_t index, int32_t count) {
    int64_t distances[8];
    smg_store_counts(distances, counts);
    for (int i = 0; i < 8; i++)
        if (below >> i & 1 && index + i < count)
            hamming_insert(l, (int32_t)distances[i], index + i);
}

/* Groups `from` .. `end` - 1 of eight codes. x: the queries' words. */
SMG_INLINE void hamming_groups(const int queries, const int words, const smg_hamming_args *a,
                               const uint64_t *x, const hamming_list *lists, int32_t from, int32_t end) {
    const int32_t all = words ? words : a->words;
    smg_counts limit[HAMMING_QUERIES];
    for (int q = 0; q < queries; q++)
        limit[q] = smg_all_counts(lists[q].distances[a->nearest - 1]);
    for (int32_t g = from; g < end; g++) {
        const uint64_t *code = a->codes + (size_t)g * (size_t)all * 8;
        smg_counts sum[HAMMING_QUERIES];
#pragma GCC unroll 4
        for (int q = 0; q < queries; q++)
            sum[q] = smg_differing(code, x[q * all]);
#pragma GCC unroll 4
        for (int w = 1; w < all; w++)
#pragma GCC unroll 4
            for (int q = 0; q < queries; q++)
                sum[q] = smg_plus_counts(sum[q], smg_differing(code + 8 * w, x[q * all + w]));
#pragma GCC unroll 4
        for (int q = 0; q < queries; q++) {
            const uint32_t below = smg_below(sum[q], limit[q]);
            if (__builtin_expect(below != 0, 0)) {
                hamming_insert_some(&lists[q], sum[q], below, g * 8, a->count);
                limit[q] = smg_all_counts(lists[q].distances[a->nearest - 1]);
            }
        }
    }
}

SMG_INLINE void hamming_some(const int queries, const smg_hamming_args *a, const uint64_t *x,
                             const hamming_list *lists, int32_t from, int32_t end) {
    if (a->words == 4)
        hamming_groups(queries, 4, a, x, lists, from, end);
    else
        hamming_groups(queries, 0, a, x, lists, from, end);
}

static hamming_list hamming_list_of(const smg_hamming_args *a, int32_t *y, int32_t query) {
    int32_t *distances = y + (size_t)query * 2 * (size_t)a->nearest;
    return (hamming_list){distances, distances + a->nearest, a->nearest};
}

void SIMD(smg_hamming)(const smg_hamming_args *a, const uint64_t *x, int32_t *y, int32_t samples,
                       void *scratch) {
    const int32_t groups = smg_up(a->count, 8), step = HAMMING_BYTES / 64 / a->words + 1;
    (void)scratch;
    for (int32_t q = 0; q < samples; q++)
        for (int32_t i = 0; i < a->nearest; i++)
            hamming_list_of(a, y, q).distances[i] = INT32_MAX;
    for (int32_t from = 0; from < groups; from += step) {
        const int32_t end = from + smg_least(step, groups - from);
        hamming_list lists[HAMMING_QUERIES];
        int32_t q = 0;
        for (; q + HAMMING_QUERIES <= samples; q += HAMMING_QUERIES) {
            for (int32_t i = 0; i < HAMMING_QUERIES; i++)
                lists[i] = hamming_list_of(a, y, q + i);
            hamming_some(HAMMING_QUERIES, a, x + (size_t)q * (size_t)a->words, lists, from, end);
        }
        for (; q < samples; q++) {
            lists[0] = hamming_list_of(a, y, q);
            hamming_some(1, a, x + (size_t)q * (size_t)a->words, lists, from, end);
        }
    }
}

#endif
