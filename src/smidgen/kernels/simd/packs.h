/* Layers on signs that read a few words of their window for each output, smg_q_binary_packs and
 * smg_q_binary_packs_bits: each lane is the count of one output, whose words it gathers.
 *
 * A window is what lies at one position of the output, its words side by side. At the border there are two of
 * them, with bits of 0 and of 1 in the place of what lies outside: added up, both count a bit outside once
 * and an unequal one inside twice. That is what inner positions count as well, where one window is counted
 * double, so the sum is always that of all bits minus the count, and padding is no third value of a bit.
 *
 * Packed constants: smg_channels, their bias with the number of bits added (to int8), or that number minus
 * the threshold (to bits), for each block of LANES outputs; then places and signs, both
 * [blocks][packs][LANES]. */
#ifndef SMIDGEN_PACKS_H
#define SMIDGEN_PACKS_H

#include "bits_vector.h"

enum { PACK_ALIGNMENT = 64 };

/* The fields that both argument structs begin with. */
typedef smg_q_binary_packs_bits_args smg_pack_args;

typedef struct {
    smg_pack_args shape;
    const smg_channels *channels; /* to int8 */
    const int32_t *limits;        /* to bits */
    const int32_t *places;
    const uint32_t *weights;
    smg_bounds bounds;
    int32_t blocks, words;
} smg_pack_layer;

static inline smg_pack_args smg_pack_shape(const void *args) {
    smg_pack_args shape;
    __builtin_memcpy(&shape, args, sizeof shape);
    return shape;
}

/* Rounded up to whole words where outputs are bits: the last word is written to its end. */
static inline int32_t smg_pack_blocks(int32_t out_c, const int to_bits) {
    const int32_t step = to_bits ? 32 : LANES;
    return (out_c / step + (out_c % step != 0)) * (step / LANES);
}

static inline size_t smg_pack_head(int32_t blocks, const int to_bits) {
    const size_t each = to_bits ? LANES * sizeof(int32_t) : sizeof(smg_channels);
    return smg_rounded((size_t)blocks * each, PACK_ALIGNMENT);
}

static inline size_t smg_pack_bytes(const smg_pack_args *a, const int to_bits) {
    const int32_t blocks = smg_pack_blocks(a->out_c, to_bits);
    return smg_pack_head(blocks, to_bits) + smg_times((size_t)blocks * LANES * 8, (size_t)a->packs);
}

static inline size_t smg_pack_window(const smg_pack_args *a) {
    return smg_times((size_t)a->k_h * (size_t)a->k_w, (size_t)SMG_WORDS(a->in_c));
}

/* Places and signs of all outputs; lanes without an output count nothing, as their places are 0. */
static inline void smg_pack_words(const smg_pack_args *a, void *const *pointers, const int to_bits,
                                  char *to) {
    const uint32_t *w = pointers[1];
    const uint16_t *index = pointers[2];
    const int32_t blocks = smg_pack_blocks(a->out_c, to_bits);
    const size_t all = (size_t)blocks * (size_t)a->packs * LANES;
    int32_t *places = (int32_t *)(to + smg_pack_head(blocks, to_bits));
    uint32_t *weights = (uint32_t *)(places + all);
    __builtin_memset(places, 0, all * 8);
    for (int32_t o = 0; o < a->out_c; o++) {
        const int32_t lane = to_bits ? o % LANES : smg_lane(o % LANES);
        for (int32_t p = 0; p < a->packs; p++) {
            const size_t at = ((size_t)(o / LANES) * (size_t)a->packs + (size_t)p) * LANES + (size_t)lane;
            places[at] = *index++;
            weights[at] = *w++;
        }
    }
}

/* How many bits an output reads where its whole window lies inside. */
static inline int32_t smg_pack_bits_read(const smg_pack_args *a, const uint16_t *index) {
    const int32_t words = SMG_WORDS(a->in_c);
    int32_t bits = 0;
    for (int32_t p = 0; p < a->packs; p++)
        bits += smg_bits_of_word(a->in_c, index[p] % words);
    return bits;
}

