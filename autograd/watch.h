/* SPDX-License-Identifier: MIT
 * autograd/watch.h - watchers of a tape's nodes, for tape.c. */
#ifndef OCT_AUTOGRAD_WATCH_H
#define OCT_AUTOGRAD_WATCH_H

#include "autograd/tape.h"

typedef struct octi_watcher octi_watcher;

/** Put one at the end of *list; the node's name is copied. */
oct_status octi_watch_add(oct_ctx *ctx, octi_watcher **list, const char *node, oct_watch_fn fn,
                          void *user);
/** Take those of `node` out (NULL: all). */
void octi_watch_remove(oct_ctx *ctx, octi_watcher **list, const char *node);
/** Show a call that has run to those that asked for it, in the order in which they asked. */
void octi_watch_call(const octi_watcher *list, const octi_call *c);

#endif
