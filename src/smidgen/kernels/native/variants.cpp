#include "variants.hpp"

#include <algorithm>
#include <stdexcept>

#ifdef SMIDGEN_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined(SMIDGEN_DOTPROD) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#define FOR_ALL_KERNELS(DO)                                                                                  \
    DO(smg_q_linear)                                                                                         \
    DO(smg_q_linear16)                                                                                       \
    DO(smg_q_conv)                                                                                           \
    DO(smg_q_binarize)                                                                                       \
    DO(smg_q_binary_conv)                                                                                    \
    DO(smg_q_binary_conv_bits)                                                                               \
    DO(smg_q_binary_packs)                                                                                   \
    DO(smg_q_binary_packs_bits)                                                                              \
    DO(smg_q_planes)                                                                                         \
    DO(smg_q_serial_conv)                                                                                    \
    DO(smg_q_serial_conv_planes)                                                                             \
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
    DO(smg_copy)                                                                                             \
    DO(smg_q_softmax)                                                                                        \
    DO(smg_q_normalize)
#define FOR_ALL_LINEAR(DO)                                                                                   \
    DO("4 bits", bits4)                                                                                      \
    DO("2 bits", bits2)                                                                                      \
    DO("blocks", blocks)
#define DECLARE_LINEAR(how, name) DECLARE(smg_q_linear_##name) DECLARE(smg_q_linear16_##name)

#ifdef SMIDGEN_X86
#define DECLARE(name) extern "C" const smg_variant name##_avx2, name##_avx512;
#define AVX2(name) &name##_avx2,
#define AVX512(name) &name##_avx512,
#define LINEAR_AVX2(how, name) {how, &smg_q_linear_##name##_avx2}, {how, &smg_q_linear16_##name##_avx2},
#define LINEAR_AVX512(how, name) {how, &smg_q_linear_##name##_avx512}, {how, &smg_q_linear16_##name##_avx512},
FOR_ALL_KERNELS(DECLARE)
FOR_ALL_LINEAR(DECLARE_LINEAR)
DECLARE(smg_q_conv_im2col)
extern "C" const smg_variant smg_q_table_avx512;
#ifdef SMIDGEN_AMX
extern "C" const smg_variant smg_q_linear_amx, smg_q_linear16_amx, smg_q_conv_amx, smg_q_binary_conv_amx,
    smg_q_binary_conv_bits_amx;
#endif
#endif

#ifdef SMIDGEN_NEON
#define DECLARE(name) extern "C" const smg_variant name##_neon;
#define NEON(name) &name##_neon,
#define LINEAR_NEON(how, name) {how, &smg_q_linear_##name##_neon}, {how, &smg_q_linear16_##name##_neon},
FOR_ALL_KERNELS(DECLARE)
FOR_ALL_LINEAR(DECLARE_LINEAR)
DECLARE(smg_q_conv_im2col)
DECLARE(smg_q_table)
#undef DECLARE
#endif

#ifdef SMIDGEN_DOTPROD
#define DECLARE(name) extern "C" const smg_variant name##_dotprod;
#define LINEAR_DOTPROD(how, name)                                                                            \
    {how, &smg_q_linear_##name##_dotprod}, {how, &smg_q_linear16_##name##_dotprod},
FOR_ALL_LINEAR(DECLARE_LINEAR)
extern "C" const smg_variant smg_q_linear_dotprod, smg_q_linear16_dotprod, smg_q_conv_dotprod,
    smg_q_depthwise_dotprod, smg_q_conv_im2col_dotprod;
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

#ifdef SMIDGEN_X86
bool has_avx512() {
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vpopcntdq");
}
#endif

#ifdef SMIDGEN_AMX
// Whether processor and system have it. Linux gives a process tiles when it asks for them.
bool has_amx() {
    constexpr unsigned TILES_AND_INT8 = 3u << 24;
    constexpr long REQUEST = 0x1023, TILE_DATA = 18; // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILE_DATA
    unsigned eax, ebx, ecx, edx;
    return has_avx512() && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) &&
           (edx & TILES_AND_INT8) == TILES_AND_INT8 && syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
}
#endif

#ifdef SMIDGEN_DOTPROD
bool has_dotprod() {
#if defined(__linux__)
    return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#elif defined(__ARM_FEATURE_DOTPROD) // every processor that this system runs on has them
    return true;
#else
    return false;
#endif
}
#endif

// Slowest first.
const std::vector<Isa> &isas() {
    static const std::vector<Isa> all = {
        {"ref", true, {}, {}},
#ifdef SMIDGEN_X86
        {"avx2",
         __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"),
         {FOR_ALL_KERNELS(AVX2)},
         {FOR_ALL_LINEAR(LINEAR_AVX2){"im2col", &smg_q_conv_im2col_avx2}}},
        {"avx512",
         has_avx512(),
         {FOR_ALL_KERNELS(AVX512) & smg_q_table_avx512},
         {FOR_ALL_LINEAR(LINEAR_AVX512){"im2col", &smg_q_conv_im2col_avx512}}},
#endif
#ifdef SMIDGEN_AMX
        {"amx",
         has_amx(),
         {&smg_q_linear_amx, &smg_q_linear16_amx},
         {{"tiles", &smg_q_conv_amx},
          {"tiles", &smg_q_binary_conv_amx},
          {"tiles", &smg_q_binary_conv_bits_amx}}},
#endif
#ifdef SMIDGEN_NEON // which every AArch64 processor has
        {"neon",
         true,
         {FOR_ALL_KERNELS(NEON) & smg_q_table_neon},
         {FOR_ALL_LINEAR(LINEAR_NEON){"im2col", &smg_q_conv_im2col_neon}}},
#endif
#ifdef SMIDGEN_DOTPROD
        {"dotprod",
         has_dotprod(),
         {&smg_q_linear_dotprod, &smg_q_linear16_dotprod, &smg_q_conv_dotprod, &smg_q_depthwise_dotprod},
         {FOR_ALL_LINEAR(LINEAR_DOTPROD){"im2col", &smg_q_conv_im2col_dotprod}}},
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
        const auto has_usual = [&](const smg_variant *variant) { return kernel == variant->kernel; };
        const auto usual = std::find_if(each.variants.begin(), each.variants.end(), has_usual);
        for (const Alternative &other : each.alternatives)
            if (kernel ==
                other.variant->kernel) // before the usual one of a lesser set, if there is none of this
                found.insert(found.end() - (usual == each.variants.end() ? 1 : 0),
                             {each.name + std::string(" ") + other.how, other.variant});
        if (usual != each.variants.end())
            found.push_back({each.name, *usual});
        if (each.name == isa)
            break;
    }
    return found;
}
