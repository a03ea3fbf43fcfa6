/* SPDX-License-Identifier: MIT
 * The list of observers, built in and the user's own; their state on a quantizer, and feeding
 * it. */
#include "qat/scales/observer.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "qat/net/prepared.h"
#include "qat/scales/histogram.h"
#include "qat/scales/observing.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/words.h"

#define NONE                                                                                       \
    { .name = NULL }
#define HISTOGRAM OCTI_HISTOGRAM_TENSORS
#define RECORDING OCTI_RECORDING_TENSORS
#define OCT_OBSERVER(name, choice, observe, range, observe_range, tensors, text)                   \
    {#name, {tensors}, observe, range, observe_range, NULL},
static const oct_observer built_in[] = {
#include "qat/scales/observers.def"
};
#define OCT_OBSERVER(name, choice, observe, range, observe_range, tensors, text) {choice, text},
static const struct {
    bool choice;
    const char *text;
} described[] = {
#include "qat/scales/observers.def"
};
enum { BUILT_IN = sizeof built_in / sizeof *built_in };

typedef struct own_observer {
    oct_observer observer;
    struct own_observer *next;
} own_observer;

static const oct_observer *lookup(const oct_ctx *ctx, const char *name) {
    for (int i = 0; i < BUILT_IN; i++)
        if (!strcmp(built_in[i].name, name)) return &built_in[i];
    for (const own_observer *o = octi_ctx_observers(ctx); o; o = o->next)
        if (!strcmp(o->observer.name, name)) return &o->observer;
    return NULL;
}

const char *oct_observer_choice(int32_t i, const char **what) {
    for (int k = 0; k < BUILT_IN && i >= 0; k++) {
        if (!described[k].choice || i-- > 0) continue;
        if (what) *what = described[k].text;
        return built_in[k].name;
    }
    return NULL;
}

bool oct_observer_moves(const oct_ctx *ctx, const char *name) {
    const oct_observer *o = ctx && name ? lookup(ctx, name) : NULL;
    return o && (o->observe || o->observe_range);
}

const oct_observer *octi_observer_find(oct_ctx *ctx, const char *name) {
    const oct_observer *found = lookup(ctx, name);
    if (found) return found;
    char known[512] = "";
    for (int32_t i = 0; oct_observer_choice(i, NULL); i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "",
                 oct_observer_choice(i, NULL));
    for (const own_observer *o = octi_ctx_observers(ctx); o; o = o->next)
        snprintf(known + strlen(known), sizeof known - strlen(known), ", %s", o->observer.name);
    octi_fail_word(OCT_EUSAGE, "observer", "unknown observer", known, name,
                   "a program registers others by oct_observer_register");
    return NULL;
}

const char *octi_observer_of_input(const char *observer) {
    for (int i = 0; i < BUILT_IN; i++)
        if (!strcmp(built_in[i].name, observer))
            return built_in[i].observe == octi_histogram_observe ? "minmax" : observer;
    return observer;
}

static oct_status check_observer(const oct_ctx *ctx, const oct_observer *o) {
    static const char where[] = "oct_observer_register";
    if (!o->name || !*o->name)
        return octi_fail(OCT_EUSAGE, where, "observer has no name", NULL, NULL, NULL);
    if (!strncmp(o->name, "weight", 6))
        return octi_fail(OCT_EUSAGE, where, "names beginning with weight are octet's", NULL,
                         o->name, NULL);
    if (lookup(ctx, o->name))
        return octi_fail(OCT_EUSAGE, where, "name is taken", NULL, o->name, NULL);
    if ((o->observe != NULL) != (o->range != NULL) || (o->observe && o->observe_range))
        return octi_fail(OCT_EUSAGE, where, octi_fmt("%s: hooks do not make an observer", o->name),
                         "observe and range, or observe_range, or none", NULL, NULL);
    for (int i = 0; i < OCT_OBSERVER_TENSORS && o->tensors[i].name; i++)
        if (o->tensors[i].count < 1 || (unsigned)o->tensors[i].dtype >= OCT_DTYPE_COUNT ||
            !*o->tensors[i].name)
            return octi_fail(OCT_EUSAGE, where, octi_fmt("%s: tensor %d of its state", o->name, i),
                             "a name, a dtype, 1 element and more", NULL, NULL);
    return OCT_OK;
}

oct_status oct_observer_register(oct_ctx *ctx, const oct_observer *observer) {
    if (!ctx || !observer) return octi_fail_null("oct_observer_register");
    OCT_TRY(check_observer(ctx, observer));
    own_observer *o = octi_alloc(ctx, sizeof *o);
    if (!o) return oct_last_error()->code;
    o->observer = *observer;
    o->observer.name = octi_strdup(ctx, observer->name);
    if (!o->observer.name) return oct_last_error()->code;
    for (int i = 0; i < OCT_OBSERVER_TENSORS && observer->tensors[i].name; i++)
        if (!(o->observer.tensors[i].name = octi_strdup(ctx, observer->tensors[i].name)))
            return oct_last_error()->code;
    o->next = octi_ctx_observers(ctx);
    octi_ctx_set_observers(ctx, o);
    return OCT_OK;
}

/* ---- state ---- */

static int32_t state_count(const oct_observer *o) {
    int32_t n = 0;
    while (n < OCT_OBSERVER_TENSORS && o->tensors[n].name) n++;
    return n;
}

oct_status octi_observer_start(oct_net *net, oct_quantizer *q, const char *owner) {
    const oct_observer *by = octi_observer_find(net->ctx, q->observer);
    if (!by) return oct_last_error()->code;
    for (q->state_count = 0; q->state_count < state_count(by); q->state_count++) {
        const oct_observer_tensor *t = &by->tensors[q->state_count];
        char *name = octi_asprintf(net->ctx, "%s.%s", owner, t->name);
        oct_tensor *x = name ? oct_tensor_new(net->ctx, t->dtype, OCT_SHAPE(t->count)) : NULL;
        oct_status s =
            x ? octi_net_register(net, name, OCT_ROLE_OBSERVER, x) : oct_last_error()->code;
        oct_tensor_unref(x); /* the registry holds it */
        octi_free(net->ctx, name);
        OCT_TRY(s);
        q->state[q->state_count] = x;
    }
    return OCT_OK;
}

/* State that a file gave, or another observer of the name had, is looked at before anybody writes
 * into it. */
static oct_status observing(oct_ctx *ctx, oct_quantizer *q, const oct_observer *by,
                            oct_observing *o) {
    *o = (oct_observing){ctx,
                         q->name,
                         &q->spec,
                         q->averaging,
                         q->percentile,
                         {NULL},
                         oct_f32(q->min_val),
                         oct_f32(q->max_val),
                         by->user};
    bool fits = q->state_count == state_count(by);
    for (int32_t i = 0; fits && i < q->state_count; i++) {
        o->state[i] = q->state[i];
        fits = q->state[i] && q->state[i]->dtype == by->tensors[i].dtype &&
               oct_tensor_count(q->state[i]) == by->tensors[i].count;
    }
    if (!fits)
        return octi_fail(OCT_EFORMAT, q->name, "state of its observer is malformed",
                         octi_fmt("the tensors of %s", by->name), NULL, "calibrate again");
    if (!(q->averaging >= 0 && q->averaging <= 1) || !(q->percentile >= 0 && q->percentile <= 100))
        return octi_fail(OCT_EFORMAT, q->name, "settings of its observer are out of range",
                         "averaging 0 to 1, percentile 0 to 100", NULL, NULL);
    return OCT_OK;
}

oct_status octi_observe_values(oct_ctx *ctx, oct_quantizer *q, const oct_observer *by,
                               const float *x, int64_t n) {
    oct_observing o;
    OCT_TRY(observing(ctx, q, by, &o));
    return by->observe(&o, x, n);
}

oct_status octi_observe_range(oct_ctx *ctx, oct_quantizer *q, const oct_observer *by, float min,
                              float max) {
    oct_observing o;
    OCT_TRY(observing(ctx, q, by, &o));
    return by->observe_range(&o, min, max);
}

oct_status octi_observed_range(oct_ctx *ctx, oct_quantizer *q, float *min, float *max, bool *any) {
    const oct_observer *by = octi_observer_find(ctx, q->observer);
    oct_observing o;
    *min = INFINITY;
    *max = -INFINITY;
    if (!by) return oct_last_error()->code;
    OCT_TRY(observing(ctx, q, by, &o));
    OCT_TRY(by->range(&o, min, max));
    *any = fabsf(*min) <= FLT_MAX && fabsf(*max) <= FLT_MAX && *min <= *max;
    return OCT_OK;
}

oct_status oct_net_divergences(const oct_net *net, const char *node, int32_t around,
                               oct_divergence *rows, int32_t *count) {
    if (!net || !node || !rows || !count || around < 0)
        return octi_fail_null("oct_net_divergences");
    *count = 0;
    if (net->stage != OCT_STAGE_PREPARED)
        return octi_fail(OCT_EUSAGE, "oct_net_divergences", "net is not prepared",
                         "the result of oct_prepare", NULL, NULL);
    const int32_t at = oct_graph_find_node(net->graph, node),
                  value = at >= 0 ? net->graph->nodes[at].out : -1;
    if (at < 0) return octi_fail(OCT_EUSAGE, node, "no such layer", "a layer's name", NULL, NULL);
    if (net->graph->values[value].quantizer < 0)
        return octi_fail(OCT_EUSAGE, node, "stays float", "a layer whose values are quantized",
                         NULL, NULL);
    oct_quantizer *q = &net->graph->quantizers[net->graph->values[value].quantizer];
    const oct_observer *by = octi_observer_find(net->ctx, q->observer);
    oct_observing o;
    int32_t chosen;
    if (!by) return oct_last_error()->code;
    if (by->observe != octi_histogram_observe)
        return octi_fail(OCT_EUSAGE, node, "its observer keeps no histogram",
                         "histogram, entropy, percentile, mse, mae", q->observer,
                         octi_fmt("calibrate with the rule '%s:observer=entropy'", q->name));
    OCT_TRY(observing(net->ctx, q, by, &o));
    return octi_entropy_search(&o, around, rows, count, &chosen);
}

/* ---- the observers of a net ---- */

void oct_net_reset_observers(oct_net *net) {
    OCTI_LAW_MODE();
    for (int32_t i = 0; net && i < net->graph->quantizer_count; i++) {
        oct_quantizer *q = &net->graph->quantizers[i];
        if (!q->min_val || octi_is_weight(q) || octi_is_fixed(q)) continue; /* int8: scales alone */
        for (int32_t k = 0; k < q->state_count; k++)
            memset(q->state[k]->data, 0, oct_tensor_bytes(q->state[k]));
        *oct_f32(q->min_val) = INFINITY;
        *oct_f32(q->max_val) = -INFINITY;
        q->dirty = OCTI_CLEAN;
    }
}

static bool searches(const oct_ctx *ctx, const oct_quantizer *q) {
    const oct_observer *by = lookup(ctx, q->observer);
    return !octi_is_weight(q) && (by ? by->range != NULL : q->state_count > 0);
}

bool oct_net_searches_ranges(const oct_net *net) {
    for (int32_t i = 0; net && i < net->graph->quantizer_count; i++)
        if (searches(net->ctx, &net->graph->quantizers[i])) return true;
    return false;
}
