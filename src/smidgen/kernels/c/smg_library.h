/* Kernels beyond whole-network integer plans: few-bit, sparse and structured products, fast convolution,
 * search.
 *
 * Each computes y = f(x) for `samples` rows x [samples][...] and y [samples][...], which do not overlap.
 * `scratch` is free memory of the size that `smg_<name>_scratch` tells, aligned to 64 bytes; where there is
 * no such function it is not used. Outputs and inputs of few-bit weights are numbered in blocks of SMG_LANES
 * outputs. Pointers are those of the constants; nobody checks them here: the caller does, once. */
#ifndef SMIDGEN_LIBRARY_H
#define SMIDGEN_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SMG_LANES 16 /* outputs whose weights lie side by side */

/* Weights of 4 or 2 bits, float activations: y[o] = sum over groups g of scales[o][g] * sum levels[code] * x.
 * codes [ceil(out/16)][ceil(in * bits / 32)][16] words. Byte j of a word holds input j in its lowest bits,
 * input 4 + j in the next ones, and so on. scales [ceil(out/16)][groups][16]. levels [16]: of all codes of 4
 * bits; those of 2 bits are repeated. group: a multiple of 16. */
typedef struct {
    int32_t out, in, group, bits;
    const uint32_t *codes;
    const float *scales, *levels;
} smg_lowbit_args;

/* The same with int8 activations, exact: y[o] = sum over g of multipliers[o][g] * sum (code - zero) * x.
 * multipliers [ceil(out/16)][groups][16], 0..255; all partial sums fit into int32. */
typedef struct {
    int32_t out, in, group, bits, zero;
    const uint32_t *codes;
    const uint8_t *multipliers;
} smg_lowbit_int_args;

/* Stored entries of row i: first[i] .. first[i + 1] - 1, in rising order of their columns.
 * smg_block_columns: a row is 16 outputs, an entry 16 weights of one input; columns: inputs.
 * smg_block_rows: a row is one output, an entry 16 weights of neighbouring inputs; columns: inputs / 16. */
typedef struct {
    int32_t out, in;
    const int32_t *first;
    const uint16_t *columns;
    const float *values;
} smg_block_args;

/* An entry is one weight; columns: inputs. */
typedef struct {
    int32_t out, in;
    const int32_t *first, *columns;
    const float *values;
} smg_csr_args;

/* weight [out][in]. */
typedef struct {
    int32_t out, in;
    const float *weight;
} smg_dense_args;

/* y = left (right x): right [rank][in], left [rank][out] (transposed). */
typedef struct {
    int32_t out, in, rank;
    const float *right, *left;
} smg_lowrank_args;

/* y = (B kron C) x = B X C^T, X = x as [in_b][in_c]: b [out_b][in_b], c [in_c][out_c] (transposed). */
typedef struct {
    int32_t out_b, in_b, out_c, in_c;
    const float *b, *c;
} smg_kronecker_args;

/* Full rows above, rank-1 blocks side by side below: y[..full] = upper x, y[full..] = sum over i of
 * left[i] * (right_i . x_i), x_i = the i-th of `blocks` equal parts of x.
 * upper [full][in], left [blocks][out - full], right [in]. */
typedef struct {
    int32_t out, in, full, blocks;
    const float *upper, *left, *right;
} smg_hmd_args;

/* y = factor * H x, H the Walsh-Hadamard matrix in natural order: H[i][j] = (-1)^popcount(i & j). in: 2^k. */
typedef struct {
    int32_t in;
    float factor;
} smg_hadamard_args;

/* Convolution, x [height][width][in], y [out_h][out_w][out]: window (i, j) starts at row i * stride_h -
 * pad_top and column j * stride_w - pad_left, and zeros are around the image. weight
 * [kernel_h][kernel_w][in][out]. */
typedef struct {
    int32_t height, width, in, out, kernel_h, kernel_w, pad_top, pad_left, out_h, out_w, stride_h, stride_w;
    const float *weight;
} smg_convolution_args;

/* Each channel alone, in = out: weight [kernel_h][kernel_w][in]. */
typedef smg_convolution_args smg_depthwise_args;

/* y = min(max(x + bias, lo), hi), x [channels]; NaN stays NaN. */
typedef struct {
    int32_t channels;
    float lo, hi;
    const float *bias;
} smg_clamp_args;

/* A convolution with stride 1, x [height][width][in], y [height + 2 pad_h - kernel_h + 1][...][out], by
 * F(tile, kernel) along each axis whose kernel is longer than 1. points_h = kernel_h + tile - 1, or 1.
 * filters [points_h * points_w][in][out]: transformed. input [n][n], output [tile][n] with n = kernel + tile
 * - 1: the transforms; both axes share them. */
