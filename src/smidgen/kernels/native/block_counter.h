/* Counts the instructions of an emulated program, basic block by basic block.
 *
 * An emulator calls smg_enter_block whenever a block begins. Thousands of blocks run for a layer, so this is
 * C and not Python. To a call of a kernel from the model's own function belongs what runs until it returns,
 * and what that function did before to set it up; to none what runs after the last one, and main.
 */
#ifndef SMG_BLOCK_COUNTER_H
#define SMG_BLOCK_COUNTER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How instructions are told apart: Thumb (2 or 4 bytes), RISC-V with C (2 or 4), always 4. */
enum { SMG_THUMB, SMG_RISCV, SMG_FIXED };

/* code [code_bytes] lies at `base`; executed [code_bytes / 2] counts by the address of a block's first
 * instruction; starts [code_bytes / 2] is 1 where a kernel begins; calls [most_calls] instructions of each
 * call, first [most_calls] the kernel's address. `made` is how many calls there were, also beyond the room.
 */
typedef struct {
    const uint8_t *code, *starts;
    uint64_t base, code_bytes, run_first, run_last;
    int32_t encoding;
    uint64_t *executed, *calls, *first;
    uint64_t most_calls, made, total, outside, pending;
    int32_t from_run, in_call;
} smg_block_counter;

void smg_enter_block(void *engine, uint64_t address, uint32_t nbytes, void *counter);

/* The same for an emulator that tells how many instructions a block has. */
void smg_count_block(smg_block_counter *counter, uint64_t address, uint64_t instructions);

#ifdef __cplusplus
}
#endif

#endif
