// The kernels a plan may call, each with a proof that its arguments stay inside the memory they point to.
#pragma once

#include <cstdint>

constexpr int MOST_POINTERS = 10;

// One pointer argument: where it starts (null for memory that is filled at run time), how far it reaches, and
// what its address is a multiple of in every turn (1, 2 or 4).
struct Span {
    bool present;
    const uint8_t *constant;
    int64_t nbytes;
    int32_t alignment;
};

struct Kernel {
    const char *name;
    int args;                          // int32 fields of the argument struct
    int pointers;                      // the last one is the output
    int32_t alignments[MOST_POINTERS]; // of what each points to; 1 where that depends on the arguments
    void (*call)(const int32_t *args, void *const *pointers);
    bool (*fits)(const int32_t *args, const Span *pointers);
};

const Kernel *kernels(int *count);
