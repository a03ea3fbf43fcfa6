/* SPDX-License-Identifier: MIT
 * Parts of data sets: what is held out where a set has no test part, shares for validation; how
 * pixels are normalized where nobody said so; what is missing is said. */
#include "tests/every_set.h"

#include "src/rng.h"

static oct_data *open_with(const char *spec, oct_data_opts o) {
    o.root = root;
    oct_data *d = oct_data_open(ctx, spec, &o);
    ck_not_null(d);
    return d;
}
static oct_data *open_part(const char *spec, oct_split split) {
    return open_with(spec, (oct_data_opts){.split = split});
}

typedef struct seen { /* what a part holds: CRC and label of each image */
    uint32_t crc[2 * COUNT];
    int32_t label[2 * COUNT];
    int64_t n;
} seen;
static void look(oct_data *d, seen *s) {
    size_t bytes = octi_set_image_bytes(d);
    uint8_t *image = malloc(bytes);
    s->n = oct_data_count(d);
    ck_assert_int_le(s->n, 2 * COUNT);
    for (int64_t i = 0; i < s->n; i++) {
        ck_ok(oct_data_get(d, i, image, &s->label[i]));
        s->crc[i] = (uint32_t)crc32(0, image, (uInt)bytes);
    }
    free(image);
}
static int times(const seen *s, uint32_t crc, int32_t label) {
    int n = 0;
    for (int64_t i = 0; i < s->n; i++) n += s->crc[i] == crc && s->label[i] == label;
    return n;
}
/* a and b are disjoint and together whole, by content. */
static void ck_parts(const seen *a, const seen *b, const seen *whole, const char *what) {
    ck_assert_msg(a->n + b->n == whole->n, "%s: %d and %d of %d", what, (int)a->n, (int)b->n,
                  (int)whole->n);
    for (int64_t i = 0; i < whole->n; i++) {
        int in_a = times(a, whole->crc[i], whole->label[i]),
            in_b = times(b, whole->crc[i], whole->label[i]);
        ck_assert_msg(in_a + in_b == 1,
                      "%s: image %d is %d times in one part and %d times in the other", what,
                      (int)i, in_a, in_b);
    }
}

START_TEST(a_tenth_is_held_out) {
    static seen all, train, test, again;
    make_all();
    for (int k = 0; k < KINDS; k++) {
        forget();
        oct_data *d = open_part(kinds[k], OCT_SPLIT_ALL);
        look(d, &all);
        ck_assert_int_eq(all.n, COUNT);
        ck_assert(!logged("held out"));
        d = open_part(kinds[k], OCT_SPLIT_TRAIN);
        look(d, &train);
        ck_assert_msg(logged("no test part: held out to be one"), "%s: %s", kinds[k], set_log);
        d = open_part(kinds[k], OCT_SPLIT_TEST);
        look(d, &test);
        ck_parts(&train, &test, &all, kinds[k]);
        ck_assert_msg(test.n >= COUNT / 20 && test.n <= COUNT / 5, "%s: %d of %d", kinds[k],
                      (int)test.n, COUNT);
        int32_t classes;
        oct_data_classes(d, &classes);
        for (int32_t c = 0; c < classes; c++) { /* of each class some, of none all */
            int n[2] = {0, 0};
            for (int64_t i = 0; i < test.n; i++) n[0] += test.label[i] == c;
            for (int64_t i = 0; i < train.n; i++) n[1] += train.label[i] == c;
            ck_assert_msg(n[0] >= 1 && n[1] >= 1, "%s: class %d", kinds[k], c);
        }
        /* whatever the seed and the limit */
        oct_ctx *other = oct_open(&(oct_opts){.seed = 77, .threads = 1});
        d = oct_data_open(other, kinds[k],
                          &(oct_data_opts){.split = OCT_SPLIT_TEST, .root = root, .synth_seed = 5});
        look(d, &again);
        ck_assert(again.n == test.n &&
                  !memcmp(again.crc, test.crc, sizeof(uint32_t) * (size_t)test.n));
        d = oct_data_open(other, kinds[k],
                          &(oct_data_opts){.split = OCT_SPLIT_TEST, .root = root, .limit = 7});
        look(d, &again);
        ck_assert_int_eq(again.n, 7);
        for (int i = 0; i < 7; i++) ck_assert_int_eq(times(&test, again.crc[i], again.label[i]), 1);
        oct_close(other);
    }
}
END_TEST

