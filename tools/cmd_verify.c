/* SPDX-License-Identifier: MIT
 * octet verify: two models, layer by layer: codes with codes, float values with float values. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/verify.h"

/* A layer has its ReLU in it where it is fused: a float net is fused too before it is held against
 * one that is. A net whose layers the other has one and all is as the other (half). */
static int fuse_as(verify_side *s, const verify_side *other) {
    if (!s->net || !other->net || oct_net_stage(s->net) != OCT_STAGE_FLOAT ||
        oct_net_stage(other->net) == OCT_STAGE_FLOAT)
        return 0;
    bool all = true;
    for (int32_t i = 0; s->layers[i]; i++)
        all &= oct_graph_find_node(oct_net_graph(other->net), s->layers[i]) >= 0;
    if (all) return 0;
    oct_net *fused = oct_fuse(s->net);
    if (!fused) return cli_failed();
    cli *c = s->c;
    const char *path = s->path;
    const side_kind *kind = s->kind;
    verify_close(s);
    *s = (verify_side){.c = c, .path = path, .kind = kind, .net = fused};
    return kind->open(s, other);
}

static int same_input(const cli *c, const verify_side *a, const verify_side *b) {
    const int64_t *p = a->input.dim, *q = b->input.dim;
    if (!a->input.rank || !b->input.rank || !memcmp(p + 1, q + 1, 3 * sizeof *p)) return 0;
    char expected[64], got[64];
    snprintf(expected, sizeof expected, "[N, %lld, %lld, %lld]", (long long)p[3], (long long)p[1],
             (long long)p[2]);
    snprintf(got, sizeof got, "[N, %lld, %lld, %lld]", (long long)q[3], (long long)q[1],
             (long long)q[2]);
    return cli_usage(c->operands[1], "models take inputs of other shapes", expected, got, NULL) + 1;
}

/* Nothing in common, or shapes that do not fit: what can be compared, and by what. */
static int not_comparable(const cli *c, const verify_side *a, const verify_result *r) {
    const char *pa = c->operands[0], *pb = c->operands[1];
    if (r->other_shape)
        return cli_usage(r->other_shape, "shapes differ", "two models of one net", NULL, NULL) + 1;
    if (!r->same_names)
        return cli_usage(pb, "models have no layer in common", "layers of the same names", NULL,
                         NULL) +
               1;
    char what[256], hint[512];
    snprintf(what, sizeof what, "nothing to compare: %s in %.80s, %s in %.80s",
             r->a_floats ? "floats" : "codes", pa, r->a_floats ? "codes" : "floats", pb);
    snprintf(
        hint, sizeof hint,
        "octet layers %s --data %s shows what quantization costs, octet eval the accuracy of each",
        cli_word(a->net && oct_net_stage(a->net) < OCT_STAGE_PREPARED ? pb : pa),
        cli_word(c->data.s));
    return cli_usage(pb, what, "two float models, or two with codes (quantized runs, int8 files)",
                     NULL, hint) +
           1;
}

/* ---- what is said ---- */

/* The float layer with the largest difference; NULL where there is none. */
static const verify_layer *worst_float(const verify_result *r) {
    const verify_layer *worst = NULL;
    for (int32_t i = 0; i < r->count; i++) {
        const verify_layer *l = &r->layers[i];
        if (!l->codes && (l->differing || l->largest > 0) &&
            (!worst || l->largest > worst->largest))
            worst = l;
    }
    return worst;
}

/* What the other program does that the law does not, by what is the layer's own doing; NULL where
 * nothing is known. */
static const char *why(const verify_side *a, const verify_side *b, const verify_layer *l) {
    const int32_t by = l->own_largest < 1e6 ? (int32_t)l->own_largest : 1000000;
    const char *said = b->kind->differs ? b->kind->differs(b, l->kind, by) : NULL;
    return said || !a->kind->differs ? said : a->kind->differs(a, l->kind, by);
}

