/* SPDX-License-Identifier: MIT
 * oct_data_check: each kind of harm is planted in a healthy set and found, with what it counts and
 * names; healthy sets are called healthy. oct_data_sheet: where each picture stands. */
#include "tests/set_files.h"

#include "datasets/check.h"
#include "src/rng.h"
#include "src/tensor.h"

enum { N = 400, M = 100, SIDE = 6, CLASSES = 5, PIXELS = SIDE * SIDE * 3 };
static uint8_t x[2][N * PIXELS];
static float f[2][N * PIXELS];
static int32_t y[2][N];
static oct_ctx *ctx;
static oct_data *part[2];
static int asked;

static int stop_at(void *user, const char *what, int64_t done, int64_t total) {
    (void)user, (void)done, (void)total;
    return asked && !strcmp(what, "check");
}

static void setup(void) {
    asked = 0;
    ck_not_null(ctx =
                    oct_open(&(oct_opts){.threads = 2, .log = set_log_line, .progress = stop_at}));
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 0, 0);
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < (k ? M : N); i++) {
            y[k][i] = i % CLASSES;
            for (int e = 0; e < PIXELS; e++) {
                const uint8_t v = (uint8_t)(octi_rng_u32(&r) & 255);
                x[k][i * PIXELS + e] = v;
                f[k][i * PIXELS + e] = ((float)v - 127) / 70;
            }
        }
}
static void teardown(void) { oct_close(ctx); }

static oct_data_report *look_as(oct_dtype dtype, const oct_input_desc *in, int32_t classes) {
    for (int k = 0; k < 2; k++) {
        const void *of = dtype == OCT_U8 ? (const void *)x[k] : f[k];
        part[k] = oct_data_from_memory(ctx, dtype, OCT_SHAPE(k ? M : N, SIDE, SIDE, 3), of, y[k],
                                       &(oct_array_opts){.classes = classes, .input = in});
        ck_not_null(part[k]);
    }
    oct_data_report *r = oct_data_check(part[0], part[1], NULL);
    ck_not_null(r);
    return r;
}
static oct_data_report *look(void) { return look_as(OCT_U8, NULL, CLASSES); }

static bool is_finding(const oct_data_finding *one, const char *kind, const char *where) {
    oct_finding_kind k;
    oct_split split = OCT_SPLIT_ALL;
    ck_ok(oct_finding_kind_from_name(kind, &k));
    if (*where) ck_ok(oct_split_from_name(where, &split));
    return one->kind == k && one->part == split;
}

static const oct_data_finding *found(const oct_data_report *r, const char *kind,
                                     const char *where) {
    for (int32_t i = 0; i < r->finding_count; i++)
        if (is_finding(&r->findings[i], kind, where)) return &r->findings[i];
    return NULL;
}
/* Found, first of what harms, counted; names the sample. */
static void first_is(const oct_data_report *r, const char *kind, const char *where, int64_t count,
                     const char *sample) {
    ck_assert_int_gt(r->finding_count, 0);
    const oct_data_finding *g = &r->findings[0];
    ck_assert_msg(g->harms && is_finding(g, kind, where), "%s %s: %s",
                  oct_finding_kind_name(g->kind), oct_split_name(g->part), g->text);
    ck_assert_int_eq(g->count, count);
    if (sample) ck_assert_msg(g->sample_count && strstr(g->samples[0], sample), "%s", g->text);
}

