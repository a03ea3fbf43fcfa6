/* SPDX-License-Identifier: MIT
 * Rules from texts and files and back: what a place means, texts one behind the other, numbers to
 * the last bit; what is said of rules that change nothing, and of rules that decided. */
#include "tests/qconfig_fix.h"

#include <math.h>

#include "tests/temp_folder.h"

static oct_ctx *ctx;
static char said[4000];

static void hear(void *user, oct_log_level level, const char *line) {
    (void)user;
    if (level == OCT_LOG_WARN && strlen(said) + strlen(line) + 2 < sizeof said)
        strcat(strcat(said, line), "\n");
}

static void setup(void) {
    ck_not_null(ctx = oct_open(&(oct_opts){.threads = 1, .log = hear}));
    said[0] = 0;
}
static void teardown(void) { oct_close(ctx); }

/* ---- texts ---- */

START_TEST(places_of_rules) {
    static const struct {
        const char *text, *of;
        oct_qscope scope;
    } rows[] = {{"fc", "fc", OCT_QSCOPE_NAME},
                {"layer1.0.conv1", "layer1.0.conv1", OCT_QSCOPE_NAME},
                {"a:b:c", "a:b:c", OCT_QSCOPE_NAME},
                {"fc?", "fc?", OCT_QSCOPE_PATTERN},
                {"fc[12]", "fc[12]", OCT_QSCOPE_PATTERN},
                {"*.conv", "*.conv", OCT_QSCOPE_PATTERN},
                {"pattern=fc", "fc", OCT_QSCOPE_PATTERN},
                {"name=fc*", "fc*", OCT_QSCOPE_NAME},
                {"kind=conv2d", "conv2d", OCT_QSCOPE_KIND},
                {"global", NULL, OCT_QSCOPE_GLOBAL}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        oct_qconfig c = {.target = OCT_TARGET_DEFAULT};
        ck_ok(oct_qconfig_parse(ctx, octi_fmt("%s:wbits=4", rows[i].text), &c));
        ck_assert_int_eq(c.rule_count, 1);
        ck_assert_msg(c.rules[0].scope == rows[i].scope, "%s: %d", rows[i].text,
                      (int)c.rules[0].scope);
        ck_assert(rows[i].of ? !strcmp(c.rules[0].of, rows[i].of) : !c.rules[0].of);
        ck_assert_int_eq(c.rules[0].set.wbits, 4);
    }
}
END_TEST

START_TEST(rules_come_behind_each_other) {
    static const char *const texts[] = {"fc:wbits=4,conv*:abits=5", "fc:wbits=3", "stem:float"};
    oct_qconfig c = {.target = OCT_TARGET_DEFAULT};
    for (int k = 0; k < 3; k++) ck_ok(oct_qconfig_parse(ctx, texts[k], &c));
    const oct_qrule one = {OCT_QSCOPE_KIND, "linear", {.wbits = 6}};
    ck_ok(oct_qconfig_add(ctx, &one, &c));
    static const char *const of[] = {"fc", "conv*", "fc", "stem", "linear"};
    ck_assert_int_eq(c.rule_count, 5);
    for (int k = 0; k < 5; k++) ck_assert_str_eq(c.rules[k].of, of[k]);
    ck_assert(c.rules[0].set.wbits == 4 && c.rules[1].set.abits == 5 && c.rules[2].set.wbits == 3 &&
              c.rules[3].set.stay_float == OCT_SWITCH_YES && c.rules[4].set.wbits == 6);
}
END_TEST

/* A rule for a kind is for no other, however alike their names: relu, relu6, leaky_relu. */
START_TEST(kinds_match_themselves) {
    for (int a = 0; a < OCT_OP_KIND_COUNT; a++)
        for (int b = 0; b < OCT_OP_KIND_COUNT; b++) {
            const oct_qrule r = {OCT_QSCOPE_KIND, oct_op_name((oct_op_kind)a), {.abits = 4}};
            ck_assert_msg(octi_qrule_matches(&r, "node", (oct_op_kind)b) == (a == b), "%s and %s",
                          r.of, oct_op_name((oct_op_kind)b));
        }
    /* a border goes by its layer's name, to the last letter */
    const oct_qrule whole = {OCT_QSCOPE_PATTERN, "f[c]", {.abits = 4}};
    ck_assert(octi_qrule_matches(&whole, "fc.quantize", OCT_OP_quantize));
    ck_assert(!octi_qrule_matches(&whole, "fc.quantize", OCT_OP_relu));
    ck_assert(!octi_qrule_matches(&whole, "fcs.quantize", OCT_OP_quantize));
}
END_TEST

