/* SPDX-License-Identifier: MIT
 * Rules of a qconfig: levels, matching, float layers, shared grids, text and file forms, refusals,
 * exactness under them. */
#include "tests/qconfig_fix.h"

START_TEST(levels_and_the_last_of_a_level) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    model n;
    oct_net *net = model_net(ctx, &n);
    const oct_qrule rules[] = {
        {OCT_QSCOPE_NAME, "block.c", {.wbits = 3}},
        {OCT_QSCOPE_PATTERN, "block.*", {.wbits = 4, .abits = 5}},
        {OCT_QSCOPE_KIND, "conv2d", {.wbits = 5, .granularity = OCT_GRANULARITY_TENSOR}},
        {OCT_QSCOPE_GLOBAL, NULL, {.wbits = 6}},
        {OCT_QSCOPE_PATTERN, "*.b", {.wbits = 2}}};
    oct_qconfig c = {.target = OCT_TARGET_FBGEMM,
                     .observer = "minmax",
                     .wbits = 7,
                     .rules = rules,
                     .rule_count = 5};
    oct_net *q = oct_prepare(net, &c);
    ck_not_null(q);
    ck_assert_int_eq(quantizer(q, "block.c.weight")->spec.bits, 3); /* name, though it came first */
    ck_assert_int_eq(quantizer(q, "block.a.weight")->spec.bits, 4); /* pattern */
    ck_assert_int_eq(quantizer(q, "block.b.weight")->spec.bits, 2); /* the last pattern */
    /* kind and global leave the first layer at 8 */
    ck_assert_int_eq(quantizer(q, "stem.weight")->spec.bits, 8);
    ck_assert_int_eq(quantizer(q, "fc.weight")->spec.bits, 8);
    ck_assert(!quantizer(q, "stem.weight")->spec.per_channel); /* kind, against the preset */
    ck_assert(quantizer(q, "fc.weight")->spec.per_channel);    /* the preset */
    /* in front of the last layer: 8, but a pattern says otherwise */
    ck_assert_int_eq(quantizer(q, "block.c")->spec.bits, 5);
    ck_assert_int_eq(quantizer(q, "fc")->spec.bits, 8);
    ck_assert_int_eq(quantizer(q, "block.a")->spec.bits, 5);
    ck_assert_int_eq(quantizer(q, "block.a")->spec.qmax, 15); /* u7 of the preset at 5 bits */
    oct_placement *rows;
    int32_t count;
    ck_ok(oct_net_placements(q, &rows, &count));
    oct_placement r = row_of(q, rows, count, "stem");
    ck_assert_msg(strstr(r.rule, "wbits=5 by kind conv2d, is 8"), "%s", r.rule);
    r = row_of(q, rows, count, "block.c");
    ck_assert_int_eq(r.wbits, 3);
    ck_assert_msg(strstr(r.rule, "wbits=3 by name block.c") &&
                      strstr(r.rule, "granularity=tensor by kind conv2d"),
                  "%s", r.rule);
    ck_assert_int_eq(r.granularity, OCT_GRANULARITY_TENSOR);
    r = row_of(q, rows, count, "block.b");
    ck_assert_int_eq(r.wbits, 2);
    ck_assert_msg(strstr(r.rule, "wbits=2 by pattern *.b") &&
                      strstr(r.rule, "abits=5 by pattern block.*"),
                  "%s", r.rule);
    ck_assert_str_eq(r.grid, "block.a"); /* the first of the cat's class */
    ck_assert_int_eq(row_of(q, rows, count, "fc").granularity, OCT_GRANULARITY_CHANNEL);
    oct_placements_free(q, rows);
    oct_close(ctx);
}
END_TEST

START_TEST(first_and_last_follow_who_names_them) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    model n;
    oct_net *net = model_net(ctx, &n),
            *q = prepared(net, "stem:wbits=4,fc:wbits=2,abits=4,input:abits=6,block.c:abits=3");
    ck_assert_int_eq(quantizer(q, "stem.weight")->spec.bits, 4);
    ck_assert_int_eq(quantizer(q, "fc.weight")->spec.bits, 2);
    ck_assert_int_eq(quantizer(q, "fc")->spec.bits, 4);
    ck_assert_int_eq(quantizer(q, "input.quantize")->spec.bits, 6);
    ck_assert_int_eq(quantizer(q, "block.c")->spec.bits, 3);
    q = prepared(net, "block:wbits=4"); /* a name means what is below it */
    ck_assert_int_eq(quantizer(q, "block.a.weight")->spec.bits, 4);
    ck_assert_int_eq(quantizer(q, "stem.weight")->spec.bits, 8);
    ck_assert_int_eq(
        oct_prepare(net,
                    &(oct_qconfig){.rules = (oct_qrule[]){{OCT_QSCOPE_NAME, "bloc", {.wbits = 4}}},
                                   .rule_count = 1}) == NULL,
        1);
    oct_close(ctx);
}
END_TEST

