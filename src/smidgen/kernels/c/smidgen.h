/* Integer kernels in freestanding C99: the same files run in Python, in emitted projects and on
 * microcontrollers.
 *
 * One public function a file, `void smg_NAME(const smg_NAME_args *a, pointers...)`. Every field of an
 * argument struct is an int32_t, so that a struct is also an array of int32_t in the order given here.
 *
 * Rules are those of docs/NUMERICS.md. Layouts are channels last, weights [out_c][k_h][k_w][in_c / groups];
 * a sequence is an image with in_h = k_h = 1. Common fields:
 *   zero_x, zero_y  zero points of input and output, -128..127
 *   lo, hi          saturation bounds, -128 <= lo <= hi <= 127
 *   per_channel     1: `multiplier` and `shift` hold one entry an output channel; 0: one for all
 * `multiplier` entries are any uint16_t, `shift` entries 1..47. All sizes are >= 1 and every tensor is
 * smaller than 2^31 bytes. An output may not overlap an input, unless the kernel says that it works in place.
 */
#ifndef SMIDGEN_H
#define SMIDGEN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* (acc * multiplier + 2^(shift-1)) >> shift: half rounds up, also for negatives. */
static inline int64_t smg_requantize(int32_t acc, uint16_t multiplier, uint8_t shift) {
    return ((int64_t)acc * multiplier + ((int64_t)1 << (shift - 1))) >> shift;
}

static inline int8_t smg_saturate(int64_t v, int32_t lo, int32_t hi) {
    return (int8_t)(v < lo ? lo : v > hi ? hi : v);
}

/* Element `i` of int8 values, or of int16 ones where `wide` is 1. */
static inline int32_t smg_load(const void *x, int32_t wide, size_t i) {
    return wide ? ((const int16_t *)x)[i] : ((const int8_t *)x)[i];
}

static inline void smg_store(void *y, int32_t wide, size_t i, int64_t v, int32_t lo, int32_t hi) {
    const int64_t kept = v < lo ? lo : v > hi ? hi : v;
    if (wide)
        ((int16_t *)y)[i] = (int16_t)kept;
    else
        ((int8_t *)y)[i] = (int8_t)kept;
}

/* Sums wrap modulo 2^32 on the way; the final value fits int32_t, as lowering has proved. */
static inline uint32_t smg_dot(const int8_t *x, const int8_t *w, int32_t n) {
    uint32_t sum = 0;
    for (int32_t i = 0; i < n; i++)
        sum += (uint32_t)((int32_t)x[i] * w[i]);
    return sum;
}

static inline uint32_t smg_sum(const int8_t *x, int32_t n) {
    uint32_t sum = 0;
    for (int32_t i = 0; i < n; i++)
        sum += (uint32_t)(int32_t)x[i];
    return sum;
}

/* Where a window that starts at `start` (may be negative) lies inside an axis of `size`:
 * the taps first <= t < last have 0 <= start + t * dilation < size. */
typedef struct {
    int32_t first, last;
} smg_taps;

static inline smg_taps smg_inside(int32_t start, int32_t taps, int32_t dilation, int32_t size) {
    smg_taps t = {start < 0 ? (dilation - 1 - start) / dilation : 0, taps};
    if (start + (taps - 1) * dilation >= size)
        t.last = start >= size ? 0 : (size - 1 - start) / dilation + 1;
    if (t.first > t.last)
        t.first = t.last;
    return t;
}

/* y[r][o] = sat(requantize(bias[o] + sum_i w[o][i] * (x[r][i] - zero_x)) + zero_y)
 * x [rows][in], w [out][in], bias [out], y [rows][out]. */
typedef struct {
    int32_t rows, in, out, zero_x, zero_y, lo, hi, per_channel;
} smg_q_linear_args;
void smg_q_linear(const smg_q_linear_args *a, const int8_t *x, const int8_t *w, const int32_t *bias,
                  const uint16_t *multiplier, const uint8_t *shift, int8_t *y);

/* The same sum over a window; positions in the padding contribute 0.
 * x [in_h][in_w][in_c], w [out_c][k_h][k_w][in_c / groups], bias [out_c], y [out_h][out_w][out_c];
 * strides and dilations >= 1, pads >= 0, groups divides in_c and out_c. */
