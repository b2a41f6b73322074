/* What a processor reaches at best: arithmetic on registers alone, with as many independent chains as hide
 * latency, and reading memory. One file an instruction set, and native/ceilings.c for any. */
#ifndef SMIDGEN_CEILINGS_H
#define SMIDGEN_CEILINGS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Each function works `rounds` times on every chain; its result only keeps the compiler from dropping the
 * work.
 * `*_operations`: in one round of all chains. A null function: the processor may not have the instruction. */
typedef struct {
    uint64_t (*multiply_add)(int64_t rounds); /* float32, 2 operations a lane */
    uint64_t (*dot)(int64_t rounds);          /* int8 by int8 into int32, 2 operations a product */
    uint64_t (*popcount)(int64_t rounds);     /* exclusive or, then counting ones: 2 operations a bit */
    uint64_t (*read)(const uint8_t *x, size_t nbytes); /* whole blocks of 512 bytes of it */
    int64_t multiply_add_operations, dot_operations, popcount_operations;
} smg_ceilings;

#ifdef SMIDGEN_AMX /* what AMX adds to AVX-512: dot products by tiles of int8 */
uint64_t smg_dot_of_tiles(int64_t rounds);
extern const int64_t smg_operations_of_tiles;
#endif

#ifdef __cplusplus
}
#endif

/* A vector register, where there is a name for one. */
#if defined(__x86_64__)
#define ROOF_REGISTER(v) "+x"(v)
#elif defined(__aarch64__)
#define ROOF_REGISTER(v) "+w"(v)
#else
#define ROOF_REGISTER(v) "+m"(v)
#endif

#define ROOF_INLINE static inline __attribute__((always_inline))
enum { ROOF_CHAINS = 12, ROOF_BLOCK = 512 };

/* A function that applies `step` to every chain and hides from the compiler that operands never change. */
#define ROOF_ARITHMETIC(name, type, start, step, sum)                                                        \
    static uint64_t name(int64_t rounds) {                                                                   \
        type chain[ROOF_CHAINS];                                                                             \
        type operand = start(3);                                                                             \
        for (int i = 0; i < ROOF_CHAINS; i++)                                                                \
            chain[i] = start(i);                                                                             \
        for (int64_t round = 0; round < rounds; round++) {                                                   \
            __asm__ volatile("" : ROOF_REGISTER(operand));                                                   \
            _Pragma("GCC unroll 12") for (int i = 0; i < ROOF_CHAINS; i++) chain[i] =                        \
                step(chain[i], operand);                                                                     \
        }                                                                                                    \
        uint64_t total = 0;                                                                                  \
        for (int i = 0; i < ROOF_CHAINS; i++)                                                                \
            total += sum(chain[i]);                                                                          \
        return total;                                                                                        \
    }

#endif
