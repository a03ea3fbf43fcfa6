/* SPDX-License-Identifier: MIT
 * Every option of data sets, arrays and loaders changes what it should: one loop over all of
 * them. */
#include "tests/set_files.h"

static oct_ctx *ctx;

typedef struct result { /* of opening a set and reading it */
    bool opened;
    int64_t count;
    oct_input_desc input;
    int32_t classes;
    uint32_t names, labels, pixels; /* CRCs */
} result;

static result look(oct_data *d) {
    result r = {.opened = d != NULL};
    if (!d) return r;
    r.count = oct_data_count(d);
    r.input = *oct_data_input(d);
    const oct_class *list = oct_data_classes(d, &r.classes);
    for (int32_t i = 0; i < r.classes; i++)
        r.names =
            (uint32_t)crc32(r.names, (const Bytef *)list[i].name, (uInt)strlen(list[i].name) + 1);
    const size_t bytes = octi_set_image_bytes(d);
    uint8_t *image = malloc(bytes);
    for (int64_t i = 0; i < r.count; i++) {
        int32_t label;
        ck_ok(oct_data_get(d, i, image, &label));
        r.labels = (uint32_t)crc32(r.labels, (const Bytef *)&label, sizeof label);
        r.pixels = (uint32_t)crc32(r.pixels, image, (uInt)bytes);
    }
    free(image);
    return r;
}

/* Which parts of two results differ, as a word of letters. */
static const char *difference(const result *a, const result *b) {
    static char text[8];
    char *p = text;
    if (a->opened != b->opened) return "!";
    if (a->count != b->count) *p++ = 'n';
    if (memcmp(&a->input, &b->input, sizeof a->input)) *p++ = 'i';
    if (a->classes != b->classes || a->names != b->names) *p++ = 'c';
    if (a->labels != b->labels) *p++ = 'l';
    if (a->pixels != b->pixels) *p++ = 'p';
    *p = 0;
    return text;
}

/* ---- a folder: two parts, two classes, pictures of 12 x 10 ---- */

static void make_folder(void) {
    const char *dirs[] = {"f",           "f/train",    "f/test",    "f/train/ant",
                          "f/train/bee", "f/test/ant", "f/test/bee"};
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) make_dir(dirs[i]);
    for (int part = 0; part < 2; part++)
        for (int k = 0; k < 2; k++)
            for (int i = 0; i < (part ? 2 : 3); i++) {
                char name[64];
                snprintf(name, sizeof name, "f/%s/%s/%d.bmp", part ? "test" : "train",
                         k ? "bee" : "ant", i);
                uint8_t b[54 + 36 * 10] = {'B', 'M'};
                b[10] = 54, b[14] = 40, b[18] = 12, b[22] = 10, b[26] = 1, b[28] = 24;
                for (int p = 54; p < (int)sizeof b; p++)
                    b[p] = (uint8_t)(p * p / 7 + 31 * i + 90 * k + 50 * part);
                save(name, b, sizeof b);
            }
}

static const oct_class swapped[2] = {{"bee", "bee"}, {"ant", "ant"}};
static const oct_input_desc base_input = {.channels = 3,
                                          .height = 10,
                                          .width = 12,
                                          .color = OCT_COLOR_RGB,
                                          .div = 255,
                                          .mean = {0.5f, 0.5f, 0.5f},
                                          .std = {0.25f, 0.25f, 0.25f}};
#define INPUT(...)                                                                                 \
    &(const oct_input_desc) {                                                                      \
        .channels = 3, .height = 10, .width = 12, .color = OCT_COLOR_RGB, .div = 255,              \
        .mean = {0.5f, 0.5f, 0.5f}, .std = {0.25f, 0.25f, 0.25f}, __VA_ARGS__                      \
    }
#define FIELD(name) offsetof(oct_data_opts, name), sizeof(((oct_data_opts *)0)->name)

