/* SPDX-License-Identifier: MIT
 * Sets that the caller brings: arrays in memory and functions. */
#include <math.h>

#include "datasets/set.h"
#include "src/float_mode.h"
#include "src/mem.h"

static oct_status check_sides(const char *where, oct_dtype dtype, int64_t n, int64_t h, int64_t w,
                              int64_t c) {
    if (dtype != OCT_U8 && dtype != OCT_F32)
        return octi_fail(OCT_EDTYPE, where, "dtype of the images", "uint8 or float32",
                         oct_dtype_name(dtype), NULL);
    if (n < 1 || h < 1 || w < 1 || c < 1 || h > 16384 || w > 16384 || c > 4)
        return octi_fail(OCT_ESHAPE, where, "images",
                         "at least one, sides 1 to 16384, 1 to 4 channels",
                         octi_fmt("%lld of %lld x %lld x %lld (H, W, C)", (long long)n,
                                  (long long)h, (long long)w, (long long)c),
                         NULL);
    oct_shape s = OCT_SHAPE(n, h, w, c);
    size_t bytes;
    return octi_shape_bytes(&s, dtype, where, &bytes);
}

static oct_input_desc as_it_is(oct_dtype dtype, int32_t c, int32_t h, int32_t w) {
    oct_input_desc in = octi_input_desc(OCTI_NORM_PIXELS, c, h, w);
    if (dtype == OCT_F32) in.div = 1;
    return in;
}

static oct_status set_input(oct_data *d, const oct_input_desc *input) {
    d->stored = d->input.color;
    if (!input) return OCT_OK;
    if (d->dtype == OCT_F32) OCT_TRY(octi_norm_for_floats(d->where, input));
    OCT_TRY(octi_set_finish(d, &(oct_data_opts){.input = input}, true));
    d->input.resize = input->resize;
    d->input.crop = input->crop;
    if (d->input.channels == 3 && input->color == OCT_COLOR_BGR) d->input.color = OCT_COLOR_BGR;
    d->stored = d->input.color; /* the caller says what the arrays hold */
    return OCT_OK;
}

static oct_status fill_array(oct_data *d, oct_dtype dtype, const oct_shape *shape, const void *x,
                             const int32_t *labels, const oct_array_opts *o) {
    if (!x) return octi_fail(OCT_EUSAGE, d->where, "x is NULL", NULL, NULL, NULL);
    if (shape->rank != 4)
        return octi_fail(OCT_ESHAPE, d->where, "rank of x", "4", octi_fmt("%d", shape->rank), NULL);
    const int64_t *s = shape->dim;
    int64_t c = s[o->nchw ? 1 : 3], h = s[o->nchw ? 2 : 1], w = s[o->nchw ? 3 : 2];
    OCT_TRY(check_sides(d->where, dtype, s[0], h, w, c));
    d->dtype = dtype;
    d->count = s[0];
    d->pixels = x;
    d->labels = labels;
    d->nchw = o->nchw;
    d->input = as_it_is(dtype, (int32_t)c, (int32_t)h, (int32_t)w);
    OCT_TRY(set_input(d, o->input));
    if (labels && o->targets)
        return octi_fail(OCT_EUSAGE, d->where, "labels and targets exclude each other",
                         "one of them", NULL, NULL);
    if (o->targets) {
        if (o->target_shape.rank < 1 || o->target_shape.dim[0] != s[0])
            return octi_fail(OCT_ESHAPE, d->where, "targets",
                             octi_fmt("[%lld, ...], as there are images", (long long)s[0]),
                             oct_shape_text(&o->target_shape), NULL);
        return octi_set_targets(d, o->target_shape, o->targets);
    }
    if (!labels) d->truth = OCT_TRUTH_NONE;
    int32_t classes = 1;
    for (int64_t i = 0; labels && i < d->count; i++)
        if (labels[i] >= classes && labels[i] < INT32_MAX) classes = labels[i] + 1;
    if (o->classes) classes = o->classes;
    if (classes > OCT_CLASSES_MAX)
        return octi_fail(OCT_ELIMIT, d->where, "number of classes",
                         octi_fmt("at most %d", OCT_CLASSES_MAX), octi_fmt("%d", classes), NULL);
    OCT_TRY(octi_set_number_classes(d, classes, NULL, NULL));
    return octi_set_check_labels(d);
}

