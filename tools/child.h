/* SPDX-License-Identifier: MIT
 * tools/child.h - a program that runs beside the command and is spoken to through pipes; no
 * shell. */
#ifndef OCT_TOOLS_CHILD_H
#define OCT_TOOLS_CHILD_H

#include <stdbool.h>
#include <stddef.h>

typedef struct child {
    int pid, to, from; /* pipes; pid 0: none runs */
} child;

/** Start argv[0], looked up in PATH where it has no slash; its stdin and stdout are the pipes. 0,
 *  or errno. Signals are caught from here on. */
int child_start(child *c, char *const argv[]);
/** None runs: fine. */
void child_end(child *c);
/** false where the program ended, or a signal asked to stop (cli_signal). */
bool child_read(const child *c, void *to, size_t n);
bool child_write(const child *c, const void *from, size_t n);

#endif
