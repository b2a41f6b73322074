/* Linear layers whose int8 weights fit into 4 or 2 bits: packed so, a half or a quarter of the memory is
 * read. The sums are those of smg_lowbit_int, whose outputs stand in the order of lanes here. */
#ifndef SMIDGEN_LINEAR_FEW_H
#define SMIDGEN_LINEAR_FEW_H

#include "library.h"
#include "linear_rows.h"

enum { FEW_LONGEST = 1 << 20 }; /* inputs: partial sums of codes stay inside 32 bits */

/* The constants, in this order: channels, multipliers, codes; all for whole blocks of SMG_LANES outputs. */
typedef struct {
    smg_channels *channels;
    uint8_t *multipliers;
    uint32_t *codes;
    size_t outputs, code_words;
} few_constants;

static few_constants few_parts(const smg_q_linear_args *a, int32_t bits, const void *packed) {
    few_constants c;
    c.outputs = (size_t)smg_up(a->out, SMG_LANES) * SMG_LANES;
    c.code_words = smg_times(c.outputs, (size_t)smg_lowbit_words(a->in, bits));
    c.channels = (smg_channels *)packed;
    c.multipliers = (uint8_t *)(c.channels + c.outputs / LANES);
    c.codes = (uint32_t *)(c.multipliers + c.outputs);
    return c;
}

static int few_fits(const smg_q_linear_args *a, const int8_t *w, int32_t bits) {
    const size_t n = smg_times((size_t)a->in, (size_t)a->out);
    int least = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        least = w[i] < least ? w[i] : least;
        most = w[i] > most ? w[i] : most;
    }
    return least >= -(1 << (bits - 1)) && most < 1 << (bits - 1);
}

/* Refuses what needs more bits, and what gets by with fewer. */
static size_t few_packed(const smg_q_linear_args *a, void *const *pointers, int32_t bits) {
    if (a->in > FEW_LONGEST || !few_fits(a, pointers[1], bits) || (bits == 4 && few_fits(a, pointers[1], 2)))
        return SMG_REFUSED;
    const few_constants c = few_parts(a, bits, NULL);
    return c.outputs / LANES * sizeof(smg_channels) + c.outputs + c.code_words * sizeof(uint32_t);
}

/* Which of the packed outputs is output `o`. */
static inline size_t few_place(int32_t o) {
    return (size_t)(o - o % LANES + smg_lane(o % LANES));
}

/* Row `place` of the codes; the sum of the weights. */
static int32_t few_pack_row(const few_constants *c, const int8_t *w, int32_t in, int32_t bits, size_t place) {
    const int32_t inputs = 32 / bits, zero = 1 << (bits - 1);
    uint32_t *words =
        c->codes + place / SMG_LANES * SMG_LANES * (size_t)smg_lowbit_words(in, bits) + place % SMG_LANES;
    int32_t sum = 0;
    for (int32_t k = 0; k < in; sum += w[k], k++) {
        const int32_t at = k % inputs, shift = at % 4 * 8 + at / 4 * bits;
        words[(size_t)(k / inputs) * SMG_LANES] |= (uint32_t)(w[k] + zero) << shift;
    }
    return sum;
}

static void few_pack(const smg_q_linear_args *a, void *const *pointers, void *packed, int32_t bits) {
    const few_constants c = few_parts(a, bits, packed);
    const smg_layer layer = linear_layer(a, pointers);
    for (size_t i = 0; i < c.outputs; i++)
        c.multipliers[i] = 1;
    for (int32_t o = 0; o < a->out; o++) {
        const int32_t sum = few_pack_row(&c, layer.w + (size_t)o * a->in, a->in, bits, few_place(o));
        /* Inputs stay as they are, so that the bias alone takes their zero point back. */
        const uint32_t start = (uint32_t)layer.bias[o] - (uint32_t)a->zero_x * (uint32_t)sum;
        smg_pack_channel(&layer, o, (int32_t)start, 0, c.channels);
    }
}

