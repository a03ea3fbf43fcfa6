/* SPDX-License-Identifier: MIT
 * Sections of a page and the report's JSON, of models whose numbers are all made up: which curves,
 * legends, notes and cells there are, and what stands in them. */
#include <math.h>

#include "qat/report/show.h"
#include "src/net.h"
#include "tests/oct_test.h"

static oct_ctx *ctx;
static octi_page page;
static octi_model m;

static void setup(void) {
    ck_not_null(ctx = oct_open(&(oct_opts){.threads = 1}));
    page = (octi_page){.ctx = ctx, .text = {.ctx = ctx}};
}
static void teardown(void) {
    octi_page_free(&page);
    oct_close(ctx);
}

static void draw(void (*what)(const octi_show *)) {
    static const octi_detail all = {
        .columns = 2, .bins = 2, .pictures = 9, .plots = 9, .whole = 9, .curves = true};
    octi_page_free(&page);
    page = (octi_page){.ctx = ctx, .text = {.ctx = ctx}};
    what(&(octi_show){.p = &page, .m = &m, .detail = &all, .index = 3});
    octi_text_bytes(&page.text, "", 1);
    ck_ok(page.status);
}
static void shows(const char *what) {
    ck_assert_msg(strstr(page.text.data, what) != NULL, "no '%s' in\n%.3000s", what,
                  page.text.data);
}
static void hides(const char *what) {
    ck_assert_msg(strstr(page.text.data, what) == NULL, "'%s' in\n%.3000s", what, page.text.data);
}

/* ---- epochs ---- */

static double epoch[] = {1, 2, 3};
static double none[] = {NAN, NAN, NAN};

static octi_epochs epochs(void) {
    octi_epochs e = {.n = 3, .epoch = epoch};
    for (int k = 0; k < OCTI_METRICS; k++) e.v[k] = none;
    return e;
}

START_TEST(curves_of_what_was_measured) {
    static double loss[] = {4, 2, 1}, accuracy[] = {0.25, 0.5, 0.75}, val[] = {3, NAN, 2};
    oct_net *prepared = octi_net_new(ctx, OCT_STAGE_PREPARED);
    m = (octi_model){.epochs = epochs(),
                     .float_own = {.score = OCT_SCORE_CLASSES, .accuracy = 0.875}};
    m.epochs.v[OCTI_TEST_LOSS] = loss;
    m.epochs.v[OCTI_VAL_LOSS] = val;
    m.epochs.v[OCTI_TEST_ACCURACY] = accuracy;
    draw(octi_show_curves); /* of a float run: no line of another one */
    shows("<figcaption>Accuracy, float</figcaption>");
    shows("<figcaption>Loss, float</figcaption>");
    shows("data-series=\"test_accuracy\" data-x=\"1,2,3\" data-y=\"0.25,0.5,0.75\"");
    shows("data-series=\"test_loss\" data-x=\"1,2,3\" data-y=\"4,2,1\"");
    shows("data-series=\"val_loss\" data-x=\"1,2,3\" data-y=\"3,,2\"");
    shows("</svg>validation</li>");
    hides("data-series=\"float\"");
    hides("data-series=\"train_loss\"");
    hides("data-plot=\"lr\"");
    hides("true int8");
    m.net = prepared;
    draw(octi_show_curves); /* the test part's loss is the int8 net's */
    shows("<figcaption>Loss, fake-quantized and true int8</figcaption>");
    shows("</svg>test part, true int8</li>");
    shows("data-series=\"float\" data-y=\"0.875\"");
    shows("its weights in float, test part");
    m.real_path = "before";
    m.epochs.v[OCTI_LR] = loss;
    m.epochs.v[OCTI_FROZEN] = accuracy;
    draw(octi_show_curves);
    shows("the float run, test part");
    shows("data-series=\"lr\"");
    shows("data-series=\"frozen\"");
    hides("data-series=\"oscillating\"");
    m.float_own.score = OCT_SCORE_VALUES; /* a loss is no accuracy */
    draw(octi_show_curves);
    hides("data-series=\"float\"");
    oct_net_free(prepared);
}
END_TEST

