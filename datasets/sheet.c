/* SPDX-License-Identifier: MIT
 * A sheet of samples, as the set has them and as training sees them. Both halves come from loaders,
 * so that what is looked at is what a net is given; values are turned back into pixels. */
#include <math.h>
#include <string.h>

#include "datasets/check.h"
#include "datasets/set.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/tensor.h"
#include "src/words.h"

enum { GAP = 2, MIDDLE = 12, CELL = 56, ROWS = 10, COLUMNS = 6, SIDE_MAX = 8192 };

typedef struct sheet {
    oct_data *d;
    oct_data part;  /* the chosen samples of d, as a set */
    int64_t *index; /* [rows * columns]; -1: an empty cell */
    int32_t rows, columns, zoom;
    oct_tensor *image;
    uint8_t *broken; /* [rows * columns] */
    float low, high; /* of float sets */
} sheet;

static oct_status chosen_get(oct_data *part, int64_t i, void *image, int32_t *label) {
    const sheet *s = part->self;
    const int64_t at = s->index[i];
    const bool asked = at >= 0 && !s->broken[i];
    const oct_status st = asked ? s->d->get(s->d, at, image, label) : OCT_OK;
    if (asked && st == OCT_OK) return OCT_OK;
    OCT_TRY(octi_excuse(st));
    if (at >= 0) s->broken[i] = 1;
    *label = 0;
    memset(image, 0, octi_set_image_bytes(part));
    return OCT_OK;
}

/* Without labels: evenly over the set. With them: row r holds class r, from all over the set. */
static oct_status choose(sheet *s) {
    const int64_t n = s->d->count, cells = (int64_t)s->rows * s->columns;
    const bool labels = s->d->truth == OCT_TRUTH_LABELS && s->d->class_count > 1;
    for (int64_t i = 0; i < cells; i++) s->index[i] = labels ? -1 : i < n ? i * n / cells : -1;
    if (!labels && n < cells)
        for (int64_t i = 0; i < n; i++) s->index[i] = i;
    if (!labels) return OCT_OK;
    int64_t *counts = octi_calloc(s->d->ctx, (size_t)s->d->class_count, 2 * sizeof *counts);
    oct_status st = counts ? oct_data_class_counts(s->d, counts) : oct_last_error()->code;
    int64_t *seen = counts ? counts + s->d->class_count : NULL;
    const bool by_image = !s->d->label && !s->d->labels;
    void *image =
        st == OCT_OK && by_image ? octi_alloc_raw(s->d->ctx, octi_set_image_bytes(s->d)) : NULL;
    if (st == OCT_OK && by_image && !image) st = oct_last_error()->code;
    for (int64_t i = 0; st == OCT_OK && i < n; i++) {
        int32_t c = s->d->label ? s->d->label(s->d, i) : s->d->labels ? s->d->labels[i] : 0;
        if (image) st = octi_excuse(s->d->get(s->d, i, image, &c));
        if (c < 0 || c >= s->rows) continue;
        /* the k-th of `columns` samples that stand evenly over the class */
        const int64_t of = counts[c], take = of < s->columns ? of : s->columns,
                      k = take ? seen[c] * take / of : 0;
        if (take && seen[c] == (k * of + take - 1) / take) s->index[c * s->columns + k] = i;
        seen[c]++;
    }
    octi_free(s->d->ctx, image);
    octi_free(s->d->ctx, counts);
    return st;
}

static uint8_t pixel_of(const sheet *s, float v, int32_t c) {
    const oct_input_desc *in = &s->d->input;
    const double p = s->d->dtype == OCT_U8
                         ? ((double)v * in->std[c] + in->mean[c]) * in->div
                         : ((double)v - s->low) / fmax((double)s->high - s->low, 1e-30) * 255;
    return (uint8_t)lrint(fmin(fmax(isfinite(p) ? p : 0, 0), 255));
}

static void draw(sheet *s, const float *x, int64_t cell, int half) {
    const oct_input_desc *in = &s->d->input;
    const int32_t w = in->width * s->zoom, h = in->height * s->zoom, c_count = in->channels;
    const int32_t row = (int32_t)(cell / s->columns), column = (int32_t)(cell % s->columns);
    const int64_t pitch = 3 * s->image->shape.dim[1];
    uint8_t *to = oct_u8(s->image) + (int64_t)(GAP + row * (h + GAP)) * pitch +
                  3 * (GAP + (column + half * s->columns) * (int64_t)(w + GAP) + half * MIDDLE);
    for (int32_t y = 0; y < h; y++)
        for (int32_t q = 0; q < w; q++)
            for (int c = 0; c < 3; c++) {
                const int32_t from = c_count < 3 ? 0 : in->color == OCT_COLOR_BGR ? 2 - c : c;
                const int64_t at =
                    ((int64_t)(y / s->zoom) * in->width + q / s->zoom) * c_count + from;
                uint8_t v = pixel_of(s, x[at], from);
                if (s->broken[cell]) v = c ? 0 : 200;
                to[y * pitch + 3 * q + c] = v;
            }
}

