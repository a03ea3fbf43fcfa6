/* SPDX-License-Identifier: MIT
 * How finely a page is drawn. Of many models it would be larger than a mail or a browser likes:
 * then neighbours are drawn together, and the page says so. */
#include <math.h>
#include <string.h>

#include "qat/report/show.h"
#include "src/mem.h"

static const octi_detail levels[] = {
    /* columns, bins, pictures, plots, whole, curves */
    {INT32_MAX, INT32_MAX, OCTI_PICTURES, INT32_MAX, OCT_REPORT_WHOLE, true},
    {150, 200, OCTI_PICTURES, INT32_MAX, OCT_REPORT_WHOLE, true},
    {100, 100, 12, INT32_MAX, OCT_REPORT_WHOLE, true},
    {64, 64, 9, INT32_MAX, OCT_REPORT_WHOLE, true},
    {50, 50, 6, 40, OCT_REPORT_WHOLE, true},
    {50, 50, 6, 16, OCT_REPORT_WHOLE, true},
    {50, 50, 6, 16, 2, true},
    {50, 50, 6, 16, 1, true},
    {50, 50, 6, 16, 1, false},
};

const octi_detail *octi_detail_at(int level) {
    return level < (int)(sizeof levels / sizeof *levels) ? &levels[level] : NULL;
}

int64_t octi_together(int64_t n, int64_t most) { return n > most ? (n + most - 1) / most : 1; }

bool octi_shows_plots(const octi_show *s, const char *name) {
    const octi_model *m = s->m;
    int32_t at = 0, before = 0;
    while (at < m->layers && strcmp(m->layer[at].name, name)) at++;
    if (s->detail->plots >= m->layers) return true;
    if (at == m->layers) return false;
    const double own = m->layer[at].sqnr_local;
    for (int32_t i = 0; i < m->layers; i++) {
        const double other = m->layer[i].sqnr_local;
        before += isfinite(other) && (!isfinite(own) || other < own || (other == own && i < at));
        before += !isfinite(other) && !isfinite(own) && i < at;
    }
    return before < s->detail->plots;
}

static double *joined(octi_page *p, const double *count, int64_t n, int64_t by) {
    double *sum = octi_calloc(p->ctx, (size_t)((n + by - 1) / by) + 1, sizeof *sum);
    if (!sum) p->status = oct_last_error()->code;
    for (int64_t i = 0; sum && i < n; i++) sum[i / by] += count[i];
    return sum;
}

octi_bins octi_bins_joined(octi_page *p, const octi_bins *b, int64_t by) {
    octi_bins to = {.lo = b->lo, .width = b->width * (double)by};
    if (p->status != OCT_OK) return to;
    if (b->real) to.real = joined(p, b->real, b->n, by);
    if (b->code) to.code = joined(p, b->code, b->n, by);
    if (p->status == OCT_OK) to.n = (int32_t)((b->n + by - 1) / by);
    return to;
}

void octi_bins_free(octi_page *p, octi_bins *b) {
    octi_free(p->ctx, b->real);
    octi_free(p->ctx, b->code);
    *b = (octi_bins){.n = 0};
}

/* The most of something that a model told whole has. */
static int64_t widest(const oct_report *r, const octi_detail *d) {
    int64_t n = 0;
    for (int32_t i = 0; i < r->count && i < d->whole; i++)
        for (int32_t k = 0; k < r->model[i].weight_layers; k++)
            if (r->model[i].weights[k].channels > n) n = r->model[i].weights[k].channels;
    return n;
}

static int32_t deepest(const oct_report *r, const octi_detail *d) {
    int32_t n = 0;
    for (int32_t i = 0; i < r->count && i < d->whole; i++)
        if (r->model[i].layers > n) n = r->model[i].layers;
    return n;
}

void octi_show_detail(octi_page *p, const oct_report *r, const octi_detail *d) {
    if (d == octi_detail_at(0)) return;
    octi_page_put(p,
                  "<p class=\"note\" data-detail>Drawn more coarsely than a page of %s would be, "
                  "so that it stays small: histograms of at most %d bins (but for those in steps "
                  "of a grid)",
                  r->count > 1 ? "one model" : "a smaller net", d->bins);
    const int64_t by = octi_together(widest(r, d), d->columns);
    if (by > 1)
        octi_page_put(p,
                      ", channels of a wide layer together, as many as %lld in a bar, which goes "
                      "from the least to the largest of their weights",
                      (long long)by);
    if (d->pictures < OCTI_PICTURES)
        octi_page_put(p, ", at most %d pictures in a list", d->pictures);
    if (d->plots < deepest(r, d))
        octi_page_put(p,
                      ", plots of %d layers of a model (where noise was measured, those with the "
                      "most of their own)",
                      d->plots);
    if (d->whole < r->count && d->whole < OCT_REPORT_WHOLE)
        octi_page_put(p, ", layers of the first %d model%s alone", d->whole,
                      d->whole > 1 ? "s" : "");
    if (!d->curves) octi_page_raw(p, ", and no curves of the others");
    octi_page_raw(p,
                  ". Tables have all their rows, and octet report --json tells all numbers.</p>\n");
}
