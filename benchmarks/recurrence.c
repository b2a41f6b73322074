/* The loops of recurrence.py, to be counted by cachegrind. Arguments: schedule (gates, fused, input,
 * serpentine), steps, inputs, hidden, steps together. Arrays lie as Lstm.starts() says. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_ROWS = 32 };

static int steps, inputs, hidden, rows, together;
static int8_t *x, *input_weight, *hidden_weight, *h, *out;
static int16_t *sums, *gates, *c;
static volatile int32_t sink;

static void *array(char **at, size_t nbytes) {
    void *found = *at;
    *at += (nbytes + 63) / 64 * 64;
    return found;
}

static int32_t dot(const int8_t *a, const int8_t *b, int n) {
    int32_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void input_row(int step, int row) {
    const int32_t sum = dot(input_weight + (size_t)row * inputs, x + (size_t)step * inputs, inputs);
    sums[(size_t)(step % together) * rows + row] = (int16_t)(sum >> 8);
}

static void hidden_row(int step, int row) {
    const int32_t sum = dot(hidden_weight + (size_t)row * hidden, h, hidden);
    gates[row] = (int16_t)((sum >> 8) + sums[(size_t)(step % together) * rows + row]);
}

static void cell(int step) {
    for (int i = 0; i < hidden; i++) {
        c[i] = (int16_t)((c[i] * gates[i + hidden] + gates[i] * gates[i + 2 * hidden]) >> 8);
        h[i] = out[(size_t)step * hidden + i] = (int8_t)((c[i] * gates[i + 3 * hidden]) >> 16);
    }
}

static void gate_by_gate(void) {
    for (int step = 0; step < steps; step++) {
        for (int first = 0; first < rows; first += hidden) {
            for (int row = first; row < first + hidden; row++)
                input_row(step, row);
            for (int row = first; row < first + hidden; row++)
                hidden_row(step, row);
        }
        cell(step);
    }
}

static void fused_gates(void) {
    for (int step = 0; step < steps; step++) {
        for (int row = 0; row < rows; row++) {
            input_row(step, row);
            hidden_row(step, row);
        }
        cell(step);
    }
}

static void batched_input(int turn_round) {
    for (int first = 0; first < steps; first += together) {
        const int end = first + together < steps ? first + together : steps;
        for (int block = 0; block < rows; block += BLOCK_ROWS)
            for (int step = first; step < end; step++)
                for (int row = block; row < block + BLOCK_ROWS && row < rows; row++)
                    input_row(step, row);
        for (int step = first; step < end; step++) {
            for (int i = 0; i < rows; i++)
                hidden_row(step, turn_round && step % 2 ? rows - 1 - i : i);
            cell(step);
        }
    }
}

int main(int count, char **args) {
    if (count != 6)
        return 1;
    steps = atoi(args[2]), inputs = atoi(args[3]), hidden = atoi(args[4]), together = atoi(args[5]);
    rows = 4 * hidden;
    char *at = aligned_alloc(4096, (size_t)1 << 24);
    if (at == NULL)
        return 1;
    x = array(&at, (size_t)steps * inputs);
    input_weight = array(&at, (size_t)rows * inputs);
    hidden_weight = array(&at, (size_t)rows * hidden);
    sums = array(&at, (size_t)steps * rows * sizeof(int16_t));
    gates = array(&at, (size_t)rows * sizeof(int16_t));
    h = array(&at, (size_t)hidden);
    c = array(&at, (size_t)hidden * sizeof(int16_t));
    out = array(&at, (size_t)steps * hidden);
    if (strcmp(args[1], "gates") == 0)
        gate_by_gate();
    else if (strcmp(args[1], "fused") == 0)
        fused_gates();
    else
        batched_input(strcmp(args[1], "serpentine") == 0);
    sink = out[0];
    return 0;
}
