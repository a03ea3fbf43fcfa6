/* SPDX-License-Identifier: MIT
 * The histogram that five observers keep: counting into aligned bins 2^e wide, merging
 * neighbours when the range outgrows them, and the sums below each edge that searches read. */
#include "qat/scales/histogram.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "src/arena.h"
#include "src/mem.h"
#include "src/threads.h"

enum { CHUNKS = 16, CHUNK_LEAST = 4096, BLOCK = 256 };

typedef struct extent { /* of finite values */
    float lo, hi;
    int64_t count, zeros, dropped;
} extent;

typedef struct observe_job {
    const float *x;
    int64_t n;
    int chunks;
    extent part[CHUNKS];
    double inverse; /* 1 / width, exact */
    int32_t first;
    uint32_t *counts; /* [chunks][OCTI_BINS] */
} observe_job;

static void extent_task(void *arg, int64_t i) {
    observe_job *j = arg;
    float lo = INFINITY, hi = -INFINITY;
    int64_t finite = 0, zeros = 0, from = j->n * i / j->chunks, to = j->n * (i + 1) / j->chunks;
    for (int64_t k = from; k < to; k++) {
        float v = j->x[k];
        lo = v < lo && v >= -FLT_MAX ? v : lo; /* false for NaN */
        hi = v > hi && v <= FLT_MAX ? v : hi;
        finite += v >= -FLT_MAX && v <= FLT_MAX;
        zeros += v == 0;
    }
    j->part[i] = (extent){lo, hi, finite, zeros, to - from - finite};
}

static void count_task(void *arg, int64_t i) {
    const observe_job *j = arg;
    uint32_t *counts = j->counts + i * OCTI_BINS;
    memset(counts, 0, OCTI_BINS * sizeof *counts);
    int32_t at[BLOCK];
    for (int64_t k0 = j->n * i / j->chunks, to = j->n * (i + 1) / j->chunks; k0 < to; k0 += BLOCK) {
        const int n = to - k0 < BLOCK ? (int)(to - k0) : BLOCK;
        const float *x = j->x + k0;
        for (int k = 0; k < n; k++) {
            float a = fabsf(x[k]);
            /* exact: a power of two, in double */
            double v = (a <= FLT_MAX ? (double)x[k] : 0.0) * j->inverse;
            int32_t t = (int32_t)v;
            at[k] = t - ((double)t > v) - j->first; /* floor */
        }
        for (int k = 0; k < n; k++) counts[at[k]] += fabsf(x[k]) <= FLT_MAX;
    }
}

/* Bins that [lo, hi], zero inside, has at the exponent e. */
static int64_t bins_at(float lo, float hi, int e, int64_t *first) {
    *first = (int64_t)floor(ldexp((double)lo, -e));
    return (int64_t)floor(ldexp((double)hi, -e)) - *first + 1;
}

static void grid_of(float min, float max, int64_t *exponent, int64_t *first) {
    float lo = fminf(min, 0), hi = fmaxf(max, 0);
    int e;
    frexpf(fmaxf(-lo, hi), &e);
    e = e - 11 > OCTI_EXPONENT_MIN ? e - 11 : OCTI_EXPONENT_MIN;
    if (lo == 0 && hi == 0) e = OCTI_EXPONENT_MIN;
    while (bins_at(lo, hi, e, first) > OCTI_BINS) e++;
    *exponent = e;
}

static oct_status malformed(const oct_observing *o, const char *expected, const char *got) {
    return octi_fail(OCT_EFORMAT, o->value, "state of its observer is malformed", expected, got,
                     "calibrate again");
}

/* The grid must be the one that the extent gives: whatever else a file claims, no index leaves the
 * bins. */