START_TEST(a_shared_grid_takes_the_rules_of_its_first_value) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    model n;
    oct_net *net = model_net(ctx, &n),
            *q = prepared(net, "block.a:abits=4,block.b:abits=2,max_pool2d:abits=3,observer=ema");
    const char *shared[] = {"block.a", "block.b", "cat", "max_pool2d"};
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(quantizer(q, shared[i])->spec.bits, 4);
        ck_assert_str_eq(quantizer(q, shared[i])->observer, "minmax");
    }
    oct_placement *rows;
    int32_t count;
    ck_ok(oct_net_placements(q, &rows, &count));
    oct_placement r = row_of(q, rows, count, "max_pool2d");
    ck_assert_int_eq(r.abits, 4);
    ck_assert_str_eq(r.grid, "block.a");
    ck_assert_msg(strstr(r.rule, "abits=4 by name block.a"), "%s", r.rule);
    oct_placements_free(q, rows);
    oct_close(ctx);
}
END_TEST

/* One layer in two places: each place has the grid that its own rules say, and is exact by it. */
static oct_var *twice(void *self, oct_tape *t, oct_var *x) {
    oct_module *const *fc = self;
    (void)t;
    return oct_apply(*fc, oct_relu(oct_apply(*fc, oct_flatten(x))));
}
START_TEST(a_shared_weight_has_a_grid_for_each_place) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_module *fc, *m = oct_module_new(ctx, twice, &fc);
    fc = oct_module_add(m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = 6, .out = 6}));
    oct_net *q = prepared(oct_capture(m, OCT_SHAPE(1, 2, 3)), "fc_1:wbits=3");
    const oct_graph *g = q->graph;
    int bits[2], places = 0;
    const oct_tensor *w[2];
    for (int32_t i = 0; i < g->node_count; i++) {
        if (g->nodes[i].kind != OCT_OP_linear) continue;
        ck_assert_int_lt(places, 2);
        const oct_value *v = &g->values[g->nodes[i].in[1]];
        w[places] = v->tensor;
        bits[places++] = g->quantizers[v->quantizer].spec.bits;
    }
    ck_assert_int_eq(places, 2);
    ck_assert_msg(w[0] == w[1] && bits[0] == 8 && bits[1] == 3, "%d and %d bits", bits[0], bits[1]);
    check_exact(q, OCT_SHAPE(1, 2, 3), true, "a shared weight");
    oct_close(ctx);
}
END_TEST

START_TEST(float_layers_have_borders_around_them) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    model n;
    oct_net *net = model_net(ctx, &n);
    static const struct {
        const char *text, *stays[3];
    } cases[] = {{"fc:float", {"fc"}},
                 {"stem:float", {"stem"}},
                 {"block.b:float=yes", {"block.b"}},
                 {"block.*:float,block.c:float=no", {"block.a", "block.b"}},
                 {"cat:float", {"cat", "max_pool2d"}},
                 {"global:float,block.a:float=no", {"stem", "block.b", "fc"}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        oct_net *q = prepared(net, cases[i].text);
        oct_placement *rows;
        int32_t count;
        ck_ok(oct_net_placements(q, &rows, &count));
        for (int k = 0; k < 3 && cases[i].stays[k]; k++) {
            oct_placement r = row_of(q, rows, count, cases[i].stays[k]);
            ck_assert_msg(!r.int8 && *r.reason, "%s: %s", cases[i].text, r.name);
            bool by_rule = strcmp(r.name, "max_pool2d") != 0; /* that one follows its input */
            ck_assert_msg(!by_rule ||
                              (strstr(r.reason, "qconfig") && strstr(r.rule, "float=yes by ")),
                          "%s: %s: %s, %s", cases[i].text, r.name, r.reason, r.rule);
        }
        int32_t ints = 0;
        for (int32_t k = 0; k < count; k++) ints += rows[k].int8;
        ck_assert_int_gt(ints, 0);
        oct_placements_free(q, rows);
        check_exact(q, OCT_SHAPE(6, 6, 2), true, cases[i].text);
    }
    ck_assert(oct_prepare(net, &(oct_qconfig){.stay_float = OCT_SWITCH_YES}) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_EUNSUPPORTED);
    oct_close(ctx);
}
END_TEST