/* ---- files ---- */

static const char *file_of(const char *text) {
    static char path[1024];
    snprintf(path, sizeof path, "%s", in_root("qconfig.json"));
    FILE *to = fopen(path, "w");
    ck_assert(to && fputs(text, to) >= 0 && !fclose(to));
    return path;
}

START_TEST(the_callers_target_stands) {
    make_root();
    const char *path = file_of("{\"target\": \"qnnpack\", \"rules\": [{\"name\": \"fc\", "
                               "\"wbits\": 4}]}");
    for (int own = 0; own < 2; own++) {
        oct_qconfig c = {.target = own ? OCT_TARGET_POW2 : OCT_TARGET_DEFAULT};
        ck_ok(oct_qconfig_parse(ctx, "stem:abits=6", &c));
        ck_ok(oct_qconfig_load(ctx, path, &c));
        ck_assert_int_eq(c.target, own ? OCT_TARGET_POW2 : OCT_TARGET_QNNPACK);
        ck_assert_str_eq(c.rules[0].of, "stem"); /* what was there stays in front */
        ck_assert_str_eq(c.rules[c.rule_count - 1].of, "fc");
    }
    ck_assert_int_eq(remove(path), 0);
    ck_assert_int_eq(rmdir(root), 0);
}
END_TEST

/* What a net keeps of its rules is what it was given, reals to the last bit, places and words. */
START_TEST(rules_are_kept_whole) {
    oct_qrule list[] = {
        {OCT_QSCOPE_GLOBAL, NULL, {.ema = 0.0123456789f, .percentile = 99.98765f}},
        {OCT_QSCOPE_KIND, "conv2d", {.wbits = 3, .granularity = OCT_GRANULARITY_TENSOR}},
        {OCT_QSCOPE_PATTERN, "a\"b[?]", {.observer = "mse", .symmetric = OCT_SWITCH_NO}},
        {OCT_QSCOPE_NAME,
         "x.y",
         {.stay_float = OCT_SWITCH_YES, .percentile = nextafterf(99, 100), .ste = OCT_STE_STRICT}}};
    enum { RULES = sizeof list / sizeof *list };
    octi_text text = {.ctx = ctx};
    ck_ok(octi_qrules_write(&(octi_qrules){list, RULES}, &text));
    octi_qrules back;
    oct_target target;
    ck_ok(octi_qrules_read(ctx, NULL, text.data, text.size, "kept", &back, &target));
    int at = back.count - RULES; /* what stands outside the list comes first, and is empty here */
    ck_assert_int_ge(at, 0);
    for (int i = 0; i < RULES; i++) {
        const oct_qrule *r = &back.rule[at + i];
        ck_assert_int_eq(r->scope, list[i].scope);
        ck_assert(list[i].of ? !strcmp(r->of, list[i].of) : !r->of);
        ck_assert(r->set.ema == list[i].set.ema && r->set.percentile == list[i].set.percentile);
        for (int k = 0; k < OCTI_QKEYS; k++) {
            char is[64];
            snprintf(is, sizeof is, "%s", octi_qkey_text(&r->set, k));
            ck_assert_str_eq(is, octi_qkey_text(&list[i].set, k));
        }
    }
    octi_text_free(&text);
}
END_TEST

/* ---- what is said ---- */