static inline smg_pack_layer smg_pack_layer_of(const void *args, const char *packed, const int to_bits) {
    const smg_pack_args a = smg_pack_shape(args);
    const int32_t blocks = smg_pack_blocks(a.out_c, to_bits);
    const int32_t *places = (const int32_t *)(packed + smg_pack_head(blocks, to_bits));
    const smg_pack_layer l = {.shape = a,
                              .channels = (const smg_channels *)packed,
                              .limits = (const int32_t *)packed,
                              .places = places,
                              .weights =
                                  (const uint32_t *)(places + (size_t)blocks * (size_t)a.packs * LANES),
                              .blocks = blocks,
                              .words = SMG_WORDS(a.in_c)};
    return l;
}

/* What the lanes of one block count in a window, on top of `count`. */
SMG_INLINE smg_counts smg_count_packs(const smg_pack_layer *l, int32_t block, const uint32_t *window,
                                      smg_counts count) {
    const size_t first = (size_t)block * (size_t)l->shape.packs * LANES;
    const int32_t *places = l->places + first;
    const uint32_t *weights = l->weights + first;
    for (int32_t p = 0, pending = 0; p < l->shape.packs; p++, places += LANES, weights += LANES) {
        smg_count_unequal(&count, smg_load_words(weights), smg_gather_words(window, smg_load32(places)));
        if (SMG_PENDING > 0 && ++pending == SMG_PENDING) {
            pending = 0;
            smg_settle(&count);
        }
    }
    smg_settle(&count);
    return count;
}

/* One position, whose window is `zeros`, and `ones` at the border (else the same). */
SMG_INLINE void smg_pack_position(const int to_bits, const smg_pack_layer *l, const uint32_t *zeros,
                                  const uint32_t *ones, char *y) {
    for (int32_t block = 0; block < l->blocks; block++) {
        smg_counts count = smg_count_packs(l, block, zeros, smg_no_counts());
        if (ones == zeros)
            smg_double(&count);
        else
            count = smg_count_packs(l, block, ones, count);
        const smg_vec counted = smg_counted(&count);
        if (to_bits) {
            smg_store_bits(counted, smg_load32(l->limits + (size_t)block * LANES),
                           y + (size_t)block * (LANES / 8));
        } else {
            const smg_channels *channels = l->channels + block;
            const int32_t left = l->shape.out_c - block * LANES;
            smg_finish8(smg_sub32(smg_start(channels), counted), channels, &l->bounds,
                        left < LANES ? left : LANES, y + (size_t)block * LANES);
        }
    }
}

/* The window at (top, left) of the image, whose words outside have bits of `fill` for all channels. */
static void smg_pack_fetch(const smg_pack_layer *l, const uint32_t *x, int32_t top, int32_t left,
                           uint32_t fill, uint32_t *to) {
    const smg_pack_args *a = &l->shape;
    for (int32_t kh = 0; kh < a->k_h; kh++)
        for (int32_t kw = 0; kw < a->k_w; kw++, to += l->words) {
            const int32_t h = top + kh * a->dilation_h, c = left + kw * a->dilation_w;
            if (h >= 0 && h < a->in_h && c >= 0 && c < a->in_w) {
                const size_t at = ((size_t)h * (size_t)a->in_w + (size_t)c) * (size_t)l->words;
                __builtin_memcpy(to, x + at, (size_t)l->words * 4);
            } else
                for (int32_t i = 0; i < l->words; i++)
                    to[i] = fill & (uint32_t)(((uint64_t)1 << smg_bits_of_word(a->in_c, i)) - 1);
        }
}

static inline int smg_pack_is_inside(const smg_pack_args *a, int32_t top, int32_t left) {
    return top >= 0 && left >= 0 && top + (a->k_h - 1) * a->dilation_h < a->in_h &&
           left + (a->k_w - 1) * a->dilation_w < a->in_w;
}