typedef struct {
    int32_t in_h, in_w, in_c, out_h, out_w, out_c, k_h, k_w, stride_h, stride_w, pad_top, pad_left,
        dilation_h, dilation_w, groups, zero_x, zero_y, lo, hi, per_channel;
} smg_q_conv_args;
void smg_q_conv(const smg_q_conv_args *a, const int8_t *x, const int8_t *w, const int32_t *bias,
                const uint16_t *multiplier, const uint8_t *shift, int8_t *y);

/* A convolution with as many groups as channels, one output each: w [channels][k_h][k_w],
 * k_h * k_w <= SMG_DEPTHWISE_TAPS, which is also the stack (bytes) that a block of weights takes. */
#define SMG_DEPTHWISE_TAPS 256
typedef struct {
    int32_t in_h, in_w, channels, out_h, out_w, k_h, k_w, stride_h, stride_w, pad_top, pad_left, dilation_h,
        dilation_w, zero_x, zero_y, lo, hi, per_channel;
} smg_q_depthwise_args;
void smg_q_depthwise(const smg_q_depthwise_args *a, const int8_t *x, const int8_t *w, const int32_t *bias,
                     const uint16_t *multiplier, const uint8_t *shift, int8_t *y);

/* Packed bits: 32 channels a word, bit c % 32 of word c / 32 (from the least significant) is 1 for +1 and 0
 * for -1; bits beyond the last channel are 0, in weights too. words = SMG_WORDS(channels). */
#define SMG_WORDS(channels) ((channels) / 32 + ((channels) % 32 != 0))

static inline int32_t smg_popcount(uint32_t v) {
    v -= v >> 1 & 0x55555555u;
    v = (v & 0x33333333u) + (v >> 2 & 0x33333333u);
    return (int32_t)(((v + (v >> 4)) & 0x0f0f0f0fu) * 0x01010101u >> 24);
}

/* Bit c of a row is (x[c] >= threshold[c]) xor bit c of flip.
 * x [rows][channels], threshold [channels] in -128..128, flip [words], y [rows][words]. */
typedef struct {
    int32_t rows, channels;
} smg_q_binarize_args;
void smg_q_binarize(const smg_q_binarize_args *a, const int8_t *x, const int16_t *threshold,
                    const uint32_t *flip, uint32_t *y);

/* acc = sum of w * x over the window's positions inside the input, w and x being +1 and -1; bit o of y is
 * acc >= threshold[o]. A linear layer is a convolution of 1 x 1.
 * x [in_h][in_w][words of in_c], w [out_c][k_h][k_w][words of in_c], y [out_h][out_w][words of out_c]. */
typedef struct {
    int32_t in_h, in_w, in_c, out_h, out_w, out_c, k_h, k_w, stride_h, stride_w, pad_top, pad_left,
        dilation_h, dilation_w;
} smg_q_binary_conv_bits_args;
void smg_q_binary_conv_bits(const smg_q_binary_conv_bits_args *a, const uint32_t *x, const uint32_t *w,
                            const int32_t *threshold, uint32_t *y);

/* The same sum, y = sat(requantize(bias[o] + acc) + zero_y) as int8 [out_h][out_w][out_c]. */
typedef struct {
    int32_t in_h, in_w, in_c, out_h, out_w, out_c, k_h, k_w, stride_h, stride_w, pad_top, pad_left,
        dilation_h, dilation_w, zero_y, lo, hi, per_channel;
} smg_q_binary_conv_args;
void smg_q_binary_conv(const smg_q_binary_conv_args *a, const uint32_t *x, const uint32_t *w,
                       const int32_t *bias, const uint16_t *multiplier, const uint8_t *shift, int8_t *y);

/* The maximum over the window's positions inside the input; -1 throughout where there is none.
 * x [in_h][in_w][words], y [out_h][out_w][words]. */
typedef struct {
    int32_t in_h, in_w, words, out_h, out_w, k_h, k_w, stride_h, stride_w, pad_top, pad_left;
} smg_q_binary_max_pool_args;
void smg_q_binary_max_pool(const smg_q_binary_max_pool_args *a, const uint32_t *x, uint32_t *y);

