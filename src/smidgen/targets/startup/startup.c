/* What a Cortex-M needs before main: a vector table, initialized data, zeroed memory. */
#include <stdint.h>

extern uint32_t ld_data_load[], ld_data_start[], ld_data_end[], ld_bss_start[], ld_bss_end[];
extern uint8_t ld_stack_top[];

int main(void);
void Reset_Handler(void);
void halt(void);

/* Where firmware ends: a debugger or an emulator can stop here. */
__attribute__((noinline)) void halt(void) {
    for (;;) __asm__ volatile("nop");
}

void Reset_Handler(void) {
    const uint32_t *from = ld_data_load;
    uint32_t *to;
    for (to = ld_data_start; to < ld_data_end; to++) *to = *from++;
    for (to = ld_bss_start; to < ld_bss_end; to++) *to = 0;
    main();
    halt();
}

typedef void (*handler)(void);

struct vectors {
    void *stack_top;
    handler handlers[15];
};

/* Reset, NMI and the faults; no interrupts are enabled. */
__attribute__((section(".vectors"), used)) static const struct vectors vectors = {
    ld_stack_top,
    {Reset_Handler, halt, halt, halt, halt, halt, halt, halt, halt, halt, halt, halt, halt, halt, halt},
};
