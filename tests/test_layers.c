/* SPDX-License-Identifier: MIT
 * The layer report: cosines against a count of the test's own, dead channels, one layer at a time;
 * qparams in metrics.jsonl. */
#include "tests/temp_folder.h"

#include <locale.h>
#include <math.h>

#include "autograd/nn/nn.h"
#include "qat/fit/fit.h"
#include "src/clock.h"
#include "src/rng.h"

enum { IMAGES = 48, SIDE = 8, CLASSES = 4 };
static oct_ctx *ctx;
static float pixels[IMAGES * SIDE * SIDE];
static int32_t labels[IMAGES];

static oct_data *make_data(void) {
    octi_rng r = octi_rng_stream(5, OCTI_RNG_TEST, 1, 1);
    for (int i = 0; i < IMAGES * SIDE * SIDE; i++) pixels[i] = octi_rng_normal(&r);
    for (int i = 0; i < IMAGES; i++) labels[i] = (int32_t)octi_rng_below(&r, CLASSES);
    oct_data *d = oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(IMAGES, SIDE, SIDE, 1), pixels,
                                       labels, &(oct_array_opts){.classes = CLASSES});
    ck_not_null(d);
    return d;
}

static oct_net *make_net(void) {
    oct_module *m[] = {
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 1, .out = 4, .kernel = 3, .pad = 1}),
        oct_relu_new(ctx),
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 4, .out = 4, .kernel = 3, .pad = 1}),
        oct_relu_new(ctx),
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 4, .out = 4, .kernel = 3}),
        oct_relu_new(ctx),
        oct_flatten_new(ctx),
        oct_linear_new(ctx, &(oct_linear_opts){.in = 4 * 36, .out = CLASSES})};
    oct_net *net = oct_capture(oct_sequential_new(ctx, m, 8), OCT_SHAPE(SIDE, SIDE, 1));
    ck_not_null(net);
    return net;
}

static void setup(void) {
    ctx = oct_open(&(oct_opts){.threads = 1});
    ck_not_null(ctx);
}
static void teardown(void) { oct_close(ctx); }

static oct_layer *row(oct_layer *rows, int32_t n, const char *name) {
    for (int32_t i = 0; i < n; i++)
        if (!strcmp(rows[i].name, name)) return &rows[i];
    ck_abort_msg("no row %s", name);
    return NULL;
}

