/* SPDX-License-Identifier: MIT
 * A tape's watchers: kept in a list, called behind each node's forward with its values. */
#include "autograd/watch.h"

#include <string.h>

#include "src/mem.h"

struct octi_watcher {
    octi_watcher *next;
    const char *node; /* NULL: every node */
    oct_watch_fn fn;
    void *user;
};

oct_status octi_watch_add(oct_ctx *ctx, octi_watcher **list, const char *node, oct_watch_fn fn,
                          void *user) {
    octi_watcher *w = octi_alloc(ctx, sizeof *w);
    if (!w) return oct_last_error()->code;
    *w = (octi_watcher){.node = node ? octi_strdup(ctx, node) : NULL, .fn = fn, .user = user};
    if (node && !w->node) return octi_free(ctx, w), oct_last_error()->code;
    while (*list) list = &(*list)->next; /* the last: they are called in order */
    *list = w;
    return OCT_OK;
}

void octi_watch_remove(oct_ctx *ctx, octi_watcher **list, const char *node) {
    while (*list) {
        octi_watcher *w = *list;
        if (node && (!w->node || strcmp(node, w->node) != 0)) {
            list = &w->next;
            continue;
        }
        *list = w->next;
        octi_free(ctx, (void *)w->node);
        octi_free(ctx, w);
    }
}

void octi_watch_call(const octi_watcher *list, const octi_call *c) {
    const oct_watched seen = {.name = c->node->name,
                              .kind = oct_op_name(c->node->kind),
                              .mode = c->mode,
                              .in = (const oct_tensor *const *)c->in,
                              .nin = c->node->nin,
                              .out = c->out,
                              .codes = c->out_codes,
                              .in_codes = (const oct_tensor *const *)c->in_codes};
    for (const octi_watcher *w = list, *next; w; w = next) {
        next = w->next; /* it may take itself out */
        if (!w->node || !strcmp(w->node, seen.name)) w->fn(w->user, &seen);
    }
}