#pragma GCC diagnostic ignored "-Woverride-init"
START_TEST(every_option_of_a_set) {
    make_folder();
    const struct {
        const char *name, *want; /* want: what differs */
        oct_data_opts o;
    } rows[] = {
        {"split", "nlp", {.root = root, .input = &base_input, .split = OCT_SPLIT_TEST}},
        {"root", "!", {.input = &base_input}},
        {"limit", "nlp", {.root = root, .input = &base_input, .limit = 2}},
        {"input", "i", {.root = root}},
        {"input.channels", "ip", {.root = root, .input = INPUT(.channels = 1)}},
        {"input.height", "ip", {.root = root, .input = INPUT(.height = 9)}},
        {"input.width", "ip", {.root = root, .input = INPUT(.width = 11)}},
        {"input.color", "ip", {.root = root, .input = INPUT(.color = OCT_COLOR_BGR)}},
        {"input.resize", "ip", {.root = root, .input = INPUT(.resize = 20)}},
        {"input.crop", "ip", {.root = root, .input = INPUT(.crop = 8)}},
        {"input.div", "i", {.root = root, .input = INPUT(.div = 128)}},
        {"input.mean", "i", {.root = root, .input = INPUT(.mean = {0.5f, 0.5f, 0.4f})}},
        {"input.std", "i", {.root = root, .input = INPUT(.std = {0.25f, 0.2f, 0.25f})}},
        /* the set's own in place of what nobody said */
        {"input.assumed", "i", {.root = root, .input = INPUT(.assumed = true)}},
        {"classes",
         "cl",
         {.root = root, .input = &base_input, .classes = swapped, .class_count = 2}},
        {"class_count",
         "!",
         {.root = root, .input = &base_input, .classes = swapped, .class_count = 1}},
    };
    const result base =
        look(oct_data_open(ctx, "folder:f", &(oct_data_opts){.root = root, .input = &base_input}));
    ck_assert(base.opened && base.count == 6 && base.classes == 2);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const result r = look(oct_data_open(ctx, "folder:f", &rows[i].o));
        ck_assert_msg(!strcmp(difference(&base, &r), rows[i].want),
                      "%s changes '%s', expected '%s': %s", rows[i].name, difference(&base, &r),
                      rows[i].want, r.opened ? "" : oct_error_message());
    }
    /* one mean and one deviation serve all channels */
    oct_data *one = oct_data_open(
        ctx, "folder:f",
        &(oct_data_opts){.root = root, .input = INPUT(.mean = {0.3f}, .std = {0.6f})});
    ck_not_null(one);
    for (int c = 0; c < 3; c++)
        ck_assert(oct_data_input(one)->mean[c] == 0.3f && oct_data_input(one)->std[c] == 0.6f);
    /* those that a folder has no use for */
    const result seed1 = look(oct_data_open(ctx, "synth-digits", &(oct_data_opts){.limit = 20})),
                 seed2 = look(oct_data_open(ctx, "synth-digits",
                                            &(oct_data_opts){.limit = 20, .synth_seed = 2}));
    ck_assert_str_eq(difference(&seed1, &seed2), "p");
    static uint8_t px[16 + 100] = {0, 0, 8, 3, 0, 0, 0, 25, 0, 0, 0, 2, 0, 0, 0, 2},
                           y[8 + 25] = {0, 0, 8, 1, 0, 0, 0, 25};
    make_dir("idx");
    save_gz("idx/train-images-idx3-ubyte.gz", px, sizeof px);
    save("idx/train-labels-idx1-ubyte", y, sizeof y);
    oct_data_opts o = {.root = root, .split = OCT_SPLIT_ALL, .max_decoded_bytes = sizeof px};
    ck_assert(oct_data_open(ctx, "idx:idx", &o) != NULL);
    o.max_decoded_bytes--;
    ck_assert(oct_data_open(ctx, "idx:idx", &o) == NULL && oct_last_error()->code == OCT_ELIMIT);
    /* a new option needs its row */
    ck_assert_uint_eq(sizeof(oct_data_opts), sizeof(struct {
                          oct_split a;
                          const char *b;
                          uint64_t c;
                          int64_t d;
                          void *e, *f;
                          int32_t g;
                          size_t h;
                      }));
    ck_assert_uint_eq(sizeof(oct_input_desc), 4 * 3 + sizeof(oct_color) + 4 * 2 + 4 + 4 * 8 + 4);
}
END_TEST

/* ---- arrays ---- */

START_TEST(every_option_of_an_array) {
    static uint8_t x[6 * 2 * 3 * 4];
    static const int32_t y[6] = {0, 1, 2, 0, 1, 2};
    for (size_t i = 0; i < sizeof x; i++) x[i] = (uint8_t)(i * 11);
    const oct_input_desc in = {.div = 9};
    const struct {
        const char *name, *want;
        oct_array_opts o;
    } rows[] = {{"nchw", "ip", {.nchw = true}},
                {"classes", "c", {.classes = 5}},
                {"input", "i", {.input = &in}}};
    const result base = look(oct_data_from_memory(ctx, OCT_U8, OCT_SHAPE(6, 2, 3, 4), x, y, NULL));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const result r =
            look(oct_data_from_memory(ctx, OCT_U8, OCT_SHAPE(6, 2, 3, 4), x, y, &rows[i].o));
        ck_assert_msg(!strcmp(difference(&base, &r), rows[i].want),
                      "%s changes '%s', expected '%s'", rows[i].name, difference(&base, &r),
                      rows[i].want);
    }
    const float targets[6] = {0}; /* with their shape, in place of labels */
    oct_shape shape;
    oct_data *d = oct_data_from_memory(
        ctx, OCT_U8, OCT_SHAPE(6, 2, 3, 4), x, NULL,
        &(oct_array_opts){.targets = targets, .target_shape = OCT_SHAPE(6, 1)});
    ck_not_null(d);
    ck_assert(oct_data_truth(d, &shape) == OCT_TRUTH_TARGETS && shape.rank == 2 &&
              shape.dim[1] == 1);
    /* a new option needs its row */
    ck_assert_uint_eq(sizeof(oct_array_opts), sizeof(struct {
                          bool a;
                          int32_t b;
                          void *c, *d;
                          oct_shape e;
                      }));
}
END_TEST