static uint32_t shift;
static void paint_shifted(uint32_t i, uint8_t *px) { paint(i < shift ? COUNT + i : i - shift, px); }
static void paint_twice(uint32_t i, uint8_t *px) { paint(i / 2, px); }
static uint8_t label_twice(uint32_t i) { return (uint8_t)(i / 2 % 3); }

/* A set that grows in front keeps its line; pictures that are there twice stay on one side; a class
 * of one trains. */
START_TEST(the_line_is_by_content) {
    static seen train, test, before;
    make_idx();
    look(open_part("idx:idx", OCT_SPLIT_TEST), &before);
    make_dir("grown");
    shift = 3;
    save_idx("grown", "train", COUNT + 3, SIDE, paint_shifted, label3);
    look(open_part("idx:grown", OCT_SPLIT_TRAIN), &train);
    for (int64_t i = 0; i < before.n; i++)
        ck_assert_int_eq(times(&train, before.crc[i], before.label[i]), 0);
    make_dir("twice");
    save_idx("twice", "train", COUNT, SIDE, paint_twice, label_twice);
    look(open_part("idx:twice", OCT_SPLIT_TRAIN), &train);
    look(open_part("idx:twice", OCT_SPLIT_TEST), &test);
    for (int64_t i = 0; i < test.n; i++)
        ck_assert_int_eq(times(&train, test.crc[i], test.label[i]), 0);
    make_folder("few", 1);
    ck_assert(oct_data_open(ctx, "folder:few",
                            &(oct_data_opts){.root = root, .split = OCT_SPLIT_TEST}) == NULL);
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "OCT_SPLIT_ALL"));
    ck_assert_int_eq(oct_data_count(open_part("folder:few", OCT_SPLIT_TRAIN)), 3);
    ck_assert_int_eq(oct_data_count(open_part("folder:few", OCT_SPLIT_ALL)), 3);
    save_bmp("few/class1/1.bmp", SIDE, SIDE, (uint8_t[]){9, 9, 9});
    ck_assert_int_eq(oct_data_count(open_part("folder:few", OCT_SPLIT_TEST)), 1);
    ck_assert_int_eq(oct_data_count(open_part("folder:few", OCT_SPLIT_TRAIN)), 3);
}
END_TEST

/* The draw of a picture of one pixel, by the rule that is written down: a share below 1 / 10 is
 * held out. */
static uint32_t draw_of(uint8_t pixel) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_SPLIT, (uint32_t)crc32(0, &pixel, 1), 1);
    return octi_rng_u32(&r);
}

/* A class of which chance takes all keeps the picture of the largest draw; one of which it takes
 * none gives that of the smallest. */
