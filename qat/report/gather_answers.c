/* SPDX-License-Identifier: MIT
 * What a classifier says of each image, and where the float net says another thing; pictures of the
 * worst. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/set.h"
#include "qat/fit/score.h"
#include "qat/report/gather.h"
#include "src/mem.h"

enum { SIDE = 64 }; /* of a picture that is larger */

/* ---- answers as they come ---- */

void octi_take_answer(void *user, int64_t i, const float *logits, int64_t k, int32_t label) {
    octi_answers *a = user;
    if (i >= a->room) return;
    const int32_t best = octi_argmax(logits, k);
    double sum = 0;
    for (int64_t c = 0; c < k; c++) sum += exp((double)logits[c] - (double)logits[best]);
    a->one[i] =
        (octi_answer){.label = label,
                      .said = best,
                      .sure = (float)(1 / sum),
                      .loss = (float)(log(sum) + (double)logits[best] - (double)logits[label])};
    a->n = i + 1;
}

/* ---- pictures ---- */

/* Channels as they are shown: one grey, or red, green, blue. */
static double shown_at(const oct_data *d, const void *image, int64_t pixel, int32_t c) {
    const int32_t n = d->input.channels, from = n == 3 && d->stored == OCT_COLOR_BGR ? 2 - c : c;
    const int64_t at = pixel * n + from;
    return d->dtype == OCT_U8 ? ((const uint8_t *)image)[at] : (double)((const float *)image)[at];
}

/* Boxes of the image's pixels, averaged; floats from their least to their largest. */
static void shrink(const oct_data *d, const void *image, octi_picture *p) {
    const int32_t h = d->input.height, w = d->input.width;
    double lo = INFINITY, hi = -INFINITY;
    for (int64_t i = 0; d->dtype != OCT_U8 && i < (int64_t)h * w; i++)
        for (int32_t c = 0; c < p->channels; c++) {
            const double v = shown_at(d, image, i, c);
            if (v < lo) lo = v; /* not fmin: of this reduction gcc 12 fails on AArch64 */
            if (v > hi) hi = v;
        }
    const double gain = hi > lo ? 255 / (hi - lo) : 0;
    for (int32_t y = 0; y < p->height; y++)
        for (int32_t x = 0; x < p->width; x++)
            for (int32_t c = 0; c < p->channels; c++) {
                const int32_t y0 = (int32_t)((int64_t)y * h / p->height),
                              y1 = (int32_t)((int64_t)(y + 1) * h / p->height),
                              x0 = (int32_t)((int64_t)x * w / p->width),
                              x1 = (int32_t)((int64_t)(x + 1) * w / p->width);
                double sum = 0;
                for (int32_t i = y0; i < y1; i++)
                    for (int32_t k = x0; k < x1; k++)
                        sum += shown_at(d, image, (int64_t)i * w + k, c);
                double v = sum / ((double)(y1 - y0) * (x1 - x0));
                if (d->dtype != OCT_U8) v = (v - lo) * gain;
                p->pixels[((int64_t)y * p->width + x) * p->channels + c] =
                    (uint8_t)lrint(fmin(fmax(isfinite(v) ? v : 0, 0), 255));
            }
}

static oct_status paint(oct_report *r, octi_model *m, octi_picture *p) {
    oct_data *d = m->data;
    const int32_t h = d->input.height, w = d->input.width, most = h > w ? h : w;
    p->channels = d->input.channels == 3 ? 3 : 1;
    p->height = most > SIDE ? (h * SIDE + most - 1) / most : h;
    p->width = most > SIDE ? (w * SIDE + most - 1) / most : w;
    p->pixels = octi_arena_alloc(r->arena, (size_t)p->height * (size_t)p->width * 3);
    void *image = octi_alloc_raw(r->ctx, octi_set_image_bytes(d));
    int32_t label;
    oct_status s =
        p->pixels && image ? oct_data_get(d, p->index, image, &label) : oct_last_error()->code;
    if (s == OCT_OK) shrink(d, image, p);
    octi_free(r->ctx, image);
    return s;
}

/* ---- which ---- */

typedef struct pick {
    int64_t i;
    double by; /* the largest come first */
} pick;

static int by_size(const void *a, const void *b) {
    const pick *x = a, *y = b;
    if (x->by != y->by) return x->by < y->by ? 1 : -1;
    return x->i < y->i ? -1 : x->i > y->i;
}

static oct_status take(oct_report *r, octi_model *m, pick *list, int64_t n, octi_picture **to,
                       int32_t *count) {
    qsort(list, (size_t)n, sizeof *list, by_size);
    if (n > OCTI_PICTURES) n = OCTI_PICTURES;
    *to = octi_arena_calloc(r->arena, (size_t)n + 1, sizeof **to);
    if (!*to) return oct_last_error()->code;
    for (int64_t k = 0; k < n; k++) {
        octi_picture *p = &(*to)[k];
        p->index = list[k].i;
        p->own = m->answers.one[p->index];
        if (m->float_answers.n > p->index) p->real = m->float_answers.one[p->index];
        OCT_TRY(paint(r, m, p));
        *count = (int32_t)k + 1;
    }
    return OCT_OK;
}

oct_status octi_gather_answers(oct_report *r, octi_model *m) {
    const octi_answers *a = &m->answers, *f = &m->float_answers;
    if (!a->n || m->data->input.channels < 1) return OCT_OK;
    pick *list = octi_calloc(r->ctx, (size_t)a->n, sizeof *list);
    if (!list) return oct_last_error()->code;
    int64_t n = 0;
    for (int64_t i = 0; i < a->n; i++)
        if (a->one[i].said != a->one[i].label) list[n++] = (pick){i, (double)a->one[i].loss};
    oct_status s = take(r, m, list, n, &m->worst, &m->worsts);
    n = 0;
    for (int64_t i = 0; f->n == a->n && i < a->n; i++) {
        const octi_answer *x = &a->one[i], *y = &f->one[i];
        if (x->said == y->said) continue;
        list[n++] = (pick){i, fabs((double)x->sure) + fabs((double)y->sure)};
        m->apart.all++;
        m->apart.own_right += x->said == x->label;
        m->apart.float_right += y->said == y->label;
    }
    if (s == OCT_OK) s = take(r, m, list, n, &m->differing, &m->differings);
    octi_free(r->ctx, list);
    return octi_left_out(r, m, "pictures", s);
}
