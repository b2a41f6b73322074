/* A classic 32-bit Arm core after reset: no stack. */
#include "startup.h"

__attribute__((naked, section(".vectors"))) void Reset_Handler(void) {
    __asm__ volatile("ldr sp, =ld_stack_top\n\t"
                     "b smidgen_start");
}
