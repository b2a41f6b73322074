#include "variants.hpp"

#include <algorithm>
#include <stdexcept>

#ifdef SMIDGEN_X86
#define KERNELS(isa) &smg_q_linear_##isa, &smg_q_linear16_##isa, &smg_q_conv_##isa
#define DECLARE(name) extern "C" const smg_variant name##_avx2, name##_avx512;
DECLARE(smg_q_linear)
DECLARE(smg_q_linear16)
DECLARE(smg_q_conv)
#endif

namespace {

struct Isa {
    const char *name;
    bool supported;
    std::vector<const smg_variant *> variants;
};

// Slowest first.
const std::vector<Isa> &isas() {
    static const std::vector<Isa> all = {
        {"ref", true, {}},
#ifdef SMIDGEN_X86
        {"avx2", __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), {KERNELS(avx2)}},
        {"avx512",
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi") &&
             __builtin_cpu_supports("avx512vnni"),
         {KERNELS(avx512)}},
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

const smg_variant *find_variant(const std::string &isa, const std::string &kernel) {
    const std::vector<std::string> &known = supported_isas();
    if (std::find(known.begin(), known.end(), isa) == known.end())
        throw std::invalid_argument("this processor has no instruction set " + isa);
    const smg_variant *best = nullptr;
    for (const Isa &each : isas()) {
        for (const smg_variant *variant : each.variants)
            if (each.supported && kernel == variant->kernel)
                best = variant;
        if (each.name == isa)
            break;
    }
    return best;
}