START_TEST(every_key_reaches_its_quantizer) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    model n;
    oct_net *net = model_net(ctx, &n),
            *q = prepared(
                net,
                "block.c:observer=ema,ema=0.25,percentile=99,symmetric,reduce_range,granularity="
                "tensor,weight_observer=mse,weight_qmin=full,method=lsq,ste=rounded");
    const oct_quantizer *c = quantizer(q, "block.c"), *a = quantizer(q, "block.a"),
                        *w = quantizer(q, "block.c.weight");
    ck_assert_str_eq(c->observer, "ema");
    ck_assert(c->averaging == 0.25f && c->percentile == 99.0f && a->averaging == 0.01f);
    ck_assert(c->spec.symmetric && !a->spec.symmetric);
    ck_assert(c->spec.qmax == 127 && a->spec.qmax == 255);
    ck_assert(octi_is_searched_weight(w) && w->spec.qmin == -128 && w->spec.qmax == 127 &&
              quantizer(q, "fc.weight")->spec.qmin == -127);
    ck_assert(!w->spec.per_channel && oct_tensor_count(w->scale) == 1);
    ck_assert(c->method == OCT_METHOD_LSQ && w->method == OCT_METHOD_LSQ && !a->method && c->step &&
              !a->step);
    ck_assert(!c->strict);
    check_exact(q, OCT_SHAPE(6, 6, 2), true, "every key");
    ck_assert_int_eq(octi_zero_point(c), 64); /* the middle of u7 */
    q = prepared(net, "global:method=lsq+,fc:method=ema");
    ck_assert(quantizer(q, "block.c")->offset && !quantizer(q, "fc")->step &&
              !quantizer(q, "fc.weight")->step);
    oct_close(ctx);
}
END_TEST

/* A file of `text` in the build folder, loaded. */
static oct_status load(oct_ctx *ctx, const char *text, size_t size, oct_qconfig *c) {
    static const char path[] = "test_qconfig_file.json";
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fwrite(text, 1, size, f), size);
    fclose(f);
    oct_status s = oct_qconfig_load(ctx, path, c);
    remove(path);
    return s;
}

START_TEST(text_file_and_kept_form_say_the_same) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    model n;
    oct_net *net = model_net(ctx, &n);
    static const char json[] =
        "{\"target\": \"qnnpack\", \"abits\": 6, \"rules\": [{\"kind\": \"conv2d\", \"wbits\": 5}, "
        "{\"pattern\": \"block.*\", \"observer\": "
        "\"histogram\", \"ema\": 0.125}, {\"name\": \"fc\", \"float\": true}, {\"percentile\": "
        "99.5, \"symmetric\": false}]}";
    oct_qconfig file = {0}, text = {.target = OCT_TARGET_QNNPACK};
    ck_ok(load(ctx, json, strlen(json), &file));
    ck_assert_int_eq(file.target, OCT_TARGET_QNNPACK);
    ck_ok(oct_qconfig_parse(ctx, "global:abits=6,kind=conv2d:wbits=5", &text));
    /* appended */
    ck_ok(oct_qconfig_parse(
        ctx,
        "block.*:observer=histogram,ema=0.125,name=fc:float,global:percentile=99.5,symmetric=no",
        &text));
    ck_assert_int_eq(file.rule_count, 5);
    ck_ok(oct_qconfig_add(ctx, &(oct_qrule){OCT_QSCOPE_NAME, "block.a", {.wbits = 3}}, &file));
    ck_ok(oct_qconfig_parse(ctx, "block.a:wbits=3", &text));
    ck_assert_int_eq(file.rule_count, 6);
    oct_net *a = oct_prepare(net, &file), *b = oct_prepare(net, &text);
    ck_not_null(a);
    ck_not_null(b);
    ck_assert_str_eq(a->qconfig, b->qconfig);
    ck_assert_str_eq(a->target, b->target);
    /* a run gives it back, and what it gives prepares the same net */
    octi_text meta = {.ctx = ctx};
    ck_ok(octi_meta_to_json(a, &meta));
    oct_net *again = octi_net_new(ctx, OCT_STAGE_FLOAT);
    ck_ok(octi_meta_from_json(again, meta.data, meta.size, "test"));
    ck_assert_str_eq(again->qconfig, a->qconfig);
    octi_text_free(&meta);
    oct_qconfig kept = {.target = OCT_TARGET_QNNPACK};
    ck_ok(load(ctx, again->qconfig, strlen(again->qconfig), &kept));
    oct_net *c = oct_prepare(net, &kept);
    ck_not_null(c);
    ck_assert_str_eq(c->qconfig, a->qconfig);
    ck_assert_str_eq(oct_prepare(net, NULL)->qconfig, "");
    oct_close(ctx);
}
END_TEST

