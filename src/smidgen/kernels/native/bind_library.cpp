// The kernels of smg_library.h for Python: an object holds the constants of one and runs it. Arguments are
// checked here, so that the C below can trust its caller.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include <cstdlib>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "library.h"
#include "variants.hpp"

namespace nb = nanobind;

namespace {

template <typename T> using In = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

constexpr size_t ALIGNMENT = 64; // of a cache line and of the widest register

using Memory = std::shared_ptr<void>;

constexpr size_t HUGE_PAGE = 1 << 21;

Memory allocate(size_t bytes) {
    const size_t alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : ALIGNMENT;
    void *memory = std::aligned_alloc(alignment, (bytes / alignment + 1) * alignment);
    if (!memory)
        throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    if (alignment == HUGE_PAGE)
        madvise(memory, bytes,
                MADV_HUGEPAGE); // a wish: fewer look-ups of addresses when weights are streamed
#endif
    return Memory(memory, std::free);
}

// A kernel with its own copies of its constants and its scratch: calls take turns, as they keep the
// interpreter.
class Kernel {
  public:
    // Throws std::invalid_argument unless `array` has `count` elements.
    template <typename T> const T *keep(const In<T> &array, size_t count) {
        if (array.shape(0) != count)
            throw std::invalid_argument("constants of another size are needed");
        return static_cast<const T *>(copy(array.data(), count * sizeof(T)));
    }

    void *copy(const void *data, size_t bytes) {
        kept_.push_back(allocate(bytes));
        if (bytes)
            std::memcpy(kept_.back().get(), data, bytes);
        return kept_.back().get();
    }

    template <typename Args, typename X, typename Y>
    void set(void (*run)(const Args *, const X *, Y *, int32_t, void *), const Args &args, size_t x_items,
             size_t y_items, size_t scratch_bytes) {
        Memory scratch = allocate(scratch_bytes);
        x_bytes_ = x_items * sizeof(X);
        y_bytes_ = y_items * sizeof(Y);
        run_ = [run, args, scratch](const void *x, void *y, int32_t samples) {
            run(&args, static_cast<const X *>(x), static_cast<Y *>(y), samples, scratch.get());
        };
    }

    // Throws std::invalid_argument unless both hold the same number of samples, whatever Python says about
    // memory that is not contiguous.
    void run(nb::handle x, nb::handle y) const {
        Py_buffer in, out;
        if (PyObject_GetBuffer(x.ptr(), &in, PyBUF_C_CONTIGUOUS) != 0)
            nb::raise_python_error();
        if (PyObject_GetBuffer(y.ptr(), &out, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE) != 0) {
            PyBuffer_Release(&in);
            nb::raise_python_error();
        }
        const size_t samples = static_cast<size_t>(in.len) / x_bytes_;
        const bool fits = samples * x_bytes_ == static_cast<size_t>(in.len) &&
                          samples * y_bytes_ == static_cast<size_t>(out.len) && samples <= INT32_MAX;
        if (fits)
            run_(in.buf, out.buf, static_cast<int32_t>(samples));
        PyBuffer_Release(&in);
        PyBuffer_Release(&out);
        if (!fits)
            throw std::invalid_argument("an array's size does not fit the kernel");
    }