/* One window of a binary convolution. */
typedef struct {
    int32_t in_h, in_w, in_c, k_h, k_w, dilation_h, dilation_w;
} smg_bit_window;

/* n - 2 popcount(w xor x) over the n bits of all taps inside; `w` is one output's weights. Neighbouring taps
 * are neighbours in memory where dilation_w is 1. */
static inline int32_t smg_bit_sum(const smg_bit_window *v, const uint32_t *x, const uint32_t *w, int32_t top,
                                  int32_t left) {
    const int32_t words = SMG_WORDS(v->in_c);
    const smg_taps rows = smg_inside(top, v->k_h, v->dilation_h, v->in_h);
    const smg_taps cols = smg_inside(left, v->k_w, v->dilation_w, v->in_w);
    int32_t unequal = 0;
    for (int32_t kh = rows.first; kh < rows.last; kh++)
        for (int32_t kw = cols.first; kw < cols.last; kw++) {
            const uint32_t *xs =
                x +
                ((size_t)(top + kh * v->dilation_h) * v->in_w + left + (size_t)(kw * v->dilation_w)) * words;
            const uint32_t *ws = w + (size_t)(kh * v->k_w + kw) * words;
            for (int32_t i = 0; i < words; i++)
                unequal += smg_popcount(xs[i] ^ ws[i]);
        }
    return (rows.last - rows.first) * (cols.last - cols.first) * v->in_c - 2 * unequal;
}

/* The same two layers where each output reads `packs` words of its window only, the others' weights being 0:
 * index [out_c][packs] their places in [k_h][k_w][words], ascending, w [out_c][packs] their signs.
 * k_h * k_w * words <= 65536. */
typedef struct {
    int32_t in_h, in_w, in_c, out_h, out_w, out_c, k_h, k_w, stride_h, stride_w, pad_top, pad_left,
        dilation_h, dilation_w, packs;
} smg_q_binary_packs_bits_args;
void smg_q_binary_packs_bits(const smg_q_binary_packs_bits_args *a, const uint32_t *x, const uint32_t *w,
                             const uint16_t *index, const int32_t *threshold, uint32_t *y);

typedef struct {
    int32_t in_h, in_w, in_c, out_h, out_w, out_c, k_h, k_w, stride_h, stride_w, pad_top, pad_left,
        dilation_h, dilation_w, packs, zero_y, lo, hi, per_channel;
} smg_q_binary_packs_args;
void smg_q_binary_packs(const smg_q_binary_packs_args *a, const uint32_t *x, const uint32_t *w,
                        const uint16_t *index, const int32_t *bias, const uint16_t *multiplier,
                        const uint8_t *shift, int8_t *y);

/* Channels in the word `i` of a position. */
static inline int32_t smg_bits_of_word(int32_t in_c, int32_t i) {
    const int32_t left = in_c - 32 * i;
    return left < 32 ? left : 32;
}

/* n - 2 popcount(w xor x) over the words of `index` inside; `w` and `index` are one output's. */
static inline int32_t smg_pack_sum(const smg_bit_window *v, const uint32_t *x, const uint32_t *w,
                                   const uint16_t *index, int32_t packs, int32_t top, int32_t left) {
    const int32_t words = SMG_WORDS(v->in_c);
    int32_t sum = 0, start = 0, kh = 0, kw = 0; /* the tap that begins at the word `start` */
    for (int32_t p = 0; p < packs; p++) {
        for (; index[p] >= start + words; start += words)
            if (++kw == v->k_w) {
                kw = 0;
                kh++;
            }
        const int32_t h = top + kh * v->dilation_h, c = left + kw * v->dilation_w, i = index[p] - start;
        if (h >= 0 && h < v->in_h && c >= 0 && c < v->in_w)
            sum += smg_bits_of_word(v->in_c, i) -
                   2 * smg_popcount(w[p] ^
                                    x[((size_t)h * (size_t)v->in_w + (size_t)c) * (size_t)words + (size_t)i]);
    }
    return sum;
}

