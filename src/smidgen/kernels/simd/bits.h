/* Layers on signs, smg_q_binary_conv and smg_q_binary_conv_bits, and the signs of int8 values. */
#ifndef SMIDGEN_BITS_H
#define SMIDGEN_BITS_H

#include "bit_layer.h"

/* To bits */

static size_t bits_packed(const void *args, void *const *pointers) {
    (void)pointers;
    return smg_bit_bytes(args, SIGNS_TO_BITS, 1);
}

static void bits_pack(const void *args, void *const *pointers, void *packed) {
    const smg_q_binary_conv_bits_args *a = args;
    const int32_t blocks = smg_bit_blocks(a->out_c, SIGNS_TO_BITS), *given = pointers[2];
    int32_t *thresholds = packed;
    for (int32_t o = 0; o < blocks * LANES; o++)
        thresholds[o] = o < a->out_c ? smg_clamped(given[o]) : MOST_BITS;
    const size_t head = smg_bit_head(blocks, SIGNS_TO_BITS, 1);
    smg_pack_bits(a, pointers[1], SIGNS_TO_BITS, (uint32_t *)((char *)packed + head));
}

static void bits_run(const void *args, const smg_job *job) {
    smg_bit_layer l = smg_bit_layer_of(args, job->packed, SIGNS_TO_BITS, 1);
    smg_bit_run(SIGNS_TO_BITS, &l, job, 3);
}

/* To int8 */

static size_t bytes_packed(const void *args, void *const *pointers) {
    (void)pointers;
    const smg_q_binary_conv_bits_args shape = smg_bit_shape(args);
    return smg_bit_bytes(&shape, SIGNS_TO_BYTES, 0);
}

static void bytes_pack(const void *args, void *const *pointers, void *packed) {
    const smg_q_binary_conv_args *a = args;
    const smg_q_binary_conv_bits_args shape = smg_bit_shape(a);
    smg_pack_channels(a->out_c, a->per_channel, a->zero_y, pointers, packed);
    const size_t head = smg_bit_head(smg_bit_blocks(a->out_c, SIGNS_TO_BYTES), SIGNS_TO_BYTES, 0);
    smg_pack_bits(&shape, pointers[1], SIGNS_TO_BYTES, (uint32_t *)((char *)packed + head));
}

static void bytes_run(const void *args, const smg_job *job) {
    const smg_q_binary_conv_args *a = args;
    const smg_q_binary_conv_bits_args shape = smg_bit_shape(a);
    smg_bit_layer l = smg_bit_layer_of(&shape, job->packed, SIGNS_TO_BYTES, 0);
    l.bounds = smg_make_bounds(a->lo, a->hi, a->zero_y);
    smg_bit_run(SIGNS_TO_BYTES, &l, job, 5);
}

/* Thresholds of int8 values: filled up to whole words with ones that nothing reaches. */

static size_t binarize_packed(const void *args, void *const *pointers) {
    (void)pointers;
    const smg_q_binarize_args *a = args;
    return (size_t)SMG_WORDS(a->channels) * 32 * sizeof(int16_t);
}

static void binarize_pack(const void *args, void *const *pointers, void *packed) {
    const smg_q_binarize_args *a = args;
    const int16_t *given = pointers[1];
    int16_t *thresholds = packed;
    for (int32_t c = 0; c < SMG_WORDS(a->channels) * 32; c++)
        thresholds[c] = c < a->channels ? given[c] : 128;
}

static void binarize_run(const void *args, const smg_job *job) {
    const smg_q_binarize_args *a = args;
    const uint32_t *flip = job->pointers[2];
    for (int32_t s = 0; s < job->samples; s++) {
        const int8_t *x = smg_at(job, 0, s);
        uint32_t *y = smg_at(job, 3, s);
        for (int32_t r = 0; r < a->rows; r++, x += a->channels)
            for (int32_t c = 0; c < a->channels; c += 32) {
                const int32_t left = a->channels - c;
                *y++ = flip[c / 32] ^
                       smg_reached32(x + c, (const int16_t *)job->packed + c, left < 32 ? left : 32);
            }
    }
}

const smg_variant SIMD(smg_q_binary_conv_bits) = {
    "smg_q_binary_conv_bits", ISA, bits_packed, NULL, bits_pack, bits_run};
const smg_variant SIMD(smg_q_binary_conv) = {"smg_q_binary_conv", ISA,      bytes_packed, NULL,
                                             bytes_pack,          bytes_run};
const smg_variant SIMD(smg_q_binarize) = {"smg_q_binarize", ISA,         binarize_packed, NULL,
                                          binarize_pack,    binarize_run};

#endif
