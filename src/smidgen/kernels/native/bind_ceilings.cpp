// Times what ceilings.h computes, on this processor.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>

#include <chrono>
#include <stdexcept>
#include <string>

#include "ceilings.h"
#include "variants.hpp"

namespace nb = nanobind;

extern "C" const smg_ceilings smg_ceilings_ref;
#ifdef SMIDGEN_X86
#include <emmintrin.h>
extern "C" const smg_ceilings smg_ceilings_avx2, smg_ceilings_avx512;
#endif
#ifndef SMIDGEN_AMX
constexpr uint64_t (*smg_dot_of_tiles)(int64_t) = nullptr;
constexpr int64_t smg_operations_of_tiles = 0;
#endif

namespace {

using Bytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Clock = std::chrono::steady_clock;

const smg_ceilings &ceilings_of(const std::string &isa) {
    find_candidates(isa, ""); // refuses what is not there
#ifdef SMIDGEN_X86
    if (isa == "avx2")
        return smg_ceilings_avx2;
    if (isa == "avx512" || isa == "amx")
        return smg_ceilings_avx512;
#endif
    return smg_ceilings_ref;
}

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

volatile uint64_t sink; // results have to be made

bool has_popcount([[maybe_unused]] const std::string &isa) {
#ifdef SMIDGEN_X86
    return isa == "ref" || isa == "avx2" || __builtin_cpu_supports("avx512vpopcntdq");
#else
    return true;
#endif
}

// What is repeated, and how many operations one round of it has.
struct Arithmetic {
    uint64_t (*run)(int64_t rounds);
    int64_t operations;
};

// Nothing to run where the processor lacks the instruction.
Arithmetic arithmetic_of(const std::string &isa, const std::string &what) {
    const smg_ceilings &c = ceilings_of(isa);
    if (what == "multiply_add")
        return {c.multiply_add, c.multiply_add_operations};
    if (what == "dot")
        return {c.dot, c.dot_operations};
    if (what == "popcount")
        return {has_popcount(isa) ? c.popcount : nullptr, c.popcount_operations};
    if (what == "tiles")
        return {isa == "amx" ? smg_dot_of_tiles : nullptr, smg_operations_of_tiles};
    throw std::invalid_argument("there is no ceiling " + what);
}

// (operations, seconds) of `rounds` rounds of "multiply_add", "dot", "popcount" or "tiles"; no operations
// where the processor lacks the instruction.
std::pair<double, double> arithmetic(const std::string &isa, const std::string &what, int64_t rounds) {
    const Arithmetic found = arithmetic_of(isa, what);
    if (!found.run)
        return {0.0, 0.0};
    const nb::gil_scoped_release released;
    const auto start = Clock::now();
    sink = found.run(rounds);
    return {static_cast<double>(found.operations) * static_cast<double>(rounds), seconds_since(start)};
}

// Takes the bytes out of all caches; false where there is no instruction for it.
bool evict([[maybe_unused]] const Bytes &x) {
#ifdef SMIDGEN_X86
    for (size_t i = 0; i < x.size(); i += 64)
        _mm_clflush(x.data() + i);
    _mm_mfence();
    return true;
#else
    return false;
#endif
}

// Seconds to read all of `x` so many times.
double reading(const std::string &isa, const Bytes &x, int64_t times) {
    const smg_ceilings &c = ceilings_of(isa);
    const nb::gil_scoped_release released;
    const auto start = Clock::now();
    for (int64_t i = 0; i < times; i++)
        sink = c.read(x.data(), x.size());
    return seconds_since(start);
}

} // namespace

void bind_ceilings(nb::module_ &m) {
    m.def("ceiling_arithmetic", &arithmetic);
    m.def("ceiling_read", &reading);
    m.def("evict", &evict);
}