  private:
    std::vector<Memory> kept_;
    size_t x_bytes_ = 1, y_bytes_ = 1;
    std::function<void(const void *, void *, int32_t)> run_;
};

template <typename F> struct Made {
    const char *isa;
    F run;
};

// What is `made` for an instruction set of this processor, or else for the best of the lesser ones.
template <typename F> F choose(const std::string &isa, std::initializer_list<Made<F>> made) {
    F best = nullptr;
    for (const std::string &name : supported_isas()) {
        for (const Made<F> &each : made)
            if (name == each.isa)
                best = each.run;
        if (name == isa)
            return best;
    }
    throw std::invalid_argument("this processor has no instruction set " + isa);
}

#if defined(SMIDGEN_X86)
#define MADE(name) {"avx2", smg_##name##_avx2}, {"avx512", smg_##name##_avx512},
#elif defined(SMIDGEN_NEON)
#define MADE(name) {"neon", smg_##name##_neon},
#else
#define MADE(name)
#endif
#define CHOOSE(isa, name) choose<decltype(&smg_##name)>(isa, {MADE(name){"ref", smg_##name}})

void demand(bool holds, const char *what) {
    if (!holds)
        throw std::invalid_argument(what);
}

size_t blocks(int32_t out) {
    return static_cast<size_t>(smg_up(out, SMG_LANES));
}

void check_lowbit(int32_t out, int32_t in, int32_t group, int32_t bits) {
    demand(out > 0 && in > 0 && (bits == 2 || bits == 4) && group > 0 && group % 16 == 0,
           "positive sizes, 2 or 4 bits, groups of 16, 32, ... are needed");
}

Kernel lowbit(const std::string &isa, int32_t out, int32_t in, int32_t group, int32_t bits,
              In<uint32_t> codes, In<float> scales, In<float> levels) {
    check_lowbit(out, in, group, bits);
    Kernel k;
    const size_t words = blocks(out) * SMG_LANES * static_cast<size_t>(smg_lowbit_words(in, bits));
    const smg_lowbit_args args = {
        out,
        in,
        group,
        bits,
        k.keep(codes, words),
        k.keep(scales, blocks(out) * SMG_LANES * static_cast<size_t>(smg_up(in, group))),
        k.keep(levels, 16)};
    k.set(CHOOSE(isa, lowbit), args, static_cast<size_t>(in), static_cast<size_t>(out),
          smg_lowbit_scratch(&args));
    return k;
}

Kernel lowbit_int(const std::string &isa, int32_t out, int32_t in, int32_t group, int32_t bits, int32_t zero,
                  In<uint32_t> codes, In<uint8_t> multipliers) {
    check_lowbit(out, in, group, bits);
    demand(zero >= 0 && zero < 1 << bits, "the zero must be a code");
    Kernel k;
    const size_t words = blocks(out) * SMG_LANES * static_cast<size_t>(smg_lowbit_words(in, bits));
    const size_t groups = blocks(out) * SMG_LANES * static_cast<size_t>(smg_up(in, group));
    const smg_lowbit_int_args args = {
        out, in, group, bits, zero, k.keep(codes, words), k.keep(multipliers, groups)};
    auto run = CHOOSE(isa, lowbit_int);
#ifdef SMIDGEN_DOTPROD
    if (isa == "dotprod")
        run = smg_lowbit_int_dotprod;
#endif
    k.set(run, args, static_cast<size_t>(in), static_cast<size_t>(out), smg_lowbit_int_scratch(&args));
    return k;
}

// `rows` rows of stored entries whose columns are below `columns`. Returns how many there are.
template <typename Column>
size_t check_entries(In<int32_t> first, In<Column> at, size_t rows, size_t columns) {
    demand(first.shape(0) == rows + 1 && first.data()[0] == 0, "each row needs a first entry");
    for (size_t i = 0; i < rows; i++)
        demand(first.data()[i] <= first.data()[i + 1], "rows follow each other");
    const size_t entries = static_cast<size_t>(first.data()[rows]);
    demand(at.shape(0) == entries, "each entry needs a column");
    for (size_t i = 0; i < entries; i++)
        demand(static_cast<size_t>(at.data()[i]) < columns, "a column is outside the matrix");
    return entries;
}

Kernel block_columns(const std::string &isa, int32_t out, int32_t in, In<int32_t> first, In<uint16_t> columns,
                     In<float> values) {
    demand(out > 0 && in > 0, "positive sizes are needed");
    const size_t entries = check_entries(first, columns, blocks(out), static_cast<size_t>(in));
    Kernel k;
    const smg_block_args args = {out, in, k.keep(first, blocks(out) + 1), k.keep(columns, entries),
                                 k.keep(values, entries * SMG_LANES)};
    k.set(CHOOSE(isa, block_columns), args, static_cast<size_t>(in), static_cast<size_t>(out), 0);
    return k;
}

Kernel block_rows(const std::string &isa, int32_t out, int32_t in, In<int32_t> first, In<uint16_t> columns,
                  In<float> values) {
    demand(out > 0 && in > 0, "positive sizes are needed");
    const size_t rows = static_cast<size_t>(out), entries = check_entries(first, columns, rows, blocks(in));
    for (size_t i = 0; i < rows; i++)
        for (int32_t e = first.data()[i] + 1; e < first.data()[i + 1]; e++)
            demand(columns.data()[e - 1] < columns.data()[e], "columns of a row rise");
    Kernel k;
    const smg_block_args args = {out, in, k.keep(first, rows + 1), k.keep(columns, entries),
                                 k.keep(values, entries * SMG_LANES)};
    k.set(CHOOSE(isa, block_rows), args, static_cast<size_t>(in), rows, 0);
    return k;
}

Kernel csr(const std::string &isa, int32_t out, int32_t in, In<int32_t> first, In<int32_t> columns,
           In<float> values) {
    demand(out > 0 && in > 0, "positive sizes are needed");
    const size_t rows = static_cast<size_t>(out);
    const size_t entries = check_entries(first, columns, rows, static_cast<size_t>(in));
    Kernel k;
    const smg_csr_args args = {out, in, k.keep(first, rows + 1), k.keep(columns, entries),
                               k.keep(values, entries)};
    k.set(CHOOSE(isa, csr), args, static_cast<size_t>(in), rows, 0);
    return k;
}

Kernel dense(const std::string &isa, int32_t out, int32_t in, In<float> weight) {
    demand(out > 0 && in > 0, "positive sizes are needed");
    const size_t rows = static_cast<size_t>(out), n = static_cast<size_t>(in);
    Kernel k;
    const smg_dense_args args = {out, in, k.keep(weight, rows * n)};
    k.set(CHOOSE(isa, dense), args, n, rows, 0);
    return k;
}

Kernel lowrank(const std::string &isa, int32_t out, int32_t in, int32_t rank, In<float> right,
               In<float> left) {
    demand(out > 0 && in > 0 && rank > 0, "positive sizes are needed");
    const size_t rows = static_cast<size_t>(out), n = static_cast<size_t>(in), r = static_cast<size_t>(rank);
    Kernel k;
    const smg_lowrank_args args = {out, in, rank, k.keep(right, r * n), k.keep(left, r * rows)};
    k.set(CHOOSE(isa, lowrank), args, n, rows, smg_lowrank_scratch(&args));
    return k;
}

Kernel kronecker(const std::string &isa, int32_t out_b, int32_t in_b, int32_t out_c, int32_t in_c,
                 In<float> b, In<float> c) {
    demand(out_b > 0 && in_b > 0 && out_c > 0 && in_c > 0, "positive sizes are needed");
    const size_t mb = static_cast<size_t>(out_b), nb = static_cast<size_t>(in_b);
    const size_t mc = static_cast<size_t>(out_c), nc = static_cast<size_t>(in_c);
    Kernel k;
    const smg_kronecker_args args = {out_b, in_b, out_c, in_c, k.keep(b, mb * nb), k.keep(c, mc * nc)};
    k.set(CHOOSE(isa, kronecker), args, nb * nc, mb * mc, smg_kronecker_scratch(&args));
    return k;
}

Kernel hmd(const std::string &isa, int32_t out, int32_t in, int32_t full, int32_t parts, In<float> upper,
           In<float> left, In<float> right) {
    demand(out > 0 && in > 0 && full >= 0 && full <= out && parts > 0 && in % parts == 0,
           "full rows among all, and equal parts are needed");
    const size_t rows = static_cast<size_t>(out), n = static_cast<size_t>(in),
                 above = static_cast<size_t>(full);
    Kernel k;
    const smg_hmd_args args = {out,
                               in,
                               full,
                               parts,
                               k.keep(upper, above * n),
                               k.keep(left, static_cast<size_t>(parts) * (rows - above)),
                               k.keep(right, n)};
    k.set(CHOOSE(isa, hmd), args, n, rows, 0);
    return k;
}

Kernel hadamard(const std::string &isa, int32_t in, float factor) {
    demand(in > 0 && (in & (in - 1)) == 0, "a power of two is needed");
    Kernel k;
    k.set(CHOOSE(isa, hadamard), smg_hadamard_args{in, factor}, static_cast<size_t>(in),
          static_cast<size_t>(in), 0);
    return k;
}

void check_image(int32_t height, int32_t width, int32_t in, int32_t out, int32_t kernel_h, int32_t kernel_w,
                 int32_t pad_h, int32_t pad_w) {
    demand(height > 0 && width > 0 && in > 0 && out > 0 && kernel_h > 0 && kernel_w > 0 && pad_h >= 0 &&
               pad_w >= 0 && height + 2 * pad_h >= kernel_h && width + 2 * pad_w >= kernel_w,
           "positive sizes are needed, and an image that the kernel fits into");
}

// What convolutions have in common, all but the weight.
template <typename Run>
Kernel windows(Run run, smg_convolution_args args, In<float> weight, size_t weights_a_tap) {
    demand(args.height > 0 && args.width > 0 && args.in > 0 && args.out > 0 && args.kernel_h > 0 &&
               args.kernel_w > 0 && args.out_h > 0 && args.out_w > 0 && args.stride_h > 0 &&
               args.stride_w > 0 && args.pad_top >= 0 && args.pad_left >= 0,
           "positive sizes and paddings from 0 on are needed");
    const int64_t rows = int64_t{args.out_h - 1} * args.stride_h + args.kernel_h;
    const int64_t columns = int64_t{args.out_w - 1} * args.stride_w + args.kernel_w;
    demand(rows <= INT32_MAX / columns && rows * columns <= INT32_MAX / args.in,
           "the padded image is too large");
    Kernel k;
    const size_t taps = static_cast<size_t>(args.kernel_h) * static_cast<size_t>(args.kernel_w);
    args.weight = k.keep(weight, taps * weights_a_tap);
    const size_t in = static_cast<size_t>(args.height) * static_cast<size_t>(args.width);
    const size_t out = static_cast<size_t>(args.out_h) * static_cast<size_t>(args.out_w);
    k.set(run, args, in * static_cast<size_t>(args.in), out * static_cast<size_t>(args.out),
          smg_convolution_scratch(&args));
    return k;
}

Kernel convolution(const std::string &isa, int32_t height, int32_t width, int32_t in, int32_t out,
                   int32_t kernel_h, int32_t kernel_w, int32_t pad_top, int32_t pad_left, int32_t out_h,
                   int32_t out_w, int32_t stride_h, int32_t stride_w, In<float> weight) {
    return windows(CHOOSE(isa, convolution),
                   {height, width, in, out, kernel_h, kernel_w, pad_top, pad_left, out_h, out_w, stride_h,
                    stride_w, nullptr},
                   weight, static_cast<size_t>(in) * static_cast<size_t>(out));
}

Kernel depthwise(const std::string &isa, int32_t height, int32_t width, int32_t in, int32_t kernel_h,
                 int32_t kernel_w, int32_t pad_top, int32_t pad_left, int32_t out_h, int32_t out_w,
                 int32_t stride_h, int32_t stride_w, In<float> weight) {
    return windows(CHOOSE(isa, depthwise),
                   {height, width, in, in, kernel_h, kernel_w, pad_top, pad_left, out_h, out_w, stride_h,
                    stride_w, nullptr},
                   weight, static_cast<size_t>(in));
}

Kernel clamp(const std::string &isa, int32_t channels, float lo, float hi, In<float> bias) {
    demand(channels > 0, "positive sizes are needed");
    Kernel k;
    const size_t n = static_cast<size_t>(channels);
    const smg_clamp_args args = {channels, lo, hi, k.keep(bias, n)};
    k.set(CHOOSE(isa, clamp), args, n, n, 0);
    return k;
}

Kernel winograd(const std::string &isa, int32_t height, int32_t width, int32_t in, int32_t out,
                int32_t kernel_h, int32_t kernel_w, int32_t pad_h, int32_t pad_w, int32_t tile,
                In<float> filters, In<float> input, In<float> output) {
    const int32_t longest = kernel_h > kernel_w ? kernel_h : kernel_w;
    const bool line = (kernel_h == 1) != (kernel_w == 1);
    demand((longest == 3 && (line || kernel_h == kernel_w) && (tile == 2 || tile == 4)) ||
               (longest == 7 && line && tile == 2),
           "3x3, 3x1 and 1x3 in tiles of 2 or 4, 7x1 and 1x7 in tiles of 2 exist");
    check_image(height, width, in, out, kernel_h, kernel_w, pad_h, pad_w);
    const size_t n = static_cast<size_t>(longest + tile - 1), t = static_cast<size_t>(tile);
    const size_t points = static_cast<size_t>(smg_winograd_points(kernel_h, tile)) *
                          static_cast<size_t>(smg_winograd_points(kernel_w, tile));
    const size_t channels = static_cast<size_t>(in), outputs = static_cast<size_t>(out);
    const size_t pixels = static_cast<size_t>(height + 2 * pad_h - kernel_h + 1) *
                          static_cast<size_t>(width + 2 * pad_w - kernel_w + 1);
    Kernel k;
    const smg_winograd_args args = {height,
                                    width,
                                    in,
                                    out,
                                    kernel_h,
                                    kernel_w,
                                    pad_h,
                                    pad_w,
                                    tile,
                                    k.keep(filters, points * channels * outputs),
                                    k.keep(input, n * n),
                                    k.keep(output, t * n)};
    k.set(CHOOSE(isa, winograd), args, static_cast<size_t>(height) * static_cast<size_t>(width) * channels,
          pixels * outputs, smg_winograd_scratch(&args));
    return k;
}

Kernel hamming(const std::string &isa, int32_t count, int32_t words, int32_t nearest, In<uint64_t> codes) {
    demand(count > 0 && words > 0 && nearest > 0 && nearest <= count,
           "at most as many neighbours as codes exist");
    Kernel k;
    const size_t all = static_cast<size_t>(smg_up(count, 8)) * 8 * static_cast<size_t>(words);
    const smg_hamming_args args = {count, words, nearest, k.keep(codes, all)};
    auto run = CHOOSE(isa, hamming);
#ifdef SMIDGEN_X86
    if (run == smg_hamming_avx512 && !__builtin_cpu_supports("avx512vpopcntdq"))
        run = smg_hamming_avx2;
#endif
    k.set(run, args, static_cast<size_t>(words), 2 * static_cast<size_t>(nearest), 0);
    return k;
}

} // namespace

void bind_library(nb::module_ &m) {
    nb::class_<Kernel>(m, "Kernel").def("run", &Kernel::run);
    m.def("lowbit", &lowbit);
    m.def("lowbit_int", &lowbit_int);
    m.def("block_columns", &block_columns);
    m.def("block_rows", &block_rows);
    m.def("csr", &csr);
    m.def("dense", &dense);
    m.def("lowrank", &lowrank);
    m.def("kronecker", &kronecker);
    m.def("hmd", &hmd);
    m.def("hadamard", &hadamard);
    m.def("convolution", &convolution);
    m.def("depthwise", &depthwise);
    m.def("clamp", &clamp);
    m.def("winograd", &winograd);
    m.def("hamming", &hamming);
}