/* Numbers of 1..SMG_PLANES bits, 0 .. 2^planes - 1, a plane of packed bits for each: [planes][rows][words],
 * the most significant first; bits beyond the last channel are 0. x [rows][channels], x - zero_x in 0 ..
 * 2^planes - 1 (of others the lowest bits are taken). */
#define SMG_PLANES 4
typedef struct {
    int32_t rows, channels, planes, zero_x;
} smg_q_planes_args;
void smg_q_planes(const smg_q_planes_args *a, const int8_t *x, uint32_t *y);

/* acc = sum of w * x over the window's positions inside the input, w +1 or -1, x the numbers in planes;
 * y = sat(requantize(bias[o] + acc) + zero_y) as int8 [out_h][out_w][out_c].
 * x [planes][in_h][in_w][words of in_c], w [out_c][k_h][k_w][words of in_c]. */
typedef struct {
    int32_t in_h, in_w, in_c, out_h, out_w, out_c, k_h, k_w, stride_h, stride_w, pad_top, pad_left,
        dilation_h, dilation_w, planes, zero_y, lo, hi, per_channel;
} smg_q_serial_conv_args;
void smg_q_serial_conv(const smg_q_serial_conv_args *a, const uint32_t *x, const uint32_t *w,
                       const int32_t *bias, const uint16_t *multiplier, const uint8_t *shift, int8_t *y);

/* The same sum, requantize(bias[o] + acc) inside 0 .. 2^planes_y - 1 as planes
 * y [planes_y][out_h][out_w][words of out_c]. */
typedef struct {
    int32_t in_h, in_w, in_c, out_h, out_w, out_c, k_h, k_w, stride_h, stride_w, pad_top, pad_left,
        dilation_h, dilation_w, planes, planes_y, per_channel;
} smg_q_serial_conv_planes_args;
void smg_q_serial_conv_planes(const smg_q_serial_conv_planes_args *a, const uint32_t *x, const uint32_t *w,
                              const int32_t *bias, const uint16_t *multiplier, const uint8_t *shift,
                              uint32_t *y);

/* The largest number of each channel over the window's positions inside the input; 0 where there is none.
 * x [planes][in_h][in_w][words], y [planes][out_h][out_w][words]. */
typedef struct {
    int32_t in_h, in_w, words, out_h, out_w, k_h, k_w, stride_h, stride_w, pad_top, pad_left, planes;
} smg_q_planes_max_pool_args;
void smg_q_planes_max_pool(const smg_q_planes_max_pool_args *a, const uint32_t *x, uint32_t *y);

/* sum_n 2^n (popcount(w and x_n) - popcount(not w and x_n)) over all taps inside, x_n the plane of weight
 * 2^n. */
static inline int32_t smg_serial_sum(const smg_bit_window *v, int32_t planes, const uint32_t *x,
                                     const uint32_t *w, int32_t top, int32_t left) {
    const int32_t words = SMG_WORDS(v->in_c);
    const smg_taps rows = smg_inside(top, v->k_h, v->dilation_h, v->in_h);
    const smg_taps cols = smg_inside(left, v->k_w, v->dilation_w, v->in_w);
    int32_t sum = 0;
    for (int32_t p = 0; p < planes; p++, x += (size_t)v->in_h * v->in_w * words) {
        sum *= 2;
        for (int32_t kh = rows.first; kh < rows.last; kh++)
            for (int32_t kw = cols.first; kw < cols.last; kw++) {
                const size_t at =
                    (size_t)(top + kh * v->dilation_h) * v->in_w + (size_t)(left + kw * v->dilation_w);
                const uint32_t *xs = x + at * words, *ws = w + (size_t)(kh * v->k_w + kw) * words;
                for (int32_t i = 0; i < words; i++)
                    sum += smg_popcount(ws[i] & xs[i]) - smg_popcount(~ws[i] & xs[i]);
            }
    }
    return sum;
}

/* Maximum over the window's positions inside the input; -128 where there is none.
 * x [in_h][in_w][channels], y [out_h][out_w][channels]. */
typedef struct {
    int32_t in_h, in_w, channels, out_h, out_w, k_h, k_w, stride_h, stride_w, pad_top, pad_left;
} smg_q_max_pool_args;
void smg_q_max_pool(const smg_q_max_pool_args *a, const int8_t *x, int8_t *y);

