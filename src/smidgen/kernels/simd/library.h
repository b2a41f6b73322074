/* The kernels of smg_library.h for vector units, written once against the 16 lanes of `<isa>/lanes.h`. */
#ifndef SMIDGEN_SIMD_LIBRARY_H
#define SMIDGEN_SIMD_LIBRARY_H

#include "smg_library.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SMG_INLINE static inline __attribute__((always_inline))
#define SMG_DECLARE(name, x_type, y_type)                                                                    \
    void smg_##name##_avx2(const smg_##name##_args *, const x_type *, y_type *, int32_t, void *);            \
    void smg_##name##_avx512(const smg_##name##_args *, const x_type *, y_type *, int32_t, void *);          \
    void smg_##name##_neon(const smg_##name##_args *, const x_type *, y_type *, int32_t, void *);
SMG_LIBRARY(SMG_DECLARE)
#undef SMG_DECLARE
void smg_lowbit_int_dotprod(const smg_lowbit_int_args *, const int8_t *, int32_t *, int32_t, void *);

#ifdef __cplusplus
}
#endif

#endif