static void layers_json(json *j, const verify_side *a, const verify_side *b,
                        const verify_result *r) {
    json_array(j, "layers");
    for (int32_t i = 0; i < r->count; i++) {
        const verify_layer *l = &r->layers[i];
        if (!l->differing) continue;
        json_item(j);
        json_string(j, "name", l->name);
        if (l->kind < OCT_OP_KIND_COUNT) json_string(j, "kind", oct_op_name(l->kind));
        json_int(j, "values", l->values);
        json_int(j, "differing", l->differing);
        json_int(j, "own", l->own);
        json_number(j, "own_largest_difference", l->own_largest);
        json_number(j, "largest_difference", l->largest);
        if (l->own > 0 && why(a, b, l)) json_string(j, "why", why(a, b, l));
        json_item_end(j);
    }
    json_array_end(j);
}

static void report_json(const verify_side *a, const verify_side *b, const verify_result *r) {
    json j = json_open();
    json_int(&j, "mismatched_codes", r->mismatched);
    json_int(&j, "codes", r->codes);
    const verify_layer *worst = worst_float(r);
    if (r->floats) {
        json_int(&j, "mismatched_floats", r->differing);
        json_int(&j, "floats", r->floats);
        json_number(&j, "largest_difference", worst ? worst->largest : 0);
        if (worst) json_string(&j, "largest_difference_layer", worst->name);
    }
    if (r->first >= 0) {
        const verify_layer *l = &r->layers[r->first];
        json_string(&j, "layer", l->name);
        json_int(&j, "element", r->element);
        json_number(&j, "expected", r->expected);
        json_number(&j, "got", r->got);
        const char *grids = l->codes ? verify_other_grid(a, b, l->name) : NULL;
        if (grids) json_string(&j, "parameters", grids);
        if (l->codes && verify_rule(l)) json_string(&j, "rule", verify_rule(l));
        if (l->own >= 0) layers_json(&j, a, b, r);
    }
    json_close(&j);
}

static void report(const verify_result *r) {
    const verify_layer *worst = worst_float(r);
    if (r->codes)
        cli_print("mismatched_codes %lld of %lld\n", (long long)r->mismatched, (long long)r->codes);
    if (r->floats)
        cli_print("mismatched_floats %lld of %lld", (long long)r->differing, (long long)r->floats);
    if (worst) cli_print("  largest_difference %.6g in %s", worst->largest, worst->name);
    if (r->floats) cli_print("\n");
}

/* The first value that differs, the rule behind it, and the layers whose own doing it is. */
static void say_first(const verify_side *a, const verify_side *b, const verify_result *r) {
    enum { ROWS = 8 };
    const verify_layer *first = &r->layers[r->first];
    cli_print_to(stderr,
                 "octet: %s: values differ at element %lld: expected %.9g, got %.9g (%lld of %lld "
                 "values differ)\n",
                 first->name, (long long)r->element, r->expected, r->got,
                 (long long)(r->mismatched + r->differing), (long long)(r->codes + r->floats));
    const char *grids = first->codes ? verify_other_grid(a, b, first->name) : NULL;
    if (grids) cli_print_to(stderr, "octet: %s: %s\n", first->name, grids);
    if (first->codes && verify_rule(first))
        cli_print_to(stderr, "octet: %s computes by %s\n", first->name, verify_rule(first));
    if (first->codes && why(a, b, first))
        cli_print_to(stderr, "octet: %s: %s\n", first->name, why(a, b, first));
    if (first->own < 0) return;
    int32_t rows = 0, hidden = 0;
    int64_t behind = r->mismatched + r->differing;
    for (int32_t i = 0; i < r->count; i++) {
        const verify_layer *l = &r->layers[i];
        behind -= l->own;
        if (!l->own || rows++ >= ROWS) {
            hidden += l->own > 0;
            continue;
        }
        cli_print_to(
            stderr,
            "octet: %s: %lld of %lld differ where all that it reads is equal, by %.6g at most\n",
            l->name, (long long)l->own, (long long)l->values, l->own_largest);
    }
    if (hidden) cli_print_to(stderr, "octet: so do %d more layers\n", hidden);
    if (behind) cli_print_to(stderr, "octet: %lld differ behind these\n", (long long)behind);
}

