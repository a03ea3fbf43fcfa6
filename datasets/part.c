/* SPDX-License-Identifier: MIT
 * Parts of sets: what is held out to test where a set has no test part, limits, and shares drawn by
 * seed. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "datasets/set.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/rng.h"

static int32_t label_of(const oct_data *d, int64_t i) {
    return d->label ? d->label(d, i) : d->labels ? d->labels[i] : 0;
}

static bool no_label_without_image(const oct_data *d) {
    return !d->label && d->get != octi_set_get_array;
}

/* ---- held out ---- */

/* no option: every command, whatever its seed, must draw the same line */
static const uint64_t HOLD_SEED = 1;
enum { HOLD_SHARE = 10 }; /* one in so many */

static uint32_t draw(const oct_data *d, int64_t i) {
    const size_t bytes = octi_set_image_bytes(d);
    const uint32_t key =
        d->key ? d->key(d, i) : (uint32_t)crc32(0, d->pixels + (size_t)i * bytes, (uInt)bytes);
    octi_rng r = octi_rng_stream(HOLD_SEED, OCTI_RNG_SPLIT, key, 1);
    return octi_rng_u32(&r);
}

typedef struct lot { /* of a class: the draws nearest to the line on either side */
    int64_t held, left;
    uint32_t least, most;
} lot;

/* Equal pictures have equal draws and stay on one side. A class of which chance takes none gives
 * the smallest draw; one of which it takes all keeps the largest; a class of one picture is for
 * training. */
oct_status octi_hold_out(const oct_data *d, uint8_t *held) {
    const uint32_t line = UINT32_MAX / HOLD_SHARE;
    uint32_t *of = octi_calloc(d->ctx, (size_t)d->count, sizeof *of);
    lot *lots = octi_calloc(d->ctx, (size_t)d->class_count + 1, sizeof *lots);
    if (!of || !lots) return octi_free(d->ctx, of), octi_free(d->ctx, lots), oct_last_error()->code;
    for (int32_t k = 0; k <= d->class_count; k++) lots[k].least = UINT32_MAX;
    for (int64_t i = 0; i < d->count; i++) {
        lot *l = &lots[label_of(d, i)];
        of[i] = draw(d, i);
        if (of[i] < line)
            l->held++;
        else
            l->left++;
        if (of[i] < l->least) l->least = of[i];
        if (of[i] > l->most) l->most = of[i];
    }
    for (int64_t i = 0; i < d->count; i++) {
        const lot *l = &lots[label_of(d, i)];
        if (l->least == l->most)
            held[i] = 0;
        else if (!l->held)
            held[i] = of[i] == l->least;
        else if (!l->left)
            held[i] = of[i] != l->most;
        else
            held[i] = of[i] < line;
    }
    octi_free(d->ctx, of);
    octi_free(d->ctx, lots);
    return OCT_OK;
}

/* ---- what stays ---- */

/* To the front of an array: the source is never before the place. */
static void keep_array(oct_data *d, const uint32_t *index, int64_t n) {
    const size_t bytes = octi_set_image_bytes(d);
    uint8_t *pixels = (uint8_t *)(uintptr_t)d->pixels;
    int32_t *labels = (int32_t *)(uintptr_t)d->labels;
    float *targets = (float *)(uintptr_t)d->targets;
    for (int64_t i = 0; i < n; i++) {
        memmove(pixels + (size_t)i * bytes, pixels + (size_t)index[i] * bytes, bytes);
        if (labels) labels[i] = labels[index[i]];
        if (targets)
            memmove(targets + i * d->target_count, targets + (int64_t)index[i] * d->target_count,
                    (size_t)d->target_count * sizeof *targets);
    }
}

static oct_status list_part(oct_data *d, oct_split split, uint32_t *index, int64_t *n) {
    uint8_t *held = octi_calloc(d->ctx, (size_t)d->count, 1);
    if (!held) return oct_last_error()->code;
    oct_status s = d->only && split != OCT_SPLIT_ALL ? octi_hold_out(d, held) : OCT_OK;
    const uint8_t want = d->only && split == OCT_SPLIT_TEST;
    *n = 0;
    for (int64_t i = 0; i < d->count; i++)
        if (held[i] == want) index[(*n)++] = (uint32_t)i;
    octi_free(d->ctx, held);
    return s;
}