START_TEST(no_class_is_held_out_whole_or_spared) {
    uint8_t x[10], taken = 0, spared = 5;
    int32_t y[10];
    for (int p = 0; p < 256; p++) {
        const bool below = draw_of((uint8_t)p) < UINT32_MAX / 10;
        if (below && taken < 5) x[taken++] = (uint8_t)p;
        if (!below && spared < 10) x[spared++] = (uint8_t)p;
    }
    ck_assert(taken == 5 && spared == 10);
    for (int i = 0; i < 10; i++) y[i] = i / 5;
    int most = 0, least = 5;
    for (int i = 1; i < 5; i++) most = draw_of(x[i]) > draw_of(x[most]) ? i : most;
    for (int i = 6; i < 10; i++) least = draw_of(x[i]) < draw_of(x[least]) ? i : least;
    octi_npz_array a[] = {{"x", OCT_U8, OCT_SHAPE(10, 1, 1, 1), x},
                          {"y", OCT_S32, OCT_SHAPE(10), y}};
    ck_ok(octi_npz_write(ctx, in_root("draws.npz"), a, 2));
    for (int test = 0; test < 2; test++) {
        oct_data *d = open_part("npz:draws.npz", test ? OCT_SPLIT_TEST : OCT_SPLIT_TRAIN);
        int64_t n = 0;
        for (int i = 0; i < 10; i++) {
            const bool held = i < 5 ? i != most : i == least;
            if (held != test) continue;
            uint8_t pixel;
            int32_t label;
            ck_ok(oct_data_get(d, n++, &pixel, &label));
            ck_assert_msg(pixel == x[i] && label == y[i], "%s: image %d is pixel %d of class %d",
                          test ? "test" : "train", (int)n - 1, pixel, label);
        }
        ck_assert_int_eq(oct_data_count(d), n);
    }
}
END_TEST

/* Regression: targets go with their images, and few images are parted too. */
START_TEST(targets_go_along) {
    for (int n = 2; n < 40; n++) {
        uint8_t x[40];
        float y[40];
        for (int i = 0; i < n; i++) x[i] = (uint8_t)(i * 5 + n), y[i] = (float)x[i] * 2;
        octi_npz_array a[] = {{"x", OCT_U8, OCT_SHAPE(n, 1, 1, 1), x},
                              {"y", OCT_F32, OCT_SHAPE(n), y}};
        ck_ok(octi_npz_write(ctx, in_root("r.npz"), a, 2));
        int64_t total = 0;
        for (int part = 0; part < 2; part++) {
            oct_data *d = open_part("npz:r.npz", part ? OCT_SPLIT_TEST : OCT_SPLIT_TRAIN);
            const int64_t count = oct_data_count(d);
            total += count;
            ck_assert_int_ge(count, 1);
            for (int64_t i = 0; i < count; i++) {
                uint8_t px;
                int32_t label;
                float target;
                ck_ok(oct_data_get(d, i, &px, &label));
                ck_ok(octi_set_target(d, i, &target));
                ck_assert(target == (float)px * 2);
            }
            oct_data_free(d);
        }
        ck_assert_int_eq(total, n);
    }
    /* and with a share's images */
    oct_data *all = open_part("npz:r.npz", OCT_SPLIT_ALL);
    for (int first = 0; first < 2; first++) {
        oct_data *d = oct_data_share(all, 0.4, 3, first);
        for (int64_t i = 0; i < oct_data_count(d); i++) {
            uint8_t px;
            int32_t label;
            float target;
            ck_ok(oct_data_get(d, i, &px, &label));
            ck_ok(octi_set_target(d, i, &target));
            ck_assert(target == (float)px * 2);
        }
        oct_data_free(d);
    }
    oct_data_free(all);
}
END_TEST

START_TEST(two_parts_and_one) {
    make_idx();
    save_idx("idx", "t10k", 30, SIDE, paint, label3);
    forget();
    ck_assert_int_eq(oct_data_count(open_part("idx:idx", OCT_SPLIT_TRAIN)), COUNT);
    ck_assert_int_eq(oct_data_count(open_part("idx:idx", OCT_SPLIT_TEST)), 30);
    ck_assert(!logged("held out"));
    ck_assert(oct_data_open(ctx, "idx:idx",
                            &(oct_data_opts){.root = root, .split = OCT_SPLIT_ALL}) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_EUSAGE);
    unlink(in_root("idx/train-images-idx3-ubyte"));
    ck_assert_int_eq(oct_data_count(open_part("idx:idx", OCT_SPLIT_TEST)), 30);
    ck_assert(!logged("no training part"));
    /* serves, and is told */
    ck_assert_int_eq(oct_data_count(open_part("idx:idx", OCT_SPLIT_TRAIN)), 30);
    ck_assert(logged("W ") && logged("no training part: the test part serves as one"));
}
END_TEST