/* Eight grids: the seven that moved most are drawn, as shares of where they began. */
START_TEST(scales_over_the_epochs) {
    static double scale[8][3], zero[3];
    static octi_history h[8];
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    for (int i = 0; i < 8; i++) {
        scale[i][0] = 2, scale[i][1] = 8,
        scale[i][2] = 2 + (i == 4  ? 0.01
                           : i % 2 ? i
                                   : -0.1 * i - 0.1);
        h[i] = (octi_history){names[i], i + 1, scale[i], zero};
    }
    m = (octi_model){.epochs = epochs()};
    m.epochs.history = h;
    m.epochs.histories = 8;
    draw(octi_show_scales);
    shows("data-series=\"h\" data-x=\"1,2,3\" data-y=\"1,4,4.5\"");
    hides("data-series=\"e\"");
    /* the first and the last, and what is between them of the first */
    shows("data-name=\"h\">h</td><td class=\"n\"><span data-label=\"channels\" "
          "data-channels=\"8\">8<");
    shows("data-first=\"2\">2</span></td><td class=\"n\"><span data-label=\"last\" "
          "data-last=\"9\">9<");
    shows("data-change=\"350\">+350.00<");
    shows("-5.00</span>");
    /* seven lines, the one that moved most first */
    const char *const h_at = strstr(page.text.data, "data-series=\"h\""),
                      *const f_at = strstr(page.text.data, "data-series=\"f\""),
                      *const a_at = strstr(page.text.data, "data-series=\"a\"");
    ck_assert(h_at && h_at < f_at && f_at < a_at);
}
END_TEST

/* ---- distributions ---- */

START_TEST(values_and_where_they_are_cut) {
    static double count[] = {5, 1, 2, 4}, threshold[] = {1, 2}, divergence[] = {0.5, 0.25};
    octi_values v = {.name = "conv1",
                     .by = "ema",
                     .bits = 8,
                     .lo = -1,
                     .hi = 3,
                     .beyond = 0.25,
                     .bins = {-2, 1.5, count, NULL, 4},
                     .total = 200,
                     .zeros = 50};
    for (int i = 0; i < OCTI_CLIPS; i++)
        v.clip[i] = (octi_clip){i ? "other" : "minmax", i ? 0 : -2, 4 + i, 0.125};
    m = (octi_model){.values = &v, .value_count = 1, .value_images = 77};
    draw(octi_show_values);
    shows("200 values of 77 images, 25 % of them exactly 0");
    shows("in use (ema): -1 to 3, beyond 25 %");
    shows("minmax: -2 to 4, beyond 12 %");
    shows("data-series=\"values\" data-lo=\"-2\" data-width=\"3\" data-y=\"6,6\"");
    shows("data-series=\"in_use\" data-x=\"3\"");
    shows("data-series=\"in_use\" data-x=\"-1\"");
    shows("data-series=\"minmax\" data-x=\"4\"");
    shows("data-series=\"minmax\" data-x=\"-2\"");
    hides("data-series=\"other\" data-x=\"0\"");
    hides("data-plot=\"divergence\"");
    v.own = true;
    v.threshold = threshold, v.divergence = divergence, v.points = 2, v.chosen = 2;
    draw(octi_show_values);
    shows("200 values of calibration, 25 % of them exactly 0");
    shows("data-series=\"divergence\" data-x=\"1,2\" data-y=\"0.5,0.25\"");
    shows("data-series=\"chosen\" data-x=\"2\"");
}
END_TEST

/* Three channels in two bars: from the least of both to the largest, and the farther grid's end. */
START_TEST(weights_and_their_ranges) {
    static double real[] = {1, 2, 3, 4}, code[] = {4, 3, 2, 1}, lo[] = {-3, -1, -2},
                  hi[] = {1, 2, 0.5}, reach[] = {4, 2, 3};
    octi_weights w = {.layer = "conv1",
                      .channels = 3,
                      .count = 10,
                      .bits = 4,
                      .codes = 7,
                      .distinct_float = 9,
                      .distinct = 8,
                      .whole = {-4, 2, real, code, 4},
                      .lo = lo,
                      .hi = hi,
                      .reach = reach};
    m = (octi_model){.weights = &w, .weight_layers = 1};
    draw(octi_show_weights);
    shows("data-count=\"10\">10<");
    shows("data-bits=\"4\">4<");
    shows("data-distinct_float=\"9\">9<");
    shows("data-distinct=\"8\">8<");
    shows("data-codes=\"7\">7<");
    shows("float: 9 values");
    shows("dequantized: 8 values");
    shows("data-series=\"float\" data-lo=\"-4\" data-width=\"4\" data-y=\"3,7\"");
    shows("data-series=\"code\" data-lo=\"-4\" data-width=\"4\" data-y=\"7,3\"");
    shows("data-series=\"range\"");
    shows("data-by=\"2\" data-lo=\"-3,-2\" data-hi=\"2,0.5\"");
    shows("data-series=\"reach\" data-y=\"4,3\"");
    shows("from the least to the largest weight of 2 channels");
    hides("data-plot=\"weight_steps\"");
    reach[0] = NAN; /* floats have no grid */
    draw(octi_show_weights);
    hides("data-series=\"reach\"");
}
END_TEST

