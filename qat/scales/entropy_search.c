/* SPDX-License-Identifier: MIT
 * The threshold of least Kullback-Leibler divergence between the histogram of |x| and the same
 * quantized, among those that lose less than they win.
 *
 * Published (S. Migacz, "8-bit inference with TensorRT", GTC 2017, s7310; so in MXNet and NVIDIA's
 * calib/histogram.py): for i bins from START to all, P is the first i bins with everything beyond
 * them added to the last; Q is those bins without what is beyond, merged into levels, each spread
 * evenly over its bins that are not empty; both normalized; the least sum p log(p / q) wins, the
 * widest of equals. octi_entropy_published is that search.
 *
 * It asks of values only how they are spread, never how far a clipped one moves. A smooth density
 * bears that. A spike does not: a background, or what a convolution makes of it, is one bin that
 * holds half of all values; spread over a level it costs more than all that is beyond a threshold
 * of one bin for each level, and the search clips the strokes of a digit away. So:
 *   - Zeros are left out: every grid holds zero exactly (calib/histogram.py overwrites the first
 *   bin by the second for that).
 *   - Spikes are no part of the shape: a bin counts for no more than the larger of its neighbours
 *   that are not empty
 *     (octi_density_level). A value that comes often is rounded by half a step at most, wherever
 *     the range ends beyond it.
 *   - Where nothing is gained by clipping, nothing is clipped: a threshold t is a candidate only
 *   where the absolute error of the
 *     grid that [-t, t] gives is no larger than the whole range's, sum |x - xq| of what is cut <=
 *     what finer steps win. That of all values, so that no background is cut; and that of the
 *     shape, so that a background's luck with the grid pays for no stroke. Not the squared error:
 *     it keeps one outlier in 10,000 at any distance (docs/results.md). And the divergence must be
 *     less than the whole range's.
 * The net's input is not searched at all unless a rule names it (make_quantizers.c): its range is
 * known.
 *
 * Two things more, both for lonely outliers far from the data, which else keep the whole range.
 * Where the last bin is empty but for what is beyond, Q has nothing where P has something; left
 * infinite, that bars every threshold in the gap, so Q gets FAINT counts there, as in MXNet's
 * smoothing. And the search goes on below one bin for each level, where the deck stops: there
 * merging costs nothing, so what is cut decides alone, and of equals the narrowest is taken.
 *
 * Levels are the codes on the larger side of zero: all of them for data on one side, half for
 * symmetric grids, and codes * t / (hi - lo) where an affine grid spans [lo, hi], which is [-t, t]
 * cut to the data. */
#include <math.h>

#include "qat/scales/histogram.h"
#include "src/arena.h"
#include "src/mem.h"

enum { START = OCTI_ENTROPY_START };
static const double FAINT = 1e-4;

/* Sums below each bin of |x|: counts, bins that are not empty, c * log(c). */
typedef struct folded {
    int32_t bins;
    double *mass, *log_mass;
    int32_t *filled;
} folded;

static oct_status fold(const octi_density *d, octi_arena *scratch, folded *f) {
    int32_t below = -d->first, above = d->bins + d->first;
    f->bins = below > above ? below : above;
    f->mass = octi_arena_calloc(scratch, (size_t)f->bins + 1, sizeof *f->mass);
    f->log_mass = octi_arena_calloc(scratch, (size_t)f->bins + 1, sizeof *f->log_mass);
    f->filled = octi_arena_calloc(scratch, (size_t)f->bins + 1, sizeof *f->filled);
    if (!f->mass || !f->log_mass || !f->filled) return oct_last_error()->code;
    for (int32_t k = 0; k < f->bins; k++) {
        double c = (k < above ? (double)d->count[k - d->first] : 0) +
                   (k < below ? (double)d->count[-d->first - 1 - k] : 0);
        f->mass[k + 1] = f->mass[k] + c;
        f->log_mass[k + 1] = f->log_mass[k] + (c > 0 ? c * log(c) : 0);
        f->filled[k + 1] = f->filled[k] + (c > 0);
    }
    return OCT_OK;
}

/* sum p log(p / q) */
static double divergence(const folded *f, int32_t i, int32_t levels) {
    const double all = f->mass[f->bins], inside = f->mass[i], outside = all - inside,
                 last = f->mass[i] - f->mass[i - 1];
    const double faint = outside > 0 && !(last > 0) ? FAINT : 0; /* stands where Q has nothing */
    if (!(inside > 0)) return INFINITY;
    /* sum of P's c log c, in counts; the last bin holds the outliers too */
    double p = f->log_mass[i];
    if (outside > 0)
        p += (last + outside) * log(last + outside) - (last > 0 ? last * log(last) : 0);
    double q = faint > 0 ? outside * log(faint) : 0;
    for (int32_t l = 0, from = 0; l < levels; l++) {
        /* bin k is of level k * levels / i */
        int32_t to = (int32_t)(((int64_t)(l + 1) * i + levels - 1) / levels);
        double sum = f->mass[to] - f->mass[from],
               own = sum + (to == i && !(faint > 0) ? outside : 0);
        if (sum > 0) q += own * log(sum / (f->filled[to] - f->filled[from]));
        from = to;
    }
    return (p - q) / all + log(inside + faint) - log(all);
}

typedef struct search {
    const octi_density *d, *shape; /* all values; without spikes */
    const oct_qspec *spec;
    folded f;
    double bound, shape_bound; /* the whole range's absolute errors */
} search;

