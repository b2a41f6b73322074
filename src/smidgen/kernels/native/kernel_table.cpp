#include "kernel_table.hpp"

#include <cstddef>
#include <initializer_list>
#include <type_traits>
#include <utility>

#include "smidgen.h"

namespace {

using Sizes = std::initializer_list<int64_t>;
constexpr int64_t LIMIT = INT32_MAX;

bool all_in(int64_t lo, int64_t hi, Sizes values) {
    for (int64_t v : values)
        if (v < lo || v > hi)
            return false;
    return true;
}

// The product of sizes >= 1, or beyond any buffer when it is too large.
int64_t product(Sizes sizes) {
    int64_t n = 1;
    for (int64_t size : sizes) {
        if (n > LIMIT)
            return n;
        n *= size;
    }
    return n;
}

// Elements between the first and the last that strides (>= 0) reach, inclusive.
int64_t reach(Sizes sizes, Sizes strides) {
    int64_t last = 0;
    auto stride = strides.begin();
    for (int64_t size : sizes) {
        last += (size - 1) * *stride++;
        if (last > LIMIT)
            return last;
    }
    return last + 1;
}

bool holds(const Span &span, int64_t nbytes) {
    return span.present && nbytes <= span.nbytes;
}

// `count` values, int8 or int16 where `wide` is 1.
bool holds_values(const Span &span, int64_t count, int32_t wide) {
    return holds(span, count * (1 + wide)) && span.alignment > wide;
}

bool bits_fit(const Span &span, int64_t symbols, int64_t bits) {
    return holds(span, (symbols * bits + 7) / 8);
}

// Values are int8, or int16 where `wide` is 1.
bool stored(int32_t wide, Sizes values) {
    return all_in(0, 1, {wide}) && (wide ? all_in(-32768, 32767, values) : all_in(-128, 127, values));
}

bool bounds(int32_t zero_y, int32_t lo, int32_t hi, int32_t wide = 0) {
    return stored(wide, {zero_y, lo, hi}) && lo <= hi;
}

// Multipliers and shifts: constants, so that a shift is known to be legal.
bool ratios(const Span &multiplier, const Span &shift, int64_t entries) {
    if (!holds(multiplier, 2 * entries) || !holds(shift, entries) || !shift.constant)
        return false;
    for (int64_t i = 0; i < entries; i++)
        if (shift.constant[i] < 1 || shift.constant[i] > 47)
            return false;
    return true;
}

template <class Linear> bool linear_fits(const Linear &a, const Span *p, int32_t wide) {
    return all_in(1, LIMIT, {a.rows, a.in, a.out}) && all_in(-128, 127, {a.zero_x}) &&
           bounds(a.zero_y, a.lo, a.hi, wide) && holds(p[0], product({a.rows, a.in})) &&
           holds(p[1], product({a.out, a.in})) && holds(p[2], 4 * int64_t{a.out}) &&
           ratios(p[3], p[4], a.per_channel ? a.out : 1) && holds(p[5], product({a.rows, a.out, 1 + wide}));
}

bool fits(const smg_q_linear_args &a, const Span *p) {
    return linear_fits(a, p, 0);
}

bool fits(const smg_q_linear16_args &a, const Span *p) {
    return linear_fits(a, p, 1);
}

// Window positions are computed in int32.
bool axis(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) {
    return all_in(1, LIMIT, {in, out, kernel, stride, dilation}) && all_in(0, LIMIT, {pad}) &&
           product({out, stride}) + product({kernel, dilation}) + pad + in <= LIMIT;
}

bool fits(const smg_q_conv_args &a, const Span *p) {
    return axis(a.in_h, a.out_h, a.k_h, a.stride_h, a.pad_top, a.dilation_h) &&
           axis(a.in_w, a.out_w, a.k_w, a.stride_w, a.pad_left, a.dilation_w) &&
           all_in(1, LIMIT, {a.in_c, a.out_c, a.groups}) && a.in_c % a.groups == 0 &&
           a.out_c % a.groups == 0 && all_in(-128, 127, {a.zero_x}) && bounds(a.zero_y, a.lo, a.hi) &&
           holds(p[0], product({a.in_h, a.in_w, a.in_c})) &&
           holds(p[1], product({a.out_c, a.k_h, a.k_w, a.in_c / a.groups})) &&
           holds(p[2], 4 * int64_t{a.out_c}) && ratios(p[3], p[4], a.per_channel ? a.out_c : 1) &&
           holds(p[5], product({a.out_h, a.out_w, a.out_c}));
}

// Sums of bits are at most the number of them: all of it in int32.
template <class Conv> bool bit_conv_fits(const Conv &a, const Span *p) {
    const int64_t words = SMG_WORDS(int64_t{a.in_c});
    return axis(a.in_h, a.out_h, a.k_h, a.stride_h, a.pad_top, a.dilation_h) &&
           axis(a.in_w, a.out_w, a.k_w, a.stride_w, a.pad_left, a.dilation_w) &&
           all_in(1, LIMIT, {a.in_c, a.out_c}) && product({a.k_h, a.k_w, 32 * words}) <= LIMIT / 2 &&
           holds(p[0], 4 * product({a.in_h, a.in_w, words})) &&
           holds(p[1], 4 * product({a.out_c, a.k_h, a.k_w, words})) && holds(p[2], 4 * int64_t{a.out_c});
}

bool fits(const smg_q_binary_conv_bits_args &a, const Span *p) {
    return bit_conv_fits(a, p) && holds(p[3], 4 * product({a.out_h, a.out_w, SMG_WORDS(int64_t{a.out_c})}));
}

bool fits(const smg_q_binary_conv_args &a, const Span *p) {
    return bit_conv_fits(a, p) && bounds(a.zero_y, a.lo, a.hi) &&
           ratios(p[3], p[4], a.per_channel ? a.out_c : 1) &&
           holds(p[5], product({a.out_h, a.out_w, a.out_c}));
}

// Places of words are constants, so that all of them are known to lie in the window, in order.
template <class Packs> bool packs_fit(const Packs &a, const Span *p) {
    const int64_t words = SMG_WORDS(int64_t{a.in_c}), window = product({a.k_h, a.k_w, words});
    if (!axis(a.in_h, a.out_h, a.k_h, a.stride_h, a.pad_top, a.dilation_h) ||
        !axis(a.in_w, a.out_w, a.k_w, a.stride_w, a.pad_left, a.dilation_w) ||
        !all_in(1, LIMIT, {a.in_c, a.out_c}) || !all_in(1, 65536, {window}) ||
        !all_in(1, window, {a.packs}) || !holds(p[0], 4 * product({a.in_h, a.in_w, words})) ||
        !holds(p[1], 4 * product({a.out_c, a.packs})) || !holds(p[2], 2 * product({a.out_c, a.packs})) ||
        !holds(p[3], 4 * int64_t{a.out_c}) || !p[2].constant)
        return false;
    const auto *index = reinterpret_cast<const uint16_t *>(p[2].constant);
    for (int64_t i = 0; i < int64_t{a.out_c} * a.packs; i++)
        if (index[i] >= window || (i % a.packs > 0 && index[i] <= index[i - 1]))
            return false;
    return true;
}

bool fits(const smg_q_binary_packs_bits_args &a, const Span *p) {
    return packs_fit(a, p) && holds(p[4], 4 * product({a.out_h, a.out_w, SMG_WORDS(int64_t{a.out_c})}));
}

bool fits(const smg_q_binary_packs_args &a, const Span *p) {
    return packs_fit(a, p) && bounds(a.zero_y, a.lo, a.hi) &&
           ratios(p[4], p[5], a.per_channel ? a.out_c : 1) &&
           holds(p[6], product({a.out_h, a.out_w, a.out_c}));
}

bool fits(const smg_q_binary_max_pool_args &a, const Span *p) {
    return axis(a.in_h, a.out_h, a.k_h, a.stride_h, a.pad_top, 1) &&
           axis(a.in_w, a.out_w, a.k_w, a.stride_w, a.pad_left, 1) && all_in(1, LIMIT, {a.words}) &&
           holds(p[0], 4 * product({a.in_h, a.in_w, a.words})) &&
           holds(p[1], 4 * product({a.out_h, a.out_w, a.words}));
}

bool fits(const smg_q_binarize_args &a, const Span *p) {
    const int64_t words = SMG_WORDS(int64_t{a.channels});
    return all_in(1, LIMIT, {a.rows, a.channels}) && holds(p[0], product({a.rows, a.channels})) &&
           holds(p[1], 2 * int64_t{a.channels}) && holds(p[2], 4 * words) &&
           holds(p[3], 4 * product({a.rows, words}));
}

// Sums of `planes` planes: twice as many for each, all of it in int32.
template <class Conv> bool serial_conv_fits(const Conv &a, const Span *p) {
    const int64_t words = SMG_WORDS(int64_t{a.in_c});
    return all_in(1, SMG_PLANES, {a.planes}) && bit_conv_fits(a, p) &&
           product({a.k_h, a.k_w, 32 * words, int64_t{1} << a.planes}) <= LIMIT / 2 &&
           holds(p[0], 4 * product({a.planes, a.in_h, a.in_w, words})) &&
           ratios(p[3], p[4], a.per_channel ? a.out_c : 1);
}

bool fits(const smg_q_serial_conv_args &a, const Span *p) {
    return serial_conv_fits(a, p) && bounds(a.zero_y, a.lo, a.hi) &&
           holds(p[5], product({a.out_h, a.out_w, a.out_c}));
}

bool fits(const smg_q_serial_conv_planes_args &a, const Span *p) {
    return serial_conv_fits(a, p) && all_in(1, SMG_PLANES, {a.planes_y}) &&
           holds(p[5], 4 * product({a.planes_y, a.out_h, a.out_w, SMG_WORDS(int64_t{a.out_c})}));
}

bool fits(const smg_q_planes_args &a, const Span *p) {
    return all_in(1, LIMIT, {a.rows, a.channels}) && all_in(1, SMG_PLANES, {a.planes}) &&
           all_in(-128, 127, {a.zero_x}) && holds(p[0], product({a.rows, a.channels})) &&
           holds(p[1], 4 * product({a.planes, a.rows, SMG_WORDS(int64_t{a.channels})}));
}

bool fits(const smg_q_planes_max_pool_args &a, const Span *p) {
    return axis(a.in_h, a.out_h, a.k_h, a.stride_h, a.pad_top, 1) &&
           axis(a.in_w, a.out_w, a.k_w, a.stride_w, a.pad_left, 1) && all_in(1, LIMIT, {a.words}) &&
           all_in(1, SMG_PLANES, {a.planes}) &&
           holds(p[0], 4 * product({a.planes, a.in_h, a.in_w, a.words})) &&
           holds(p[1], 4 * product({a.planes, a.out_h, a.out_w, a.words}));
}

bool fits(const smg_q_depthwise_args &a, const Span *p) {
    const int64_t taps = product({a.k_h, a.k_w});
    return axis(a.in_h, a.out_h, a.k_h, a.stride_h, a.pad_top, a.dilation_h) &&
           axis(a.in_w, a.out_w, a.k_w, a.stride_w, a.pad_left, a.dilation_w) && taps <= SMG_DEPTHWISE_TAPS &&
           all_in(1, LIMIT - 16, {a.channels}) && all_in(-128, 127, {a.zero_x}) &&
           bounds(a.zero_y, a.lo, a.hi) && holds(p[0], product({a.in_h, a.in_w, a.channels})) &&
           holds(p[1], product({a.channels, taps})) && holds(p[2], 4 * int64_t{a.channels}) &&
           ratios(p[3], p[4], a.per_channel ? a.channels : 1) &&
           holds(p[5], product({a.out_h, a.out_w, a.channels}));
}

template <class Pool> bool pool_fits(const Pool &a, const Span &x, const Span &y) {
    return axis(a.in_h, a.out_h, a.k_h, a.stride_h, a.pad_top, 1) &&
           axis(a.in_w, a.out_w, a.k_w, a.stride_w, a.pad_left, 1) && all_in(1, LIMIT, {a.channels}) &&
           holds(x, product({a.in_h, a.in_w, a.channels})) &&
           holds(y, product({a.out_h, a.out_w, a.channels}));
}

bool fits(const smg_q_max_pool_args &a, const Span *p) {
    return pool_fits(a, p[0], p[1]);
}

bool fits(const smg_q_avg_pool_args &a, const Span *p) {
    return pool_fits(a, p[0], p[3]) && product({a.k_h, a.k_w, 512}) <= LIMIT &&
           all_in(-128, 127, {a.zero_x}) && bounds(a.zero_y, a.lo, a.hi) &&
           ratios(p[1], p[2], a.by_count ? product({a.k_h, a.k_w}) : 1);
}

bool fits(const smg_q_mean_args &a, const Span *p) {
    return all_in(1, LIMIT, {a.k0, a.r0, a.k1, a.r1, a.k2}) && product({a.r0, a.r1, 256}) <= LIMIT &&
           all_in(-128, 127, {a.zero_x}) && bounds(a.zero_y, a.lo, a.hi) &&
           holds(p[0], product({a.k0, a.r0, a.k1, a.r1, a.k2})) && ratios(p[1], p[2], 1) &&
           holds(p[3], product({a.k0, a.k1, a.k2}));
}

struct Widths {
    int32_t x0 = 0, x1 = 0, y = 0;
};

template <class Binary>
bool broadcast_fits(const Binary &a, const Span &x0, const Span &x1, const Span &y, Widths wide = {}) {
    const Sizes dims = {a.d0, a.d1, a.d2, a.d3};
    return all_in(1, LIMIT, dims) &&
           all_in(0, LIMIT, {a.s0_0, a.s0_1, a.s0_2, a.s0_3, a.s1_0, a.s1_1, a.s1_2, a.s1_3}) &&
           stored(wide.x0, {a.zero_0}) && stored(wide.x1, {a.zero_1}) &&
           bounds(a.zero_y, a.lo, a.hi, wide.y) && holds_values(y, product(dims), wide.y) &&
           holds_values(x0, reach(dims, {a.s0_0, a.s0_1, a.s0_2, a.s0_3}), wide.x0) &&
           holds_values(x1, reach(dims, {a.s1_0, a.s1_1, a.s1_2, a.s1_3}), wide.x1);
}

bool fits(const smg_q_add_args &a, const Span *p) {
    return broadcast_fits(a, p[0], p[1], p[2]) && all_in(-65535, 65535, {a.multiplier_0, a.multiplier_1}) &&
           all_in(1, 30, {a.shift});
}

bool fits(const smg_q_add16_args &a, const Span *p) {
    return broadcast_fits(a, p[0], p[1], p[2], {a.wide_0, a.wide_1, a.wide_y}) &&
           all_in(-65535, 65535, {a.multiplier_0, a.multiplier_1}) && all_in(1, 47, {a.shift});
}

bool fits(const smg_q_mul_args &a, const Span *p) {
    return broadcast_fits(a, p[0], p[1], p[4]) && ratios(p[2], p[3], 1);
}

// The largest distance of a stored value from its zero point.
int64_t swing(int32_t wide, int32_t zero) {
    const int64_t half = wide ? 32768 : 128;
    return zero < 0 ? half - 1 - zero : half + zero;
}

bool fits(const smg_q_mul16_args &a, const Span *p) {
    return broadcast_fits(a, p[0], p[1], p[4], {a.wide_0, a.wide_1, a.wide_y}) && ratios(p[2], p[3], 1) &&
           swing(a.wide_0, a.zero_0) * swing(a.wide_1, a.zero_1) <= LIMIT;
}

bool fits(const smg_q_matmul_args &a, const Span *p) {
    const Sizes dims = {a.d0, a.d1, a.d2};
    const int64_t left = product({a.rows, a.inner}), right = product({a.inner, a.columns});
    return all_in(1, LIMIT, dims) && all_in(1, LIMIT, {a.rows, a.inner, a.columns, left, right}) &&
           all_in(0, LIMIT, {a.s0_0, a.s0_1, a.s0_2, a.s1_0, a.s1_1, a.s1_2}) &&
           stored(0, {a.zero_0, a.zero_1}) && bounds(a.zero_y, a.lo, a.hi, a.wide_y) &&
           product({a.inner, swing(0, a.zero_0), swing(0, a.zero_1)}) <= LIMIT &&
           holds(p[0], reach(dims, {a.s0_0, a.s0_1, a.s0_2}) - 1 + left) &&
           holds(p[1], reach(dims, {a.s1_0, a.s1_1, a.s1_2}) - 1 + right) && ratios(p[2], p[3], 1) &&
           holds_values(p[4], product({a.d0, a.d1, a.d2, a.rows, a.columns}), a.wide_y);
}

bool fits(const smg_q_requantize_args &a, const Span *p) {
    return all_in(1, LIMIT, {a.rows, a.channels}) && all_in(-128, 127, {a.zero_x}) &&
           bounds(a.zero_y, a.lo, a.hi) && holds(p[0], product({a.rows, a.channels})) &&
           ratios(p[1], p[2], a.per_channel ? a.channels : 1) && holds(p[3], product({a.rows, a.channels}));
}

bool fits(const smg_q_requantize16_args &a, const Span *p) {
    const int64_t count = product({a.rows, a.channels});
    return all_in(1, LIMIT, {a.rows, a.channels}) && stored(a.wide_x, {a.zero_x}) &&
           bounds(a.zero_y, a.lo, a.hi, a.wide_y) && holds_values(p[0], count, a.wide_x) &&
           ratios(p[1], p[2], a.per_channel ? a.channels : 1) && holds_values(p[3], count, a.wide_y);
}

bool fits(const smg_q_table16_args &a, const Span *p) {
    return all_in(1, LIMIT, {a.count}) && all_in(0, 1, {a.wide_y}) && holds(p[0], 2 * int64_t{a.count}) &&
           holds(p[1], 2 * 257) && holds_values(p[2], a.count, a.wide_y);
}

bool fits(const smg_q_embedding_args &a, const Span *p) {
    return all_in(1, LIMIT, {a.count, a.entries, a.features}) && stored(a.wide_x, {a.zero_x}) &&
           bounds(a.zero_y, a.lo, a.hi) && holds_values(p[0], a.count, a.wide_x) &&
           holds(p[1], product({a.entries, a.features})) && ratios(p[2], p[3], a.per_row ? a.entries : 1) &&
           holds(p[4], product({a.count, a.features}));
}

bool fits(const smg_fill_args &a, const Span *p) {
    return all_in(1, LIMIT, {a.count}) && all_in(-128, 127, {a.value}) && holds(p[0], a.count);
}

bool fits(const smg_q_table_args &a, const Span *p) {
    return all_in(1, LIMIT, {a.count}) && holds(p[0], a.count) && holds(p[1], 256) && holds(p[2], a.count);
}

bool fits(const smg_q_softmax_args &a, const Span *p) {
    if (!all_in(1, LIMIT, {a.rows}) || !all_in(1, 65536, {a.size}) || !holds(p[1], 512) || !p[1].constant)
        return false;
    const bool nonzero = p[1].constant[0] || p[1].constant[1]; // the sum is a divisor
    return nonzero && holds(p[0], product({a.rows, a.size})) && holds(p[2], product({a.rows, a.size}));
}

bool fits(const smg_q_softmax_masked_args &a, const Span *p) {
    const Span unmasked[] = {p[0], p[1], p[3]};
    return all_in(1, LIMIT, {a.mask_rows}) && fits(smg_q_softmax_args{a.rows, a.size}, unmasked) &&
           holds(p[2], product({a.mask_rows, a.size}));
}

bool fits(const smg_q_softmax16_args &a, const Span *p) {
    const Span unmasked[] = {p[0], p[1], p[5]};
    return fits(smg_q_softmax_args{a.rows, a.size}, unmasked) && holds(p[0], product({a.rows, a.size, 2})) &&
           ratios(p[2], p[3], 1) && all_in(1, LIMIT, {a.mask_rows}) &&
           (!p[4].present || holds(p[4], product({a.mask_rows, a.size})));
}

// Squares of sums stay below 2^62, and the root above 0.
bool fits(const smg_q_normalize_args &a, const Span *p) {
    const int64_t count = product({a.k0, a.r0, a.k1, a.r1, a.k2}), group = product({a.r0, a.r1});
    if (!all_in(1, LIMIT, {a.k0, a.r0, a.k1, a.r1, a.k2, a.channels}) || !stored(a.wide_x, {a.zero_x}) ||
        group > (a.wide_x ? 8192 : 65536) || !all_in(0, 19, {a.root_shift}))
        return false;
    const int64_t reach = group << (a.wide_x ? 16 : 8) << a.root_shift;
    return reach <= int64_t{1} << 30 && all_in(0, 1, {a.centered}) && all_in(1, 65535, {a.epsilon}) &&
           all_in(0, 45, {a.epsilon_shift}) && all_in(8, 30, {a.shift}) && bounds(a.zero_y, a.lo, a.hi) &&
           holds_values(p[0], count, a.wide_x) && holds(p[1], 4 * int64_t{a.channels}) &&
           holds(p[2], 4 * int64_t{a.channels}) && holds(p[3], count);
}

bool fits(const smg_q_reduce_max_args &a, const Span *p) {
    return all_in(1, LIMIT, {a.k0, a.r0, a.k1, a.r1, a.k2}) &&
           holds(p[0], product({a.k0, a.r0, a.k1, a.r1, a.k2})) && holds(p[1], product({a.k0, a.k1, a.k2}));
}

bool fits(const smg_copy_args &a, const Span *p) {
    const Sizes dims = {a.rows, a.run};
    // Runs may not overlap in y: that also bounds the work by the memory.
    return all_in(1, LIMIT, dims) && all_in(0, LIMIT, {a.stride_x, a.stride_y}) &&
           (a.rows == 1 || a.stride_y >= a.run) && holds(p[0], reach(dims, {a.stride_x, 1})) &&
           holds(p[1], reach(dims, {a.stride_y, 1}));
}

bool fits(const smg_transpose_args &a, const Span *p) {
    const Sizes dims = {a.d0, a.d1, a.d2, a.d3, a.d4}, strides = {a.s0, a.s1, a.s2, a.s3, a.s4};
    return all_in(1, LIMIT, dims) && all_in(0, LIMIT, strides) && holds(p[0], reach(dims, strides)) &&
           holds(p[1], product(dims));
}

bool fits(const smg_pad_args &a, const Span *p) {
    const Sizes dims = {a.d0, a.d1, a.d2, a.d3};
    const int64_t padded =
        product({int64_t{a.before_0} + a.d0 + a.after_0, int64_t{a.before_1} + a.d1 + a.after_1,
                 int64_t{a.before_2} + a.d2 + a.after_2, int64_t{a.before_3} + a.d3 + a.after_3});
    return all_in(1, LIMIT, dims) && all_in(-128, 127, {a.value}) && holds(p[0], product(dims)) &&
           all_in(0, LIMIT,
                  {a.before_0, a.before_1, a.before_2, a.before_3, a.after_0, a.after_1, a.after_2,
                   a.after_3}) &&
           holds(p[1], padded);
}

bool fits(const smg_spread_args &a, const Span *p) {
    if (!all_in(1, LIMIT, {a.d0, a.d1, a.d2, a.run, a.step_0, a.step_1, a.step_2}))
        return false;
    const Sizes sizes = {(a.d0 - 1) * int64_t{a.step_0} + 1, (a.d1 - 1) * int64_t{a.step_1} + 1,
                         (a.d2 - 1) * int64_t{a.step_2} + 1, a.run};
    return all_in(1, LIMIT, sizes) && all_in(-128, 127, {a.value}) &&
           holds(p[0], product({a.d0, a.d1, a.d2, a.run})) && holds(p[1], product(sizes));
}

bool fits(const smg_gather_args &a, const Span *p) {
    if (!all_in(1, LIMIT, {a.rows, a.size, a.run, a.count}) || !holds(p[1], 4 * int64_t{a.count}) ||
        !p[1].constant)
        return false;
    const auto *indices = reinterpret_cast<const int32_t *>(p[1].constant);
    for (int64_t i = 0; i < a.count; i++)
        if (indices[i] < 0 || indices[i] >= a.size)
            return false;
    return holds(p[0], product({a.rows, a.size, a.run})) && holds(p[2], product({a.rows, a.count, a.run}));
}

bool fits(const smg_q_overwrite_args &a, const Span *p) {
    const int64_t values = product({a.rows, a.channels});
    return all_in(1, LIMIT, {a.rows, a.channels}) && all_in(2, 7, {a.bits}) &&
           all_in(0, a.bits < 4 ? a.bits : 8 - a.bits, {a.fraction}) && all_in(0, a.channels, {a.reach}) &&
           all_in(1, a.channels, {a.tile}) && holds(p[0], values) && holds(p[1], values);
}

// Every step leads forward inside its tree or to a stored leaf: a walk ends and reads no other memory.
bool tree_fits(const smg_q_trees_args &a, const int16_t *splits, const int32_t *tree, int64_t end) {
    const int64_t first = tree[0];
    if (first < 0 || first >= end || end > a.splits || tree[1] < 0 ||
        !all_in(0, int64_t{a.out} - a.width, {tree[2]}))
        return false;
    for (int64_t at = first; at < end; at++) {
        const int16_t *split = splits + 4 * at;
        if (!all_in(0, int64_t{a.features} - 1, {split[0]}))
            return false;
        for (int64_t step : {split[2], split[3]})
            if (step > 0 ? at + step >= end : tree[1] - step >= a.leaves)
                return false;
    }
    return true;
}

bool fits(const smg_q_trees_args &a, const Span *p) {
    if (!all_in(1, LIMIT, {a.features, a.splits, a.trees, a.leaves, a.width, a.out}) ||
        !all_in(1, 2, {a.bytes_x}) || a.width > a.out || !bounds(a.zero_y, a.lo, a.hi) ||
        !holds_values(p[0], a.features, a.bytes_x - 1) || !holds(p[1], product({a.splits, 8})) ||
        !holds(p[2], product({a.trees, 12})) || !holds(p[3], product({a.leaves, a.width, 2})) ||
        !holds(p[4], 4 * int64_t{a.out}) || !ratios(p[5], p[6], 1) || !holds(p[7], a.out) || !p[1].constant ||
        !p[2].constant)
        return false;
    const auto *splits = reinterpret_cast<const int16_t *>(p[1].constant);
    const auto *trees = reinterpret_cast<const int32_t *>(p[2].constant);
    for (int64_t t = 0; t < a.trees; t++)
        if (!tree_fits(a, splits, trees + 3 * t, t + 1 < a.trees ? trees[3 * t + 3] : a.splits))
            return false;
    return true;
}

// `rows` of `row` stored weights; `p`: symbols, table, zeros, multiples, positions.
template <class Stored> bool stored_fits(const Stored &a, int64_t rows, int64_t row, const Span *p) {
    const int64_t count = product({rows, row});
    if (!all_in(1, LIMIT, {rows, row, count, a.group}) || !all_in(1, 8, {a.bits}) ||
        !all_in(0, 256, {a.entries}) || !all_in(0, count, {a.stored}) || !bits_fit(p[0], a.stored, a.bits))
        return false;
    if (a.entries && !holds(p[1], a.entries))
        return false;
    if (a.zeros && ((a.zeros != 1 && a.zeros != rows) || !bits_fit(p[2], a.zeros, a.bits)))
        return false;
    if (p[3].present && (product({a.group, a.row_groups}) < row || !all_in(1, row, {a.row_groups}) ||
                         !bits_fit(p[3], product({rows, a.row_groups}), 4)))
        return false;
    if (!p[4].present)
        return true;
    const int64_t codes = a.gap_bits ? a.gap_count : count;
    return row <= LIMIT - 256 && all_in(0, 8, {a.gap_bits}) && all_in(1, 8, {a.position_bits}) &&
           all_in(0, LIMIT, {codes}) && bits_fit(p[4], codes, a.position_bits);
}

bool fits(const smg_decode_args &a, const Span *p) {
    return stored_fits(a, a.rows, a.row, p) && holds(p[5], product({a.rows, a.row}));
}

bool fits(const smg_q_linear_stored_args &a, const Span *p) {
    return all_in(-128, 127, {a.zero_x}) && bounds(a.zero_y, a.lo, a.hi, a.wide_y) &&
           stored_fits(a, a.out, a.in, p + 1) && holds(p[0], a.in) && holds(p[6], 4 * int64_t{a.out}) &&
           ratios(p[7], p[8], a.per_channel ? a.out : 1) && holds(p[9], product({a.out, 1 + a.wide_y}));
}

bool fits(const smg_q_conv_stored_args &a, const Span *p) {
    return axis(a.in_h, a.out_h, a.k_h, a.stride_h, a.pad_top, a.dilation_h) &&
           axis(a.in_w, a.out_w, a.k_w, a.stride_w, a.pad_left, a.dilation_w) &&
           all_in(1, LIMIT, {a.in_c, a.out_c, a.groups}) && a.in_c % a.groups == 0 &&
           a.out_c % a.groups == 0 && all_in(-128, 127, {a.zero_x}) && bounds(a.zero_y, a.lo, a.hi) &&
           holds(p[0], product({a.in_h, a.in_w, a.in_c})) &&
           stored_fits(a, a.out_c, product({a.k_h, a.k_w, a.in_c / a.groups}), p + 1) &&
           holds(p[6], 4 * int64_t{a.out_c}) && ratios(p[7], p[8], a.per_channel ? a.out_c : 1) &&
           holds(p[9], product({a.out_h, a.out_w, a.out_c}));
}

template <class T> constexpr int32_t alignment_of() {
    if constexpr (std::is_void_v<T>)
        return 1;
    else
        return alignof(T);
}

// A kernel's signature gives its argument struct and pointers; nothing is written twice.
template <auto function, class Args, class... Pointers, size_t... I>
constexpr Kernel entry(const char *name, void (*)(const Args *, Pointers...), std::index_sequence<I...>) {
    return {
        name,
        static_cast<int>(sizeof(Args) / sizeof(int32_t)),
        static_cast<int>(sizeof...(Pointers)),
        {alignment_of<std::remove_pointer_t<Pointers>>()...},
        [](const int32_t *args, void *const *p) {
            function(reinterpret_cast<const Args *>(args), static_cast<Pointers>(p[I])...);
        },
        [](const int32_t *args, const Span *p) { return fits(*reinterpret_cast<const Args *>(args), p); }};
}

template <auto function, class Args, class... Pointers>
constexpr Kernel entry(const char *name, void (*signature)(const Args *, Pointers...)) {
    return entry<function>(name, signature, std::index_sequence_for<Pointers...>{});
}

#define KERNEL(name) entry<name>(#name, name)

const Kernel TABLE[] = {
    KERNEL(smg_q_linear),
    KERNEL(smg_q_conv),
    KERNEL(smg_q_depthwise),
    KERNEL(smg_q_binarize),
    KERNEL(smg_q_binary_max_pool),
    KERNEL(smg_q_binary_conv),
    KERNEL(smg_q_binary_conv_bits),
    KERNEL(smg_q_binary_packs),
    KERNEL(smg_q_binary_packs_bits),
    KERNEL(smg_q_planes),
    KERNEL(smg_q_planes_max_pool),
    KERNEL(smg_q_serial_conv),
    KERNEL(smg_q_serial_conv_planes),
    KERNEL(smg_q_max_pool),
    KERNEL(smg_q_avg_pool),
    KERNEL(smg_q_mean),
    KERNEL(smg_q_add),
    KERNEL(smg_q_mul),
    KERNEL(smg_q_matmul),
    KERNEL(smg_q_requantize),
    KERNEL(smg_q_table),
    KERNEL(smg_q_softmax),
    KERNEL(smg_q_softmax_masked),
    KERNEL(smg_q_softmax16),
    KERNEL(smg_q_normalize),
    KERNEL(smg_q_reduce_max),
    KERNEL(smg_q_linear16),
    KERNEL(smg_q_add16),
    KERNEL(smg_q_mul16),
    KERNEL(smg_q_requantize16),
    KERNEL(smg_q_table16),
    KERNEL(smg_q_embedding),
    KERNEL(smg_fill),
    KERNEL(smg_copy),
    KERNEL(smg_transpose),
    KERNEL(smg_pad),
    KERNEL(smg_spread),
    KERNEL(smg_gather),
    KERNEL(smg_q_overwrite),
    KERNEL(smg_q_trees),
    KERNEL(smg_decode),
    KERNEL(smg_q_linear_stored),
    KERNEL(smg_q_conv_stored),
};

} // namespace

const Kernel *kernels(int *count) {
    *count = static_cast<int>(sizeof(TABLE) / sizeof(TABLE[0]));
    return TABLE;
}
