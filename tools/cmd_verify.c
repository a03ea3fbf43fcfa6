/* SPDX-License-Identifier: MIT
 * octet verify: two models, layer by layer: codes with codes, float values with float values. */
#include <math.h>
#include <string.h>

#include "tools/cli.h"

/* What is compared: of a layer that both nets have, codes where both hold codes, floats where both
 * hold floats. */
typedef struct differences {
    oct_mismatch codes;
    int64_t floats, differing; /* float values: compared, other bits */
    double largest;            /* of their differences, infinite where one side is no number */
    char largest_in[128];
    char layer[128]; /* the first that differs, of either kind */
    int64_t element;
    double expected, got;
    int same_names, compared;
    char other_kind[128], other_shape[128]; /* the first layer of each */
    bool a_floats;                          /* other_kind: floats in a, codes in b */
    int other_kinds;
} differences;

static double value_at(const oct_tensor *t, int64_t i) {
    return t->dtype == OCT_F32  ? (double)oct_f32(t)[i]
           : t->dtype == OCT_U8 ? ((const uint8_t *)t->data)[i]
                                : ((const int8_t *)t->data)[i];
}

static void compare_values(const char *layer, const oct_tensor *a, const oct_tensor *b,
                           differences *d) {
    const bool floats = a->dtype == OCT_F32;
    const size_t size = oct_dtype_size(a->dtype);
    const int64_t n = oct_tensor_count(a);
    *(floats ? &d->floats : &d->codes.codes) += n;
    for (int64_t i = 0; i < n; i++) {
        const char *p = (const char *)a->data + (size_t)i * size,
                   *q = (const char *)b->data + (size_t)i * size;
        if (!memcmp(p, q, size)) continue;
        const double expected = value_at(a, i), got = value_at(b, i),
                     difference = fabs(expected - got);
        if (!d->codes.mismatched && !d->differing) {
            snprintf(d->layer, sizeof d->layer, "%s", layer);
            d->element = i;
            d->expected = expected;
            d->got = got;
        }
        ++*(floats ? &d->differing : &d->codes.mismatched);
        if (!floats || difference <= d->largest) continue;
        d->largest = isnan(difference) ? INFINITY : difference;
        snprintf(d->largest_in, sizeof d->largest_in, "%s", layer);
    }
}

static oct_status compare_batch(const oct_net *a, oct_runner *ra, const oct_net *b, oct_runner *rb,
                                const oct_tensor *x, differences *d) {
    const oct_tensor *ya = oct_runner_run(ra, x), *yb = oct_runner_run(rb, x);
    if (!ya || !yb) return oct_last_error()->code;
    d->same_names = d->compared = d->other_kinds = 0;
    for (int32_t i = 0; i < a->graph->node_count; i++) {
        const char *name = a->graph->nodes[i].name;
        if (oct_graph_find_node(b->graph, name) < 0) continue;
        const oct_tensor *p = oct_runner_value(ra, name, NULL, NULL),
                         *q = oct_runner_value(rb, name, NULL, NULL);
        if (!p || !q) continue; /* fused into another layer */
        d->same_names++;
        if (oct_tensor_count(p) != oct_tensor_count(q)) {
            snprintf(d->other_shape, sizeof d->other_shape, "%s", name);
            return OCT_OK;
        }
        if (p->dtype != q->dtype) {
            if (!d->other_kinds++)
                snprintf(d->other_kind, sizeof d->other_kind, "%s", name),
                    d->a_floats = p->dtype == OCT_F32;
            continue;
        }
        d->compared++;
        compare_values(name, p, q, d);
    }
    return OCT_OK;
}

/* Two nets of any stages, until all was seen or something cannot be compared. */
static oct_status compare_any(oct_net *a, oct_net *b, oct_data *data, differences *d) {
    oct_runner_opts o = {.batch = 32, .values = true};
    oct_runner *ra = oct_runner_new(a, &o), *rb = oct_runner_new(b, &o);
    oct_loader *l =
        ra && rb ? oct_loader_new(data, &(oct_loader_opts){.batch = 32, .input = &a->input}) : NULL;
    oct_status s = l ? oct_loader_start(l, 0, 0) : oct_last_error()->code;
    do {
        oct_batch batch;
        bool done = false;
        if (s == OCT_OK) s = oct_loader_next(l, &batch, &done);
        if (s != OCT_OK || done) break;
        s = compare_batch(a, ra, b, rb, batch.x, d);
    } while (d->compared && !d->other_shape[0]);
    oct_loader_free(l);
    oct_runner_free(ra);
    oct_runner_free(rb);
    return s;
}

/* A layer has its ReLU in it where it is fused: a float net is fused too before it is held against
 * one that is. A net whose layers the other has one and all is as the other (half). */
static oct_net *fused_as(oct_net *net, const oct_net *other) {
    if (net->stage != OCT_STAGE_FLOAT || other->stage == OCT_STAGE_FLOAT) return net;
    for (int32_t i = 0; i < net->graph->node_count; i++)
        if (oct_graph_find_node(other->graph, net->graph->nodes[i].name) < 0) return oct_fuse(net);
    return net;
}

static int same_input(const cli *c, const oct_net *a, const oct_net *b) {
    const int64_t *p = a->graph->values[a->graph->input].shape.dim,
                  *q = b->graph->values[b->graph->input].shape.dim;
    if (!memcmp(p + 1, q + 1, 3 * sizeof *p)) return 0;
    char expected[64], got[64];
    snprintf(expected, sizeof expected, "[N, %lld, %lld, %lld]", (long long)p[3], (long long)p[1],
             (long long)p[2]);
    snprintf(got, sizeof got, "[N, %lld, %lld, %lld]", (long long)q[3], (long long)q[1],
             (long long)q[2]);
    return cli_usage(c->operands[1], "models take inputs of other shapes", expected, got, NULL) + 1;
}

