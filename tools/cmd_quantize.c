/* SPDX-License-Identifier: MIT
 * octet ptq, octet convert, octet verify. */
#include <string.h>
#include <sys/stat.h>

#include "tools/cli.h"

enum { CLE = 1, BIAS = 2, ADAROUND = 4 };

/* The words of --improve as bits; -1 behind a message. */
static int improvements(const cli *c) {
    static const struct {
        const char *word;
        int bit;
    } known[] = {{"cle", CLE}, {"bias", BIAS}, {"adaround", ADAROUND}};
    int bits = 0;
    for (const char *p = c->improve.s; c->improve.set && *p;) {
        size_t n = strcspn(p, ","), i = 0;
        while (i < 3 && (strlen(known[i].word) != n || strncmp(known[i].word, p, n))) i++;
        if (i == 3) return cli_unknown("--improve", "unknown word", "cle, bias, adaround", p), -1;
        bits |= known[i].bit;
        p += n + (p[n] == ',');
    }
    return bits;
}

/* On a calibrated net. */
static oct_status improve(const cli *c, oct_net *net, oct_data *train, long long n, int bits) {
    if (!(bits & (BIAS | ADAROUND))) return OCT_OK;
    oct_tensor *x = oct_calibration_inputs(net, train, n);
    if (!x) return oct_last_error()->code;
    int32_t skipped = 0;
    oct_status s = bits & ADAROUND ? oct_adaround(net, x, NULL) : OCT_OK;
    if (s == OCT_OK && bits & BIAS) s = oct_correct_bias(net, x, &skipped);
    if (s == OCT_OK && skipped) cli_note(c, "bias: %d layers have no bias to correct", skipped);
    oct_tensor_unref(x);
    return s;
}

int cmd_ptq(cli *c) {
    if (oct_run_check(c->ctx, c->out.s, false, c->force.set) != OCT_OK) return cli_failed();
    int code;
    oct_net *from = cli_load(c, c->operands[0], true, &code);
    if (!from) return code;
    if (from->stage == OCT_STAGE_PREPARED) return cli_usage(c->operands[0], "run is prepared already", "a float run", NULL, NULL);
    int better = improvements(c);
    if (better < 0) return 2;
    int32_t pairs = 0;
    oct_net *base = better & CLE ? oct_equalize(from, &pairs) : from;
    if (better & CLE && base) cli_note(c, "cle: %d pairs of layers equalized", pairs);
    oct_qconfig config;
    if ((code = cli_qconfig(c, &config))) return code;
    oct_net *net = oct_prepare(base, &config);
    oct_data *train = net ? cli_data(c, OCT_SPLIT_TRAIN, net) : NULL, *test = train ? cli_data(c, OCT_SPLIT_TEST, net) : NULL;
    if (!train || !test) return cli_failed();
    long long n = c->calib.set ? c->calib.i : 512;
    if ((c->rules.set || c->qconfig.set) && !c->quiet.set) cli_placements(stderr, net);
    cli_note(c, "ptq %s: target %s, calibrate on %lld of %lld images of %s", c->operands[0], net->target, n, (long long)oct_data_count(train), c->data.s);
    if (c->dry_run.set) return 0;
    oct_eval real, quant;
    const oct_score score = oct_score_of(from, test); /* calibration needs no labels */
    if (oct_calibrate(net, train, n) != OCT_OK || improve(c, net, train, n, better) != OCT_OK) return cli_failed();
    if (score != OCT_SCORE_NONE && oct_evaluate(from, test, NULL, &real) != OCT_OK) return cli_failed();
    oct_net *int8 = oct_convert(net, NULL); /* the real integer path */
    if (!int8 || (score != OCT_SCORE_NONE && oct_evaluate(int8, test, NULL, &quant) != OCT_OK)) return cli_failed();
    if (oct_run_save(net, c->out.s, cli_config_json(c), c->force.set) != OCT_OK) return cli_failed();
    const bool classes = score == OCT_SCORE_CLASSES;
    cli_warnings w = cli_warn(c, net, train, classes ? real.accuracy : -1, classes ? quant.accuracy : -1);
    if (c->json.set) {
        json j = json_open();
        if (score == OCT_SCORE_CLASSES) {
            json_number(&j, "accuracy", quant.accuracy);
            json_number(&j, "fp32_accuracy", real.accuracy);
        } else if (score == OCT_SCORE_VALUES) {
            json_number(&j, "loss", quant.loss);
            json_number(&j, "fp32_loss", real.loss);
        }
        cli_warnings_json(&j, &w);
        json_close(&j);
    } else if (score == OCT_SCORE_CLASSES)
        printf("accuracy %.4f  fp32_accuracy %.4f\n", quant.accuracy, real.accuracy);
    else if (score == OCT_SCORE_VALUES)
        printf("loss %.6g  fp32_loss %.6g (mean squared error)\n", quant.loss, real.loss);
    else
        printf("calibrated; the data has nothing to score this net by\n");
    cli_warnings_free(c, &w);
    cli_next(c, "run in %s; next: octet convert %s --out %s.oct8", cli_word(c->out.s), cli_word(c->out.s), cli_word(c->out.s));
    return 0;
}

