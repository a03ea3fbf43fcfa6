/* SPDX-License-Identifier: MIT
 * octet ptq, octet convert. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/cli_compared.h"

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

/* Of a float net; by what calibration data shows where a relu6 stands between layers. */
static oct_net *equalize(const cli *c, oct_net *from, oct_data *train, long long n) {
    int32_t pairs = 0;
    oct_tensor *x = c->dry_run.set ? NULL : oct_calibration_inputs(from, train, n);
    if (!x && !c->dry_run.set) return NULL;
    oct_net *made = x ? oct_equalize_on(from, x, &pairs) : oct_equalize(from, &pairs);
    oct_tensor_unref(x);
    if (made) cli_note(c, "cle: %d pairs of layers equalized", pairs);
    return made;
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
    if (oct_net_stage(from) == OCT_STAGE_PREPARED)
        return cli_quantized_already(c, c->operands[0], "a float run");
    int better = improvements(c);
    if (better < 0) return 2;
    oct_qconfig config;
    if ((code = cli_qconfig(c, &config))) return code;
    oct_data *train = cli_data(c, OCT_SPLIT_TRAIN, from),
             *test = train ? cli_data(c, OCT_SPLIT_TEST, from) : NULL;
    if (!train || !test) return cli_failed();
    long long n = c->calib.set ? c->calib.i : 512;
    if (n > oct_data_count(train)) n = oct_data_count(train);
    oct_net *base = better & CLE ? equalize(c, from, train, n) : from;
    oct_net *net = oct_prepare(base, &config);
    if (!net) return cli_failed();
    if ((c->rules.set || c->qconfig.set) && !c->quiet.set) cli_placements(stderr, net);
    cli_note(c, "ptq %s: target %s, calibrate on %lld of %lld images of %s", c->operands[0],
             oct_net_target(net), n, (long long)oct_data_count(train), c->data.s);
    if ((code = cli_note_input(c, net))) return code;
    if (c->dry_run.set) return cli_plan_ptq(c, from, net, train, test, n, better & ADAROUND);
    oct_eval real, quant;
    const oct_score score = oct_score_of(from, test); /* calibration needs no labels */
    if (oct_calibrate(net, train, n) != OCT_OK || improve(c, net, train, n, better) != OCT_OK)
        return cli_failed();
    if (score != OCT_SCORE_NONE && oct_evaluate(from, test, NULL, &real) != OCT_OK)
        return cli_failed();
    oct_net *int8 = oct_convert(net, NULL); /* the real integer path */
    if (!int8 || (score != OCT_SCORE_NONE && oct_evaluate(int8, test, NULL, &quant) != OCT_OK))
        return cli_failed();
    if (oct_run_save(net, c->out.s, cli_config_json(c), c->force.set) != OCT_OK)
        return cli_failed();
    const bool classes = score == OCT_SCORE_CLASSES;
    cli_warnings w = cli_warn(c, net, train, classes ? real.accuracy : -1,
                              classes ? quant.accuracy : -1, oct_data_count(test));
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
    cli_next_of_run(c);
    return 0;
}

/* ---- convert ---- */

static int report_mismatch(const oct_mismatch *m) {
    if (!m->mismatched) return 0;
    cli_print_to(stderr,
                 "octet: %s: codes differ at element %lld: expected %d, got %d (%lld of %lld codes "
                 "differ)\n",
                 m->node, (long long)m->element, m->expected, m->got, (long long)m->mismatched,
                 (long long)m->codes);
    return 1;
}

static bool same_file(const char *a, const char *b) {
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Of the file that is there: it has the graph too; -1 where nothing was written. 0, or the exit
 * code. */
static int file_bytes(const cli *c, int code, long long *bytes) {
    struct stat st;
    *bytes = -1;
    if (c->dry_run.set || code) return 0;
    if (stat(c->out.s, &st))
        return cli_print_to(stderr, "octet: %s: its size cannot be read: %s\n", c->out.s,
                            strerror(errno)),
               4;
    *bytes = (long long)st.st_size;
    return 0;
}

static void print_file_bytes(long long bytes) {
    if (bytes >= 0) printf(" of tensors  file %lld", bytes);
    printf("\n");
}

static void next_of_file(const cli *c, const oct_net *made) {
    if (c->dry_run.set) return;
    cli_next(c, "%s model in %s; next: octet eval %s --data %s",
             oct_net_form_name(oct_net_form_of(made)), cli_word(c->out.s), cli_word(c->out.s),
             cli_next_data(c, c->operands[0]));
}

static oct_net *dynamic(const oct_net *net) { return oct_quantize_dynamic(net, NULL); }
static oct_net *weight_only(const oct_net *net) { return oct_quantize_weight_only(net, NULL); }

/* The words of --mode. */
static const struct mode {
    const char *word;
    oct_net *(*make)(const oct_net *net);
} modes[] = {{"dynamic", dynamic}, {"weight-only", weight_only}, {"half", oct_half}};

static const struct mode *mode_of(const cli *c) {
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(c->mode.s, modes[i].word)) return &modes[i];
    static const char known[] = "dynamic, weight-only, half";
    if (!strcmp(c->mode.s, "int8"))
        (void)cli_usage("--mode", "unknown", known, c->mode.s,
                        "without --mode a run of octet ptq or octet qat becomes int8");
    else
        (void)cli_unknown("--mode", "unknown", known, c->mode.s);
    return NULL;
}