/* ---- loaders ---- */

static uint32_t batches(oct_data *d, const oct_loader_opts *o, int64_t *steps) {
    oct_loader *l = oct_loader_new(d, o);
    ck_not_null(l);
    *steps = oct_loader_steps(l);
    uint32_t crc = 0;
    for (;;) {
        oct_batch b;
        bool done;
        ck_ok(oct_loader_next(l, &b, &done));
        if (done) break;
        crc = (uint32_t)crc32(crc, (const Bytef *)&b.x->shape.dim[0], sizeof(int64_t));
        crc = (uint32_t)crc32(crc, b.x->data, (uInt)oct_tensor_bytes(b.x));
        crc = (uint32_t)crc32(crc, b.labels->data, (uInt)oct_tensor_bytes(b.labels));
    }
    oct_loader_free(l);
    return crc;
}

START_TEST(every_option_of_a_loader) {
    make_folder();
    oct_data *d =
        oct_data_open(ctx, "folder:f", &(oct_data_opts){.root = root, .input = &base_input});
    const struct {
        const char *name;
        oct_loader_opts o;
        int64_t steps;
        bool same;
    } rows[] = {
        {"batch", {.batch = 3}, 2, false},
        {"shuffle", {.batch = 4, .shuffle = true, .augment = OCT_AUGMENT_NONE}, 2, false},
        {"drop_last", {.batch = 4, .drop_last = true}, 1, false},
        {"even", {.batch = 4, .even = true}, 2, false},
        {"augment", {.batch = 4, .augment = OCT_AUGMENT_FLIP}, 2, false},
        {"input", {.batch = 4, .input = INPUT(.mean = {0.5f, 0.4f, 0.5f})}, 2, false},
        {"input.color", {.batch = 4, .input = INPUT(.color = OCT_COLOR_BGR)}, 2, false},
        /* the same from another thread */
        {"no_prefetch", {.batch = 4, .no_prefetch = true}, 2, true},
        {"seed", {.batch = 4, .seed = 9}, 2, true}, /* nothing is drawn */
    };
    int64_t steps;
    const uint32_t base = batches(d, &(oct_loader_opts){.batch = 4}, &steps);
    ck_assert_int_eq(steps, 2);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const uint32_t crc = batches(d, &rows[i].o, &steps);
        ck_assert_msg((crc == base) == rows[i].same && steps == rows[i].steps, "%s: %s, %d steps",
                      rows[i].name, crc == base ? "changes nothing" : "changes batches",
                      (int)steps);
    }
    const uint32_t one =
        batches(d, &(oct_loader_opts){.batch = 4, .shuffle = true, .seed = 1}, &steps);
    ck_assert_uint_ne(
        one, batches(d, &(oct_loader_opts){.batch = 4, .shuffle = true, .seed = 9}, &steps));
    const uint32_t flip =
        batches(d, &(oct_loader_opts){.batch = 4, .augment = OCT_AUGMENT_FLIP, .seed = 1}, &steps);
    ck_assert_uint_ne(
        flip,
        batches(d, &(oct_loader_opts){.batch = 4, .augment = OCT_AUGMENT_FLIP, .seed = 9}, &steps));
    /* by default a shuffled loader does what the kind of set has, another one nothing */
    const uint32_t own = oct_data_default_augment(d);
    ck_assert_uint_eq(own, OCT_AUGMENT_CROP4 | OCT_AUGMENT_FLIP);
    ck_assert_uint_eq(
        one, batches(d, &(oct_loader_opts){.batch = 4, .shuffle = true, .seed = 1, .augment = own},
                     &steps));
    ck_assert_uint_ne(
        one, batches(d,
                     &(oct_loader_opts){
                         .batch = 4, .shuffle = true, .seed = 1, .augment = OCT_AUGMENT_NONE},
                     &steps));
    /* 0: the context's */
    ck_assert_uint_eq(one, batches(d, &(oct_loader_opts){.batch = 4, .shuffle = true}, &steps));
    /* a new option needs its row */
    ck_assert_uint_eq(sizeof(oct_loader_opts), sizeof(struct {
                          int64_t a;
                          bool b, c;
                          uint64_t d;
                          uint32_t e;
                          bool f;
                          void *g;
                          bool h;
                      }));
}
END_TEST

