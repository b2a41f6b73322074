// The kernels a plan may call, each with a proof that its arguments stay inside the memory they point to.
#pragma once

#include <cstdint>

// One pointer argument: where it starts (null for memory that is filled at run time) and how far it reaches.
struct Span {
    bool present;
    const uint8_t *constant;
    int64_t nbytes;
};

struct Kernel {
    const char *name;
    int args;     // int32 fields of the argument struct
    int pointers; // the last one is the output
    void (*call)(const int32_t *args, void *const *pointers);
    bool (*fits)(const int32_t *args, const Span *pointers);
};

const Kernel *kernels(int *count);