/* [-t, t] of i bins, cut to the data. */
static void range_of(const search *s, int32_t i, float *lo, float *hi) {
    const float t = i < s->f.bins ? (float)(i * s->d->width) : INFINITY;
    *lo = fminf(fmaxf(s->d->min, -t), 0);
    *hi = fmaxf(fminf(s->d->max, t), 0);
}

static int32_t levels_of(const search *s, int32_t i) {
    const int32_t all = s->spec->qmax - s->spec->qmin + 1;
    float lo, hi;
    range_of(s, i, &lo, &hi);
    if (s->spec->symmetric) return all / 2;
    if (!(hi > lo)) return all;
    return (int32_t)lrint(all * fmax(-(double)lo, (double)hi) / ((double)hi - (double)lo));
}

static bool gains(const search *s, float lo, float hi) {
    return octi_density_absolute_error(s->shape, s->spec, lo, hi) <= s->shape_bound &&
           octi_density_absolute_error(s->d, s->spec, lo, hi) <= s->bound;
}

static void look(const search *s, int32_t i, oct_divergence *p) {
    range_of(s, i, &p->lo, &p->hi);
    p->bins = i;
    p->levels = levels_of(s, i);
    p->divergence = divergence(&s->f, i, p->levels);
    double inside = 0, all = 0;
    for (int32_t k = 0; k < s->d->bins; k++) {
        const int32_t at = s->d->first + k;
        all += (double)s->d->count[k];
        inside += at < i && -at - 1 < i ? (double)s->d->count[k] : 0;
    }
    p->clipped = (all - inside) / (double)s->d->total;
    p->error = octi_density_absolute_error(s->d, s->spec, p->lo, p->hi);
    p->level_error = octi_density_absolute_error(s->shape, s->spec, p->lo, p->hi);
    p->gains = gains(s, p->lo, p->hi);
}

static oct_status begin(const octi_density *d, octi_density *shape, const oct_qspec *spec,
                        octi_arena *scratch, search *s) {
    const float lo = fminf(d->min, 0), hi = fmaxf(d->max, 0);
    *s = (search){.d = d, .shape = shape, .spec = spec};
    OCT_TRY(octi_density_level(d, scratch, shape));
    OCT_TRY(fold(shape, scratch, &s->f));
    s->bound = octi_density_absolute_error(d, spec, lo, hi);
    s->shape_bound = octi_density_absolute_error(shape, spec, lo, hi);
    return OCT_OK;
}

/* The range's ends where there is nothing to search: nothing but zeros, or too few bins. */
static bool searchable(const search *s) { return s->f.bins > START && s->f.mass[s->f.bins] > 0; }

static int32_t best_of(const search *s) {
    int32_t best = s->f.bins;
    if (!searchable(s)) return best;
    double least = divergence(&s->f, best, levels_of(s, best));
    for (int32_t i = s->f.bins - 1; i >= START; i--) {
        const int32_t levels = levels_of(s, i);
        const double e = divergence(&s->f, i, levels);
        /* narrower is finer, below a bin for each level */
        if (!(e < least || (e == least && i <= levels))) continue;
        float lo, hi;
        range_of(s, i, &lo, &hi);
        if (!gains(s, lo, hi)) continue;
        least = e;
        best = i;
    }
    return best;
}

int32_t octi_entropy_published(const octi_density *d, int32_t levels, octi_arena *scratch) {
    folded f;
    if (fold(d, scratch, &f) != OCT_OK) return -1;
    int32_t best = f.bins;
    double least = f.bins > START ? divergence(&f, f.bins, levels) : -INFINITY;
    for (int32_t i = f.bins - 1; i >= START; i--) {
        double e = divergence(&f, i, levels);
        if (!(e < least || (e == least && i <= levels))) continue;
        least = e;
        best = i;
    }
    return best;
}

oct_status octi_entropy_search(const oct_observing *o, int32_t around, oct_divergence *point,
                               int32_t *count, int32_t *chosen) {
    octi_arena *scratch = octi_ctx_scratch(o->ctx);
    if (!scratch) return oct_last_error()->code;
    octi_arena_mark mark = octi_arena_save(scratch);
    octi_density d, shape;
    bool empty;
    search s;
    *count = 0;
    *chosen = 0;
    oct_status st = octi_density_of(o, &d, &empty);
    if (st == OCT_OK && !empty) st = begin(&d, &shape, o->spec, scratch, &s);
    if (st == OCT_OK && !empty) {
        const int32_t best = best_of(&s);
        for (int32_t i = best - around; i <= best + around && i < s.f.bins; i++) {
            if (i < START && i != best) continue;
            if (i == best) *chosen = *count;
            look(&s, i, &point[(*count)++]);
        }
        look(&s, s.f.bins, &point[*count]); /* the whole range comes last */
        if (best == s.f.bins) *chosen = *count;
        ++*count;
        for (int32_t k = 0; k < *count; k++) point[k].chosen = k == *chosen;
    }
    octi_arena_rewind(scratch, mark);
    return st;
}

oct_status octi_entropy_range(const oct_observing *o, float *min, float *max) {
    oct_divergence point[2];
    int32_t count, chosen;
    *min = INFINITY;
    *max = -INFINITY;
    OCT_TRY(octi_entropy_search(o, 0, point, &count, &chosen));
    if (!count) return OCT_OK;
    *min = point[chosen].lo;
    *max = point[chosen].hi;
    return OCT_OK;
}