static void next_of(const cli *c, const verify_side *a, const verify_side *b,
                    const verify_result *r) {
    const char *pa = c->operands[0];
    if (r->mismatched && a->net)
        cli_next(c, "next: octet layers %s --data %s shows each layer's share", cli_word(pa),
                 cli_word(c->data.s));
    else if (r->differing && a->net)
        cli_next(c,
                 "next: octet run %s --input X.npz --layer %s, and the same of %s, show the "
                 "values; octet eval the accuracy of each",
                 cli_word(pa), cli_word(r->layers[r->first].name), cli_word(c->operands[1]));
    else if (r->first < 0 && worst_float(r))
        cli_next(c,
                 "floats differ by no more than %g of each layer's largest; next: octet predict %s "
                 "IMAGE",
                 fmax(a->kind->tolerance, b->kind->tolerance),
                 cli_word(c->operands[b->net ? 1 : 0]));
    else if (r->first < 0)
        cli_next(c, "equal to the last bit; next: octet predict %s IMAGE",
                 cli_word(c->operands[b->net ? 1 : 0]));
}

/* ---- the command ---- */

/* The simulation against what it became is compared as convert does it. */
static int compare(verify_side *a, verify_side *b, oct_data *data, verify_result *r) {
    const oct_net *p = a->net, *q = b->net;
    const bool a_first = p && q && oct_net_stage(p) == OCT_STAGE_PREPARED &&
                         oct_net_stage(q) == OCT_STAGE_INT8,
               b_first = p && q && oct_net_stage(p) == OCT_STAGE_INT8 &&
                         oct_net_stage(q) == OCT_STAGE_PREPARED;
    oct_mismatch m = {.codes = 0};
    if (!a_first && !b_first) return verify_compare(a, b, data, r);
    if (oct_compare_data(a_first ? a->net : b->net, a_first ? b->net : a->net, data, 0, &m) !=
        OCT_OK)
        return cli_failed();
    *r = (verify_result){.codes = m.codes, .mismatched = m.mismatched, .first = -1};
    if (!m.mismatched) return 0;
    if (!(r->layers = calloc(1, sizeof *r->layers)))
        return fprintf(stderr, "octet: out of memory\n"), 5;
    const int32_t i = oct_graph_find_node(oct_net_graph(p), m.node);
    r->layers[0] = (verify_layer){
        .name = i < 0 ? "?" : oct_node_name(oct_graph_node(oct_net_graph(p), i)),
        .kind = i < 0 ? OCT_OP_KIND_COUNT : oct_node_kind(oct_graph_node(oct_net_graph(p), i)),
        .codes = true,
        .own = -1,
        .differing = m.mismatched};
    r->count = 1;
    r->first = 0;
    r->element = m.element;
    r->expected = m.expected;
    r->got = m.got;
    return 0;
}

static oct_data *data_for(cli *c, oct_split split, verify_side *a, verify_side *b) {
    oct_net *net = a->net ? a->net : b->net;
    if (net) return cli_data(c, split, net);
    const oct_data_opts o = {.split = split,
                             .limit = c->limit.set ? c->limit.i : 0,
                             .input = a->desc.channels ? &a->desc : &b->desc};
    return oct_data_open(c->ctx, c->data.s, &o);
}

static int verify(cli *c, oct_split split, verify_side *a, verify_side *b) {
    int code = fuse_as(a, b);
    if (!code) code = fuse_as(b, a);
    if (!code) code = same_input(c, a, b);
    if (code) return code;
    oct_data *data = data_for(c, split, a, b);
    if (!data) return cli_failed();
    if (c->dry_run.set) return 0;
    verify_result r = {.first = -1};
    code = compare(a, b, data, &r);
    if (!code && (r.other_shape || !(r.codes + r.floats))) code = not_comparable(c, a, &r);
    if (code) return verify_result_free(&r), code;
    if (r.other_kinds)
        cli_note(c, "octet: %d layer%s of other kinds, not compared: %s (%s) first", r.other_kinds,
                 r.other_kinds > 1 ? "s" : "", r.other_kind,
                 r.a_floats ? "float against codes" : "codes against float");
    if (c->json.set)
        report_json(a, b, &r);
    else
        report(&r);
    next_of(c, a, b, &r);
    if (r.first >= 0) say_first(a, b, &r);
    code = r.first >= 0;
    verify_result_free(&r);
    return code;
}

int cmd_verify(cli *c) {
    bool ok;
    oct_split split = cli_split(c, OCT_SPLIT_TEST, &ok);
    if (!ok) return 2;
    verify_side a, b;
    int code = verify_open(&a, &b, c);
    if (!code) code = verify(c, split, &a, &b);
    verify_close(&b);
    verify_close(&a);
    return code;
}