/* ---- convert ---- */

/* The simulation against the int8 net on n images of data, adding to *m. */
static int report_mismatch(const oct_mismatch *m) {
    if (!m->mismatched) return 0;
    cli_print_to(stderr, "octet: %s: codes differ at element %lld: expected %d, got %d (%lld of %lld codes differ)\n", m->node, (long long)m->element,
            m->expected, m->got, (long long)m->mismatched, (long long)m->codes);
    return 1;
}

static bool same_file(const char *a, const char *b) {
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static void next_of_file(const cli *c) {
    if (c->dry_run.set) return;
    cli_next(c, "int8 model in %s; next: octet eval %s --data %s", cli_word(c->out.s), cli_word(c->out.s), c->data.set ? cli_word(c->data.s) : "SPEC");
}

/* A float run with small weights: no data, nothing to compare. */
static int convert_weights(cli *c, oct_net *net) {
    const char *mode = c->mode.s;
    if (net->stage > OCT_STAGE_FUSED) return cli_usage("--mode", "run is quantized already", "a float run", mode, NULL);
    oct_net *small;
    if (!strcmp(mode, "dynamic")) small = oct_quantize_dynamic(net, NULL);
    else if (!strcmp(mode, "weight-only")) small = oct_quantize_weight_only(net, NULL);
    else if (!strcmp(mode, "half")) small = oct_half(net);
    else return cli_unknown("--mode", "unknown", "dynamic, weight-only, half", mode);
    if (!small || (!c->dry_run.set && oct_int8_save(small, c->out.s) != OCT_OK)) return cli_failed();
    long long bytes = 0;
    for (int32_t i = 0; i < small->tensor_count; i++) bytes += (long long)oct_tensor_bytes(small->tensors[i].tensor);
    if (c->json.set) {
        json j = json_open();
        json_string(&j, "mode", mode);
        json_int(&j, "bytes", bytes);
        json_close(&j);
    } else
        cli_print("mode %s  bytes %lld\n", mode, bytes);
    next_of_file(c);
    return 0;
}

int cmd_convert(cli *c) {
    if (same_file(c->operands[0], c->out.s)) return cli_usage("--out", "input and output are the same", "another path", c->out.s, NULL);
    bool ok;
    oct_split split = cli_split(c, OCT_SPLIT_TEST, &ok);
    if (!ok) return 2;
    int code;
    oct_net *net = cli_load(c, c->operands[0], true, &code);
    if (!net) return code;
    if (c->mode.set) return convert_weights(c, net);
    if (net->stage != OCT_STAGE_PREPARED)
        return cli_usage(c->operands[0], "run is not quantized", "the result of octet ptq or octet qat", NULL, "--mode dynamic, weight-only or half needs no calibration");
    oct_convert_report r;
    oct_net *int8 = oct_convert(net, &r); /* compares on the probe */
    oct_mismatch m = r.check;
    if (!int8 && !m.mismatched) return cli_failed();
    if (int8 && !strcmp(r.probe, "made"))
        cli_note(c, "octet: the run keeps no probe: compared on %d made inputs; --data compares on real ones", r.probe_images);
    if (int8 && c->data.set) {
        oct_data *d = cli_data(c, split, net);
        if (!d || oct_compare_data(net, int8, d, 0, &m) != OCT_OK) return cli_failed();
    }
    oct_placement *rows;
    int32_t count;
    if (oct_net_placements(net, &rows, &count) == OCT_OK) {
        for (int32_t i = 0; i < count; i++)
            if (!rows[i].int8) cli_note(c, "float: %s (%s): %s", rows[i].name, rows[i].kind, rows[i].reason);
        oct_placements_free(net, rows);
    }
    code = report_mismatch(&m);
    if (!code && !c->dry_run.set) code = cli_status(oct_int8_save(int8, c->out.s));
    if (code > 1) return code;
    if (c->json.set) {
        json j = json_open();
        json_int(&j, "mismatched_codes", m.mismatched);
        json_int(&j, "layers_int8", r.layers_int8);
        json_int(&j, "layers_float", r.layers_float);
        json_int(&j, "bytes", r.bytes);
        json_close(&j);
    } else
        cli_print("mismatched_codes %lld of %lld  layers_int8 %d  layers_float %d  bytes %lld\n", (long long)m.mismatched, (long long)m.codes,
               r.layers_int8, r.layers_float, (long long)r.bytes);
    if (!code) next_of_file(c);
    return code;
}

/* ---- verify ---- */

/* Two nets of any stages, node by node: codes, or float values where both are float. */
static void compare_values(const char *node, const oct_tensor *a, const oct_tensor *b, oct_mismatch *m) {
    int64_t n = oct_tensor_count(a);
    size_t size = oct_dtype_size(a->dtype);
    m->codes += n;
    for (int64_t i = 0; i < n; i++) {
        const char *p = (const char *)a->data + (size_t)i * size, *q = (const char *)b->data + (size_t)i * size;
        if (!memcmp(p, q, size)) continue;
        if (m->mismatched++) continue;
        snprintf(m->node, sizeof m->node, "%s", node);
        m->element = i;
        m->expected = a->dtype == OCT_U8 ? *(const uint8_t *)p : 0;
        m->got = b->dtype == OCT_U8 ? *(const uint8_t *)q : 0;
    }
}

static oct_status compare_batch(oct_net *a, oct_runner *ra, oct_net *b, oct_runner *rb, const oct_tensor *x, oct_mismatch *m, int *common) {
    const oct_tensor *ya = oct_runner_run(ra, x), *yb = oct_runner_run(rb, x);
    if (!ya || !yb) return oct_last_error()->code;
    *common = 0;
    for (int32_t i = 0; i < a->graph->node_count; i++) {
        const char *name = a->graph->nodes[i].name;
        if (oct_graph_find_node(b->graph, name) < 0) continue;
        const oct_tensor *p = oct_runner_value(ra, name, NULL, NULL), *q = oct_runner_value(rb, name, NULL, NULL);
        if (!p || !q || p->dtype != q->dtype || oct_tensor_count(p) != oct_tensor_count(q)) continue;
        compare_values(name, p, q, m);
        ++*common;
    }
    return OCT_OK;
}

static oct_status compare_any(oct_net *a, oct_net *b, oct_data *data, oct_mismatch *m, int *common) {
    oct_runner_opts o = {.batch = 32, .values = true};
    oct_runner *ra = oct_runner_new(a, &o), *rb = oct_runner_new(b, &o);
    oct_loader *l = ra && rb ? oct_loader_new(data, &(oct_loader_opts){.batch = 32, .input = &a->input}) : NULL;
    oct_status s = l ? oct_loader_start(l, 0, 0) : oct_last_error()->code;
    while (s == OCT_OK) {
        oct_batch batch;
        bool done = false;
        s = oct_loader_next(l, &batch, &done);
        if (s != OCT_OK || done) break;
        s = compare_batch(a, ra, b, rb, batch.x, m, common);
    }
    oct_loader_free(l);
    oct_runner_free(ra);
    oct_runner_free(rb);
    return s;
}

int cmd_verify(cli *c) {
    bool ok;
    oct_split split = cli_split(c, OCT_SPLIT_TEST, &ok);
    if (!ok) return 2;
    int code;
    oct_net *a = cli_load(c, c->operands[0], false, &code), *b = a ? cli_load(c, c->operands[1], false, &code) : NULL;
    if (!b) return code;
    oct_data *data = cli_data(c, split, a);
    if (!data) return cli_failed();
    if (c->dry_run.set) return 0;
    oct_mismatch m = {.codes = 0};
    int common = 1;
    oct_status s;
    if (a->stage == OCT_STAGE_PREPARED && b->stage == OCT_STAGE_INT8) s = oct_compare_data(a, b, data, 0, &m);
    else if (a->stage == OCT_STAGE_INT8 && b->stage == OCT_STAGE_PREPARED) s = oct_compare_data(b, a, data, 0, &m);
    else s = compare_any(a, b, data, &m, &common);
    if (s != OCT_OK) return cli_failed();
    if (!common || !m.codes) return cli_usage(c->operands[1], "models have no value in common", "layers of the same names and kinds of values", NULL, NULL) + 1;
    if (c->json.set) {
        json j = json_open();
        json_int(&j, "mismatched_codes", m.mismatched);
        json_int(&j, "codes", m.codes);
        if (m.mismatched) {
            json_string(&j, "layer", m.node);
            json_int(&j, "element", m.element);
            json_int(&j, "expected", m.expected);
            json_int(&j, "got", m.got);
        }
        json_close(&j);
    } else
        printf("mismatched_codes %lld of %lld\n", (long long)m.mismatched, (long long)m.codes);
    if (m.mismatched) cli_next(c, "next: octet layers %s --data %s shows each layer's share", cli_word(c->operands[0]), cli_word(c->data.s));
    else cli_next(c, "equal to the last bit; next: octet predict %s IMAGE", cli_word(c->operands[1]));
    return report_mismatch(&m);
}