START_TEST(figures_are_what_they_say) {
    oct_net *net = make_net(), *fused = oct_fuse(net),
            *q = oct_prepare(net, &(oct_qconfig){.abits = 4});
    oct_data *d = make_data();
    ck_ok(oct_net_describe(q, d));
    ck_ok(oct_calibrate(q, d, IMAGES));
    oct_layer *rows;
    int32_t n;
    ck_ok(oct_layers(q, d, IMAGES, &rows, &n));
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(IMAGES, SIDE, SIDE, 1));
    memcpy(x->data, pixels, sizeof pixels);
    oct_runner *real = oct_runner_new(fused, NULL), *quant = oct_runner_new(q, NULL);
    ck_not_null(oct_runner_run(real, x));
    ck_not_null(oct_runner_run(quant, x));
    static const char *const names[] = {"0", "2", "4", "7"};
    for (int k = 0; k < 4; k++) {
        oct_layer *r = row(rows, n, names[k]);
        float scale;
        int32_t zero;
        const oct_tensor *a = oct_runner_value(real, names[k], NULL, NULL),
                         *b = oct_runner_value(quant, names[k], &scale, &zero);
        ck_assert(a && b && b->dtype == OCT_U8 && scale == r->scale && zero == r->zero_point);
        double dot = 0, aa = 0, bb = 0, noise = 0;
        for (int64_t i = 0; i < oct_tensor_count(a); i++) {
            double u = oct_f32(a)[i], v = scale * (double)(oct_u8(b)[i] - zero);
            dot += u * v;
            aa += u * u;
            bb += v * v;
            noise += (u - v) * (u - v);
        }
        ck_assert_msg(fabs(r->cosine_cum - dot / sqrt(aa * bb)) < 1e-5, "%s: %.9g, %.9g", names[k],
                      r->cosine_cum, dot / sqrt(aa * bb));
        ck_assert_msg(fabs(r->sqnr_cum - 10 * log10(aa / noise)) < 1e-3, "%s: %.9g, %.9g", names[k],
                      r->sqnr_cum, 10 * log10(aa / noise));
        ck_assert(r->cosine_local > 0.98 && r->cosine_local <= 1 + 1e-12);
        ck_assert_int_eq(r->channels, 4);
        int dead = 0, dead_float = 0;
        for (int c = 0; c < 4; c++) {
            bool codes = true, values = true;
            for (int64_t i = c; i < oct_tensor_count(a); i += 4) {
                codes &= oct_u8(b)[i] == oct_u8(b)[c];
                values &= oct_f32(a)[i] == oct_f32(a)[c];
            }
            dead += codes;
            dead_float += codes && values;
        }
        ck_assert_msg(r->dead == dead && r->dead_float == dead_float, "%s: %lld of %d dead",
                      names[k], (long long)r->dead, dead);
        ck_assert(isnan(r->sqnr_alone) && isnan(r->accuracy_alone)); /* not asked for */
    }
    /* errors of layers add up */
    ck_assert(row(rows, n, "4")->cosine_local > row(rows, n, "4")->cosine_cum);
    oct_runner_free(real);
    oct_runner_free(quant);
    oct_layers_free(ctx, rows);
    oct_net *i8 = oct_convert(q, NULL); /* no float to compare with */
    ck_ok(oct_layers(i8, d, 8, &rows, &n));
    ck_assert(isnan(row(rows, n, "2")->cosine_cum) && row(rows, n, "2")->dead == -1);
    int64_t codes[3]; /* compared in batches of 32, until there were as many images as asked for */
    for (int k = 0; k < 3; k++) {
        oct_mismatch m = {0};
        ck_ok(oct_compare_data(q, i8, d, (int64_t[]){1, 33, 0}[k], &m));
        codes[k] = m.codes;
    }
    ck_assert(codes[0] > 0 && codes[0] * IMAGES == codes[2] * 32 && codes[1] == codes[2]);
    oct_layers_free(ctx, rows);
}
END_TEST

START_TEST(dead_channels_are_counted) {
    oct_net *net = make_net();
    oct_data *d = make_data();
    /* the last batch is 16 equal images: what was seen before counts too */
    memset(pixels + 32 * SIDE * SIDE, 0, sizeof(float) * 16 * SIDE * SIDE);
    float *w = oct_f32(oct_net_tensor(net, "2.weight")),
          *b = oct_f32(oct_net_tensor(net, "2.bias"));
    for (int k = 0; k < 36; k++) {
        w[2 * 36 + k] = 0;      /* channel 2 is dead in floats */
        w[1 * 36 + k] *= 1e-5f; /* channel 1 is below half a step of the others' grid */
    }
    b[1] = b[2] = 0;
    b[3] = -1e4f; /* channel 3 never passes the relu; it moves no range */
    oct_net *q = oct_prepare(net, NULL);
    ck_ok(oct_net_describe(q, d));
    ck_ok(oct_calibrate(q, d, IMAGES));
    oct_layer *rows;
    int32_t n;
    ck_ok(oct_layers(q, d, IMAGES, &rows, &n));
    ck_assert_int_eq(row(rows, n, "2")->dead, 3);
    ck_assert_int_eq(row(rows, n, "2")->dead_float, 2);
    ck_assert_int_eq(row(rows, n, "0")->dead, 0);
    oct_layers_free(ctx, rows);
}
END_TEST