/* sat(requantize(sum (x - zero_x)) + zero_y) over the window's positions inside the input.
 * by_count 1: `multiplier` and `shift` have k_h * k_w entries, indexed by (positions inside) - 1; 0: one
 * entry. */
typedef struct {
    int32_t in_h, in_w, channels, out_h, out_w, k_h, k_w, stride_h, stride_w, pad_top, pad_left, zero_x,
        zero_y, lo, hi, by_count;
} smg_q_avg_pool_args;
void smg_q_avg_pool(const smg_q_avg_pool_args *a, const int8_t *x, const uint16_t *multiplier,
                    const uint8_t *shift, int8_t *y);

/* The mean over the axes r0 and r1: x [k0][r0][k1][r1][k2], y [k0][k1][k2]. One multiplier and shift. */
typedef struct {
    int32_t k0, r0, k1, r1, k2, zero_x, zero_y, lo, hi;
} smg_q_mean_args;
void smg_q_mean(const smg_q_mean_args *a, const int8_t *x, const uint16_t *multiplier, const uint8_t *shift,
                int8_t *y);

/* The maximum over the axes r0 and r1: x [k0][r0][k1][r1][k2], y [k0][k1][k2]. */
typedef struct {
    int32_t k0, r0, k1, r1, k2;
} smg_q_reduce_max_args;
void smg_q_reduce_max(const smg_q_reduce_max_args *a, const int8_t *x, int8_t *y);

/* sat(((x0 - zero_0) * multiplier_0 + (x1 - zero_1) * multiplier_1 + 2^(shift-1) >> shift) + zero_y).
 * y [d0][d1][d2][d3]; element strides s0_.. of x0 and s1_.. of x1, 0 on axes that are broadcast.
 * Multipliers 0..65535; shift 1..30 (a longer shift rounds to 0, as 30 does). In place with an operand that
 * is not broadcast. */
typedef struct {
    int32_t d0, d1, d2, d3, s0_0, s0_1, s0_2, s0_3, s1_0, s1_1, s1_2, s1_3, zero_0, zero_1, multiplier_0,
        multiplier_1, shift, zero_y, lo, hi;
} smg_q_add_args;
void smg_q_add(const smg_q_add_args *a, const int8_t *x0, const int8_t *x1, int8_t *y);

/* sat(requantize((x0 - zero_0) * (x1 - zero_1)) + zero_y); shapes and strides as in smg_q_add, one multiplier
 * and shift. In place with an operand that is not broadcast. */
typedef struct {
    int32_t d0, d1, d2, d3, s0_0, s0_1, s0_2, s0_3, s1_0, s1_1, s1_2, s1_3, zero_0, zero_1, zero_y, lo, hi;
} smg_q_mul_args;
void smg_q_mul(const smg_q_mul_args *a, const int8_t *x0, const int8_t *x1, const uint16_t *multiplier,
               const uint8_t *shift, int8_t *y);

/* y = sat(requantize(sum over i of (x0[r][i] - zero_0) * (x1[i][c] - zero_1)) + zero_y), one multiplier and
 * shift: products of x0 [d0][d1][d2][rows][inner] and x1 [d0][d1][d2][inner][columns], matrices contiguous
 * and s0_.., s1_.. elements apart (0: the same matrix again); y contiguous, int16_t where wide_y is 1, else
 * int8_t. inner * |x0 - zero_0| * |x1 - zero_1| < 2^31. */
typedef struct {
    int32_t d0, d1, d2, s0_0, s0_1, s0_2, s1_0, s1_1, s1_2, rows, inner, columns, zero_0, zero_1, zero_y, lo,
        hi, wide_y;
} smg_q_matmul_args;
void smg_q_matmul(const smg_q_matmul_args *a, const int8_t *x0, const int8_t *x1, const uint16_t *multiplier,
                  const uint8_t *shift, void *y);

/* sat(requantize(x - zero_x) + zero_y): x and y [rows][channels]. In place. */
typedef struct {
    int32_t rows, channels, zero_x, zero_y, lo, hi, per_channel;
} smg_q_requantize_args;
void smg_q_requantize(const smg_q_requantize_args *a, const int8_t *x, const uint16_t *multiplier,
                      const uint8_t *shift, int8_t *y);

