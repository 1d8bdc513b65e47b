/*
 * relax.h: what a loop does that waits for another thread by looking at memory.
 */
#ifndef FRESHET_PROTOCOL_BASE_RELAX_H
#define FRESHET_PROTOCOL_BASE_RELAX_H

/* Lets the other hardware thread of the core work, and leaves the loop without a flood of
 * mispredicted loads. */
static inline void cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