START_TEST(refusals_name_what_is_wrong) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    model n;
    oct_net *net = model_net(ctx, &n);
    static const char *const texts[][2] = {{"", "without a pattern"},
                                           {"wbits=4", "without a pattern"},
                                           {":wbits=4", "without a pattern"},
                                           {"fc:", "unknown key"},
                                           {"fc:wbits", "without a value"},
                                           {"fc:wbits=", "bad value of wbits"},
                                           {"fc:wbits=9", "2 to 8"},
                                           {"fc:wbits=1", "2 to 8"},
                                           {"fc:wbits=4.5", "bad value"},
                                           {"fc:wbits=0x4", "bad value"},
                                           {"fc:wbits= 4", "bad value"},
                                           {"fc:ema=nan", "bad value"},
                                           {"fc:ema=2", "ema"},
                                           {"fc:ema=1e999", "ema"},
                                           {"fc:percentile=0", "percentile"},
                                           {"fc:bits=4", "unknown key"},
                                           {"fc:wbits=4,,abits=4", "unknown key"},
                                           {"fc:observer", "without a value"},
                                           {"fc:observer=", "without a value"},
                                           {"kind=:float", "without a pattern"},
                                           {"name=:float", "without a pattern"},
                                           {"fc:wbits=4,", "unknown key"},
                                           {"fc:float=maybe", "yes or no"},
                                           {"fc:granularity=group", "channel or tensor"},
                                           {"fc:granularity=chanel", "did you mean channel?"},
                                           {"fc:method=sgd", "ema, lsq, lsq+ or pact"},
                                           {"fc:ste=loose", "rounded or strict"},
                                           {"fc:ste=", "without a value"},
                                           {"fc:wbits=99999999999999999999999", "bad value"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        oct_qconfig c = {.wbits = 5};
        ck_fails(OCT_EUSAGE, texts[i][1], oct_qconfig_parse(ctx, texts[i][0], &c));
        ck_assert(!c.rules && !c.rule_count); /* left alone */
    }
    static const char *const unfit[][2] = {{"conv9:wbits=4", "name conv9 matches nothing"},
                                           {"layer*:float", "pattern layer* matches nothing"},
                                           {"bn:float", "matches nothing"},
                                           {"kind=softmax:float", "kind softmax matches nothing"},
                                           {"kind=tanhh:float", "unknown kind"},
                                           {"kind=Linear:float", "did you mean kind=linear?"},
                                           {"kind=MaxPool2d:float", "mean kind=max_pool2d?"},
                                           {"fc:observer=crystal", "entropy"}};
    for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++) {
        oct_qconfig c = {0};
        ck_ok(oct_qconfig_parse(ctx, unfit[i][0], &c));
        oct_clear_error();
        ck_assert_msg(oct_prepare(net, &c) == NULL, "%s", unfit[i][0]);
        ck_assert_int_eq(oct_last_error()->code, OCT_EUSAGE);
        ck_assert_msg(strstr(oct_error_message(), unfit[i][1]) &&
                          !strchr(oct_error_message(), '\n'),
                      "%s: %s", unfit[i][0], oct_error_message());
    }
    ck_assert(oct_prepare(net, &(oct_qconfig){.rules = (oct_qrule[]){{OCT_QSCOPE_NAME, NULL, {0}}},
                                              .rule_count = 1}) == NULL);
    ck_assert(oct_prepare(net, &(oct_qconfig){.rules = (oct_qrule[]){{(oct_qscope)7, "fc", {0}}},
                                              .rule_count = 1}) == NULL);
    ck_assert(oct_prepare(net, &(oct_qconfig){.rules = NULL, .rule_count = 1}) == NULL);
    static const char *const files[][2] = {
        {"", ""},
        {"[]", "object"},
        {"{\"rules\": 3}", "rules"},
        {"{\"rules\": [3]}", "rule 0"},
        {"{\"wbits\": \"4\"}", "wbits"},
        {"{\"wbits\": 1}", "wbits"},
        {"{\"wbits\": 4.5}", "wbits"},
        {"{\"colour\": 1}", "colour"},
        {"{\"rules\": [{\"wbits\": 4}, {\"name\": \"fc\", \"kind\": \"add\"}]}", "rule 1"},
        {"{\"rules\": [{\"name\": \"\", \"float\": true}]}", "rule 0"},
        {"{\"target\": 1}", "target"},
        {"{\"target\": \"qnpack\"}", "did you mean qnnpack?"},
        {"{\"rules\": [{\"method\": \"lqs\"}]}", "rule 0: method: unknown method"},
        {"{\"percentile\": 0}", "percentile"},
        {"{\"observer\": \"\"}", "observer"},
        {"{\"observer\": null}", "observer"},
        {"{\"wbits\": 4, \"wbits\": 5}", "wbits"},
        {"{\"float\": 1}", "float"},
        {"{\"wbits\": 4} x", ""}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        oct_qconfig c = {0};
        ck_fails(OCT_EFORMAT, files[i][1], load(ctx, files[i][0], strlen(files[i][0]), &c));
        ck_assert(!c.rules && !c.rule_count && !c.target);
    }
    oct_qconfig c = {0};
    ck_fails(OCT_EUSAGE, "NULL", oct_qconfig_add(ctx, NULL, &c));
    ck_fails(OCT_EIO, "no_such_file", oct_qconfig_load(ctx, "no_such_file.json", &c));
    oct_close(ctx);
}
END_TEST