START_TEST(healthy_sets) {
    oct_data_report *r = look();
    ck_assert_int_eq(r->finding_count, 0);
    ck_assert_int_eq(r->harming, 0);
    ck_assert_int_eq(r->train.count, N);
    ck_assert_int_eq(r->test.per_class[3], M / CLASSES);
    ck_assert_int_eq(r->train.width[0], SIDE);
    /* by hand: uniform bytes */
    double sum = 0, square = 0, least = 255, most = 0;
    for (int i = 1; i < N * PIXELS; i += 3) {
        sum += x[0][i], square += (double)x[0][i] * x[0][i];
        least = fmin(least, x[0][i]), most = fmax(most, x[0][i]);
    }
    const double n = N * PIXELS / 3.0, mean = sum / n;
    ck_assert_double_eq_tol(r->train.mean[1], mean, 1e-9);
    ck_assert_double_eq_tol(r->train.std[1], sqrt(square / n - mean * mean), 1e-9);
    ck_assert_double_eq(r->train.least[1], least);
    ck_assert_double_eq(r->train.most[1], most);
    oct_data_report_free(ctx, r);
    r = look_as(OCT_F32, NULL, CLASSES);
    ck_assert_int_eq(r->finding_count, 0);
    oct_data_report_free(ctx, r);
    static const char *const specs[] = {"synth-digits", "synth-shapes"};
    for (int k = 0; k < 2; k++) {
        const oct_data_opts o = {.limit = 500}, t = {.limit = 500, .split = OCT_SPLIT_TEST};
        oct_data *a = oct_data_open(ctx, specs[k], &o), *b = oct_data_open(ctx, specs[k], &t);
        ck_not_null(r = oct_data_check(a, b, NULL));
        ck_assert_msg(!r->finding_count, "%s: %s", specs[k], r->findings[0].text);
        oct_data_report_free(ctx, r);
        oct_data_free(a), oct_data_free(b);
    }
}
END_TEST

START_TEST(pictures_in_both_parts) {
    for (int i = 0; i < 3; i++)
        memcpy(x[1] + (7 + i) * PIXELS, x[0] + (i * 5 + 2) * PIXELS, PIXELS);
    y[1][7] = y[0][2], y[1][8] = y[0][7], y[1][9] = y[0][12];
    oct_data_report *r = look();
    first_is(r, "leaked", "test", 3, "sample 7");
    ck_assert_double_eq(r->findings[0].value, 3.0 / M);
    ck_assert(strstr(r->findings[0].text, "3 of 100 pictures (3 %)"));
    ck_assert_int_eq(r->leaked, 3);
    ck_assert_int_eq(r->conflicting, 0);
    ck_assert_int_eq(r->train.repeats, 0);
    oct_data_report_free(ctx, r);
    /* one bit aside is another picture */
    for (int i = 0; i < 3; i++) x[1][(7 + i) * PIXELS + 40] ^= 1;
    r = look();
    ck_assert_int_eq(r->leaked, 0);
    ck_assert_int_eq(r->finding_count, 0);
    oct_data_report_free(ctx, r);
}
END_TEST

START_TEST(repeats_and_conflicts) {
    memcpy(x[0] + 11 * PIXELS, x[0] + 1 * PIXELS, PIXELS); /* both are of class 1 */
    memcpy(x[0] + 21 * PIXELS, x[0] + 1 * PIXELS, PIXELS);
    oct_data_report *r = look();
    ck_assert_int_eq(r->harming, 0);
    ck_assert_int_eq(r->train.repeats, 2);
    ck_not_null(found(r, "repeated", "train"));
    ck_assert(strstr(found(r, "repeated", "train")->samples[0], "sample 11"));
    oct_data_report_free(ctx, r);
    memcpy(x[0] + 12 * PIXELS, x[0] + 1 * PIXELS, PIXELS); /* of class 2 */
    r = look();
    first_is(r, "conflicting", "train", 4, "sample 1");
    ck_assert_int_eq(r->conflicting, 4);
    oct_data_report_free(ctx, r);
}
END_TEST

START_TEST(blank_pictures) {
    for (int i = 0; i < 3; i++)
        for (int e = 0; e < PIXELS; e++) x[0][(50 + 5 * i) * PIXELS + e] = (uint8_t)(i + e % 3);
    oct_data_report *r = look();
    first_is(r, "constant", "train", 3, "sample 50");
    oct_data_report_free(ctx, r);
    x[0][50 * PIXELS + 9] = 20; /* something is to be seen */
    r = look();
    first_is(r, "constant", "train", 2, "sample 55");
    oct_data_report_free(ctx, r);
}
END_TEST

START_TEST(values_that_are_no_numbers) {
    f[0][33 * PIXELS + 5] = NAN;
    f[1][8 * PIXELS + 1] = INFINITY;
    oct_data_report *r = look_as(OCT_F32, NULL, CLASSES);
    first_is(r, "not_finite", "train", 1, "sample 33");
    ck_assert_int_eq(r->test.not_finite, 1);
    ck_assert(isfinite(r->train.mean[0]) && isfinite(r->train.std[2]));
    oct_data_report_free(ctx, r);
}
END_TEST

