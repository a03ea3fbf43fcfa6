/* SPDX-License-Identifier: MIT
 * The columns of the per-layer table: one list for the page and for the JSON. */
#include <math.h>

#include "qat/report/gather.h"

static double known(int64_t v) { return v >= 0 ? (double)v : NAN; }

static const char *name(const oct_layer *l) { return l->name; }
static const char *kind(const oct_layer *l) { return l->kind; }
static const char *shape(const oct_layer *l) { return oct_shape_text(&l->shape); }
static const char *scheme(const oct_layer *l) {
    return oct_scheme_name(l->weight_scheme ? l->weight_scheme : l->scheme);
}
static const char *kernel(const oct_layer *l) { return l->kernel; }
static const char *why(const oct_layer *l) { return *l->why ? l->why : NULL; }
static double params(const oct_layer *l) { return (double)l->params; }
static double macs(const oct_layer *l) { return (double)l->macs; }
static double bytes(const oct_layer *l) { return known(l->bytes); }
static double bits(const oct_layer *l) { return l->bits; }
static double weight_bits(const oct_layer *l) { return l->weight_bits ? l->weight_bits : NAN; }
static double scale(const oct_layer *l) { return l->int8 ? (double)l->scale : NAN; }
static double zero_point(const oct_layer *l) { return l->int8 ? l->zero_point : NAN; }
static double lo(const oct_layer *l) { return (double)l->lo; }
static double hi(const oct_layer *l) { return (double)l->hi; }
static double sqnr_local(const oct_layer *l) { return l->sqnr_local; }
static double sqnr_cum(const oct_layer *l) { return l->sqnr_cum; }
static double clip(const oct_layer *l) { return l->clip; }
static double clip_loss(const oct_layer *l) { return l->clip_loss; }
static double dead(const oct_layer *l) { return known(l->dead); }
static double channels(const oct_layer *l) { return l->dead >= 0 ? (double)l->channels : NAN; }
static double us(const oct_layer *l) { return l->us >= 0 ? l->us : NAN; }

#define WORD(key, label, below)                                                                    \
    { #key, label, NULL, NULL, key, below, false }
#define NUMBER(key, label, format, below, bar)                                                     \
    { #key, label, format, key, NULL, below, bar }
const octi_layer_column octi_layer_columns[] = {
    WORD(name, "layer", false),
    WORD(kind, "kind", true),
    WORD(shape, "output", false),
    NUMBER(bytes, "bytes", "%.0f", true, true),
    NUMBER(params, "parameters", "%.0f", false, false),
    NUMBER(macs, "MACs", "%.0f", true, true),
    WORD(scheme, "scheme", false),
    NUMBER(weight_bits, "bits of weights", "%.0f", true, false),
    NUMBER(bits, "bits of values", "%.0f", true, false),
    NUMBER(scale, "scale", "%.5g", false, false),
    NUMBER(zero_point, "zero point", "%.0f", true, false),
    NUMBER(lo, "range from", "%.4g", false, false),
    NUMBER(hi, "to", "%.4g", true, false),
    NUMBER(sqnr_local, "SQNR local, dB", "%.1f", false, true),
    NUMBER(sqnr_cum, "cumulative, dB", "%.1f", true, true),
    NUMBER(clip, "clipped, share", "%.3g", false, true),
    NUMBER(clip_loss, "of the sum", "%.3g", true, false),
    NUMBER(dead, "dead channels", "%.0f", false, false),
    NUMBER(channels, "of", "%.0f", true, false),
    NUMBER(us, "time, us", "%.2f", false, true),
    WORD(kernel, "kernel", false),
    WORD(why, "why", true),
};
const int octi_layer_column_count = sizeof octi_layer_columns / sizeof *octi_layer_columns;