/* y[i] = table[x[i] + 128], table [256]. In place. */
typedef struct {
    int32_t count;
} smg_q_table_args;
void smg_q_table(const smg_q_table_args *a, const int8_t *x, const int8_t *table, int8_t *y);

/* e_i = table[max - x_i], y_i = min((256 e_i + S / 2) / S - 128, 127) with S = sum e: x and y [rows][size],
 * table [256], table[0] >= 1, size <= 65536 (S fits 32 bits). In place. */
typedef struct {
    int32_t rows, size;
} smg_q_softmax_args;
void smg_q_softmax(const smg_q_softmax_args *a, const int8_t *x, const uint16_t *table, int8_t *y);

/* The same over the entries for which `mask` [mask_rows][size] is not 0; the others get weight 0 (-128). Row
 * r of x has row r modulo mask_rows of the mask. In place. */
typedef struct {
    int32_t rows, size, mask_rows;
} smg_q_softmax_masked_args;
void smg_q_softmax_masked(const smg_q_softmax_masked_args *a, const int8_t *x, const uint16_t *table,
                          const uint8_t *mask, int8_t *y);

/* The same for 16-bit values: u_i = requantize(max - x_i), in 256ths of a power of two,
 * e_i = table[u_i modulo 256] >> u_i / 256, which is 0 from 16 powers on. One multiplier and shift; `mask`
 * may be NULL (mask_rows is then 1). */
typedef struct {
    int32_t rows, size, mask_rows;
} smg_q_softmax16_args;
void smg_q_softmax16(const smg_q_softmax16_args *a, const int16_t *x, const uint16_t *table,
                     const uint16_t *multiplier, const uint8_t *shift, const uint8_t *mask, int8_t *y);

/* For each group of n = r0 * r1 values (x [k0][r0][k1][r1][k2], int16_t where wide_x is 1; y likewise,
 * int8_t): d = x - zero_x, s = sum d where centered is 1, else 0, v = n * sum d^2 - s^2, q = 2^(root_shift +
 * 43) / floor(sqrt(v * 4^root_shift + epsilon * 2^epsilon_shift)), z = (n * d - s) * q + 2^26 >> 27, the
 * normalized value in steps of 2^-16, and y = sat((z * multiplier + bias * 2^(shift - 8) + 2^(shift - 1) >>
 * shift) + zero_y). multiplier and bias have an entry for each of `channels` (the last axis of x), or one
 * where that is 1. n <= 65536 and |d| < 2^8, or n <= 8192 and |d| < 2^16 where wide_x; n * 2^root_shift * 2^8
 * (2^16 where wide_x) <= 2^30, root_shift 0..19, epsilon 1..65535, epsilon_shift 0..45, shift 8..30. */
typedef struct {
    int32_t k0, r0, k1, r1, k2, channels, zero_x, centered, root_shift, epsilon, epsilon_shift, shift, zero_y,
        lo, hi, wide_x;
} smg_q_normalize_args;
void smg_q_normalize(const smg_q_normalize_args *a, const void *x, const int32_t *multiplier,
                     const int32_t *bias, int8_t *y);

/* The same operators where a value has 16 bits: `wide_*` is 1 for those that do (int16_t, zero point
 * -32768..32767, bounds likewise), 0 for int8_t. Strides count elements. smg_q_linear16 makes int16_t. */
typedef struct {
    int32_t rows, in, out, zero_x, zero_y, lo, hi, per_channel;
} smg_q_linear16_args;
void smg_q_linear16(const smg_q_linear16_args *a, const int8_t *x, const int8_t *w, const int32_t *bias,
                    const uint16_t *multiplier, const uint8_t *shift, int16_t *y);

/* shift 1..47. In place with an operand of the same width that is not broadcast. */
typedef struct {
    int32_t d0, d1, d2, d3, s0_0, s0_1, s0_2, s0_3, s1_0, s1_1, s1_2, s1_3, zero_0, zero_1, multiplier_0,
        multiplier_1, shift, zero_y, lo, hi, wide_0, wide_1, wide_y;
} smg_q_add16_args;
void smg_q_add16(const smg_q_add16_args *a, const void *x0, const void *x1, void *y);