/* A float run with small weights: no data, nothing to compare. */
static int convert_weights(cli *c, oct_net *net, const struct mode *m) {
    const char *mode = c->mode.s;
    if (oct_net_stage(net) > OCT_STAGE_FUSED) {
        char hint[1400];
        const char *from = cli_float_run(c, c->operands[0], "RUN");
        snprintf(hint, sizeof hint, "octet convert %s --mode %s --out %s", cli_word(from),
                 cli_word(mode), cli_word(c->out.s));
        return cli_usage(c->operands[0], "run is quantized already", "a float run for --mode",
                         "a run of octet ptq or octet qat", hint);
    }
    oct_net *small = m->make(net);
    if (!small || (!c->dry_run.set && oct_int8_save(small, c->out.s) != OCT_OK))
        return cli_failed();
    const long long bytes = oct_net_bytes(small);
    long long of_file;
    const int code = file_bytes(c, 0, &of_file);
    if (code) return code;
    if (c->json.set) {
        json j = json_open();
        json_string(&j, "mode", mode);
        json_int(&j, "bytes", bytes);
        if (of_file >= 0) json_int(&j, "file_bytes", of_file);
        json_close(&j);
    } else {
        cli_print("mode %s  bytes %lld", mode, bytes);
        print_file_bytes(of_file);
    }
    next_of_file(c, small);
    return 0;
}

int cmd_convert(cli *c) {
    if (same_file(c->operands[0], c->out.s))
        return cli_usage("--out", "input and output are the same", "another path", c->out.s, NULL);
    bool ok;
    oct_split split = cli_split(c, OCT_SPLIT_TEST, &ok);
    if (!ok) return 2;
    const struct mode *mode = c->mode.set ? mode_of(c) : NULL;
    if (c->mode.set && !mode) return 2;
    int code = cli_may_replace(c, c->out.s, CLI_FILE_INT8);
    if (code) return code;
    oct_net *net = cli_load(c, c->operands[0], true, &code);
    if (!net) return code;
    if (mode) return convert_weights(c, net, mode);
    if (oct_net_stage(net) != OCT_STAGE_PREPARED)
        return cli_usage(c->operands[0], "run is not quantized",
                         "the result of octet ptq or octet qat", NULL,
                         "--mode dynamic, weight-only or half needs no calibration");
    oct_convert_report r;
    oct_net *int8 = oct_convert(net, &r); /* compares on the probe */
    oct_mismatch m = r.check;
    if (!int8 && !m.mismatched) return cli_failed();
    if (int8 && r.probe == OCT_PROBE_MADE)
        cli_note(c,
                 "octet: the run keeps no probe: compared on %d made inputs; --data compares on "
                 "real ones",
                 r.probe_images);
    oct_data *data = NULL;
    if (int8 && c->data.set &&
        (!(data = cli_data(c, split, net)) || oct_compare_data(net, int8, data, 0, &m) != OCT_OK))
        return cli_failed();
    oct_placement *rows;
    int32_t count;
    if (oct_net_placements(net, &rows, &count) == OCT_OK) {
        for (int32_t i = 0; i < count; i++)
            if (!rows[i].int8)
                cli_note(c, "float: %s (%s): %s", rows[i].name, rows[i].kind, rows[i].reason);
        oct_placements_free(net, rows);
    }
    cli_warnings w = cli_warn(c, net, data, -1, -1, 0);
    code = report_mismatch(&m);
    if (!code && !c->dry_run.set) code = cli_status(oct_int8_save(int8, c->out.s));
    if (code > 1) return code;
    long long of_file;
    const int unread = file_bytes(c, code, &of_file);
    if (unread) return unread;
    if (c->json.set) {
        json j = json_open();
        json_int(&j, "mismatched_codes", m.mismatched);
        json_int(&j, "layers_int8", r.layers_int8);
        json_int(&j, "layers_float", r.layers_float);
        json_int(&j, "bytes", r.bytes);
        if (of_file >= 0) json_int(&j, "file_bytes", of_file);
        cli_warnings_json(&j, &w);
        json_close(&j);
    } else {
        cli_print("mismatched_codes %lld of %lld  layers_int8 %d  layers_float %d  bytes %lld",
                  (long long)m.mismatched, (long long)m.codes, r.layers_int8, r.layers_float,
                  (long long)r.bytes);
        print_file_bytes(of_file);
    }
    cli_warnings_free(c, &w);
    if (!code) next_of_file(c, int8);
    return code;
}