START_TEST(rules_that_change_nothing_are_said) {
    model n;
    oct_net *net = model_net(ctx, &n);
    static const struct {
        const char *text, *warns;          /* NULL: nothing */
    } rows[] = {{"block.*:wbits=4", NULL}, /* idle at the cat and the pool alone */
                {"*:wbits=4", NULL},
                {"max_pool2d:wbits=4", "wbits=4 changes nothing: the layer has no weights"},
                {"kind=cat:wbits=5,kind=max_pool2d:wbits=5", "kind cat: wbits=5 changes nothing"},
                {"fc:float,fc:wbits=4", "wbits=4 changes nothing: the layer stays float"},
                {"max_pool2d:abits=4", "changes nothing: its values are on the grid of block.a"},
                {"global:wbits=4", NULL},
                {"global:abits=4", NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        said[0] = 0;
        oct_net *q = prepared(net, rows[i].text);
        if (rows[i].warns)
            ck_assert_msg(strstr(said, rows[i].warns) != NULL, "%s: %s", rows[i].text, said);
        else
            ck_assert_msg(!strstr(said, "changes nothing"), "%s: %s", rows[i].text, said);
        oct_net_free(q);
    }
}
END_TEST

static oct_var *gate_forward(void *self, oct_tape *t, oct_var *x) {
    oct_module **fc = self;
    return (void)t, oct_apply(fc[1], oct_sigmoid(oct_apply(fc[0], x)));
}

static oct_var *twice(void *self, oct_tape *t, oct_var *x) {
    return (void)self, (void)t, oct_add(x, x);
}

/* What is set for all may find nothing to do: nobody named a layer. */
START_TEST(rules_for_all_are_not_said) {
    oct_net *net = oct_capture(oct_module_new(ctx, twice, NULL), OCT_SHAPE(4));
    oct_net_free(prepared(net, "global:wbits=4"));
    ck_assert_str_eq(said, "");
    oct_net_free(prepared(net, "add:wbits=4"));
    ck_assert_msg(strstr(said, "add: wbits=4 changes nothing") != NULL, "%s", said);
}
END_TEST

/* A range that is known: the observer that it has is no news, any other is. */
START_TEST(fixed_ranges_have_an_observer) {
    oct_module *fc[2], *m = oct_module_new(ctx, gate_forward, fc);
    const oct_linear_opts o = {.in = 4, .out = 4};
    fc[0] = oct_module_add(m, "fc", oct_linear_new(ctx, &o));
    fc[1] = oct_module_add(m, "last", oct_linear_new(ctx, &o));
    oct_net *net = oct_capture(m, OCT_SHAPE(4)), *q = prepared(net, "fc:wbits=4");
    const char *own = NULL;
    for (int32_t i = 0; i < q->graph->node_count; i++)
        if (q->graph->nodes[i].kind == OCT_OP_sigmoid)
            own = q->graph->quantizers[q->graph->values[q->graph->nodes[i].out].quantizer].observer;
    ck_assert(own && *own);
    for (int other = 0; other < 2; other++) {
        said[0] = 0;
        oct_qrule rule = {OCT_QSCOPE_NAME, "sigmoid", {.observer = other ? "mse" : own}};
        const octi_qrules rules = {&rule, 1};
        octi_qrules_warn_idle(&rules, ctx, q->graph);
        ck_assert_msg(!!strstr(said, "its range is known and fixed") == other, "%s: %s",
                      rule.set.observer, said);
    }
}
END_TEST

/* The row of a node tells the rules that decided there, and no others. */
START_TEST(rows_tell_what_decided) {
    model n;
    oct_net *q = prepared(model_net(ctx, &n), "*:wbits=4,abits=6");
    oct_placement *rows;
    int32_t count;
    ck_ok(oct_net_placements(q, &rows, &count));
    for (int32_t i = 0; i < count; i++) {
        const bool weights = rows[i].wbits > 0;
        ck_assert_msg(!!strstr(rows[i].rule, "wbits=4 by pattern *") == weights, "%s: %s",
                      rows[i].name, rows[i].rule);
        ck_assert_msg(!rows[i].int8 || strstr(rows[i].rule, "abits=6 by pattern *"), "%s: %s",
                      rows[i].name, rows[i].rule);
    }
    oct_placements_free(q, rows);
}
END_TEST

OCT_TEST_MAIN_WITH("qconfig_forms", setup, teardown, places_of_rules, rules_come_behind_each_other,
                   kinds_match_themselves, the_callers_target_stands, rules_are_kept_whole,
                   rules_that_change_nothing_are_said, rules_for_all_are_not_said,
                   fixed_ranges_have_an_observer, rows_tell_what_decided)
