/* A 64-bit Arm core after reset: no stack, and the vector unit is off. */
#include "startup.h"

__attribute__((naked, section(".vectors"))) void Reset_Handler(void) {
    __asm__ volatile("mov x0, #(3 << 20)\n\t"
                     "msr cpacr_el1, x0\n\t"
                     "isb\n\t"
                     "adrp x0, ld_stack_top\n\t"
                     "add x0, x0, :lo12:ld_stack_top\n\t"
                     "mov sp, x0\n\t"
                     "b smidgen_start");
}