static smg_lowbit_int_args few_args(const smg_q_linear_args *a, const few_constants *c, int32_t bits) {
    const smg_lowbit_int_args args = {(int32_t)c->outputs, a->in,    smg_up(a->in, 16) * 16, bits,
                                      1 << (bits - 1),     c->codes, c->multipliers};
    return args;
}

/* Scratch: sums [LINEAR_ROWS][outputs], what smg_lowbit_int needs, and rows of inputs. */
static size_t few_sums(const few_constants *c) {
    return smg_rounded(smg_times(c->outputs, LINEAR_ROWS * sizeof(int32_t)), 64);
}

static size_t few_scratch(const void *args) {
    const smg_q_linear_args *a = args;
    const few_constants c = few_parts(a, 4, NULL);
    const smg_lowbit_int_args inner = few_args(a, &c, 4);
    return few_sums(&c) + smg_rounded(smg_lowbit_int_scratch(&inner), 64) + (size_t)a->in * LINEAR_ROWS;
}

SMG_INLINE void few_finish(const smg_q_linear_args *a, const smg_job *job, const few_constants *c,
                           const int32_t *sums, int32_t row, const int wide) {
    const smg_bounds bounds = smg_make_bounds(a->lo, a->hi, a->zero_y);
    int8_t *y = linear_output(a, job, row, wide);
    for (int32_t o = 0; o < a->out; o += LANES, y += LANES * (wide ? 2 : 1)) {
        const smg_channels *channels = c->channels + o / LANES;
        const smg_vec sum = smg_joined(smg_sums(sums + o), smg_start(channels));
        if (wide)
            smg_finish16(sum, channels, &bounds, smg_least(LANES, a->out - o), y);
        else
            smg_finish8(sum, channels, &bounds, smg_least(LANES, a->out - o), y);
    }
}

SMG_INLINE void few_run(const smg_q_linear_args *a, const smg_job *job, int32_t bits, const int wide) {
    const few_constants c = few_parts(a, bits, job->packed);
    const smg_lowbit_int_args inner = few_args(a, &c, bits);
    int32_t *sums = job->scratch;
    void *inside = (char *)job->scratch + few_sums(&c);
    int8_t *x = (int8_t *)inside + smg_rounded(smg_lowbit_int_scratch(&inner), 64);
    const int32_t all = a->rows * job->samples;
    for (int32_t first = 0, n; first < all; first += n) {
        n = smg_least(LINEAR_ROWS, all - first);
        for (int32_t i = 0; i < n; i++)
            __builtin_memcpy(x + (size_t)i * a->in, linear_input(a, job, first + i), (size_t)a->in);
        SIMD(smg_lowbit_int)(&inner, x, sums, n, inside);
        for (int32_t i = 0; i < n; i++)
            few_finish(a, job, &c, sums + (size_t)i * c.outputs, first + i, wide);
    }
}

/* smg_q_linear16_args has the fields of smg_q_linear_args. */
#define SMG_FEW(bits)                                                                                        \
    static size_t few_packed##bits(const void *args, void *const *pointers) {                                \
        return few_packed(args, pointers, bits);                                                             \
    }                                                                                                        \
    static void few_pack##bits(const void *args, void *const *pointers, void *packed) {                      \
        few_pack(args, pointers, packed, bits);                                                              \
    }                                                                                                        \
    static void few_run##bits##_8(const void *args, const smg_job *job) {                                    \
        few_run(args, job, bits, 0);                                                                         \
    }                                                                                                        \
    static void few_run##bits##_16(const void *args, const smg_job *job) {                                   \
        few_run(args, job, bits, 1);                                                                         \
    }                                                                                                        \
    const smg_variant SIMD(smg_q_linear_bits##bits) = {                                                      \
        "smg_q_linear", ISA, few_packed##bits, few_scratch, few_pack##bits, few_run##bits##_8};              \
    const smg_variant SIMD(smg_q_linear16_bits##bits) = {                                                    \
        "smg_q_linear16", ISA, few_packed##bits, few_scratch, few_pack##bits, few_run##bits##_16};

SMG_FEW(4)
SMG_FEW(2)

#endif
