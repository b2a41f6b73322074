// Entropy coders for Python. Arguments are checked here, so that the C below can trust its caller (not its
// data).
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <memory>
#include <stdexcept>
#include <vector>

extern "C" {
#include "smg_bits.h"
#include "smg_context.h"
#include "smg_huffman.h"
#include "smg_rans.h"
}

namespace nb = nanobind;

template <typename T> using In = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<nb::ndim<1>, nb::c_contig, nb::device::cpu>;

static const uint8_t *bytes_of(const nb::bytes &data) {
    return reinterpret_cast<const uint8_t *>(data.c_str());
}

static nb::bytes to_bytes(const uint8_t *data, size_t size) {
    return nb::bytes(reinterpret_cast<const char *>(data), size);
}

static smg_output output_of(const Out &out) {
    size_t item = out.itemsize();
    if (item != 1 && item != 2 && item != 4)
        throw std::invalid_argument("items of 1, 2 or 4 bytes are needed");
    return {out.data(), static_cast<unsigned>(item)};
}

static smg_tokens *tokens_of(In<uint32_t> base, In<uint8_t> extra, In<uint8_t> level, In<uint16_t> weight) {
    size_t n = base.shape(0);
    if (n == 0 || n > SMG_TOKENS_MAX || extra.shape(0) != n || level.shape(0) != n || weight.shape(0) != n)
        throw std::invalid_argument("1 to 4096 tokens are needed, all described");
    auto tokens = std::make_unique<smg_tokens>();
    tokens->count = static_cast<uint32_t>(n);
    for (size_t i = 0; i < n; i++) {
        tokens->base[i] = base.data()[i];
        tokens->extra[i] = extra.data()[i];
        tokens->level[i] = level.data()[i];
        tokens->weight[i] = weight.data()[i];
    }
    return tokens.release();
}

// A table of tokens, ready to be measured and to encode with.
struct Table {
    std::unique_ptr<smg_tokens> tokens;
    unsigned width;
    int mantissa_bits; // -1: Huffman

    Table(In<uint32_t> base, In<uint8_t> extra, In<uint8_t> level, In<uint16_t> weight, unsigned width,
          int mantissa_bits)
        : tokens(tokens_of(base, extra, level, weight)), width(width), mantissa_bits(mantissa_bits) {
        uint32_t sum = 0;
        for (uint32_t i = 0; i < tokens->count; i++)
            sum += tokens->weight[i];
        if (width < 1 || width > 32 || mantissa_bits < -1 || mantissa_bits > 11)
            throw std::invalid_argument("width is 1..32, mantissa_bits -1..11");
        if (mantissa_bits >= 0 && sum != SMG_RANS_TOTAL)
            throw std::invalid_argument("frequencies sum to 4096");
    }

    void write(smg_bit_writer *out) const {
        if (mantissa_bits < 0)
            smg_huffman_write_table(tokens.get(), width, out);
        else
            smg_rans_write_table(tokens.get(), width, static_cast<unsigned>(mantissa_bits), out);
    }

    size_t bits() const {
        smg_bit_writer counter = {nullptr, 0, 0, 0, 0};
        write(&counter);
        return counter.size * 8 + counter.filled;
    }

    nb::bytes encode(In<uint32_t> values, In<uint16_t> lookup, unsigned shift) {
        size_t n = values.shape(0);
        for (size_t i = 0; i < lookup.shape(0); i++)
            if (lookup.data()[i] >= tokens->count)
                throw std::invalid_argument("lookup names no token");
        for (size_t i = 0; i < n; i++) {
            size_t at = shift < 32 ? values.data()[i] >> shift : 0;
            if (at >= lookup.shape(0) || tokens->level[lookup.data()[at]] == 0)
                throw std::invalid_argument("a value has no token");
        }
        unsigned widest = 0;
        for (uint32_t i = 0; i < tokens->count; i++)
            if (tokens->extra[i] > widest)
                widest = tokens->extra[i];
        std::vector<uint8_t> head(bits() / 8 + 1), body(n * (SMG_HUFFMAN_LONGEST + widest) / 8 + 16);
        if (mantissa_bits < 0) {
            std::vector<uint8_t> all(head.size() + body.size());
            smg_bit_writer out = {all.data(), all.size(), 0, 0, 0};
            write(&out);
            smg_huffman_encode(values.data(), n, lookup.data(), shift, tokens.get(), &out);
            return to_bytes(all.data(), out.size);
        }
        smg_bit_writer out = {head.data(), head.size(), 0, 0, 0};
        write(&out);
        size_t size =
            smg_rans_encode(values.data(), n, lookup.data(), shift, tokens.get(), body.data(), body.size());
        head.resize(out.size);
        head.insert(head.end(), body.end() - static_cast<std::ptrdiff_t>(size), body.end());
        return to_bytes(head.data(), head.size());
    }
};

