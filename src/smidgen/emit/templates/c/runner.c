/* Reads samples from standard input, writes their outputs to standard output, until the input ends. */
#include <stdint.h>
#include <stdio.h>

#include "model.h"

static uint8_t memory[@NAME@_ARENA_BYTES + 15];
@buffers@

int main(void) {
    uint8_t *arena = memory + (16 - (uintptr_t)memory % 16) % 16;
    while (@read@) {
        if (@run@ != 0) return 1;
        if (!(@write@)) return 1;
    }
    return ferror(stdin) || fflush(stdout) != 0;
}
