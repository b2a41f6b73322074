/* Kernels for the vector units of a host. Each computes exactly what a kernel of c/ computes.
 *
 * The code here is written once against a small set of vector operations; `vector.h` in the folder of an
 * instruction set (avx2/, avx512/) defines them, and the .c files there compile it with the set's flags. A
 * plan asks a variant how much it needs, packs constants once, and runs it with samples side by side. */
#ifndef SMIDGEN_SIMD_H
#define SMIDGEN_SIMD_H

#include "smidgen.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SMG_INLINE static inline __attribute__((always_inline))
/* More scratch or packed constants than this are not worth it: the plan then calls the reference. */
#define SMG_MOST_BYTES ((size_t)1 << 28)
#define SMG_REFUSED (SMG_MOST_BYTES + 1) /* as a size: this layer is none for the variant */

/* `pointers` are those of the reference kernel, for the first of `samples` samples; pointer i of the next
 * sample is `strides[i]` bytes further on. `scratch` is free memory, aligned to 64 bytes. */
typedef struct {
    void *const *pointers;
    const ptrdiff_t *strides;
    int32_t samples;
    const void *packed;
    void *scratch;
} smg_job;

/* Where sample `s` of pointer `which` starts. */
static inline void *smg_at(const smg_job *job, int which, int32_t s) {
    return (char *)job->pointers[which] + s * job->strides[which];
}

/* `args` are those of the reference kernel, `pointers` its constants, which may decide how much is packed.
 * packed_bytes may be null: nothing is packed, and no pointer has to be a constant. scratch_bytes may be
 * null: none is needed. */
typedef struct {
    const char *kernel, *isa;
    size_t (*packed_bytes)(const void *args, void *const *pointers);
    size_t (*scratch_bytes)(const void *args);
    void (*pack)(const void *args, void *const *pointers, void *packed);
    void (*run)(const void *args, const smg_job *job);
} smg_variant;

/* a * b, or more than any memory. */
static inline size_t smg_times(size_t a, size_t b) {
    return a != 0 && b > SMG_MOST_BYTES * 16 / a ? SMG_MOST_BYTES * 16 : a * b;
}

static inline size_t smg_rounded(size_t n, size_t step) {
    return (n + step - 1) / step * step;
}

#ifdef __cplusplus
}
#endif

#endif
