/* Layers on numbers in planes of bits, smg_q_serial_conv and smg_q_serial_conv_planes, and planes of int8
 * values.
 *
 * Outputs in planes are compared with thresholds, the least sums that reach 1, 2, .. 2^planes_y - 1: the same
 * numbers as a multiplication, shift and saturation would give, and bits come out at once. */
#ifndef SMIDGEN_SERIAL_H
#define SMIDGEN_SERIAL_H

#include "bit_layer.h"

/* Weights and their sums behind the first part of the packed constants. */
static void serial_pack(const smg_q_binary_conv_bits_args *a, int32_t planes, const uint32_t *w, int kind,
                        int32_t levels, void *packed) {
    const int32_t blocks = smg_bit_blocks(a->out_c, kind);
    uint32_t *weights = (uint32_t *)((char *)packed + smg_bit_head(blocks, kind, levels));
    smg_pack_bits(a, w, kind, weights);
    uint32_t *sums = weights + (size_t)blocks * smg_bit_block_words(a) * LANES;
    smg_pack_tap_sums(a, w, kind, (1 << planes) - 1, (int32_t *)sums);
}

/* To int8 */

static size_t serial_packed(const void *args, void *const *pointers) {
    (void)pointers;
    const smg_q_binary_conv_bits_args shape = smg_bit_shape(args);
    return smg_bit_bytes(&shape, PLANES_TO_BYTES, 0);
}

static void serial_bytes_pack(const void *args, void *const *pointers, void *packed) {
    const smg_q_serial_conv_args *a = args;
    const smg_q_binary_conv_bits_args shape = smg_bit_shape(a);
    smg_pack_channels(a->out_c, a->per_channel, a->zero_y, pointers, packed);
    serial_pack(&shape, a->planes, pointers[1], PLANES_TO_BYTES, 0, packed);
}

static void serial_run(const void *args, const smg_job *job) {
    const smg_q_serial_conv_args *a = args;
    const smg_q_binary_conv_bits_args shape = smg_bit_shape(a);
    smg_bit_layer l = smg_bit_layer_of(&shape, job->packed, PLANES_TO_BYTES, 0);
    l.planes = a->planes;
    l.bounds = smg_make_bounds(a->lo, a->hi, a->zero_y);
    smg_bit_run(PLANES_TO_BYTES, &l, job, 5);
}

/* To planes */

static size_t planes_packed(const void *args, void *const *pointers) {
    (void)pointers;
    const smg_q_serial_conv_planes_args *a = args;
    const smg_q_binary_conv_bits_args shape = smg_bit_shape(a);
    return smg_bit_bytes(&shape, PLANES_TO_PLANES, (1 << a->planes_y) - 1);
}

/* The least sum for which requantize(bias + sum) >= level, inside +-MOST_BITS. */
static int32_t least_sum(int32_t level, int32_t bias, uint16_t multiplier, uint8_t shift) {
    const int64_t needed = level * ((int64_t)1 << shift) - ((int64_t)1 << (shift - 1)); /* above 0 */
    if (multiplier == 0)
        return MOST_BITS;
    return smg_clamped((needed + multiplier - 1) / multiplier - bias);
}

static void planes_pack(const void *args, void *const *pointers, void *packed) {
    const smg_q_serial_conv_planes_args *a = args;
    const smg_q_binary_conv_bits_args shape = smg_bit_shape(a);
    const int32_t *bias = pointers[2], levels = (1 << a->planes_y) - 1;
    const uint16_t *multiplier = pointers[3];
    const uint8_t *shift = pointers[4];
    int32_t *thresholds = packed;
    for (int32_t o = 0; o < smg_bit_blocks(a->out_c, PLANES_TO_PLANES) * LANES; o++)
        for (int32_t i = 0; i < levels; i++) {
            const int32_t c = a->per_channel ? o : 0;
            thresholds[((size_t)(o / LANES) * (size_t)levels + (size_t)i) * LANES + (size_t)(o % LANES)] =
                o < a->out_c ? least_sum(i + 1, bias[o], multiplier[c], shift[c]) : MOST_BITS;
        }
    serial_pack(&shape, a->planes, pointers[1], PLANES_TO_PLANES, levels, packed);
}

static void planes_run(const void *args, const smg_job *job) {
    const smg_q_serial_conv_planes_args *a = args;
    const smg_q_binary_conv_bits_args shape = smg_bit_shape(a);
    smg_bit_layer l = smg_bit_layer_of(&shape, job->packed, PLANES_TO_PLANES, (1 << a->planes_y) - 1);
    l.planes = a->planes;
    l.planes_y = a->planes_y;
    smg_bit_run(PLANES_TO_PLANES, &l, job, 5);
}

/* int8 to planes */

static void split_run(const void *args, const smg_job *job) {
    const smg_q_planes_args *a = args;
    const size_t plane = (size_t)a->rows * (size_t)SMG_WORDS(a->channels);
    for (int32_t s = 0; s < job->samples; s++) {
        const int8_t *x = smg_at(job, 0, s);
        uint32_t *y = smg_at(job, 1, s);
        for (int32_t r = 0; r < a->rows; r++, x += a->channels)
            for (int32_t c = 0; c < a->channels; c += 32, y++) {
                const int32_t left = a->channels - c;
                const smg_levels levels = smg_levels32(x + c, a->zero_x, left < 32 ? left : 32);
                for (int32_t p = 0; p < a->planes; p++)
                    y[(size_t)p * plane] = smg_plane(levels, a->planes - 1 - p);
            }
    }
}

const smg_variant SIMD(smg_q_serial_conv) = {"smg_q_serial_conv", ISA,       serial_packed, NULL,
                                             serial_bytes_pack,   serial_run};
const smg_variant SIMD(smg_q_serial_conv_planes) = {
    "smg_q_serial_conv_planes", ISA, planes_packed, NULL, planes_pack, planes_run};
const smg_variant SIMD(smg_q_planes) = {"smg_q_planes", ISA, NULL, NULL, NULL, split_run};

#endif
