/* SPDX-License-Identifier: MIT */
#include "qat/infer/planner.h"

#include <stdlib.h>
#include <string.h>

#include "src/mem.h"

typedef struct entry {
    size_t bytes;
    int32_t index;
} entry;

static int larger_first(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static bool meet(const octi_place *a, const octi_place *b) {
    return a->first <= b->last && b->first <= a->last;
}

/* `placed` lists what has a place already, by offset. The smallest gap between neighbours that are
 * alive together with p; behind the last of them where none fits. */
static size_t best_gap(const octi_place *all, const int32_t *placed, int32_t count,
                       const octi_place *p) {
    size_t end = 0, best = SIZE_MAX, best_size = SIZE_MAX;
    for (int32_t i = 0; i < count; i++) {
        const octi_place *q = &all[placed[i]];
        if (!meet(p, q)) continue;
        if (q->offset > end && q->offset - end >= p->bytes && q->offset - end < best_size) {
            best = end;
            best_size = q->offset - end;
        }
        if (q->offset + q->bytes > end) end = q->offset + q->bytes;
    }
    return best == SIZE_MAX ? end : best;
}

oct_status octi_plan_places(oct_ctx *ctx, octi_place *places, int32_t count, size_t *total) {
    entry *order = octi_calloc(ctx, (size_t)count + 1, sizeof *order);
    int32_t *placed = octi_calloc(ctx, (size_t)count + 1, sizeof *placed), done = 0;
    size_t sum = 0;
    oct_status s = order && placed ? OCT_OK : oct_last_error()->code;
    for (int32_t i = 0; s == OCT_OK && i < count; i++) {
        order[i] = (entry){places[i].bytes, i};
        if (!octi_add_size(sum, places[i].bytes, &sum))
            s = octi_fail(OCT_ELIMIT, "plan", "activations are too large", NULL, NULL, NULL);
    }
    *total = 0;
    if (s == OCT_OK) qsort(order, (size_t)count, sizeof *order, larger_first);
    for (int32_t i = 0; s == OCT_OK && i < count && order[i].bytes; i++) {
        octi_place *p = &places[order[i].index];
        p->offset = best_gap(places, placed, done, p);
        if (p->offset + p->bytes > *total) *total = p->offset + p->bytes;
        int32_t at = done++;
        while (at > 0 && places[placed[at - 1]].offset > p->offset)
            placed[at] = placed[at - 1], at--;
        placed[at] = order[i].index;
    }
    octi_free(ctx, order);
    octi_free(ctx, placed);
    return s;
}
