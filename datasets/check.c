/* SPDX-License-Identifier: MIT
 * Every sample of a set looked at once: sums by channel, what cannot be read, what shows nothing;
 * then equal pictures, within a part and between two. */
#include "datasets/check.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "datasets/check_internal.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/threads.h"
#include "src/words.h"

enum { CHUNK = 64 };

/* ---- one sample ---- */

typedef struct look {
    octi_checked *part;
    int64_t first;
    uint8_t *raw;      /* [CHUNK] images */
    atomic_int failed; /* the status of what is no picture's fault */
} look;

/* FNV-1a over words: what is found equal is compared byte by byte behind it. */
static uint64_t hash(const uint8_t *p, size_t n) {
    uint64_t h = 14695981039346656037u, w;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&w, p, 8);
        h = (h ^ w) * 1099511628211u;
        h ^= h >> 29;
    }
    for (; n; n--) h = (h ^ *p++) * 1099511628211u;
    return h ^ h >> 32;
}

static bool finite_all(const float *v, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(v[i])) return false;
    return true;
}

static void measure(const oct_data *d, const uint8_t *raw, octi_seen_sample *s) {
    const size_t pixels = (size_t)d->input.height * (size_t)d->input.width;
    const int32_t channels = d->input.channels;
    const float *f = (const float *)raw;
    s->grey = channels == 3;
    for (int32_t c = 0; c < channels; c++) {
        double sum = 0, square = 0, least = INFINITY, most = -INFINITY;
        for (size_t i = (size_t)c; i < pixels * (size_t)channels; i += (size_t)channels) {
            const double v = d->dtype == OCT_U8 ? raw[i] : (double)f[i];
            sum += v;
            square += v * v;
            least = fmin(least, v);
            most = fmax(most, v);
        }
        s->sum[c] = sum;
        s->square[c] = square;
        s->least[c] = least;
        s->most[c] = most;
    }
    const size_t wide = d->dtype == OCT_U8 ? 1 : sizeof(float);
    for (size_t i = 0; i < pixels && s->grey; i++) {
        const uint8_t *p = raw + 3 * i * wide;
        s->grey = !memcmp(p, p + wide, wide) && !memcmp(p, p + 2 * wide, wide);
    }
}

static void look_at(void *arg, int64_t i) {
    look *l = arg;
    oct_data *d = l->part->d;
    const size_t bytes = octi_set_image_bytes(d);
    uint8_t *raw = l->raw + (size_t)i * bytes;
    octi_seen_sample *s = &l->part->seen[l->first + i];
    s->label = d->label ? d->label(d, l->first + i) : -1;
    s->width = d->input.width;
    s->height = d->input.height;
    oct_status st = d->size ? d->size(d, l->first + i, &s->width, &s->height) : OCT_OK;
    if (st == OCT_OK) st = d->get(d, l->first + i, raw, &s->label);
    s->unreadable = st != OCT_OK;
    /* a picture that cannot be read is counted, no failure of this call */
    if (octi_excuse(st) != OCT_OK) atomic_store(&l->failed, (int)st);
    if (s->unreadable) return;
    s->not_finite = d->dtype == OCT_F32 && !finite_all((const float *)raw, bytes / sizeof(float));
    if (s->not_finite) return;
    s->hash = hash(raw, bytes);
    measure(d, raw, s);
}

static oct_status look_at_all(octi_checked *p, int64_t done, int64_t total) {
    oct_data *d = p->d;
    oct_ctx *ctx = d->ctx;
    p->seen = octi_calloc(ctx, (size_t)d->count, sizeof *p->seen);
    look l = {.part = p, .raw = octi_alloc_raw(ctx, CHUNK * octi_set_image_bytes(d))};
    oct_status s = p->seen && l.raw ? OCT_OK : oct_last_error()->code;
    for (; s == OCT_OK && l.first < d->count; l.first += CHUNK) {
        const int64_t left = d->count - l.first;
        octi_parallel_for(octi_ctx_pool(ctx), left < CHUNK ? left : CHUNK, look_at, &l);
        if (atomic_load(&l.failed))
            s = octi_fail((oct_status)atomic_load(&l.failed), d->where,
                          "pictures cannot be looked at", NULL, NULL, NULL);
        else
            s = octi_progress(ctx, "check", done + l.first, total);
    }
    octi_free(ctx, l.raw);
    return s;
}

/* ---- a part ---- */

/* Two levels of 255, or as little of a float set's own spread, tell nothing apart. */
static bool shows_nothing(const octi_checked *p, const octi_seen_sample *s, double spread) {
    const double least = p->d->dtype == OCT_U8 ? 2 : spread * 1e-3;
    for (int32_t c = 0; c < p->d->input.channels; c++)
        if (s->most[c] - s->least[c] > least) return false;
    return true;
}