oct_status octi_set_select(oct_data *d, const oct_data_opts *opts) {
    if (opts->split == OCT_SPLIT_ALL && !d->only)
        return octi_fail(OCT_EUSAGE, d->where, "all of a set", "a set with one part",
                         "a training and a test part", "ask for train or test");
    const int64_t total = d->count, limit = opts->limit > 0 ? opts->limit : INT64_MAX;
    if ((!d->only || opts->split == OCT_SPLIT_ALL) && limit >= total) return OCT_OK;
    if (total > UINT32_MAX)
        return octi_fail(OCT_ELIMIT, d->where, "samples", "at most 2^32 - 1",
                         octi_fmt("%lld", (long long)total), NULL);
    uint32_t *index = octi_calloc(d->ctx, (size_t)total, sizeof *index);
    if (!index) return oct_last_error()->code;
    d->owned[2] = d->origin = index;
    int64_t n = 0;
    OCT_TRY(list_part(d, opts->split, index, &n));
    if (!n)
        return octi_fail(OCT_EFORMAT, d->where,
                         "set has no test part, and no class of which one could be held out",
                         "two different images of a class", NULL, "all of it: OCT_SPLIT_ALL");
    if (d->only && opts->split != OCT_SPLIT_ALL) {
        const int64_t test = opts->split == OCT_SPLIT_TEST ? n : total - n;
        octi_log(
            d->ctx, OCT_LOG_INFO,
            "%s: no test part: held out to be one, the same for every command: %lld of %lld images",
            d->where, (long long)test, (long long)total);
    }
    if (limit < n) { /* evenly: sets may stand class by class */
        for (int64_t i = 0; i < limit; i++) index[i] = index[i * n / limit];
        n = limit;
    }
    (d->keep ? d->keep : keep_array)(d, index, n);
    d->count = n;
    return OCT_OK;
}

void octi_set_test_alone(const oct_data *d) {
    octi_log(d->ctx, OCT_LOG_WARN,
             "%s: no training part: the test part serves as one, so nothing is left that a net has "
             "not seen",
             d->where);
}

/* ---- a share of a set ---- */

typedef struct share {
    oct_data *base;
    uint32_t *index;
} share;

static oct_status share_get(oct_data *d, int64_t i, void *image, int32_t *label) {
    share *v = d->self;
    return v->base->get(v->base, v->index[i], image, label);
}

static oct_status share_target(oct_data *d, int64_t i, float *y) {
    share *v = d->self;
    return octi_set_target(v->base, v->index[i], y);
}

static int32_t share_label(const oct_data *d, int64_t i) {
    const share *v = d->self;
    const oct_data *b = v->base;
    return label_of(b, v->index[i]);
}

int64_t oct_data_origin(const oct_data *d, int64_t i) {
    if (!d || i < 0 || i >= d->count) return -1;
    if (d->get == share_get) {
        const share *v = d->self;
        return oct_data_origin(v->base, v->index[i]);
    }
    return d->origin ? (int64_t)d->origin[i] : i;
}

static const char *share_name(const oct_data *d, int64_t i) {
    const share *v = d->self;
    return octi_set_sample(v->base, v->index[i]);
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

oct_data *oct_data_share(oct_data *d, double f, uint64_t seed, bool first) {
    OCTI_LAW_MODE();
    OCTI_LAW_VALUE(f);
    if (!d) return NULL;
    int64_t n = d->count, k = f > 0 && f < 1 ? (int64_t)(f * (double)n + 0.5) : 0;
    if (k < 1 || k >= n || n > UINT32_MAX) {
        octi_fail(OCT_EUSAGE, d->where, "share of the set",
                  "between 0 and 1, both sides with at least one sample",
                  octi_fmt("%g of %lld", f, (long long)n), NULL);
        return octi_ctx_failed(d->ctx), NULL;
    }
    oct_data *v = octi_set_new(d->ctx, d->where);
    if (!v) return octi_ctx_failed(d->ctx), NULL;
    octi_arena *arena = v->arena;
    share *self = octi_arena_alloc(arena, sizeof *self);
    uint32_t *perm = octi_calloc(d->ctx, (size_t)n, sizeof *perm);
    v->owned[0] = perm;
    if (!self || !perm) return octi_set_fail(v);
    octi_rng r = octi_rng_stream(seed, OCTI_RNG_SPLIT, 0, 0);
    octi_rng_permutation(&r, perm, (uint32_t)n);
    *self = (share){d, first ? perm : perm + k};
    v->count = first ? k : n - k;
    /* reading in the set's order is kinder to files */
    qsort(self->index, (size_t)v->count, sizeof *perm, by_value);
    v->dtype = d->dtype;
    v->input = d->input;
    v->classes = d->classes;
    v->class_count = d->class_count;
    v->augment = d->augment;
    v->norm = d->norm;
    v->slow = d->slow;
    v->stored = d->stored;
    v->get = share_get;
    v->truth = d->truth;
    v->target_shape = d->target_shape;
    v->target_count = d->target_count;
    v->target = share_target;
    v->name = share_name;
    if (!no_label_without_image(d)) v->label = share_label;
    v->self = self;
    return v;
}