static double output_sqnr(oct_net *q, oct_net *net, double *accuracy) {
    oct_tensor *x = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(32, SIDE, SIDE, 1));
    memcpy(x->data, pixels, oct_tensor_bytes(x));
    oct_runner *a = oct_runner_new(net, NULL), *b = oct_runner_new(q, NULL);
    const oct_tensor *u = oct_runner_run(a, x), *v = oct_runner_run(b, x);
    ck_assert(u && v);
    double signal = 0, noise = 0;
    int right = 0;
    for (int i = 0; i < 32; i++) {
        int best = 0;
        for (int k = 0; k < CLASSES; k++) {
            double p = oct_f32(u)[i * CLASSES + k], r = oct_f32(v)[i * CLASSES + k];
            signal += p * p;
            noise += (p - r) * (p - r);
            if (r > oct_f32(v)[i * CLASSES + best]) best = k;
        }
        right += best == labels[i];
    }
    *accuracy = right / 32.0;
    oct_runner_free(a);
    oct_runner_free(b);
    return 10 * log10(signal / noise);
}

/* A net of one layer: that layer alone is the whole. */
START_TEST(one_layer_alone_is_the_whole_of_its_net) {
    oct_module *m[] = {oct_flatten_new(ctx),
                       oct_linear_new(ctx, &(oct_linear_opts){.in = SIDE * SIDE, .out = CLASSES})};
    oct_net *net = oct_capture(oct_sequential_new(ctx, m, 2), OCT_SHAPE(SIDE, SIDE, 1)),
            *q = oct_prepare(net, &(oct_qconfig){.wbits = 3, .abits = 4, .all_layers = true});
    oct_data *d = make_data();
    ck_ok(oct_net_describe(q, d));
    ck_ok(oct_calibrate(q, d, IMAGES));
    oct_layer *rows;
    int32_t n;
    double accuracy, real;
    ck_ok(oct_layers(q, NULL, 0, &rows, &n));
    ck_ok(oct_layers_sweep(q, d, 32, rows, n, &real));
    double want = output_sqnr(q, net, &accuracy);
    ck_assert_msg(fabs(row(rows, n, "1")->sqnr_alone - want) < 1e-3, "%g, %g",
                  row(rows, n, "1")->sqnr_alone, want);
    ck_assert_double_eq(row(rows, n, "1")->accuracy_alone, accuracy);
    ck_assert(row(rows, n, "input.quantize")->sqnr_alone > want &&
              isnan(row(rows, n, "0")->sqnr_alone));
    oct_layers_free(ctx, rows);
}
END_TEST

START_TEST(the_layer_with_few_bits_costs_most) {
    oct_net *net = make_net();
    oct_data *d = make_data();
    ck_ok(oct_net_describe(net, d));
    oct_net *q = oct_prepare(net, &(oct_qconfig){.wbits = 2, .abits = 5});
    ck_assert(oct_net_settle(q) == OCT_OK);
    oct_layer *rows;
    int32_t n;
    ck_ok(oct_layers(q, NULL, 0, &rows, &n));
    ck_assert(row(rows, n, "2")->bits == 5 && row(rows, n, "2")->weight_bits == 2);
    ck_assert(row(rows, n, "7")->bits == 8 && row(rows, n, "7")->weight_bits == 8);
    ck_assert_int_eq(oct_layers_sweep(q, d, 32, rows, n, NULL), OCT_EQPARAMS); /* not calibrated */
    ck_ok(oct_calibrate(q, d, IMAGES));
    oct_u8(oct_net_tensor(q, "2.weight_fake_quant.enabled"))[1] = 0; /* a switch of the caller's */
    double real;
    ck_ok(oct_layers_sweep(q, d, IMAGES, rows, n, &real));
    for (int32_t i = 0; i < q->graph->quantizer_count; i++) {
        const oct_quantizer *z = &q->graph->quantizers[i];
        ck_assert_msg(oct_u8(z->enabled)[1] == (strcmp(z->name, "2.weight") != 0),
                      "the switch of %s is not put back", z->name);
    }
    /* 2 and 4 have ternary weights, the first and the last layer keep 8 bits */
    double worst = fmax(row(rows, n, "2")->sqnr_alone, row(rows, n, "4")->sqnr_alone);
    ck_assert(row(rows, n, "0")->sqnr_alone > worst + 10 &&
              row(rows, n, "7")->sqnr_alone > worst + 10);
    oct_eval e;
    ck_ok(oct_evaluate(net, d, NULL, &e));
    ck_assert_double_eq(real, e.accuracy);
    oct_eval_free(ctx, &e);
    ck_fails(OCT_EUSAGE, "prepared",
             oct_layers_sweep(net, d, 8, rows, net->graph->node_count, NULL));
    ck_fails(OCT_EUSAGE, "rows", oct_layers_sweep(q, d, 8, rows, n - 1, NULL));
    ck_fails(OCT_EUSAGE, "NULL", oct_layers_sweep(q, d, 8, NULL, n, NULL));
    oct_layers_free(ctx, rows);
}
END_TEST