typedef struct {
    int32_t height, width, in, out, kernel_h, kernel_w, pad_h, pad_w, tile;
    const float *filters, *input, *output;
} smg_winograd_args;

/* The `nearest` codes of `words` 64-bit words for each query x [words], by Hamming distance, then by index.
 * codes [ceil(count/8)][words][8]. y [2][nearest]: distances, then indices; nearest <= count. */
typedef struct {
    int32_t count, words, nearest;
    const uint64_t *codes;
} smg_hamming_args;

#define SMG_LIBRARY(DO)                                                                                      \
    DO(lowbit, float, float)                                                                                 \
    DO(lowbit_int, int8_t, int32_t)                                                                          \
    DO(block_columns, float, float)                                                                          \
    DO(block_rows, float, float)                                                                             \
    DO(csr, float, float)                                                                                    \
    DO(dense, float, float)                                                                                  \
    DO(lowrank, float, float)                                                                                \
    DO(kronecker, float, float)                                                                              \
    DO(hmd, float, float)                                                                                    \
    DO(hadamard, float, float)                                                                               \
    DO(convolution, float, float)                                                                            \
    DO(depthwise, float, float)                                                                              \
    DO(clamp, float, float)                                                                                  \
    DO(winograd, float, float)                                                                               \
    DO(hamming, uint64_t, int32_t)

typedef smg_block_args smg_block_columns_args, smg_block_rows_args;

#define SMG_DECLARE(name, x_type, y_type)                                                                    \
    void smg_##name(const smg_##name##_args *a, const x_type *x, y_type *y, int32_t samples, void *scratch);
SMG_LIBRARY(SMG_DECLARE)
#undef SMG_DECLARE

static inline int32_t smg_up(int32_t n, int32_t step) {
    return (n + step - 1) / step;
}

static inline int32_t smg_least(int32_t a, int32_t b) {
    return a < b ? a : b;
}

/* Words of one block of 16 outputs, divided by 16. */
static inline int32_t smg_lowbit_words(int32_t in, int32_t bits) {
    return smg_up(in, 32 / bits);
}

static inline uint32_t smg_lowbit_code(const uint32_t *codes, int32_t in, int32_t bits, int32_t o,
                                       int32_t k) {
    const int32_t inputs = 32 / bits, at = k % inputs, shift = at % 4 * 8 + at / 4 * bits;
    const size_t block = (size_t)(o / SMG_LANES) * (size_t)smg_lowbit_words(in, bits);
    const uint32_t word = codes[(block + (size_t)(k / inputs)) * SMG_LANES + (size_t)(o % SMG_LANES)];
    return word >> shift & ((1u << bits) - 1);
}

/* Where the scale of output `o` and group `g` lies. */
static inline size_t smg_lowbit_scale(int32_t in, int32_t group, int32_t o, int32_t g) {
    const size_t block = (size_t)(o / SMG_LANES) * (size_t)smg_up(in, group);
    return (block + (size_t)g) * SMG_LANES + (size_t)(o % SMG_LANES);
}

/* Values along an axis that `out` windows reach. */
static inline int32_t smg_reach(int32_t out, int32_t stride, int32_t kernel) {
    return (out - 1) * stride + kernel;
}

/* Points along an axis with a kernel of `kernel` inputs. */
static inline int32_t smg_winograd_points(int32_t kernel, int32_t tile) {
    return kernel == 1 ? 1 : kernel + tile - 1;
}

/* Tiles that are transformed together, so that what lies between the steps stays in the second-level cache.
 */
static inline int32_t smg_winograd_batch(const smg_winograd_args *a) {
    const int32_t points =
        smg_winograd_points(a->kernel_h, a->tile) * smg_winograd_points(a->kernel_w, a->tile);
    const int64_t fit = ((int64_t)1 << 18) / ((int64_t)points * ((int64_t)a->in + a->out));
    return fit < 6 ? 6 : fit > 240 ? 240 : (int32_t)(fit / 6 * 6);
}

size_t smg_lowbit_scratch(const smg_lowbit_args *a);
size_t smg_lowbit_int_scratch(const smg_lowbit_int_args *a);
size_t smg_lowrank_scratch(const smg_lowrank_args *a);
size_t smg_kronecker_scratch(const smg_kronecker_args *a);
size_t smg_convolution_scratch(const smg_convolution_args *a);
size_t smg_winograd_scratch(const smg_winograd_args *a);

#ifdef __cplusplus
}
#endif

#endif