START_TEST(validation_never_leaks) {
    static seen part[2], whole;
    make_all();
    for (int k = 0; k < KINDS + 3; k++) {
        static uint8_t px[COUNT * 64];
        static int32_t y[COUNT];
        for (uint32_t i = 0; i < COUNT; i++) paint(i, px + 64 * i), y[i] = (int32_t)i % 3;
        oct_data *d =
            k < KINDS    ? open_part(kinds[k], OCT_SPLIT_TRAIN)
            : k == KINDS ? oct_data_from_memory(ctx, OCT_U8, OCT_SHAPE(COUNT, 8, 8, 1), px, y, NULL)
                         : open_with(k == KINDS + 1 ? "synth-digits" : "synth-shapes",
                                     (oct_data_opts){.limit = COUNT});
        const char *what = k < KINDS ? kinds[k] : "memory or synth";
        look(d, &whole);
        uint32_t first_crc = 0;
        for (uint64_t seed = 1; seed < 4; seed++) {
            look(oct_data_share(d, 0.2, seed, true), &part[0]);
            look(oct_data_share(d, 0.2, seed, false), &part[1]);
            ck_assert_int_eq(part[0].n, (int64_t)(0.2 * (double)whole.n + 0.5));
            ck_parts(&part[0], &part[1], &whole, what);
            ck_assert(seed == 1 || part[0].crc[0] != first_crc || part[0].crc[1] != part[1].crc[1]);
            first_crc = part[0].crc[0];
        }
    }
}
END_TEST

/* ---- normalization ---- */

static void paint_levels(uint32_t i, uint8_t *px) {
    for (int k = 0; k < SIDE * SIDE; k++) px[k] = i < COUNT / 2 ? (i & 1 ? 0 : 16) : 255;
}

START_TEST(norms_are_the_training_parts_own) {
    make_dir("idx");
    save_idx("idx", "train", COUNT / 2, SIDE, paint_levels, label3); /* 0 and 16 */
    save_idx("idx", "t10k", COUNT, SIDE, paint_levels, label3);
    for (int part = 0; part < 2; part++) {
        forget();
        const oct_input_desc *in =
            oct_data_input(open_part("idx:idx", part ? OCT_SPLIT_TEST : OCT_SPLIT_TRAIN));
        /* 8 / 255 */
        ck_assert(in->div == 255 && in->mean[0] == 0.03137f && in->std[0] == 0.03137f);
        ck_assert_msg(logged("mean 0.03137 std 0.03137: of its training images"), "%s", set_log);
    }
    /* of all, whatever the limit */
    const oct_input_desc *in = oct_data_input(open_with("idx:idx", (oct_data_opts){.limit = 1}));
    ck_assert(in->mean[0] == 0.03137f && in->std[0] == 0.03137f);
    forget();
    const oct_input_desc mine = {.channels = 1, .div = 10, .mean = {3}, .std = {2}};
    in = oct_data_input(open_with("idx:idx", (oct_data_opts){.input = &mine}));
    ck_assert(in->div == 10 && in->mean[0] == 3 && in->std[0] == 2 && !logged("mean"));
    const char *mnist = test_data("mnist");
    if (mnist) {
        char spec[1100];
        snprintf(spec, sizeof spec, "idx:%s", mnist);
        in = oct_data_input(open_part(spec, OCT_SPLIT_TEST));
        ck_assert(in->mean[0] == 0.1307f && in->std[0] == 0.3081f &&
                  logged("MNIST's, known by its pixels"));
    }
}
END_TEST