/* What a run takes: of all runs of the measurement (five blocks, 50 each where there is time) none
 * may be told to last longer than its share of the whole. */
START_TEST(a_measured_time_is_of_one_run) {
    oct_net *net = make_net();
    oct_measured m;
    const double t0 = octi_seconds();
    ck_ok(oct_measure(net, NULL, NULL, &m));
    const double whole = (octi_seconds() - t0) * 1e6;
    ck_assert_msg(m.us > 0 && (250 * m.us <= whole || 50 * m.us >= 0.1e6),
                  "%g us a run, %g us for 250 runs and more", m.us, whole);
}
END_TEST

START_TEST(metrics_tell_every_scale_of_every_epoch) {
    char *text = malloc(1 << 20), want[200];
    fresh_root();
    oct_data *d = make_data();
    oct_net *net = make_net();
    ck_ok(oct_net_describe(net, d));
    oct_net *q = oct_prepare(net, &(oct_qconfig){.target = OCT_TARGET_OCTET});
    setlocale(LC_ALL, "de_DE.UTF-8"); /* where it is there: a comma is no part of a number */
    ck_ok(oct_fit(q, d, &(oct_fit_opts){.epochs = 3, .batch = 16, .run = in_root("run")}));
    setlocale(LC_ALL, "C");
    FILE *f = fopen(in_root("run/metrics.jsonl"), "rb");
    ck_assert(f != NULL);
    size_t size = fread(text, 1, (1 << 20) - 1, f);
    fclose(f);
    text[size] = 0;
    int lines = 0;
    char *last = text;
    for (char *p = text; (p = strstr(p, "{\"epoch\":")); p++, lines++) last = p;
    ck_assert_int_eq(lines, 3);
    for (int32_t i = 0; i < q->graph->quantizer_count; i++) {
        const oct_quantizer *z = &q->graph->quantizers[i];
        bool one = oct_tensor_count(z->scale) == 1;
        snprintf(want, sizeof want, "\"%s\":{\"scale\":%s%.9g%s", z->name, one ? "" : "[",
                 (double)oct_f32(z->scale)[0], one ? ",\"zero_point\":" : ",");
        ck_assert_msg(strstr(last, want) != NULL, "the last line lacks %s: %s", want, last);
    }
    /* they move */
    ck_assert(strncmp(strstr(text, "\"quantizers\""), strstr(last, "\"quantizers\""), 200) != 0);
    free(text);
    remove_root();
}
END_TEST

OCT_TEST_MAIN_WITH("layers", setup, teardown, figures_are_what_they_say, dead_channels_are_counted,
                   one_layer_alone_is_the_whole_of_its_net, the_layer_with_few_bits_costs_most,
                   a_measured_time_is_of_one_run, metrics_tell_every_scale_of_every_epoch)
