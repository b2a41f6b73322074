/* What a Cortex-M needs before main: a vector table, initialized data, zeroed memory. */
#include <stdint.h>

#include "startup.h"

void Reset_Handler(void) {
#if defined(__ARM_FEATURE_MVE)
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* CPACR: the vector unit is off after reset */
    __asm__ volatile("dsb\n\tisb");
#endif
    smidgen_start();
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
