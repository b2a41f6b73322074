/* Runs the golden vectors. Prints the first layer that differs in each sample; exits with 0 or 1. */
#include <stdint.h>
#include <stdio.h>

#include "golden.h"
#include "model.h"

void @name@_trace(int layer, const void *bytes, uint32_t nbytes);

static uint8_t memory[@NAME@_ARENA_BYTES + 15];
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

int main(void) {
    uint8_t *arena = memory + (16 - (uintptr_t)memory % 16) % 16;
    int wrong = 0;
    for (sample = 0; sample < GOLDEN_SAMPLES; sample++) {
        sample_is_wrong = 0;
        if (@run_golden@ != 0) return 1;
        @compare_outputs@
        wrong += sample_is_wrong;
    }
    printf("%d of %d samples agree in every layer\n", GOLDEN_SAMPLES - wrong, GOLDEN_SAMPLES);
    return wrong != 0;
}