/* Nothing in common, or shapes that do not fit: what can be compared, and by what. */
static int not_comparable(const cli *c, const oct_net *a, const differences *d) {
    const char *pa = c->operands[0], *pb = c->operands[1];
    if (d->other_shape[0])
        return cli_usage(d->other_shape, "shapes differ", "two models of one net", NULL, NULL) + 1;
    if (!d->same_names)
        return cli_usage(pb, "models have no layer in common", "layers of the same names", NULL,
                         NULL) +
               1;
    char what[256], hint[512];
    snprintf(what, sizeof what, "nothing to compare: %s in %.80s, %s in %.80s",
             d->a_floats ? "floats" : "codes", pa, d->a_floats ? "codes" : "floats", pb);
    snprintf(
        hint, sizeof hint,
        "octet layers %s --data %s shows what quantization costs, octet eval the accuracy of each",
        cli_word(a->stage < OCT_STAGE_PREPARED ? pb : pa), cli_word(c->data.s));
    return cli_usage(pb, what, "two float models, or two with codes (quantized runs, int8 files)",
                     NULL, hint) +
           1;
}

static void report_json(const differences *d) {
    json j = json_open();
    json_int(&j, "mismatched_codes", d->codes.mismatched);
    json_int(&j, "codes", d->codes.codes);
    if (d->floats) {
        json_int(&j, "mismatched_floats", d->differing);
        json_int(&j, "floats", d->floats);
        json_number(&j, "largest_difference", d->largest);
        if (d->differing) json_string(&j, "largest_difference_layer", d->largest_in);
    }
    if (d->codes.mismatched || d->differing) {
        json_string(&j, "layer", d->layer);
        json_int(&j, "element", d->element);
        json_number(&j, "expected", d->expected);
        json_number(&j, "got", d->got);
    }
    json_close(&j);
}

static void report(const differences *d) {
    if (d->codes.codes)
        cli_print("mismatched_codes %lld of %lld\n", (long long)d->codes.mismatched,
                  (long long)d->codes.codes);
    if (d->floats)
        cli_print("mismatched_floats %lld of %lld", (long long)d->differing, (long long)d->floats);
    if (d->differing) cli_print("  largest_difference %.6g in %s", d->largest, d->largest_in);
    if (d->floats) cli_print("\n");
}

static void next_of(const cli *c, const differences *d) {
    const char *pa = c->operands[0];
    if (d->codes.mismatched)
        cli_next(c, "next: octet layers %s --data %s shows each layer's share", cli_word(pa),
                 cli_word(c->data.s));
    else if (d->differing)
        cli_next(c,
                 "next: octet run %s --input X.npz --layer %s, and the same of %s, show the "
                 "values; octet eval the accuracy of each",
                 cli_word(pa), cli_word(d->layer), cli_word(c->operands[1]));
    else
        cli_next(c, "equal to the last bit; next: octet predict %s IMAGE",
                 cli_word(c->operands[1]));
}

int cmd_verify(cli *c) {
    bool ok;
    oct_split split = cli_split(c, OCT_SPLIT_TEST, &ok);
    if (!ok) return 2;
    int code;
    oct_net *a = cli_load(c, c->operands[0], false, &code),
            *b = a ? cli_load(c, c->operands[1], false, &code) : NULL;
    if (!b) return code;
    if ((code = same_input(c, a, b))) return code;
    oct_net *fused = fused_as(a, b);
    if (!fused || !(b = fused_as(b, a))) return cli_failed();
    a = fused;
    oct_data *data = cli_data(c, split, a);
    if (!data) return cli_failed();
    if (c->dry_run.set) return 0;
    differences d = {.compared = 1};
    oct_status s;
    const bool a_first = a->stage == OCT_STAGE_PREPARED && b->stage == OCT_STAGE_INT8,
               b_first = a->stage == OCT_STAGE_INT8 && b->stage == OCT_STAGE_PREPARED;
    if (a_first || b_first) { /* the simulation as convert compares it */
        s = oct_compare_data(a_first ? a : b, a_first ? b : a, data, 0, &d.codes);
        memcpy(d.layer, d.codes.node, sizeof d.layer);
        d.element = d.codes.element;
        d.expected = d.codes.expected;
        d.got = d.codes.got;
    } else
        s = compare_any(a, b, data, &d);
    if (s != OCT_OK) return cli_failed();
    if (!d.compared || d.other_shape[0] || !(d.codes.codes + d.floats))
        return not_comparable(c, a, &d);
    if (d.other_kinds)
        cli_note(c, "octet: %d layer%s of other kinds, not compared: %s (%s) first", d.other_kinds,
                 d.other_kinds > 1 ? "s" : "", d.other_kind,
                 d.a_floats ? "float against codes" : "codes against float");
    if (c->json.set)
        report_json(&d);
    else
        report(&d);
    next_of(c, &d);
    if (!d.codes.mismatched && !d.differing) return 0;
    cli_print_to(stderr,
                 "octet: %s: values differ at element %lld: expected %.9g, got %.9g (%lld of %lld "
                 "values differ)\n",
                 d.layer, (long long)d.element, d.expected, d.got,
                 (long long)(d.codes.mismatched + d.differing),
                 (long long)(d.codes.codes + d.floats));
    return 1;
}
