// Runs the golden vectors on the board and says over the serial port how many agree.
#include <@header@>

#include "golden.h"

static uint8_t arena[@NAME@_ARENA_BYTES] __attribute__((aligned(16)));
@output_buffers@

static bool same(const void *a, const void *b, uint32_t nbytes) {
    const uint8_t *x = (const uint8_t *)a, *y = (const uint8_t *)b;
    for (uint32_t i = 0; i < nbytes; i++)
        if (x[i] != y[i]) return false;
    return true;
}

void setup() {
    int right = 0;
    Serial.begin(115200);
    for (int sample = 0; sample < GOLDEN_SAMPLES; sample++) {
        if (@run_golden@ != 0) continue;
        if (@same_outputs@) right++;
    }
    Serial.print(right);
    Serial.print(" of ");
    Serial.print(GOLDEN_SAMPLES);
    Serial.println(" samples agree");
}

void loop() {}