/* |x0 - zero_0| * |x1 - zero_1| < 2^31. In place as smg_q_add16. */
typedef struct {
    int32_t d0, d1, d2, d3, s0_0, s0_1, s0_2, s0_3, s1_0, s1_1, s1_2, s1_3, zero_0, zero_1, zero_y, lo, hi,
        wide_0, wide_1, wide_y;
} smg_q_mul16_args;
void smg_q_mul16(const smg_q_mul16_args *a, const void *x0, const void *x1, const uint16_t *multiplier,
                 const uint8_t *shift, void *y);

typedef struct {
    int32_t rows, channels, zero_x, zero_y, lo, hi, per_channel, wide_x, wide_y;
} smg_q_requantize16_args;
void smg_q_requantize16(const smg_q_requantize16_args *a, const void *x, const uint16_t *multiplier,
                        const uint8_t *shift, void *y);

/* Straight lines between 257 knots, 256 values apart: with u = x + 32768, k = u >> 8, r = u & 255
 * y = table[k] + ((table[k + 1] - table[k]) * r + 128 >> 8). In place where y is int16_t. */
typedef struct {
    int32_t count, wide_y;
} smg_q_table16_args;
void smg_q_table16(const smg_q_table16_args *a, const int16_t *x, const int16_t *table, void *y);

/* y[i][f] = sat(requantize(w[k][f]) + zero_y), k = x[i] - zero_x inside 0..entries - 1 (the nearest one).
 * x [count] (int16_t where wide_x), w [entries][features]; per_row 1: a multiplier and shift for each k. */
typedef struct {
    int32_t count, entries, features, zero_x, zero_y, lo, hi, per_row, wide_x;
} smg_q_embedding_args;
void smg_q_embedding(const smg_q_embedding_args *a, const void *x, const int8_t *w,
                     const uint16_t *multiplier, const uint8_t *shift, int8_t *y);

/* `count` bytes of `value`. */
typedef struct {
    int32_t count, value;
} smg_fill_args;
void smg_fill(const smg_fill_args *a, int8_t *y);

/* `rows` runs of `run` bytes each; a run starts every stride_x bytes in x and every stride_y bytes in y. */
typedef struct {
    int32_t rows, run, stride_x, stride_y;
} smg_copy_args;
void smg_copy(const smg_copy_args *a, const int8_t *x, int8_t *y);

/* y [d0][d1][d2][d3][d4], contiguous, takes x at element strides s0..s4. */
typedef struct {
    int32_t d0, d1, d2, d3, d4, s0, s1, s2, s3, s4;
} smg_transpose_args;
void smg_transpose(const smg_transpose_args *a, const int8_t *x, int8_t *y);

/* x [d0][d1][d2][d3] inside `value`: before_i and after_i elements (>= 0) on each side of axis i. */
typedef struct {
    int32_t d0, d1, d2, d3, before_0, before_1, before_2, before_3, after_0, after_1, after_2, after_3, value;
} smg_pad_args;
void smg_pad(const smg_pad_args *a, const int8_t *x, int8_t *y);

/* x [d0][d1][d2][run] with step_i - 1 rows of `value` between neighbours of axis i (steps >= 1). */
typedef struct {
    int32_t d0, d1, d2, run, step_0, step_1, step_2, value;
} smg_spread_args;
void smg_spread(const smg_spread_args *a, const int8_t *x, int8_t *y);

/* y[r][i] = x[r][indices[i]]: x [rows][size][run], indices [count] in 0..size - 1, y [rows][count][run]. */
typedef struct {
    int32_t rows, size, run, count;
} smg_gather_args;
void smg_gather(const smg_gather_args *a, const int8_t *x, const int32_t *indices, int8_t *y);

/* x [rows][channels]: what lanes of `bits` bits hold of the codes x + 128, as codes again minus 128.
 * 2 <= bits <= 7, 0 <= fraction <= min(bits, 8 - bits), 0 <= reach <= channels, 1 <= tile <= channels. */