START_TEST(classes_without_samples) {
    oct_data_report *r = look_as(OCT_U8, NULL, CLASSES + 1);
    first_is(r, "gap", "", 1, NULL);
    ck_assert(!found(r, "imbalance", "train")); /* of those that have samples */
    ck_assert(strstr(r->findings[0].text, "1 of 6 classes"));
    ck_assert(strstr(r->findings[0].text, ": 5"));
    oct_data_report_free(ctx, r);
    for (int i = 0; i < N; i++) y[0][i] = i % (CLASSES - 1); /* 4 is tested alone */
    r = look();
    first_is(r, "no_training", "train", 1, NULL);
    oct_data_report_free(ctx, r);
    for (int i = 0; i < N; i++) y[0][i] = i % CLASSES;
    for (int i = 0; i < M; i++) y[1][i] = i % (CLASSES - 1);
    r = look();
    ck_assert_int_eq(r->harming, 0);
    ck_not_null(found(r, "no_test", "test"));
    oct_data_report_free(ctx, r);
    for (int i = 0; i < N; i++) y[0][i] = i < 5 ? 4 : i % (CLASSES - 1);
    for (int i = 0; i < M; i++) y[1][i] = i % CLASSES;
    r = look();
    ck_assert_int_eq(r->harming, 0);
    ck_not_null(found(r, "imbalance", "train"));
    ck_assert_double_eq(found(r, "imbalance", "train")->value, 5.0 / 99);
    oct_data_report_free(ctx, r);
    /* a class that the test part has more */
    y[1][3] = CLASSES;
    const oct_array_opts more = {.classes = CLASSES + 1};
    oct_data *test =
        oct_data_from_memory(ctx, OCT_U8, OCT_SHAPE(M, SIDE, SIDE, 3), x[1], y[1], &more);
    ck_not_null(r = oct_data_check(part[0], test, NULL));
    ck_assert_int_eq(r->classes, CLASSES + 1);
    first_is(r, "no_training", "train", 1, NULL);
    oct_data_report_free(ctx, r);
    oct_data_free(test);
}
END_TEST

START_TEST(values_that_no_net_likes) {
    for (int i = 0; i < N * PIXELS; i++) f[0][i] = x[0][i];
    for (int i = 0; i < M * PIXELS; i++) f[1][i] = x[1][i];
    oct_data_report *r = look_as(OCT_F32, NULL, CLASSES); /* raw pixels as floats */
    first_is(r, "scale", "train", 0, NULL);
    ck_assert(strstr(r->findings[0].hint, "floats are taken as they are"));
    oct_data_report_free(ctx, r);
    const oct_input_desc plain = {3, SIDE, SIDE, .div = 1, .std = {1, 1, 1, 1}};
    r = look_as(OCT_U8, &plain, CLASSES);
    first_is(r, "scale", "train", 0, NULL);
    oct_data_report_free(ctx, r);
    const oct_input_desc twice = {
        3, SIDE, SIDE, .div = 255, .mean = {.5f, .5f, .5f}, .std = {.002f, .3f, .3f}};
    oct_data_report *own = oct_data_check(part[0], part[1], &(oct_data_check_opts){&twice});
    first_is(own, "scale", "train", 0, NULL);
    ck_assert(strstr(own->findings[0].text, "channel 0"));
    oct_data_report_free(ctx, own);
}
END_TEST

START_TEST(parts_that_differ) {
    for (int i = 2; i < M * PIXELS; i += 3) x[1][i] = (uint8_t)(x[1][i] / 2); /* blue is darker */
    oct_data_report *r = look();
    first_is(r, "shift", "", 0, NULL);
    ck_assert(strstr(r->findings[0].text, "channel 2"));
    oct_data_report_free(ctx, r);
    /* four pictures of any light, and four others: chance */
    oct_data *few[2];
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 4 * PIXELS; i++)
            x[k][i] = (uint8_t)(x[k][i] / 16 + 40 * (i / PIXELS + k));
        few[k] = oct_data_from_memory(ctx, OCT_U8, OCT_SHAPE(4, SIDE, SIDE, 3), x[k], y[k], NULL);
    }
    ck_not_null(r = oct_data_check(few[0], few[1], NULL));
    ck_assert(!found(r, "shift", ""));
    oct_data_report_free(ctx, r);
}
END_TEST

