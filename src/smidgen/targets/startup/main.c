/* Runs the network once on static buffers, so that the linker counts all the memory it needs. */
#include <stdint.h>

#include "model.h"

int main(void);

__attribute__((section(".stack"), aligned(16), used)) static uint8_t stack[@stack_bytes@];
__attribute__((section(".arena"), aligned(16))) static uint8_t arena[@NAME@_ARENA_BYTES];
@buffers@
int main(void) {
    return @name@_run(@arguments@, arena);
}
