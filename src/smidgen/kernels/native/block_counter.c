#include "block_counter.h"

static uint64_t instructions(const smg_block_counter *s, uint64_t at, uint64_t nbytes) {
    uint64_t count = 0;
    if (s->encoding == SMG_FIXED)
        return nbytes / 4;
    for (const uint64_t end = at + nbytes; at + 1 < end; count++) {
        const int whole = s->encoding == SMG_THUMB ? s->code[at + 1] >= 0xE8 : (s->code[at] & 3) == 3;
        at += whole ? 4 : 2;
    }
    return count;
}

void smg_enter_block(void *engine, uint64_t address, uint32_t nbytes, void *counter) {
    smg_block_counter *s = (smg_block_counter *)counter;
    const uint64_t at = address - s->base;
    (void)engine;
    if (at >= s->code_bytes || nbytes > s->code_bytes - at)
        s->outside++;
    else
        smg_count_block(s, address, instructions(s, at, nbytes));
}

void smg_count_block(smg_block_counter *s, uint64_t address, uint64_t count) {
    const uint64_t at = address - s->base;
    if (at >= s->code_bytes) {
        s->outside++;
        return;
    }
    s->total += count;
    s->executed[at / 2] += count;
    if (address >= s->run_first && address < s->run_last) {
        s->from_run = 1;
        s->in_call = 0;
        s->pending += count;
        return;
    }
    if (s->from_run && s->starts[at / 2]) {
        s->from_run = 0;
        s->in_call = 1;
        if (s->made < s->most_calls) {
            s->first[s->made] = address;
            s->calls[s->made] = s->pending;
        }
        s->pending = 0;
        s->made++;
    }
    if (s->in_call && s->made <= s->most_calls)
        s->calls[s->made - 1] += count;
}