/* Whatever the bytes: parsed, or refused with one line; never a crash, a leak or a rule out of
 * range. */
START_TEST(noise_is_parsed_or_refused) {
    static const char *const seeds[] = {
        "layer1.*:wbits=4,observer=mse,fc3:float,kind=conv2d:wbits=4",
        "global:ema=0.01,method=lsq+,[ab]?:abits=3",
        ("{\"target\": \"octet\", \"rules\": [{\"kind\": \"conv2d\", \"wbits\": 4, \"ema\": 1e-2}, "
         "{\"name\": \"fc\", \"float\": true}]}")};
    static const char alphabet[] = "abw:=,*?[]{}\"0123456789.-eE\\ \n\xff";
    const int rounds = oct_test_long() ? 20000 : 1500;
    octi_rng r = octi_rng_stream(7, OCTI_RNG_TEST, 21, 0);
    for (int i = 0; i < rounds; i++) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
        char text[256];
        const int which = (int)octi_rng_below(&r, 3);
        size_t n = strlen(seeds[which]);
        memcpy(text, seeds[which], n + 1);
        for (int k = 0, edits = 1 + (int)octi_rng_below(&r, 4); k < edits && n > 2; k++) {
            size_t at = octi_rng_below(&r, (uint32_t)n);
            if (octi_rng_below(&r, 3))
                text[at] = alphabet[octi_rng_below(&r, sizeof alphabet - 1)];
            else
                memmove(text + at, text + at + 1, n-- - at);
        }
        oct_qconfig c = {0};
        octi_qrules rules = {.count = 0};
        oct_target target;
        oct_clear_error();
        oct_status s = which == 2 ? octi_qrules_read(ctx, NULL, text, n, "noise", &rules, &target)
                                  : oct_qconfig_parse(ctx, text, &c);
        ck_assert_msg(s == OCT_OK || s == (which == 2 ? OCT_EFORMAT : OCT_EUSAGE), "%s: %d", text,
                      (int)s);
        if (s != OCT_OK) ck_assert_int_eq(oct_last_error()->code, s);
        for (int32_t k = 0; s == OCT_OK && k < c.rule_count; k++) {
            ck_assert(c.rules[k].scope <= OCT_QSCOPE_NAME &&
                      (c.rules[k].scope == OCT_QSCOPE_GLOBAL || *c.rules[k].of));
            ck_assert(!c.rules[k].set.wbits ||
                      (c.rules[k].set.wbits >= 2 && c.rules[k].set.wbits <= 8));
        }
        octi_free(ctx, rules.rule);
        oct_close(ctx);
    }
}
END_TEST

OCT_TEST_MAIN("qconfig", levels_and_the_last_of_a_level, first_and_last_follow_who_names_them,
              a_shared_grid_takes_the_rules_of_its_first_value,
              a_shared_weight_has_a_grid_for_each_place, float_layers_have_borders_around_them,
              every_key_reaches_its_quantizer, text_file_and_kept_form_say_the_same,
              refusals_name_what_is_wrong, noise_is_parsed_or_refused)
