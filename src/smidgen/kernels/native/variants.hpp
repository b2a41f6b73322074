// Instruction sets and the kernels made for them.
#pragma once

#include <string>
#include <vector>

#include "simd.h"

// What this processor can run, slowest first: "ref" (portable C), "avx2", "avx512".
const std::vector<std::string> &supported_isas();

// The fastest kernel of `isa` (or of a lesser one) that computes what `kernel` does; null if there is none.
const smg_variant *find_variant(const std::string &isa, const std::string &kernel);
