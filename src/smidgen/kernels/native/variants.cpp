#include "variants.hpp"

#include <algorithm>
#include <stdexcept>

#ifdef SMIDGEN_X86
#define FOR_ALL_KERNELS(DO)                                                                                  \
    DO(smg_q_linear)                                                                                         \
    DO(smg_q_linear16)                                                                                       \
    DO(smg_q_conv)                                                                                           \
    DO(smg_q_binarize)                                                                                       \
    DO(smg_q_binary_conv)                                                                                    \
    DO(smg_q_binary_conv_bits)                                                                               \
    DO(smg_q_depthwise)                                                                                      \
    DO(smg_q_max_pool)                                                                                       \
    DO(smg_q_avg_pool)                                                                                       \
    DO(smg_q_mean)                                                                                           \
    DO(smg_q_add)                                                                                            \
    DO(smg_q_add16)                                                                                          \
    DO(smg_q_mul)                                                                                            \
    DO(smg_q_mul16)                                                                                          \
    DO(smg_q_requantize)                                                                                     \
    DO(smg_q_requantize16)                                                                                   \
    DO(smg_q_table16)                                                                                        \
    DO(smg_q_softmax)                                                                                        \
    DO(smg_q_normalize)
#define DECLARE(name) extern "C" const smg_variant name##_avx2, name##_avx512;
#define AVX2(name) &name##_avx2,
#define AVX512(name) &name##_avx512,
FOR_ALL_KERNELS(DECLARE)
DECLARE(smg_q_conv_im2col)
extern "C" const smg_variant smg_q_table_avx512;
#endif

namespace {

// Another way to compute what the instruction set's usual variant of the same kernel does.
struct Alternative {
    const char *how;
    const smg_variant *variant;
};

struct Isa {
    const char *name;
    bool supported;
    std::vector<const smg_variant *> variants;
    std::vector<Alternative> alternatives;
};

// Slowest first.
const std::vector<Isa> &isas() {
    static const std::vector<Isa> all = {
        {"ref", true, {}, {}},
#ifdef SMIDGEN_X86
        {"avx2",
         __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"),
         {FOR_ALL_KERNELS(AVX2)},
         {{"im2col", &smg_q_conv_im2col_avx2}}},
        {"avx512",
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi") &&
             __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vpopcntdq"),
         {FOR_ALL_KERNELS(AVX512) & smg_q_table_avx512},
         {{"im2col", &smg_q_conv_im2col_avx512}}},
#endif
    };
    return all;
}

} // namespace

const std::vector<std::string> &supported_isas() {
    static const std::vector<std::string> names = [] {
        std::vector<std::string> found;
        for (const Isa &isa : isas())
            if (isa.supported)
                found.emplace_back(isa.name);
        return found;
    }();
    return names;
}

std::vector<Candidate> find_candidates(const std::string &isa, const std::string &kernel) {
    const std::vector<std::string> &known = supported_isas();
    if (std::find(known.begin(), known.end(), isa) == known.end())
        throw std::invalid_argument("this processor has no instruction set " + isa);
    std::vector<Candidate> found = {{"ref", nullptr}};
    for (const Isa &each : isas()) {
        if (!each.supported)
            continue;
        for (const Alternative &other : each.alternatives)
            if (kernel == other.variant->kernel)
                found.push_back({each.name + std::string(" ") + other.how, other.variant});
        for (const smg_variant *variant : each.variants)
            if (kernel == variant->kernel)
                found.push_back({each.name, variant});
        if (each.name == isa)
            break;
    }
    return found;
}