static void sum_up(octi_checked *p, int32_t classes) {
    oct_data_stats *t = p->stats;
    const double pixels = (double)p->d->input.height * p->d->input.width;
    double sum[4] = {0}, square[4] = {0}, spread = 0;
    t->count = p->d->count;
    for (int c = 0; c < 4; c++) t->least[c] = INFINITY, t->most[c] = -INFINITY;
    t->width[0] = t->height[0] = INT32_MAX;
    for (int64_t i = 0; i < t->count; i++) {
        octi_seen_sample *s = &p->seen[i];
        if (s->label >= 0 && s->label < classes) t->per_class[s->label]++;
        t->unreadable += s->unreadable;
        t->not_finite += s->not_finite;
        if (s->unreadable) continue;
        t->width[0] = s->width < t->width[0] ? s->width : t->width[0];
        t->width[1] = s->width > t->width[1] ? s->width : t->width[1];
        t->height[0] = s->height < t->height[0] ? s->height : t->height[0];
        t->height[1] = s->height > t->height[1] ? s->height : t->height[1];
        if (s->not_finite) continue;
        p->usable++;
        p->grey += s->grey;
        for (int32_t c = 0; c < p->d->input.channels; c++) {
            sum[c] += s->sum[c];
            square[c] += s->square[c];
            p->of_means[c] += s->sum[c] / pixels * (s->sum[c] / pixels);
            t->least[c] = fmin(t->least[c], s->least[c]);
            t->most[c] = fmax(t->most[c], s->most[c]);
        }
    }
    if (!t->width[1]) t->width[0] = t->height[0] = 0;
    const double n = (double)p->usable * pixels;
    for (int32_t c = 0; c < 4; c++) {
        if (!p->usable || c >= p->d->input.channels) {
            t->least[c] = t->most[c] = 0;
            continue;
        }
        t->mean[c] = sum[c] / n;
        t->std[c] = sqrt(fmax(square[c] / n - t->mean[c] * t->mean[c], 0));
        p->of_means[c] = p->of_means[c] / (double)p->usable - t->mean[c] * t->mean[c];
        spread = fmax(spread, t->std[c]);
    }
    for (int64_t i = 0; i < t->count; i++) {
        octi_seen_sample *s = &p->seen[i];
        s->constant = !s->unreadable && !s->not_finite && shows_nothing(p, s, spread);
        t->constant += s->constant;
    }
}

/* ---- reports ---- */

static oct_status same_size(const oct_data *a, const oct_data *b) {
    const oct_input_desc *x = &a->input, *y = &b->input;
    if (x->channels == y->channels && x->height == y->height && x->width == y->width &&
        a->dtype == b->dtype)
        return OCT_OK;
    return octi_fail(
        OCT_ESHAPE, b->where, "images of the two parts (C, H, W)",
        octi_fmt("%s %d, %d, %d", oct_dtype_name(a->dtype), x->channels, x->height, x->width),
        octi_fmt("%s %d, %d, %d", oct_dtype_name(b->dtype), y->channels, y->height, y->width),
        NULL);
}

static oct_status check(oct_data *train, oct_data *test, const oct_data_check_opts *o,
                        oct_data_report *r) {
    oct_ctx *ctx = train->ctx;
    octi_checked part[2] = {{.d = train, .stats = &r->train, .split = OCT_SPLIT_TRAIN},
                            {.d = test, .stats = &r->test, .split = OCT_SPLIT_TEST}};
    const int64_t total = train->count + (test ? test->count : 0);
    r->channels = train->input.channels;
    r->classes = train->truth == OCT_TRUTH_LABELS ? train->class_count : 0;
    if (test && test->class_count > r->classes && r->classes) r->classes = test->class_count;
    oct_status s = OCT_OK;
    for (int k = 0; k < 2 && s == OCT_OK; k++) {
        if (!part[k].d) break;
        part[k].stats->per_class =
            octi_calloc(ctx, (size_t)r->classes + 1, sizeof *part[k].stats->per_class);
        s = part[k].stats->per_class ? look_at_all(&part[k], k ? train->count : 0, total)
                                     : oct_last_error()->code;
        if (s == OCT_OK) sum_up(&part[k], r->classes);
    }
    if (s == OCT_OK) s = octi_check_equal(part, r);
    if (s == OCT_OK) s = octi_check_find(part, o && o->input ? o->input : &train->input, r);
    if (s == OCT_OK) s = octi_progress(ctx, "check", total, total);
    for (int k = 0; k < 2; k++) octi_free(ctx, part[k].seen);
    return s;
}

oct_data_report *oct_data_check(oct_data *train, oct_data *test, const oct_data_check_opts *opts) {
    OCTI_LAW_MODE();
    if (!train) return octi_fail_null("oct_data_check"), NULL;
    oct_data_report *r = octi_alloc(train->ctx, sizeof *r);
    oct_status s = r ? OCT_OK : oct_last_error()->code;
    if (s == OCT_OK && test) s = same_size(train, test);
    if (s == OCT_OK) s = check(train, test, opts, r);
    if (s == OCT_OK) return r;
    octi_ctx_failed(train->ctx);
    oct_data_report_free(train->ctx, r);
    return NULL;
}

void oct_data_report_free(oct_ctx *ctx, oct_data_report *report) {
    if (!ctx || !report) return;
    for (int32_t i = 0; i < report->finding_count; i++)
        for (int32_t k = 0; k < report->findings[i].sample_count; k++)
            octi_free(ctx, (char *)(uintptr_t)report->findings[i].samples[k]);
    octi_free(ctx, report->findings);
    octi_free(ctx, report->train.per_class);
    octi_free(ctx, report->test.per_class);
    octi_free(ctx, report);
}

void oct_data_check_opts_init(oct_data_check_opts *opts) {
    if (opts) *opts = (oct_data_check_opts){0};
}