static oct_status check_grid(const oct_observing *o) {
    /* sums cannot overflow */
    const int64_t *grid = oct_s64(o->state[1]), *count = oct_s64(o->state[0]),
                  most = INT64_MAX / (2 * OCTI_BINS);
    const float *seen = oct_f32(o->state[2]);
    int64_t exponent, first;
    for (int i = OCTI_GRID_COUNT; i < OCTI_GRID_FIELDS; i++)
        if (grid[i] < 0 || grid[i] > most)
            return malformed(o, "counts of 0 and more", octi_fmt("%lld", (long long)grid[i]));
    for (int k = 0; k < OCTI_BINS; k++)
        if (count[k] < 0 || count[k] > most)
            return malformed(o, "counts of 0 and more",
                             octi_fmt("%lld in bin %d", (long long)count[k], k));
    if (!grid[OCTI_GRID_COUNT]) return OCT_OK;
    if (!(seen[0] <= seen[1]) || !(fabsf(seen[0]) <= FLT_MAX) || !(fabsf(seen[1]) <= FLT_MAX))
        return malformed(o, "a finite range",
                         octi_fmt("%g to %g", (double)seen[0], (double)seen[1]));
    grid_of(seen[0], seen[1], &exponent, &first);
    if (grid[OCTI_GRID_EXPONENT] != exponent || grid[OCTI_GRID_FIRST] != first)
        return malformed(o, octi_fmt("bins of 2^%d from %d", (int)exponent, (int)first),
                         octi_fmt("2^%lld from %lld", (long long)grid[OCTI_GRID_EXPONENT],
                                  (long long)grid[OCTI_GRID_FIRST]));
    return OCT_OK;
}

static int64_t floor_shift(int64_t code, int64_t by) {
    return code < 0 ? -(((-code - 1) >> by) + 1) : code >> by;
}

/* Move the counts to the grid of a wider extent. */
static oct_status widen(const oct_observing *o, float min, float max, octi_arena *scratch) {
    int64_t *grid = oct_s64(o->state[1]), *count = oct_s64(o->state[0]), exponent, first;
    grid_of(min, max, &exponent, &first);
    int64_t by = exponent - grid[OCTI_GRID_EXPONENT];
    if (grid[OCTI_GRID_COUNT] && (by || first != grid[OCTI_GRID_FIRST])) {
        int64_t *moved = octi_arena_calloc(scratch, OCTI_BINS, sizeof *moved);
        if (!moved) return oct_last_error()->code;
        for (int64_t k = 0; k < OCTI_BINS; k++) {
            int64_t to = floor_shift(grid[OCTI_GRID_FIRST] + k, by > 62 ? 62 : by) - first;
            if (!count[k]) continue;
            if (to < 0 || to >= OCTI_BINS)
                return malformed(o, "values inside its range", octi_fmt("bin %d", (int)k));
            moved[to] += count[k];
        }
        memcpy(count, moved, OCTI_BINS * sizeof *count);
    }
    grid[OCTI_GRID_EXPONENT] = exponent;
    grid[OCTI_GRID_FIRST] = first;
    return OCT_OK;
}

static oct_status observe(const oct_observing *o, observe_job *j, octi_arena *scratch) {
    int64_t *grid = oct_s64(o->state[1]), *count = oct_s64(o->state[0]);
    float *seen = oct_f32(o->state[2]);
    OCT_TRY(check_grid(o));
    octi_parallel_for(octi_ctx_pool(o->ctx), j->chunks, extent_task, j);
    extent all = j->part[0];
    for (int i = 1; i < j->chunks; i++) {
        all.lo = fminf(all.lo, j->part[i].lo);
        all.hi = fmaxf(all.hi, j->part[i].hi);
        all.count += j->part[i].count;
        all.zeros += j->part[i].zeros;
        all.dropped += j->part[i].dropped;
    }
    grid[OCTI_GRID_DROPPED] += all.dropped;
    if (!all.count) return OCT_OK;
    if (grid[OCTI_GRID_COUNT]) {
        all.lo = fminf(all.lo, seen[0]);
        all.hi = fmaxf(all.hi, seen[1]);
    }
    OCT_TRY(widen(o, all.lo, all.hi, scratch));
    seen[0] = all.lo == 0 ? 0 : all.lo; /* never -0: the same bytes in any order */
    seen[1] = all.hi == 0 ? 0 : all.hi;
    grid[OCTI_GRID_COUNT] += all.count;
    grid[OCTI_GRID_ZEROS] += all.zeros;
    j->inverse = ldexp(1.0, (int)-grid[OCTI_GRID_EXPONENT]);
    j->first = (int32_t)grid[OCTI_GRID_FIRST];
    j->counts = octi_arena_alloc(scratch, (size_t)j->chunks * OCTI_BINS * sizeof *j->counts);
    if (!j->counts) return oct_last_error()->code;
    octi_parallel_for(octi_ctx_pool(o->ctx), j->chunks, count_task, j);
    for (int i = 0; i < j->chunks; i++)
        for (int k = 0; k < OCTI_BINS; k++) count[k] += j->counts[i * OCTI_BINS + k];
    return OCT_OK;
}