START_TEST(grey_in_three_channels) {
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < (k ? M : N) * PIXELS; i++) x[k][i] = x[k][i / 3 * 3];
    oct_data_report *r = look();
    ck_assert_int_eq(r->harming, 0);
    ck_not_null(found(r, "grey", "train"));
    oct_data_report_free(ctx, r);
}
END_TEST

START_TEST(files_that_cannot_be_read) {
    char name[60];
    make_root();
    make_dir("set");
    for (int p = 0; p < 2; p++) {
        snprintf(name, sizeof name, "set/%s", p ? "test" : "train");
        make_dir(name);
        for (int k = 0; k < 3; k++) {
            snprintf(name, sizeof name, "set/%s/c%d", p ? "test" : "train", k);
            make_dir(name);
            for (int i = 0; i < 4; i++) {
                snprintf(name, sizeof name, "set/%s/c%d/%d.bmp", p ? "test" : "train", k, i);
                save_bmp(name, 8 + i, 9,
                         (uint8_t[]){(uint8_t)(i * 50), (uint8_t)(k * 90), (uint8_t)(p * 9)});
            }
        }
    }
    save("set/train/c0/0.bmp", "BM and nothing", 14); /* the first of all */
    save("set/test/c2/3.bmp", "no picture", 10);
    const oct_input_desc in = {.channels = 3, .std = {1, 1, 1, 1}};
    oct_data_opts o = {.root = root, .input = &in};
    oct_data *a = oct_data_open(ctx, "folder:set", &o);
    ck_not_null(a);
    o.split = OCT_SPLIT_TEST;
    o.input = oct_data_input(a);
    oct_data *b = oct_data_open(ctx, "folder:set", &o);
    ck_not_null(b);
    oct_data_report *r = oct_data_check(a, b, NULL);
    ck_not_null(r);
    first_is(r, "unreadable", "train", 1, "train/c0/0.bmp");
    ck_assert_int_eq(r->test.unreadable, 1);
    ck_assert_int_eq(r->train.width[0], 8);
    ck_assert_int_eq(r->train.width[1], 11);
    ck_assert_int_eq(r->train.height[0], 9);
    ck_assert_int_eq(r->train.per_class[0], 4);
    ck_assert_int_eq(r->train.constant, 11);
    oct_data_report_free(ctx, r);
    /* smaller on one side is smaller; what cannot be read has no side */
    const oct_input_desc nine = {.resize = 9, .crop = 9};
    ck_not_null(r = oct_data_check(a, b, &(oct_data_check_opts){&nine}));
    ck_not_null(found(r, "small", "train"));
    ck_assert_int_eq(found(r, "small", "train")->count, 2);
    ck_assert_int_eq(found(r, "small", "test")->count, 3);
    oct_data_report_free(ctx, r);
    /* the sheet shows it, red */
    oct_tensor *s = oct_data_sheet(a, &(oct_sheet_opts){.columns = 4});
    ck_not_null(s);
    ck_assert_int_eq(oct_u8(s)[(2 * s->shape.dim[1] + 2) * 3], 200);
    ck_assert_int_eq(oct_u8(s)[(2 * s->shape.dim[1] + 2) * 3 + 1], 0);
    oct_tensor_unref(s);
    oct_data_free(a), oct_data_free(b);
    remove_root();
}
END_TEST

START_TEST(a_sheet_shows_what_training_sees) {
    oct_data_report_free(ctx, look());
    oct_tensor *s = oct_data_sheet(
        part[0], &(oct_sheet_opts){.rows = 9, .columns = 4, .augment = OCT_AUGMENT_FLIP});
    ck_not_null(s);
    const int zoom = 10, side = SIDE * zoom, step = side + 2; /* 56 pixels at least */
    ck_assert_int_eq(s->shape.dim[0], 2 + CLASSES * step);
    ck_assert_int_eq(s->shape.dim[1], 2 + 12 + 8 * step);
    int same = 0, flipped = 0;
    for (int c = 0; c < CLASSES; c++)
        for (int k = 0; k < 4; k++) {
            const int of = N / CLASSES, at = CLASSES * ((k * of + 3) / 4) + c;
            ck_assert_int_eq(y[0][at], c);
            bool as_is = true, turned = true;
            for (int py = 0; py < SIDE; py++)
                for (int px = 0; px < SIDE; px++)
                    for (int ch = 0; ch < 3; ch++) {
                        const uint8_t *row =
                            oct_u8(s) + (2 + c * step + py * zoom + 3) * s->shape.dim[1] * 3;
                        const int left = 2 + k * step, right = 2 + 12 + (4 + k) * step;
                        const uint8_t want = x[0][at * PIXELS + (py * SIDE + px) * 3 + ch];
                        ck_assert_int_eq(row[(left + px * zoom + 5) * 3 + ch], want);
                        as_is &= row[(right + px * zoom + 5) * 3 + ch] == want;
                        turned &= row[(right + (SIDE - 1 - px) * zoom + 5) * 3 + ch] == want;
                    }
            same += as_is, flipped += turned;
        }
    ck_assert_int_eq(same + flipped, 4 * CLASSES);
    ck_assert(same > 0 && flipped > 0);
    oct_tensor_unref(s);
}
END_TEST

