// Instruction sets and the kernels made for them.
#pragma once

#include <string>
#include <vector>

#include "simd.h"

// What this processor can run, slowest first: "ref" (portable C), "avx2", "avx512", "amx", or "ref", "neon",
// "dotprod".
const std::vector<std::string> &supported_isas();

// One way to compute what a kernel does. Its name is the instruction set, and how it works if there is more
// than one way: "avx512", "avx512 im2col". `variant` is null for the portable kernel, "ref".
struct Candidate {
    std::string name;
    const smg_variant *variant;
};

// All that compute what `kernel` does with `isa` or a lesser set; the usual one is the last.
// Throws std::invalid_argument for an instruction set that is not there.
std::vector<Candidate> find_candidates(const std::string &isa, const std::string &kernel);
