/* The same on every processor: memory as C expects it, then main, then a place to stop. */
#ifndef SMIDGEN_STARTUP_H
#define SMIDGEN_STARTUP_H

#include <stdint.h>

extern uint32_t ld_data_load[], ld_data_start[], ld_data_end[], ld_bss_start[], ld_bss_end[];
extern uint8_t ld_stack_top[];

int main(void);
void Reset_Handler(void);
void halt(void);

/* Where firmware ends: a debugger or an emulator can stop here. */
__attribute__((noinline, used)) void halt(void) {
    for (;;) __asm__ volatile("nop");
}

__attribute__((noinline, used)) static void smidgen_start(void) {
    const uint32_t *from = ld_data_load;
    uint32_t *to;
    for (to = ld_data_start; to < ld_data_end; to++) *to = *from++;
    for (to = ld_bss_start; to < ld_bss_end; to++) *to = 0;
    main();
    halt();
}

#endif