/* A cell of the table is there where any row has something in it; bars are as long as the
 * largest. */
START_TEST(layers_of_the_table) {
    oct_layer row[2] = {{.name = "a", .kind = "conv2d", .macs = 50, .sqnr_cum = NAN},
                        {.name = "b", .kind = "linear", .macs = 200, .sqnr_cum = NAN}};
    for (int i = 0; i < 2; i++) {
        row[i].dead = -1, row[i].clip = row[i].clip_loss = row[i].sqnr_local = NAN;
        row[i].us = -1;
    }
    row[0].sqnr_local = 20;
    m = (octi_model){.layer = row, .layers = 2, .layer_images = 40};
    m.answers.n = 41;
    draw(octi_show_layers);
    shows("Measured on 40 images, drawn from all over them.");
    shows("data-model=\"3\"");
    shows("<span class=\"v\">SQNR local, dB</span>");
    shows("<span class=\"b\">cumulative, dB</span>");
    shows("data-sqnr_local=\"20\">20.0<");
    hides("dead channels");
    shows("data-macs=\"50\">50</span><span class=\"bar\"><i style=\"width:25.0%\">");
    shows("data-macs=\"200\">200</span><span class=\"bar\"><i style=\"width:100.0%\">");
    m.answers.n = 40;
    draw(octi_show_layers);
    shows("Measured on 40 images.");
}
END_TEST

/* ---- JSON ---- */

static const char *json_of(octi_model *model) {
    static oct_report r;
    static oct_report_row rows[] = {
        {.name = "one", .how = "PTQ", .measured = {.score = OCT_SCORE_CLASSES, .accuracy = 0.5}},
        {.name = "two", .how = "QAT", .seeds = 3, .spread = 0.125}};
    octi_text_free(&r.json);
    r = (oct_report){.ctx = ctx,
                     .title = "t",
                     .model = model,
                     .count = 1,
                     .row = rows,
                     .rows = 2,
                     .json = {.ctx = ctx}};
    const char *text = oct_report_json(&r);
    ck_assert_ptr_nonnull(text);
    return text;
}
static void has(const char *text, const char *what) {
    ck_assert_msg(strstr(text, what) != NULL, "no '%s' in\n%.3000s", what, text);
}