static oct_status half(sheet *s, uint32_t augment, uint64_t seed, int which) {
    oct_loader *l = oct_loader_new(
        &s->part,
        &(oct_loader_opts){.batch = 16, .augment = augment, .seed = seed, .no_prefetch = true});
    oct_status st = l ? oct_loader_start(l, 0, 0) : oct_last_error()->code;
    const int64_t values = (int64_t)s->d->input.channels * s->d->input.height * s->d->input.width;
    while (st == OCT_OK) {
        oct_batch b;
        bool done;
        st = oct_loader_next(l, &b, &done);
        if (st != OCT_OK || done) break;
        for (int64_t i = 0; i < b.x->shape.dim[0]; i++)
            if (s->index[b.first + i] >= 0) draw(s, oct_f32(b.x) + i * values, b.first + i, which);
    }
    oct_loader_free(l);
    return st;
}

/* Of float sets: from the smallest to the largest value of what is shown. NaN would stop a loader:
 * such a picture is shown as a broken one. */
static oct_status find_range(sheet *s, int64_t cells) {
    if (s->d->dtype == OCT_U8) return OCT_OK;
    const size_t bytes = octi_set_image_bytes(s->d);
    float *x = octi_alloc_raw(s->d->ctx, bytes);
    if (!x) return oct_last_error()->code;
    s->low = INFINITY, s->high = -INFINITY;
    oct_status st = OCT_OK;
    for (int64_t i = 0; st == OCT_OK && i < cells; i++) {
        int32_t label;
        if (s->index[i] < 0) continue;
        const oct_status got = s->d->get(s->d, s->index[i], x, &label);
        st = octi_excuse(got);
        if (got != OCT_OK) continue;
        for (size_t k = 0; k < bytes / sizeof *x; k++) {
            if (!isfinite(x[k])) s->broken[i] = 1;
            s->low = fminf(s->low, isfinite(x[k]) ? x[k] : s->low);
            s->high = fmaxf(s->high, isfinite(x[k]) ? x[k] : s->high);
        }
    }
    octi_free(s->d->ctx, x);
    return st;
}

static oct_status make(sheet *s, const oct_sheet_opts *o) {
    oct_data *d = s->d;
    const oct_input_desc *in = &d->input;
    const int32_t side = in->height < in->width ? in->height : in->width;
    s->columns = o->columns > 0 ? o->columns : COLUMNS;
    s->rows = o->rows > 0 ? o->rows : ROWS;
    if (d->truth == OCT_TRUTH_LABELS && d->class_count > 1 && s->rows > d->class_count)
        s->rows = d->class_count;
    s->zoom = side < CELL ? (CELL + side - 1) / side : 1;
    const int64_t cells = (int64_t)s->rows * s->columns,
                  width = GAP + MIDDLE + 2 * (int64_t)s->columns * (in->width * s->zoom + GAP),
                  height = GAP + (int64_t)s->rows * (in->height * s->zoom + GAP);
    if (width > SIDE_MAX || height > SIDE_MAX)
        return octi_fail(OCT_ELIMIT, d->where, "sides of the sheet", octi_fmt("%d", SIDE_MAX),
                         octi_fmt("%lld x %lld", (long long)width, (long long)height),
                         "fewer rows or columns");
    s->index = octi_calloc(d->ctx, (size_t)cells, sizeof *s->index);
    s->broken = octi_calloc(d->ctx, (size_t)cells, 1);
    s->image = oct_tensor_new(d->ctx, OCT_U8, OCT_SHAPE(height, width, 3));
    if (!s->index || !s->broken || !s->image) return oct_last_error()->code;
    memset(s->image->data, 255, (size_t)(height * width * 3));
    OCT_TRY(choose(s));
    OCT_TRY(find_range(s, cells));
    s->part = *d;
    s->part.self = s;
    s->part.get = chosen_get;
    s->part.count = cells;
    s->part.truth = OCT_TRUTH_LABELS;
    OCT_TRY(half(s, OCT_AUGMENT_NONE, o->seed, 0));
    return half(s, o->augment ? o->augment : d->augment, o->seed, 1);
}

oct_tensor *oct_data_sheet(oct_data *d, const oct_sheet_opts *opts) {
    OCTI_LAW_MODE();
    if (!d) return octi_fail_null("oct_data_sheet"), NULL;
    static const oct_sheet_opts none = {0};
    sheet s = {.d = d};
    const oct_status st = make(&s, opts ? opts : &none);
    octi_free(d->ctx, s.index);
    octi_free(d->ctx, s.broken);
    if (st == OCT_OK) return s.image;
    oct_tensor_unref(s.image);
    octi_ctx_failed(d->ctx);
    return NULL;
}

void oct_sheet_opts_init(oct_sheet_opts *opts) {
    if (opts) *opts = (oct_sheet_opts){0};
}
