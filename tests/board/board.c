/* SPDX-License-Identifier: MIT
 * tests/board/board.c - what a bare Cortex-M needs to run a test program in qemu, with files and
 * printf through semihosting (newlib's rdimon). */
#include <stdint.h>
#include <stdlib.h>

extern uint32_t board_bss[], board_bss_end[], board_stack[];
void initialise_monitor_handles(void);
int main(void);
void board_reset(void);
void board_fault(void);
void _init(void);
void _fini(void);

void _init(void) {}
void _fini(void) {}

void board_reset(void) {
    uint32_t *p;
#ifdef __ARM_FP
    *(volatile uint32_t *)0xE000ED88u |= 0xF00000u; /* CPACR: the FPU is on */
    __asm__ volatile("dsb\n\tisb");
#endif
    for (p = board_bss; p < board_bss_end; p++) *p = 0;
    initialise_monitor_handles();
    exit(main());
}

void board_fault(void) { _Exit(3); }

__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    void (*handler[15])(void);
} vectors = {board_stack,
             {board_reset, board_fault, board_fault, board_fault, board_fault, board_fault,
              board_fault, board_fault, board_fault, board_fault, board_fault, board_fault,
              board_fault, board_fault, board_fault}};
