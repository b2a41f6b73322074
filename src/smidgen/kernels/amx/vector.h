/* AMX: what avx512/ does, and products of whole tiles (tile.h). */
#ifndef SMIDGEN_AMX_VECTOR_H
#define SMIDGEN_AMX_VECTOR_H

#include "../avx512/vector.h"

#undef ISA
#undef SIMD
#define ISA "amx"
#define SIMD(name) name##_amx

#endif
