/* SPDX-License-Identifier: MIT
 * Ranges that a histogram stands for: least error (histogram, mse, mae), and percentile. The
 * entropy search is in entropy_search.c. All judge the grid that oct_qparams_from_range makes of a
 * candidate, so what is searched is what is used. */
#include <math.h>

#include "qat/scales/histogram.h"
#include "src/arena.h"
#include "src/mem.h"

/* Sums of 1, x, x^2 below u. */
typedef struct moments {
    double mass, mean, square;
} moments;

static moments below(const octi_density *d, double u) {
    if (!(u > d->edge[0])) return (moments){0, 0, 0};
    if (u >= d->edge[d->bins])
        return (moments){d->mass[d->bins], d->mean[d->bins], d->square[d->bins]};
    int32_t k = (int32_t)floor(u) - d->first;
    k = k < 0 ? 0 : k >= d->bins ? d->bins - 1 : k;
    double a = d->edge[k], b = d->edge[k + 1], to = u < a ? a : u > b ? b : u;
    double m = b > a    ? (double)d->count[k] * ((to - a) / (b - a))
               : u >= a ? (double)d->count[k]
                        : 0;
    return (moments){d->mass[k] + m, d->mean[k] + m * (a + to) / 2,
                     d->square[k] + m * (a * a + a * to + to * to) / 3};
}

/* The error of what lies in a code's cell, from the sums below its ends. */
typedef double (*cell_fn)(const octi_density *d, double code, const moments *from,
                          const moments *to);

static double squared(const octi_density *d, double code, const moments *from, const moments *to) {
    (void)d;
    double e = (to->square - from->square) - 2 * code * (to->mean - from->mean) +
               code * code * (to->mass - from->mass);
    return e > 0 ? e : 0; /* never below zero but by rounding */
}

static double absolute(const octi_density *d, double code, const moments *from, const moments *to) {
    moments at = below(d, code);
    double e = code * (2 * at.mass - from->mass - to->mass) - (2 * at.mean - from->mean - to->mean);
    return e > 0 ? e : 0;
}

static double sum_cells(const octi_density *d, const oct_qspec *spec, float lo, float hi,
                        cell_fn cell) {
    float scale;
    int32_t z;
    if (oct_qparams_from_range(spec, lo, hi, "range", &scale, &z) != OCT_OK) return INFINITY;
    const double s = (double)scale / d->width;
    /* codes whose cells lie beyond the data have nothing in them */
    double first = floor(d->edge[0] / s) - 1 + z, last = ceil(d->edge[d->bins] / s) + 1 + z;
    int32_t q = first > spec->qmin ? (int32_t)fmin(first, spec->qmax) : spec->qmin,
            end = last < spec->qmax ? (int32_t)fmax(last, q) : spec->qmax;
    double error = 0;
    moments from = {0, 0, 0};
    for (; q <= end; q++) {
        double code = (q - z) * s;
        moments to = below(d, q == end ? INFINITY : code + s / 2);
        error += cell(d, code, &from, &to);
        from = to;
    }
    return error;
}

double octi_density_error(const octi_density *d, const oct_qspec *spec, float lo, float hi) {
    return sum_cells(d, spec, lo, hi, squared);
}
double octi_density_absolute_error(const octi_density *d, const oct_qspec *spec, float lo,
                                   float hi) {
    return sum_cells(d, spec, lo, hi, absolute);
}

/* ---- least error ---- */

typedef double (*error_fn)(const octi_density *d, const oct_qspec *spec, float lo, float hi);

typedef struct search {
    const octi_density *d;
    const oct_qspec *spec;
    error_fn measure;
    float lo, hi; /* the best so far */
    double error;
} search;

static bool try_range(search *s, float lo, float hi) {
    double e = s->measure(s->d, s->spec, lo, hi);
    if (!(e < s->error)) return false;
    *s = (search){s->d, s->spec, s->measure, lo, hi, e};
    return true;
}

static search whole_range(const octi_density *d, const oct_qspec *spec, error_fn measure) {
    search s = {.d = d, .spec = spec, .measure = measure, .error = INFINITY};
    try_range(&s, fminf(d->min, 0), fmaxf(d->max, 0));
    return s;
}

/* Both ends shrunk by the same factor, to every edge of the larger side: all candidates. */
static search shrink_by(const octi_density *d, const oct_qspec *spec, error_fn measure) {
    search s = whole_range(d, spec, measure);
    const float lo = fminf(d->min, 0), hi = fmaxf(d->max, 0), top = fmaxf(-lo, hi);
    for (int k = (int)floor((double)top / d->width); k > 0; k--) {
        double share = fmin(k * d->width / (double)top, 1);
        try_range(&s, (float)(lo * share), (float)(hi * share));
    }
    return s;
}

static search shrink(const octi_density *d, const oct_qspec *spec) {
    return shrink_by(d, spec, octi_density_error);
}
static search shrink_absolute(const octi_density *d, const oct_qspec *spec) {
    return shrink_by(d, spec, octi_density_absolute_error);
}