/* What is published of the known sets, channel by channel; a grey net has the average. */
START_TEST(known_sets_have_their_numbers) {
    static const struct {
        octi_norm norm;
        float mean[3], std[3];
    } rows[] = {{OCTI_NORM_MNIST, {0.1307f, 0.1307f, 0.1307f}, {0.3081f, 0.3081f, 0.3081f}},
                {OCTI_NORM_FASHION, {0.2860f, 0.2860f, 0.2860f}, {0.3530f, 0.3530f, 0.3530f}},
                {OCTI_NORM_CIFAR10, {0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}},
                {OCTI_NORM_CIFAR100, {0.5071f, 0.4865f, 0.4409f}, {0.2673f, 0.2564f, 0.2762f}},
                {OCTI_NORM_IMAGENET, {0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}}};
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        const oct_input_desc rgb = octi_input_desc(rows[k].norm, 3, 32, 32),
                             grey = octi_input_desc(rows[k].norm, 1, 32, 32);
        const float *m = rows[k].mean, *s = rows[k].std;
        for (int c = 0; c < 3; c++) ck_assert(rgb.mean[c] == m[c] && rgb.std[c] == s[c]);
        ck_assert_float_eq_tol(grey.mean[0], (m[0] + m[1] + m[2]) / 3, 1e-6f);
        ck_assert_float_eq_tol(grey.std[0], (s[0] + s[1] + s[2]) / 3, 1e-6f);
    }
}
END_TEST

START_TEST(norms_of_folders) {
    static const char *const cifar[] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                        "dog",      "frog",       "horse", "ship", "truck"};
    static const char *const ids[] = {"n01440764", "n02102040"};
    char name[64];
    /* blue 0 to 38, green 0, 100 and 200; no red at all: nothing to scale */
    make_folder("own", 20);
    oct_data *d = open_part("folder:own", OCT_SPLIT_TRAIN);
    double sum[3] = {0}, square[3] = {0};
    const double n = (double)oct_data_count(d);
    /* of what trains alone: each picture has one colour */
    for (int64_t i = 0; i < oct_data_count(d); i++) {
        uint8_t px[SIDE * SIDE * 3];
        int32_t label;
        ck_ok(oct_data_get(d, i, px, &label));
        for (int c = 0; c < 3; c++) sum[c] += px[c], square[c] += (double)px[c] * px[c];
    }
    const oct_input_desc *in = oct_data_input(d),
                         *test = oct_data_input(open_part("folder:own", OCT_SPLIT_TEST));
    ck_assert(in->mean[0] == 0 && in->std[0] == 1);
    for (int c = 1; c < 3; c++) {
        ck_assert_double_eq_tol((double)in->mean[c], sum[c] / n / 255, 5e-5);
        ck_assert_double_eq_tol((double)in->std[c],
                                sqrt(square[c] / n - sum[c] / n * sum[c] / n) / 255, 5e-5);
        ck_assert(in->mean[c] == test->mean[c] && in->std[c] == test->std[c]);
    }
    for (int known = 0; known < 3; known++) {
        const int side = known == 1 ? 31 : 32;
        snprintf(name, sizeof name, "k%d", known);
        make_dir(name);
        for (int k = 0; k < (known == 2 ? 2 : 10); k++)
            for (int i = 0; i < 2; i++) {
                snprintf(name, sizeof name, "k%d/%s", known, known == 2 ? ids[k] : cifar[k]);
                if (!i) make_dir(name);
                snprintf(name + strlen(name), 18, "/%d.bmp", i);
                save_bmp(name, side, side, (uint8_t[]){9, (uint8_t)i, 8});
            }
        forget();
        snprintf(name, sizeof name, "folder:k%d", known);
        in = oct_data_input(open_part(name, OCT_SPLIT_TRAIN));
        const float want[3] = {0.4914f, 8 / 255.0f, 0.485f};
        ck_assert_msg(fabsf(in->mean[0] - want[known]) < 1e-4f, "%d: %g", known,
                      (double)in->mean[0]);
        ck_assert(logged(known == 0   ? "CIFAR-10's, by the names of its classes"
                         : known == 1 ? "of 10 of its training images"
                                      : "ImageNet's, by the ids of its classes"));
    }
}
END_TEST

