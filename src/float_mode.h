/* SPDX-License-Identifier: MIT
 * src/float_mode.h - the floating-point mode that the number law is written for: round to nearest,
 * subnormals kept. A host program may have another (fesetround, flush-to-zero of a fast-math
 * start-up file), at any time and in any thread; each public function that computes puts the law's
 * in force for its own duration, and gives the caller's back. Costs reading one register. */
#ifndef OCT_SRC_FLOAT_MODE_H
#define OCT_SRC_FLOAT_MODE_H

#include <stdbool.h>
#include <stdint.h>
#if !defined(__x86_64__) && !defined(__aarch64__)
#include <fenv.h>
#endif

typedef struct octi_float_mode {
    uint64_t before;
    bool moved;
} octi_float_mode;

#if defined(__x86_64__)
/* MXCSR: flush to zero, rounding, denormals are zero */
enum { OCTI_FLOAT_MODE_BITS = 0x8000 | 0x6000 | 0x40 };
static inline uint64_t octi_float_mode_read(void) { return __builtin_ia32_stmxcsr(); }
static inline void octi_float_mode_write(uint64_t v) { __builtin_ia32_ldmxcsr((unsigned)v); }
#elif defined(__aarch64__)
/* FPCR: rounding, flush to zero, the same for halves */
enum { OCTI_FLOAT_MODE_BITS = 3 << 22 | 1 << 24 | 1 << 19 };
static inline uint64_t octi_float_mode_read(void) {
    uint64_t v;
    __asm__ volatile("mrs %0, fpcr" : "=r"(v));
    return v;
}
static inline void octi_float_mode_write(uint64_t v) {
    __asm__ volatile("msr fpcr, %0" : : "r"(v) : "memory");
}
#else
enum { OCTI_FLOAT_MODE_BITS = -1 };
static inline uint64_t octi_float_mode_read(void) {
    return (uint64_t)(fegetround() ^ FE_TONEAREST);
}
static inline void octi_float_mode_write(uint64_t v) { fesetround((int)v ^ FE_TONEAREST); }
#endif

/* To a compiler a change of the mode changes no arithmetic, which it moves over it (clang does).
 * What is read from memory and written there stays on its side of the fence; a number that comes
 * or goes by value passes OCTI_LAW_VALUE: one that comes behind OCTI_LAW_MODE, a result before it
 * is returned. */
#define OCTI_LAW_FENCE()  __asm__ volatile("" : : : "memory")
#define OCTI_LAW_VALUE(v) __asm__ volatile("" : "+m"(v) : : "memory")

/** Puts the law's mode in force in this thread; exception masks and flags stay as they are. */
static inline octi_float_mode octi_float_mode_enter(void) {
    const uint64_t bits = (uint64_t)(int64_t)OCTI_FLOAT_MODE_BITS;
    octi_float_mode m = {octi_float_mode_read(), false};
    if (m.before & bits) {
        m.moved = true;
        octi_float_mode_write(m.before & ~bits);
        OCTI_LAW_FENCE();
    }
    return m;
}
static inline void octi_float_mode_leave(const octi_float_mode *m) {
    if (!m->moved) return;
    OCTI_LAW_FENCE();
    octi_float_mode_write(m->before);
}

/** First line of a public function that computes: the law's mode until it returns, whichever
 *  way. */
#define OCTI_LAW_MODE()                                                                            \
    const octi_float_mode float_mode_ __attribute__((cleanup(octi_float_mode_leave), unused)) =    \
        octi_float_mode_enter()

#endif