START_TEST(json_has_the_numbers) {
    static double scale[] = {2, 3, 4}, zero[] = {7, 8, 9}, count[] = {1, 2}, other[] = {3, 4},
                  lo[] = {-1, -2}, hi[] = {5, 6}, reach[] = {7, 8};
    static octi_history h = {"q", 2, scale, zero};
    static int64_t confusion[] = {10, 1, 2, 20};
    static octi_pair names[] = {{"n0", "ant"}, {"n1", "bee"}}, option[] = {{"wbits", "4"}},
                     fit[] = {{"lr", "0.5"}};
    static octi_picture worst = {
        .index = 5, .own = {1, 0, 0.75f, 1.5f}, .real = {1, 1, 0.625f, 0.25f}};
    octi_weights w = {.layer = "conv1",
                      .channels = 2,
                      .count = 10,
                      .bits = 4,
                      .codes = 7,
                      .distinct_float = 9,
                      .distinct = 8,
                      .whole = {-4, 2, count, other, 2},
                      .lo = lo,
                      .hi = hi,
                      .reach = reach};
    octi_values v = {.name = "conv1",
                     .by = "ema",
                     .bits = 8,
                     .lo = -1,
                     .hi = 3,
                     .beyond = 0.25,
                     .bins = {-2, 1, count, NULL, 2},
                     .total = 200,
                     .zeros = 50,
                     .min = -9,
                     .max = 11};
    for (int i = 0; i < OCTI_CLIPS; i++) v.clip[i] = (octi_clip){"minmax", -2, 4, 0.125};
    oct_layer row[2] = {{.name = "a", .sqnr_alone = 12, .accuracy_alone = 0.5f},
                        {.name = "b", .sqnr_alone = NAN, .accuracy_alone = NAN}};
    m = (octi_model){
        .path = "run",
        .word = "int8",
        .how = "QAT",
        .spec = "idx:d",
        .real_path = "before",
        .whole = true,
        .epochs = epochs(),
        .own = {.score = OCT_SCORE_CLASSES,
                .accuracy = 0.25,
                .loss = 3,
                .n = 40,
                .bytes = 100,
                .us = 9},
        .float_own = {.score = OCT_SCORE_CLASSES, .accuracy = 0.75, .loss = 1, .n = 40},
        .layer = row,
        .layers = 2,
        .classes = 2,
        .confusion = confusion,
        .names = names,
        .name_count = 2,
        .worst = &worst,
        .worsts = 1,
        .apart = {6, 2, 3},
        .sweep_images = 8,
        .sweep_float = 0.875,
        .weights = &w,
        .weight_layers = 1,
        .values = &v,
        .value_count = 1,
        .recipes = 1};
    m.float_answers.n = 40;
    m.epochs.history = &h, m.epochs.histories = 1;
    m.recipe[0] = (octi_recipe){.run = "run",
                                .version = "1.2",
                                .isa = "avx2",
                                .seed = "77",
                                .option = option,
                                .options = 1,
                                .fit = fit,
                                .fits = 1};
    static const char *const want[] = {
        "{\"title\":\"t\",\"rows\":[{\"name\":\"one\",\"how\":\"PTQ\",\"accuracy\":0.5,",
        "\"how\":\"QAT\",\"accuracy\":null,\"loss\":null,\"n\":0,\"bytes\":null,\"us\":null,"
        "\"spread\":0.125,\"seeds\":3}]",
        "{\"path\":\"run\",\"kind\":\"int8\",\"how\":\"QAT\",\"data\":\"idx:d\",\"accuracy\":0.25,"
        "\"loss\":3,\"n\":40,\"bytes\":100,\"us\":9,",
        "\"float\":{\"path\":\"before\",\"accuracy\":0.75,\"loss\":1,\"n\":40,\"bytes\":null,"
        "\"us\":null}",
        "\"epochs\":{\"epoch\":[1,2,3],\"lr\":[null,null,null]",
        "\"quantizers\":[{\"name\":\"q\",\"channels\":2,\"scale\":[2,3,4],\"zero_point\":[7,8,9]}]",
        "\"classes\":[\"ant\",\"bee\"],\"confusion\":[[10,1],[2,20]]",
        "\"worst\":[{\"index\":5,\"label\":1,\"said\":0,\"sure\":0.75,\"loss\":1.5,"
        "\"float_said\":1,\"float_sure\":0.625}]",
        "\"differing\":6,\"differing_right\":2,\"differing_float_right\":3",
        "\"sweep\":{\"images\":8,\"float_accuracy\":0.875,\"layers\":[{\"name\":\"a\","
        "\"sqnr_alone\":12,\"accuracy_alone\":0.5}]}",
        "\"weights\":[{\"layer\":\"conv1\",\"count\":10,\"bits\":4,\"distinct_float\":9,"
        "\"distinct\":8,\"codes\":7,\"whole\":{\"lo\":-4,\"width\":2,\"float\":[1,2],\"code\":[3,4]"
        "},"
        "\"lo\":[-1,-2],\"hi\":[5,6],\"reach\":[7,8]}]",
        "\"values\":[{\"name\":\"conv1\",\"by\":\"ema\",\"bits\":8,\"n\":200,\"zeros\":50,\"min\":-"
        "9,"
        "\"max\":11,\"histogram\":{\"lo\":-2,\"width\":1,\"float\":[1,2]},\"clips\":[{\"observer\":"
        "\"in_use\",\"lo\":-1,\"hi\":3,\"beyond\":0.25},{\"observer\":\"minmax\",\"lo\":-2,\"hi\":"
        "4,"
        "\"beyond\":0.125}",
        "\"recipe\":[{\"run\":\"run\",\"octet\":\"1.2\",\"isa\":\"avx2\",\"seed\":\"77\","
        "\"command\":"
        "{\"wbits\":\"4\"},\"fit\":{\"lr\":\"0.5\"}}],\"notes\":[]}]}"};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) has(json_of(&m), want[i]);
    m.own.score = OCT_SCORE_VALUES; /* no accuracy */
    has(json_of(&m), "\"data\":\"idx:d\",\"accuracy\":null,\"loss\":3,");
}
END_TEST

OCT_TEST_MAIN_WITH("shows_by_hand", setup, teardown, curves_of_what_was_measured,
                   scales_over_the_epochs, values_and_where_they_are_cut, weights_and_their_ranges,
                   layers_of_the_table, json_has_the_numbers)
