/* A RISC-V core after reset: no stack. The global pointer is not used. */
#include "startup.h"

__attribute__((naked, section(".vectors"))) void Reset_Handler(void) {
    __asm__ volatile("la sp, ld_stack_top\n\t"
                     "j smidgen_start");
}