oct_data *oct_data_from_memory(oct_ctx *ctx, oct_dtype dtype, oct_shape shape, const void *x,
                               const int32_t *labels, const oct_array_opts *opts) {
    OCTI_LAW_MODE();
    if (!ctx) return NULL;
    static const oct_array_opts none = {0};
    oct_data *d = octi_set_new(ctx, "memory");
    if (!d) return octi_ctx_failed(ctx), NULL;
    return fill_array(d, dtype, &shape, x, labels, opts ? opts : &none) == OCT_OK
               ? d
               : octi_set_fail(d);
}

static oct_status source_get(oct_data *d, int64_t i, void *image, int32_t *label) {
    const oct_data_source *s = d->self;
    *label = 0;
    oct_status st = s->get(s->user, i, image, label);
    if (st != OCT_OK && oct_last_error()->code != st)
        return octi_fail(st, d->where, octi_fmt("get failed on sample %lld", (long long)i), NULL,
                         NULL, NULL);
    if (st == OCT_OK && !s->target && (*label < 0 || *label >= d->class_count))
        return octi_fail(OCT_EFORMAT, d->where, octi_fmt("label of sample %lld", (long long)i),
                         octi_fmt("0 to %d", d->class_count - 1), octi_fmt("%d", *label), NULL);
    return st;
}

static oct_status source_target(oct_data *d, int64_t i, float *y) {
    const oct_data_source *s = d->self;
    oct_status st = s->target(s->user, i, y);
    if (st != OCT_OK && oct_last_error()->code != st)
        return octi_fail(st, d->where, octi_fmt("target failed on sample %lld", (long long)i), NULL,
                         NULL, NULL);
    for (int64_t k = 0; st == OCT_OK && k < d->target_count; k++)
        if (!isfinite(y[k]))
            return octi_fail(OCT_EFORMAT, d->where, octi_fmt("target of sample %lld", (long long)i),
                             "finite numbers", octi_fmt("%g", (double)y[k]), NULL);
    return st;
}

static oct_status fill_source(oct_data *d, const oct_data_source *source,
                              const oct_input_desc *input, int32_t classes) {
    if (!source || !source->get || !input)
        return octi_fail(OCT_EUSAGE, d->where, "source, its get and input must be given", NULL,
                         NULL, NULL);
    if (!source->target && (classes < 1 || classes > OCT_CLASSES_MAX))
        return octi_fail(OCT_EUSAGE, d->where, "number of classes",
                         octi_fmt("1 to %d", OCT_CLASSES_MAX), octi_fmt("%d", classes), NULL);
    OCT_TRY(check_sides(d->where, source->dtype, source->count, input->height, input->width,
                        input->channels));
    oct_data_source *own = octi_arena_alloc(d->arena, sizeof *own);
    if (!own) return oct_last_error()->code;
    *own = *source;
    d->self = own;
    d->get = source_get;
    d->dtype = source->dtype;
    d->count = source->count;
    d->input = as_it_is(source->dtype, input->channels, input->height, input->width);
    OCT_TRY(set_input(d, input));
    d->target = source->target ? source_target : NULL;
    if (source->target) return octi_set_targets(d, source->target_shape, NULL);
    return octi_set_number_classes(d, classes, NULL, NULL);
}

oct_data *oct_data_from_source(oct_ctx *ctx, const oct_data_source *source,
                               const oct_input_desc *input, int32_t classes) {
    OCTI_LAW_MODE();
    if (!ctx) return NULL;
    oct_data *d = octi_set_new(ctx, "source");
    if (!d) return octi_ctx_failed(ctx), NULL;
    return fill_source(d, source, input, classes) == OCT_OK ? d : octi_set_fail(d);
}

void oct_array_opts_init(oct_array_opts *opts) {
    if (opts) *opts = (oct_array_opts){0};
}
