/* SPDX-License-Identifier: MIT
 * Equal pictures: sorted by hash, then compared byte by byte. */
#include <stdlib.h>
#include <string.h>

#include "datasets/check_internal.h"
#include "src/mem.h"

typedef struct entry {
    uint64_t hash;
    int64_t at;
    int32_t part;
} entry;

/* The training part first, and each part in its order: the first of equal ones is the original. */
static int by_hash(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    if (x->part != y->part) return x->part - y->part;
    return x->at < y->at ? -1 : x->at > y->at;
}

static octi_seen_sample *sample(octi_checked part[2], const entry *e) {
    return &part[e->part].seen[e->at];
}

/* Pictures of equal hash that are equal: the others drop out. *n gets their number. */
static oct_status keep_equal(octi_checked part[2], entry *e, int64_t *n, uint8_t *one,
                             uint8_t *other) {
    const size_t bytes = octi_set_image_bytes(part[0].d);
    int32_t label;
    int64_t kept = 1;
    OCT_TRY(part[e->part].d->get(part[e->part].d, e->at, one, &label));
    for (int64_t i = 1; i < *n; i++) {
        oct_data *d = part[e[i].part].d;
        OCT_TRY(d->get(d, e[i].at, other, &label));
        if (!memcmp(one, other, bytes)) e[kept++] = e[i];
    }
    *n = kept;
    return OCT_OK;
}

static void mark(octi_checked part[2], const entry *e, int64_t n, oct_data_report *r) {
    const bool labels = part[0].d->truth == OCT_TRUTH_LABELS;
    bool differ = false;
    for (int64_t i = 1; i < n; i++) differ |= sample(part, &e[i])->label != sample(part, e)->label;
    for (int64_t i = 0; i < n; i++) {
        octi_seen_sample *s = sample(part, &e[i]);
        s->conflicting = labels && differ;
        s->leaked = e[i].part > e[0].part;
        s->repeat = i && e[i].part == e[i - 1].part;
        r->conflicting += s->conflicting;
        r->leaked += s->leaked;
        part[e[i].part].stats->repeats += s->repeat;
    }
}

oct_status octi_check_equal(octi_checked part[2], oct_data_report *r) {
    oct_ctx *ctx = part[0].d->ctx;
    const size_t bytes = octi_set_image_bytes(part[0].d);
    entry *list = octi_calloc(ctx, (size_t)(part[0].usable + part[1].usable) + 1, sizeof *list);
    uint8_t *image = octi_alloc_raw(ctx, 2 * bytes);
    oct_status s = list && image ? OCT_OK : oct_last_error()->code;
    int64_t n = 0;
    for (int32_t k = 0; k < 2 && s == OCT_OK; k++)
        for (int64_t i = 0; part[k].d && i < part[k].d->count; i++)
            if (!part[k].seen[i].unreadable && !part[k].seen[i].not_finite)
                list[n++] = (entry){part[k].seen[i].hash, i, k};
    if (s == OCT_OK) qsort(list, (size_t)n, sizeof *list, by_hash);
    for (int64_t i = 0, end; s == OCT_OK && i < n; i = end) {
        for (end = i + 1; end < n && list[end].hash == list[i].hash;) end++;
        int64_t equal = end - i;
        if (equal == 1) continue;
        s = keep_equal(part, list + i, &equal, image, image + bytes);
        if (s == OCT_OK) mark(part, list + i, equal, r);
    }
    octi_free(ctx, list);
    octi_free(ctx, image);
    return s;
}