typedef struct {
    int32_t rows, channels, bits, fraction, reach, tile;
} smg_q_overwrite_args;
void smg_q_overwrite(const smg_q_overwrite_args *a, const int8_t *x, int8_t *y);

/* y[k] = sat(requantize(bias[k] + sum over trees of the reached leaf's value for k) + zero_y).
 * x [features] of `bytes_x` bytes each: 1 int8, 2 int16.
 * splits [splits][4]: feature, threshold, two steps. x[feature] <= threshold takes the first step, else the
 *   second; a step above 0 leads so many splits further, another one to leaf -step of the tree.
 * tree_table [trees][3]: first split, first leaf, first of the `width` outputs that its leaves add to.
 * leaves [leaves][width], bias [out], one multiplier and shift. Sums wrap modulo 2^32 on the way. */
typedef struct {
    int32_t features, bytes_x, splits, trees, leaves, width, out, zero_y, lo, hi;
} smg_q_trees_args;
void smg_q_trees(const smg_q_trees_args *a, const void *x, const int16_t *splits, const int32_t *tree_table,
                 const int16_t *leaves, const int32_t *bias, const uint16_t *multiplier, const uint8_t *shift,
                 int8_t *y);

/* `count` symbols of at most 8 bits out of an entropy-coded stream as in a .smg file, `size` bytes behind its
 * header, which has `width` and `offset` (y[i] = offset + value). `work` [work_bytes]: a smg_NAME_workspace,
 * aligned to 4 bytes; nothing is done if it is too small. A damaged stream gives some symbols. */
typedef struct {
    int32_t size, width, offset, count, work_bytes;
} smg_unpack_huffman_args;
typedef smg_unpack_huffman_args smg_unpack_rans_args;
typedef smg_unpack_huffman_args smg_unpack_context_args;
void smg_unpack_huffman(const smg_unpack_huffman_args *a, const uint8_t *data, void *work, uint8_t *y);
void smg_unpack_rans(const smg_unpack_rans_args *a, const uint8_t *data, void *work, uint8_t *y);
void smg_unpack_context(const smg_unpack_context_args *a, const uint8_t *data, void *work, uint8_t *y);

/* y [rows][row]: stored weights as int8. Fields and streams: smg_stored.h. In place with symbols of 8 bits
 * if all weights have one. */
typedef struct {
    int32_t rows, row, bits, entries, zeros, group, row_groups, stored, gap_bits, gap_count, position_bits;
} smg_decode_args;
void smg_decode(const smg_decode_args *a, const uint8_t *symbols, const int8_t *table, const uint8_t *zeros,
                const uint8_t *multiples, const uint8_t *positions, int8_t *y);

/* smg_q_linear for one vector x [in] and smg_q_conv, on stored weights that are read where they lie
 * (smg_stored.h): their rows are the outputs. wide_y 1: y is int16_t. */
typedef struct {
    int32_t in, out, zero_x, zero_y, lo, hi, per_channel, wide_y, bits, entries, zeros, group, row_groups,
        stored, gap_bits, gap_count, position_bits;
} smg_q_linear_stored_args;
void smg_q_linear_stored(const smg_q_linear_stored_args *a, const int8_t *x, const uint8_t *symbols,
                         const int8_t *table, const uint8_t *zeros, const uint8_t *multiples,
                         const uint8_t *positions, const int32_t *bias, const uint16_t *multiplier,
                         const uint8_t *shift, void *y);

typedef struct {
    int32_t in_h, in_w, in_c, out_h, out_w, out_c, k_h, k_w, stride_h, stride_w, pad_top, pad_left,
        dilation_h, dilation_w, groups, zero_x, zero_y, lo, hi, per_channel, bits, entries, zeros, group,
        row_groups, stored, gap_bits, gap_count, position_bits;
} smg_q_conv_stored_args;
void smg_q_conv_stored(const smg_q_conv_stored_args *a, const int8_t *x, const uint8_t *symbols,
                       const int8_t *table, const uint8_t *zeros, const uint8_t *multiples,
                       const uint8_t *positions, const int32_t *bias, const uint16_t *multiplier,
                       const uint8_t *shift, int8_t *y);

#ifdef __cplusplus
}
#endif

#endif