/* What a loader made of pixels is turned back: each channel by its own mean and deviation, blue,
 * which comes first in the set, last. */
START_TEST(a_sheet_has_the_sets_pixels) {
    const oct_input_desc in = {.channels = 3,
                               .height = SIDE,
                               .width = SIDE,
                               .color = OCT_COLOR_BGR,
                               .div = 200,
                               .mean = {0.1f, 0.2f, 0.3f},
                               .std = {0.5f, 0.25f, 2}};
    oct_data *d = oct_data_from_memory(ctx, OCT_U8, OCT_SHAPE(1, SIDE, SIDE, 3), x[0], NULL,
                                       &(oct_array_opts){.input = &in});
    ck_not_null(d);
    oct_tensor *s = oct_data_sheet(d, &(oct_sheet_opts){.rows = 1, .columns = 1});
    ck_not_null(s);
    for (int e = 0; e < PIXELS; e++) {
        const int64_t row = 2 + 10 * (e / 3 / SIDE), column = 2 + 10 * (e / 3 % SIDE);
        ck_assert_int_eq(oct_u8(s)[(row * s->shape.dim[1] + column) * 3 + 2 - e % 3], x[0][e]);
    }
    oct_tensor_unref(s);
    oct_data_free(d);
}
END_TEST

/* Floats are grey from the least to the largest of what is shown. */
START_TEST(a_sheet_of_floats_has_their_range) {
    static const float v[] = {-1, 0, 1, 3};
    static const int grey[] = {0, 64, 128, 255};
    oct_data *d = oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(2, 1, 2, 1), v, NULL, NULL);
    ck_not_null(d);
    oct_tensor *s = oct_data_sheet(d, &(oct_sheet_opts){.rows = 1, .columns = 2});
    ck_not_null(s);
    for (int i = 0; i < 4; i++) /* 56 times as large: 112 and 2 between pictures */
        ck_assert_int_eq(oct_u8(s)[(2 * s->shape.dim[1] + 2 + i / 2 * 114 + i % 2 * 56) * 3],
                         grey[i]);
    oct_tensor_unref(s);
    oct_data_free(d);
}
END_TEST

START_TEST(bad_arguments) {
    ck_assert(!oct_data_check(NULL, NULL, NULL) && !oct_data_sheet(NULL, NULL));
    oct_data_report *r = look();
    oct_data *other = oct_data_from_memory(ctx, OCT_U8, OCT_SHAPE(2, 3, 3, 3), x[0], y[0], NULL);
    ck_assert(!oct_data_check(part[0], other, NULL));
    ck_assert_int_eq(oct_last_error()->code, OCT_ESHAPE);
    asked = 1;
    ck_assert(!oct_data_check(part[0], part[1], NULL));
    ck_assert_int_eq(oct_last_error()->code, OCT_ESTOPPED);
    ck_assert(!oct_data_sheet(part[0], &(oct_sheet_opts){.rows = 5, .columns = 1 << 20}));
    ck_assert_int_eq(oct_last_error()->code, OCT_ELIMIT);
    oct_data_report_free(ctx, r);
}
END_TEST

OCT_TEST_MAIN_WITH("data_check", setup, teardown, healthy_sets, pictures_in_both_parts,
                   repeats_and_conflicts, blank_pictures, values_that_are_no_numbers,
                   classes_without_samples, values_that_no_net_likes, parts_that_differ,
                   grey_in_three_channels, files_that_cannot_be_read,
                   a_sheet_shows_what_training_sees, a_sheet_has_the_sets_pixels,
                   a_sheet_of_floats_has_their_range, bad_arguments)
