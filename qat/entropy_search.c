/* SPDX-License-Identifier: MIT
 * The threshold of least Kullback-Leibler divergence between the histogram of |x| and the same quantized (S. Migacz, "8-bit
 * inference with TensorRT", GTC 2017, s7310). For i bins from START to all: P is the first i bins with everything beyond them
 * added to the last; Q is those bins without what is beyond, merged into levels, each spread evenly over its bins that are not
 * empty; both normalized. The least divergence wins, the widest of equals.
 *
 * Two things are added, both for lonely outliers far from the data, which else keep the whole range (they do in NVIDIA's
 * calib/histogram.py). Where the last bin is empty but for what is beyond, Q has nothing where P has something; left infinite,
 * that bars every threshold in the gap, so Q gets FAINT counts there, as in MXNet's smoothing. And the search goes on below one
 * bin for each level, where the deck stops: there merging costs nothing, so what is cut decides alone, and of equals the
 * narrowest is taken.
 *
 * For our grids: data on one side of zero have all codes above (or below) zero, so all levels; data on both sides, and symmetric
 * grids, are folded to |x| with half the levels, and the range is [-t, t] cut to the data. Zeros are left out: every grid holds
 * zero exactly (elsewhere the first bin is overwritten by the second for their sake). */
#include <math.h>

#include "qat/histogram.h"
#include "src/arena.h"
#include "src/mem.h"

enum { START = 8 };
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
        double c = (k < above ? (double)d->count[k - d->first] : 0) + (k < below ? (double)d->count[-d->first - 1 - k] : 0);
        f->mass[k + 1] = f->mass[k] + c;
        f->log_mass[k + 1] = f->log_mass[k] + (c > 0 ? c * log(c) : 0);
        f->filled[k + 1] = f->filled[k] + (c > 0);
    }
    return OCT_OK;
}

/* sum p log(p / q) */
static double divergence(const folded *f, int32_t i, int32_t levels) {
    const double all = f->mass[f->bins], inside = f->mass[i], outside = all - inside, last = f->mass[i] - f->mass[i - 1];
    const double faint = outside > 0 && !(last > 0) ? FAINT : 0; /* stands where Q has nothing */
    if (!(inside > 0)) return INFINITY;
    /* sum of P's c log c, in counts; the last bin holds the outliers too */
    double p = f->log_mass[i];
    if (outside > 0) p += (last + outside) * log(last + outside) - (last > 0 ? last * log(last) : 0);
    double q = faint > 0 ? outside * log(faint) : 0;
    for (int32_t l = 0, from = 0; l < levels; l++) {
        int32_t to = (int32_t)(((int64_t)(l + 1) * i + levels - 1) / levels); /* bin k is of level k * levels / i */
        double sum = f->mass[to] - f->mass[from], own = sum + (to == i && !(faint > 0) ? outside : 0);
        if (sum > 0) q += own * log(sum / (f->filled[to] - f->filled[from]));
        from = to;
    }
    return (p - q) / all + log(inside + faint) - log(all);
}

oct_status octi_entropy_range(const oct_observing *o, float *min, float *max) {
    octi_arena *scratch = octi_ctx_scratch(o->ctx);
    if (!scratch) return oct_last_error()->code;
    octi_arena_mark mark = octi_arena_save(scratch);
    octi_density d;
    bool empty;
    folded f = {.bins = 0};
    oct_status st = octi_density_of(o, &d, &empty);
    *min = INFINITY;
    *max = -INFINITY;
    if (st == OCT_OK && !empty) st = fold(&d, scratch, &f);
    if (st == OCT_OK && !empty) {
        const bool half = o->spec->symmetric || (d.min < 0 && d.max > 0);
        const int32_t all = o->spec->qmax - o->spec->qmin + 1, levels = half ? all / 2 : all;
        int32_t best = f.bins;
        double least = f.bins > START ? divergence(&f, f.bins, levels) : -INFINITY;
        for (int32_t i = f.bins - 1; i >= START; i--) {
            double e = divergence(&f, i, levels);
            if (!(e < least || (e == least && i <= levels))) continue; /* narrower is finer, below a bin for each level */
            least = e;
            best = i;
        }
        const float t = best < f.bins ? (float)(best * d.width) : INFINITY;
        *min = fminf(fmaxf(d.min, -t), 0);
        *max = fmaxf(fminf(d.max, t), 0);
    }
    octi_arena_rewind(scratch, mark);
    return st;
}
