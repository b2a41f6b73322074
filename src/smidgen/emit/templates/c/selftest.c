/* Runs the golden vectors. Prints the first layer that differs in each sample, and whether bytes around the arena
   were written; exits with 0 or 1. */
#include <stdint.h>
#include <stdio.h>

#include "golden.h"
#include "model.h"

void @name@_trace(int layer, const void *bytes, uint32_t nbytes);

#define GUARD_BYTES 64
static uint8_t memory[15 + GUARD_BYTES + @NAME@_ARENA_BYTES + GUARD_BYTES];
@output_buffers@
static int sample;
static int sample_is_wrong;

/* CRC-32 of IEEE 802.3, bit by bit. */
static uint32_t crc32(const uint8_t *bytes, uint32_t nbytes) {
    uint32_t crc = 0xffffffffu;
    uint32_t i;
    int bit;
    for (i = 0; i < nbytes; i++) {
        crc ^= bytes[i];
        for (bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
    }
    return crc ^ 0xffffffffu;
}

static void compare(const char *what, uint32_t found, uint32_t expected) {
    if (found == expected || sample_is_wrong) return;
    sample_is_wrong = 1;
    printf("sample %d, %s: CRC-32 is %08lx, expected %08lx\n", sample, what, (unsigned long)found,
           (unsigned long)expected);
}

void @name@_trace(int layer, const void *bytes, uint32_t nbytes) {
    compare(golden_layer_names[layer], crc32((const uint8_t *)bytes, nbytes),
            golden_layer_crc[sample * @NAME@_LAYERS + layer]);
}

/* What the guards hold during a sample: another byte each time, so that no stray byte looks right twice. */
static uint8_t paint(void) { return (uint8_t)(0xa5 + 59 * sample); }

static void paint_guards(uint8_t *arena) {
    int i;
    for (i = 1; i <= GUARD_BYTES; i++) arena[-i] = paint();
    for (i = 0; i < GUARD_BYTES; i++) arena[@NAME@_ARENA_BYTES + i] = paint();
}

static void check_guards(const uint8_t *arena) {
    int below = GUARD_BYTES, above = GUARD_BYTES;
    while (below > 0 && arena[-below] == paint()) below--;
    while (above > 0 && arena[@NAME@_ARENA_BYTES + above - 1] == paint()) above--;
    if (below + above == 0) return;
    sample_is_wrong = 1;
    printf("sample %d: the arena of %ld bytes is too small, %d bytes before and %d behind it were written\n", sample,
           (long)@NAME@_ARENA_BYTES, below, above);
}

int main(void) {
    uint8_t *arena = memory + GUARD_BYTES;
    int wrong = 0;
    arena += (16 - (uintptr_t)arena % 16) % 16;
    for (sample = 0; sample < GOLDEN_SAMPLES; sample++) {
        sample_is_wrong = 0;
        paint_guards(arena);
        if (@run_golden@ != 0) return 1;
        check_guards(arena);
        @compare_outputs@
        wrong += sample_is_wrong;
    }
    printf("%d of %d samples agree in every layer\n", GOLDEN_SAMPLES - wrong, GOLDEN_SAMPLES);
    return wrong != 0;
}