SMG_INLINE void smg_pack_image(const int to_bits, const smg_pack_layer *l, const uint32_t *x,
                               uint32_t *scratch, char *y) {
    const smg_pack_args *a = &l->shape;
    const size_t step = to_bits ? (size_t)SMG_WORDS(a->out_c) * 4 : (size_t)a->out_c;
    uint32_t *second = scratch + smg_pack_window(a);
    for (int32_t oh = 0; oh < a->out_h; oh++)
        for (int32_t ow = 0; ow < a->out_w; ow++, y += step) {
            const int32_t top = oh * a->stride_h - a->pad_top, left = ow * a->stride_w - a->pad_left;
            const int inside = smg_pack_is_inside(a, top, left);
            if (inside && a->k_h == 1 && a->k_w == 1) { /* lies side by side already */
                const uint32_t *at = x + ((size_t)top * (size_t)a->in_w + (size_t)left) * (size_t)l->words;
                smg_pack_position(to_bits, l, at, at, y);
                continue;
            }
            smg_pack_fetch(l, x, top, left, 0, scratch);
            if (!inside)
                smg_pack_fetch(l, x, top, left, ~0u, second);
            smg_pack_position(to_bits, l, scratch, inside ? scratch : second, y);
        }
}

SMG_INLINE void smg_pack_run(const int to_bits, const smg_pack_layer *l, const smg_job *job, const int out) {
    for (int32_t s = 0; s < job->samples; s++)
        smg_pack_image(to_bits, l, smg_at(job, 0, s), job->scratch, smg_at(job, out, s));
}

static size_t packs_scratch(const void *args) {
    const smg_pack_args a = smg_pack_shape(args);
    return smg_times(8, smg_pack_window(&a));
}

/* To bits: sum >= threshold where count <= bits - threshold. */

static size_t packs_bits_packed(const void *args, void *const *pointers) {
    (void)pointers;
    return smg_pack_bytes(args, 1);
}

static void packs_bits_pack(const void *args, void *const *pointers, void *packed) {
    const smg_q_binary_packs_bits_args *a = args;
    const uint16_t *index = pointers[2];
    const int32_t *threshold = pointers[3];
    int32_t *limits = packed;
    for (int32_t o = 0; o < smg_pack_blocks(a->out_c, 1) * LANES; o++)
        limits[o] = -1; /* no count is as small */
    for (int32_t o = 0; o < a->out_c; o++, index += a->packs) {
        const int64_t limit = (int64_t)smg_pack_bits_read(a, index) - threshold[o];
        limits[o] = (int32_t)(limit > INT32_MAX ? INT32_MAX : limit < -1 ? -1 : limit);
    }
    smg_pack_words(a, pointers, 1, packed);
}

static void packs_bits_run(const void *args, const smg_job *job) {
    const smg_pack_layer l = smg_pack_layer_of(args, job->packed, 1);
    smg_pack_run(1, &l, job, 4);
}

/* To int8 */

static size_t packs_packed(const void *args, void *const *pointers) {
    (void)pointers;
    const smg_pack_args shape = smg_pack_shape(args);
    return smg_pack_bytes(&shape, 0);
}

static void packs_pack(const void *args, void *const *pointers, void *packed) {
    const smg_q_binary_packs_args *a = args;
    const smg_pack_args shape = smg_pack_shape(args);
    const uint16_t *index = pointers[2], *multiplier = pointers[4];
    const int32_t *bias = pointers[3];
    const uint8_t *shift = pointers[5];
    smg_channels *channels = packed;
    for (int32_t o = 0; o < a->out_c; o++, index += a->packs) {
        const int32_t c = a->per_channel ? o : 0;
        const int32_t start = (int32_t)((uint32_t)bias[o] + (uint32_t)smg_pack_bits_read(&shape, index));
        smg_set_channel(channels + o / LANES, o % LANES, start, 0, 0, multiplier[c], shift[c], a->zero_y);
    }
    smg_pack_words(&shape, pointers, 0, packed);
}

static void packs_run(const void *args, const smg_job *job) {
    const smg_q_binary_packs_args *a = args;
    smg_pack_layer l = smg_pack_layer_of(args, job->packed, 0);
    l.bounds = smg_make_bounds(a->lo, a->hi, a->zero_y);
    smg_pack_run(0, &l, job, 6);
}

const smg_variant SIMD(smg_q_binary_packs_bits) = {
    "smg_q_binary_packs_bits", ISA, packs_bits_packed, packs_scratch, packs_bits_pack, packs_bits_run};
const smg_variant SIMD(smg_q_binary_packs) = {"smg_q_binary_packs", ISA,        packs_packed,
                                              packs_scratch,        packs_pack, packs_run};

#endif
