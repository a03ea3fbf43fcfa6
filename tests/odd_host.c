/* SPDX-License-Identifier: MIT
 * A host program that is odd before octet is called: the locale of the environment, and, by
 * ODD_ROUND, another rounding mode or flush to zero. To be loaded before a program
 * (test_odd_hosts.sh). */
#include <fenv.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

__attribute__((constructor)) static void be_odd(void) {
    static const struct {
        const char *word;
        int mode;
    } modes[] = {{"up", FE_UPWARD}, {"down", FE_DOWNWARD}, {"zero", FE_TOWARDZERO}};
    const char *how = getenv("ODD_ROUND");
    setlocale(LC_ALL, "");
    for (size_t i = 0; how && i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(how, modes[i].word)) fesetround(modes[i].mode);
#if defined(__x86_64__)
    if (how && !strcmp(how, "flush"))
        __builtin_ia32_ldmxcsr((unsigned)__builtin_ia32_stmxcsr() | 0x8040);
#endif
}