/* End number i of a side: the data's, then 2^(-i/4) of it, and zero: 4 an octave down to a bin. */
enum { PER_OCTAVE = 4, COARSE = PER_OCTAVE * 11 };

static float coarse_end(float end, double width, int i) {
    double v = end * pow(2, -(double)i / PER_OCTAVE);
    return i == 0 ? end : i == COARSE || fabs(v) < width ? 0 : (float)(rint(v / width) * width);
}

/* One end on every edge while the other stands. */
static bool scan_end(search *s, bool lower) {
    const float end = lower ? s->d->min : s->d->max, other = lower ? s->hi : s->lo;
    bool better = false;
    for (int k = (int)floor(fabs((double)end) / s->d->width); k >= 0; k--) {
        float v = (float)(copysign(k, end) * s->d->width);
        if (k || other != 0) better |= lower ? try_range(s, v, other) : try_range(s, other, v);
    }
    return better;
}

/* Each end by itself. Where the data lie on one side of zero, or the grid is symmetric, one end is
 * left and every edge is tried. Else: the shrunk range, a grid of geometric candidates of both
 * ends, and from the best of these line scans over all edges until neither end moves. A wider
 * candidate within 2^(1/4) of any range is on the grid: it clips no more, and its steps are at most
 * 1.19 times as wide, so the scans start from at most 1.42 times the least error where mass is even
 * within steps. */
static search each_end(const octi_density *d, const oct_qspec *spec) {
    search s = shrink(d, spec);
    if (spec->symmetric || d->min >= 0 || d->max <= 0) return s;
    for (int i = 0; i <= COARSE; i++)
        for (int k = 0; k <= COARSE; k++) {
            float lo = coarse_end(d->min, d->width, i), hi = coarse_end(d->max, d->width, k);
            if (lo < 0 || hi > 0) try_range(&s, lo, hi);
        }
    for (bool low = true, high = true; low || high;) {
        low = scan_end(&s, true);
        high = scan_end(&s, false);
    }
    return s;
}

typedef search (*search_fn)(const octi_density *d, const oct_qspec *spec);

static oct_status searched(const oct_observing *o, search_fn fn, float *min, float *max) {
    octi_arena *scratch = octi_ctx_scratch(o->ctx);
    if (!scratch) return oct_last_error()->code;
    octi_arena_mark mark = octi_arena_save(scratch);
    octi_density d;
    bool empty;
    oct_status st = octi_density_of(o, &d, &empty);
    *min = INFINITY;
    *max = -INFINITY;
    if (st == OCT_OK && !empty) {
        search s = fn(&d, o->spec);
        *min = s.lo;
        *max = s.hi;
    }
    octi_arena_rewind(scratch, mark);
    return st;
}

oct_status octi_histogram_range(const oct_observing *o, float *min, float *max) {
    return searched(o, each_end, min, max);
}
oct_status octi_mse_range(const oct_observing *o, float *min, float *max) {
    return searched(o, shrink, min, max);
}
oct_status octi_mae_range(const oct_observing *o, float *min, float *max) {
    return searched(o, shrink_absolute, min, max);
}

/* ---- percentile ---- */

/* The edge below which at most `cut` of the mass lies, from the lower end or the upper; zeros count
 * where zero is. */
static double cut_end(const octi_density *d, double cut, int64_t zeros, bool upper) {
    double sum = 0;
    for (int32_t i = 0; i < d->bins; i++) {
        int32_t k = upper ? d->bins - 1 - i : i;
        sum += (double)d->count[k] + (k == -d->first ? (double)zeros : 0);
        if (sum > cut) return d->edge[upper ? k + 1 : k];
    }
    return 0;
}

/* 100 - p per cent of the values lie outside: on one side where the data do, else half of them on
 * each side. */
oct_status octi_percentile_range(const oct_observing *o, float *min, float *max) {
    octi_arena *scratch = octi_ctx_scratch(o->ctx);
    if (!scratch) return oct_last_error()->code;
    octi_arena_mark mark = octi_arena_save(scratch);
    octi_density d;
    bool empty;
    oct_status st = octi_density_of(o, &d, &empty);
    *min = INFINITY;
    *max = -INFINITY;
    if (st == OCT_OK && !empty) {
        const int64_t zeros = oct_s64(o->state[1])[OCTI_GRID_ZEROS];
        const bool two = d.min < 0 && d.max > 0;
        double cut = (double)d.total * (1 - (double)o->percentile / 100) / (two ? 2 : 1);
        *min = d.min < 0 ? (float)(cut_end(&d, cut, zeros, false) * d.width) : 0;
        *max = d.max > 0 ? (float)(cut_end(&d, cut, zeros, true) * d.width) : 0;
        *min = fminf(*min, 0);
        *max = fmaxf(*max, 0);
    }
    octi_arena_rewind(scratch, mark);
    return st;
}