/* One reader for a folder's classes.txt and for lists that name a model's classes. */
START_TEST(lists_of_classes) {
    static const oct_class known[] = {{"n01", "n01"}, {"n02", "n02"}, {"2", "2"}};
    static const struct {
        const char *text;
        int32_t known, count;
        oct_class is[3];
    } lists[] = {
        {"tench\r\ngolf ball\n", 0, 2, {{"tench", "tench"}, {"golf ball", "golf ball"}}},
        {"n01\ttench\n\n  \nn02\tgolf ball  ", 0, 2, {{"n01", "tench"}, {"n02", "golf ball"}}},
        {"0\tn01\ttench\n1\tn02\tgolf ball\n", 0, 2, {{"n01", "tench"}, {"n02", "golf ball"}}},
        {"5\tn01\ttench\n", 0, 1, {{"5", "n01\ttench"}}}, /* not its own number */
        {"0\tnought\n1\tone\n", 0, 2, {{"0", "nought"}, {"1", "one"}}},
        {"n01 tench\n1 n02 golf ball\nx y",
         2,
         3,
         {{"n01", "tench"}, {"n02", "golf ball"}, {"x y", "x y"}}},
        {"n01 tench\nn012 x", 0, 2, {{"n01 tench", "n01 tench"}, {"n012 x", "n012 x"}}},
        {"7\tn02\tgolf ball\nn012 shark",
         2,
         2,
         {{"n02", "golf ball"}, {"n012 shark", "n012 shark"}}},
        {"2\tn01\ttench", 3, 1, {{"2", "n01\ttench"}}},
        {"", 0, 0, {{NULL, NULL}}},
        {"\n \n", 0, 0, {{NULL, NULL}}}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (int file = 0; file < 2; file++) {
            int32_t n = -1;
            const size_t size = strlen(lists[i].text);
            save("names.txt", lists[i].text, size);
            oct_class *list =
                file ? oct_classes_read(ctx, in_root("names.txt"), known, lists[i].known, &n)
                     : oct_classes_parse(ctx, lists[i].text, size, known, lists[i].known, &n);
            ck_not_null(list);
            ck_assert_int_eq(n, lists[i].count);
            for (int32_t k = 0; k < n; k++) {
                ck_assert_str_eq(list[k].id, lists[i].is[k].id);
                ck_assert_str_eq(list[k].name, lists[i].is[k].name);
            }
            oct_classes_free(ctx, list);
        }
    int32_t n;
    ck_assert_ptr_null(oct_classes_parse(ctx, "a\0b", 3, NULL, 0, &n));
    save("names.txt", "a\0b", 3);
    ck_assert_ptr_null(oct_classes_read(ctx, in_root("names.txt"), NULL, 0, &n));
    ck_assert_msg(strstr(oct_error_message(), "names.txt"), "%s", oct_error_message());
    ck_assert_ptr_null(oct_classes_read(ctx, in_root("nowhere"), NULL, 0, &n));
    ck_assert_int_eq(oct_last_error()->code, OCT_EIO);
}
END_TEST

/* A folder too high, with no file of the set itself in it. */
START_TEST(a_folder_of_folders_is_answered_with_the_one_inside) {
    make_folder();
    const char *dirs[] = {"up", "up/in", "up/in/train", "up/in/train/ant", "up2", "up2/ant"};
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) make_dir(dirs[i]);
    char spec[600], want[700];
    snprintf(spec, sizeof spec, "folder:%s", in_root("up"));
    ck_assert_ptr_null(oct_data_open(ctx, spec, NULL));
    snprintf(want, sizeof want, "did you mean %s/in?", spec);
    ck_assert_msg(strstr(oct_error_message(), want), "%s", oct_error_message());
    snprintf(spec, sizeof spec, "folder:%s", in_root("up2"));
    ck_assert_ptr_null(oct_data_open(ctx, spec, NULL));
    snprintf(want, sizeof want, "if %s/ant is no class, it belongs elsewhere", in_root("up2"));
    ck_assert_msg(strstr(oct_error_message(), want), "%s", oct_error_message());
}
END_TEST

static void setup(void) {
    ck_not_null(ctx = oct_open(&(oct_opts){.threads = 2}));
    make_root();
}
static void teardown(void) {
    remove_root();
    oct_close(ctx);
}

OCT_TEST_MAIN_WITH("data_options", setup, teardown, every_option_of_a_set, every_option_of_an_array,
                   every_option_of_a_loader, lists_of_classes,
                   a_folder_of_folders_is_answered_with_the_one_inside)