oct_status octi_histogram_observe(const oct_observing *o, const float *x, int64_t n) {
    octi_arena *scratch = octi_ctx_scratch(o->ctx);
    if (!scratch) return oct_last_error()->code;
    if (n < 1) return OCT_OK;
    octi_arena_mark mark = octi_arena_save(scratch);
    observe_job j = {
        .x = x, .n = n, .chunks = n < CHUNKS * CHUNK_LEAST ? (int)(n / CHUNK_LEAST) + 1 : CHUNKS};
    oct_status s = observe(o, &j, scratch);
    octi_arena_rewind(scratch, mark);
    return s;
}

/* ---- read by searches ---- */

/* Sums of what each bin holds, spread evenly inside it. */
static void sum_up(octi_density *d) {
    for (int k = 0; k < d->bins; k++) {
        double c = (double)d->count[k], a = d->edge[k], b = d->edge[k + 1];
        d->mass[k + 1] = d->mass[k] + c;
        d->mean[k + 1] = d->mean[k] + c * (a + b) / 2;
        d->square[k + 1] = d->square[k] + c * (a * a + a * b + b * b) / 3;
    }
}

oct_status octi_density_of(const oct_observing *o, octi_density *d, bool *empty) {
    const int64_t *grid = oct_s64(o->state[1]), *stored = oct_s64(o->state[0]);
    const float *seen = oct_f32(o->state[2]);
    OCT_TRY(check_grid(o));
    *empty = !grid[OCTI_GRID_COUNT];
    if (*empty) return OCT_OK;
    octi_arena *scratch = octi_ctx_scratch(o->ctx);
    if (!scratch) return oct_last_error()->code;
    *d = (octi_density){.first = (int32_t)grid[OCTI_GRID_FIRST],
                        .width = ldexp(1.0, (int)grid[OCTI_GRID_EXPONENT]),
                        .min = seen[0],
                        .max = seen[1],
                        .total = grid[OCTI_GRID_COUNT]};
    int64_t first, sum = 0, *count = octi_arena_calloc(scratch, OCTI_BINS, sizeof *count);
    d->bins = (int32_t)bins_at(fminf(seen[0], 0), fmaxf(seen[1], 0), (int)grid[OCTI_GRID_EXPONENT],
                               &first);
    double *list = octi_arena_calloc(scratch, (size_t)(4 * (d->bins + 1)), sizeof *list);
    if (!count || !list) return oct_last_error()->code;
    for (int k = 0; k < OCTI_BINS; k++) {
        if ((stored[k] && k >= d->bins) || __builtin_add_overflow(sum, stored[k], &sum))
            return malformed(o, "counts of values that were seen",
                             octi_fmt("%lld in bin %d", (long long)stored[k], k));
        count[k] = stored[k];
    }
    if (sum != d->total || grid[OCTI_GRID_ZEROS] > count[-d->first])
        return malformed(o, octi_fmt("%lld values in bins", (long long)d->total),
                         octi_fmt("%lld", (long long)sum));
    count[-d->first] -= grid[OCTI_GRID_ZEROS];
    d->count = count;
    d->edge = list;
    d->mass = list + d->bins + 1;
    d->mean = d->mass + d->bins + 1;
    d->square = d->mean + d->bins + 1;
    for (int k = 0; k <= d->bins; k++) { /* no further than the data */
        double e = d->first + k, lo = (double)seen[0] / d->width, hi = (double)seen[1] / d->width;
        d->edge[k] = e < lo && e + 1 > lo ? lo : e > hi && e - 1 <= hi ? hi : e;
    }
    sum_up(d);
    return OCT_OK;
}

oct_status octi_density_level(const octi_density *d, octi_arena *scratch, octi_density *level) {
    int64_t *count = octi_arena_calloc(scratch, OCTI_BINS, sizeof *count), before = 0, here = 0;
    double *list = octi_arena_calloc(scratch, (size_t)(3 * (d->bins + 1)), sizeof *list);
    if (!count || !list) return oct_last_error()->code;
    /* each filled bin when the next one is known */
    for (int32_t k = 0, last = -1; k <= d->bins; k++) {
        const int64_t next = k < d->bins ? d->count[k] : 0;
        if (k < d->bins && !next) continue;
        const int64_t most = before > next ? before : next;
        if (last >= 0) count[last] = most && most < here ? most : here; /* one alone stays */
        before = here;
        here = next;
        last = k;
    }
    *level = *d;
    level->count = count;
    level->mass = list;
    level->mean = list + d->bins + 1;
    level->square = level->mean + d->bins + 1;
    sum_up(level);
    return OCT_OK;
}