static nb::bytes pack_bits(In<uint32_t> values, unsigned width) {
    if (width > 32)
        throw std::invalid_argument("width is 0..32");
    std::vector<uint8_t> buffer(values.shape(0) * width / 8 + 8);
    smg_bit_writer out = {buffer.data(), buffer.size(), 0, 0, 0};
    smg_bits_pack(values.data(), values.shape(0), width, &out);
    return to_bytes(buffer.data(), out.size);
}

static int unpack_bits(nb::bytes data, unsigned width, uint32_t offset, Out out) {
    smg_output target = output_of(out);
    nb::gil_scoped_release unlocked;
    return smg_bits_unpack(bytes_of(data), data.size(), width, offset, out.shape(0), target);
}

static int huffman_decode(nb::bytes data, unsigned width, uint32_t offset, Out out) {
    smg_output target = output_of(out);
    auto work = std::make_unique<smg_huffman_workspace>();
    nb::gil_scoped_release unlocked;
    return smg_huffman_decode(bytes_of(data), data.size(), width, offset, out.shape(0), work.get(), target);
}

static int rans_decode(nb::bytes data, unsigned width, uint32_t offset, Out out) {
    smg_output target = output_of(out);
    auto work = std::make_unique<smg_rans_workspace>();
    nb::gil_scoped_release unlocked;
    return smg_rans_decode(bytes_of(data), data.size(), width, offset, out.shape(0), work.get(), target);
}

// Empty bytes: more than `capacity` would be needed.
static nb::bytes context_encode(In<uint32_t> differences, size_t capacity, unsigned limit, unsigned left,
                                unsigned sides, unsigned columns, unsigned scale, unsigned row) {
    if (limit > SMG_CONTEXT_LIMIT_MAX || left > 7 || sides > 2 || columns > 7 || scale > 31 ||
        row > SMG_CONTEXT_ROW_MAX || (columns && !row))
        throw std::invalid_argument(
            "limit is 0..6, left and columns 0..7, sides 0..2, scale 0..31, row 1..4096");
    smg_context_settings settings = {static_cast<uint16_t>(row),    static_cast<uint8_t>(limit),
                                     static_cast<uint8_t>(left),    static_cast<uint8_t>(sides),
                                     static_cast<uint8_t>(columns), static_cast<uint8_t>(scale)};
    auto work = std::make_unique<smg_context_workspace>();
    std::unique_ptr<uint8_t[]> buffer(new uint8_t[capacity]); // large, mostly unused: not cleared
    size_t size = smg_context_encode(differences.data(), differences.shape(0), &settings, work.get(),
                                     buffer.get(), capacity);
    return to_bytes(buffer.get(), size);
}

static int context_decode(nb::bytes data, uint32_t offset, Out out) {
    smg_output target = output_of(out);
    auto work = std::make_unique<smg_context_workspace>();
    nb::gil_scoped_release unlocked;
    return smg_context_decode(bytes_of(data), data.size(), offset, out.shape(0), work.get(), target);
}

void bind_entropy(nb::module_ &m) {
    nb::class_<Table>(m, "TokenTable")
        .def(nb::init<In<uint32_t>, In<uint8_t>, In<uint8_t>, In<uint16_t>, unsigned, int>())
        .def("bits", &Table::bits)
        .def("encode", &Table::encode);
    m.def("pack_bits", &pack_bits);
    m.def("unpack_bits", &unpack_bits);
    m.def("huffman_decode", &huffman_decode);
    m.def("rans_decode", &rans_decode);
    m.def("context_encode", &context_encode);
    m.def("context_decode", &context_decode);
}
