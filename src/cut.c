/* SPDX-License-Identifier: MIT
 * The cut of a batch, and folding along its tree. */
#include "src/cut.h"

#include <math.h>
#include <string.h>

#include "src/mem.h"
#include "src/words.h"

static int slots_of(int64_t n) {
    int s = n < 128 ? 8 : OCTI_MAX_SLOTS;
    while (s > 1 && s > n) s /= 2;
    return s;
}

octi_cut octi_cut_whole(int64_t n) {
    const int s = slots_of(n);
    return (octi_cut){.images = n, .slots = s, .count = s};
}

octi_cut octi_cut_in_one(int64_t n) { return (octi_cut){.images = n, .slots = 1, .count = 1}; }

octi_cut octi_cut_share(int64_t n, int rank, int processes, octi_reduce_fn reduce, void *user) {
    const int s = slots_of(n), count = s > processes ? s / processes : 1;
    return (octi_cut){.images = n,
                      .slots = s,
                      .first = (int)((int64_t)rank * s / processes),
                      .count = count,
                      .reduce = reduce,
                      .user = user};
}

static oct_status not_the_batch(void *user, const octi_cut *cut, const octi_sum *sum,
                                void *partial) {
    (void)user, (void)sum, (void)partial;
    return octi_fail(OCT_EUNSUPPORTED, "batch", "a sum over the first axis of another value",
                     "the images of the batch", octi_fmt("%lld rows", (long long)cut->images),
                     "several processes train: each would add all of it");
}

const octi_cut octi_cut_of_others = {.slots = 1, .reduce = not_the_batch};

octi_cut octi_cut_of(oct_ctx *ctx, int64_t n) {
    const octi_cut *c = octi_ctx_cut(ctx);
    if (c && octi_cut_here(c) == n) return *c;
    octi_cut own = octi_cut_whole(n);
    if (c && c->reduce) own.reduce = not_the_batch;
    return own;
}

/* ---- folding ---- */

static octi_join join_of(const octi_cut *c, const octi_sum *sum, int slot, int width, void *a,
                         const void *b) {
    const int64_t first = octi_cut_begin(c, slot), middle = octi_cut_begin(c, slot + width);
    return (octi_join){.a = a,
                       .b = b,
                       .to = sum->count,
                       .first = first,
                       .images_a = middle - first,
                       .images_b = octi_cut_begin(c, slot + 2 * width) - middle,
                       .arg = sum->arg};
}

void octi_cut_join(const octi_cut *c, const octi_sum *sum, int slot, int width, void *a,
                   const void *b) {
    const octi_join j = join_of(c, sum, slot, width, a, b);
    sum->join(&j);
}

typedef struct level {
    const octi_cut *cut;
    const octi_sum *sum;
    uint8_t *partial;
    int width, chunks;
} level;

static void level_task(void *arg, int64_t i) {
    const level *l = arg;
    const int slot = (int)(i / l->chunks) * 2 * l->width;
    const int64_t chunk = i % l->chunks, count = l->sum->count;
    uint8_t *a = l->partial + (size_t)slot * l->sum->bytes;
    octi_join j = join_of(l->cut, l->sum, l->cut->first + slot, l->width, a,
                          a + (size_t)l->width * l->sum->bytes);
    j.from = count * chunk / l->chunks;
    j.to = count * (chunk + 1) / l->chunks;
    l->sum->join(&j);
}

oct_status octi_cut_fold(const octi_cut *c, octi_threads *pool, const octi_sum *sum,
                         void *partial) {
    for (int width = 1; width < c->count; width *= 2) {
        level l = {c, sum, partial, width, sum->count > 16384 ? 8 : 1};
        const int64_t pairs = c->count / (2 * width);
        octi_parallel_for(sum->count * pairs < 8192 ? NULL : pool, pairs * l.chunks, level_task,
                          &l);
    }
    return c->reduce ? c->reduce(c->user, c, sum, partial) : OCT_OK;
}

static void add_f32(const octi_join *j) {
    float *a = j->a;
    const float *b = j->b;
    for (int64_t k = j->from; k < j->to; k++) a[k] += b[k];
}

oct_status octi_cut_fold_f32(const octi_cut *c, octi_threads *pool, float *partial, int64_t count) {
    const octi_sum sum = {add_f32, NULL, count, (size_t)count * sizeof *partial};
    return octi_cut_fold(c, pool, &sum, partial);
}

static void add_f64(const octi_join *j) {
    double *a = j->a;
    const double *b = j->b;
    for (int64_t k = j->from; k < j->to; k++) a[k] += b[k];
}

oct_status octi_cut_fold_f64(const octi_cut *c, double *partial, int64_t count) {
    const octi_sum sum = {add_f64, NULL, count, (size_t)count * sizeof *partial};
    return octi_cut_fold(c, NULL, &sum, partial);
}

/* ---- what a process has in one piece ---- */

oct_status octi_cut_total(const octi_cut *c, double *number) {
    const octi_sum sum = {add_f64, NULL, 1, sizeof *number};
    return c->reduce ? c->reduce(c->user, c, &sum, number) : OCT_OK;
}

static void widen(const octi_join *j) {
    float *a = j->a;
    const float *b = j->b;
    a[0] = fminf(a[0], b[0]);
    a[1] = fmaxf(a[1], b[1]);
}

oct_status octi_cut_range(const octi_cut *c, float *min, float *max) {
    float range[2] = {*min, *max};
    const octi_sum sum = {widen, NULL, 1, sizeof range};
    if (c->reduce) OCT_TRY(c->reduce(c->user, c, &sum, range));
    *min = range[0];
    *max = range[1];
    return OCT_OK;
}

/* Every process has room for all images and fills in its own. */
static void take_over(const octi_join *j) {
    const int64_t each = *(const int64_t *)j->arg, at = (j->first + j->images_a) * each;
    memcpy((float *)j->a + at, (const float *)j->b + at,
           (size_t)(j->images_b * each) * sizeof(float));
}

oct_status octi_cut_gather(const octi_cut *c, octi_arena *arena, const float *x, int64_t each,
                           const float **whole) {
    *whole = x;
    if (!c->reduce) return OCT_OK;
    const octi_sum sum = {take_over, &each, 1, (size_t)(c->images * each) * sizeof *x};
    float *all = octi_arena_calloc(arena, (size_t)(c->images * each), sizeof *x);
    if (!all) return oct_last_error()->code;
    memcpy(all + octi_cut_begin(c, c->first) * each, x,
           (size_t)(octi_cut_here(c) * each) * sizeof *x);
    *whole = all;
    return c->reduce(c->user, c, &sum, all);
}