START_TEST(floats_are_as_they_are) {
    const float x[4] = {1, 2, 3, 4};
    const struct {
        oct_input_desc in;
        bool taken;
    } rows[] = {{{.div = 0}, true},
                {{.div = 1, .std = {1}}, true},
                {{.div = 255}, false},
                {{.mean = {0.5f}}, false},
                {{.std = {2}}, false}};
    make_npz(true);
    oct_data *npz = open_part("npz:f.npz", OCT_SPLIT_TRAIN),
             *u8 = open_with("synth-digits", (oct_data_opts){.limit = 2});
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        oct_clear_error();
        oct_data *d = oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(4, 1, 1, 1), x, NULL,
                                           &(oct_array_opts){.input = &rows[i].in});
        ck_assert((d != NULL) == rows[i].taken);
        if (!d)
            ck_assert(oct_last_error()->code == OCT_EUSAGE &&
                      strstr(oct_error_message(), "floats are taken as they are"));
        ck_assert((oct_data_takes(npz, &rows[i].in) == OCT_OK) == rows[i].taken);
        ck_ok(oct_data_takes(u8, &rows[i].in));
        if (d)
            ck_assert(oct_data_input(d)->div == 1 && oct_data_input(d)->mean[0] == 0 &&
                      oct_data_input(d)->std[0] == 1);
    }
}
END_TEST

/* ---- what is missing is said ---- */

static uint8_t gaps(uint32_t i) { return (uint8_t)(i & 1 ? 5 : 2); }

START_TEST(what_is_missing_is_said) {
    make_cifar();
    forget();
    open_part("cifar10:c10", OCT_SPLIT_TRAIN);
    ck_assert_msg(
        logged("W ") &&
            logged("training files are missing, the first of them data_batch_3.bin; 2 are there"),
        "%s", set_log);
    make_dir("idx");
    save_idx("idx", "train", 40, SIDE, paint, gaps);
    forget();
    open_part("idx:idx", OCT_SPLIT_TRAIN);
    ck_assert_msg(logged("4 of 6 classes have no image, the first of them 0"), "%s", set_log);
    const int64_t y[3] = {0, 70000, 1};
    const uint8_t x[3] = {1, 2, 3};
    octi_npz_array a[] = {{"x", OCT_U8, OCT_SHAPE(3, 1, 1, 1), x}, {"y", OCT_S64, OCT_SHAPE(3), y}};
    ck_ok(octi_npz_write(ctx, in_root("far.npz"), a, 2));
    ck_assert(oct_data_open(ctx, "npz:far.npz", &(oct_data_opts){.root = root}) == NULL);
    ck_assert_ptr_nonnull(
        strstr(oct_error_message(), "label of sample 1: expected 0 to 65535, got 70000"));
    const int32_t label = 65536;
    ck_assert(oct_data_from_memory(ctx, OCT_U8, OCT_SHAPE(1, 1, 1, 1), x, &label, NULL) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_ELIMIT);
}
END_TEST

static void setup(void) {
    ck_not_null(ctx = oct_open(&(oct_opts){.threads = 2, .log = set_log_line}));
    make_root();
}
static void teardown(void) {
    remove_root();
    oct_close(ctx);
}

OCT_TEST_MAIN_WITH("data_parts", setup, teardown, a_tenth_is_held_out, the_line_is_by_content,
                   no_class_is_held_out_whole_or_spared, targets_go_along, two_parts_and_one,
                   validation_never_leaks, norms_are_the_training_parts_own,
                   known_sets_have_their_numbers, norms_of_folders, floats_are_as_they_are,
                   what_is_missing_is_said)
