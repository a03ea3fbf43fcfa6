/* SPDX-License-Identifier: MIT
 * Data sets: every kind, its damage, and what its errors say. */
#include "tests/data_fix.h"

/* ---- IDX ---- */

static const uint8_t idx_images[] = {0, 0, 8, 3, 0, 0, 0, 2, 0,  0,  0,  3,  0,  0,
                                     0, 2, 1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 255};
static const uint8_t idx_labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 3, 0};

START_TEST(idx_sets) {
    make_dir("idx");
    opens_not(OCT_EIO, "no IDX files", "idx:idx");
    save("idx/train-images-idx3-ubyte", idx_images, sizeof idx_images);
    opens_not(OCT_EIO, "train-labels-idx1-ubyte", "idx:idx");
    save_gz("idx/train-labels-idx1-ubyte.gz", idx_labels, sizeof idx_labels);
    /* a class of one image has none to spare */
    ck_assert(open_set("idx:idx", OCT_SPLIT_TEST) == NULL);
    ck_assert_ptr_nonnull(
        strstr(oct_error_message(), "no test part, and no class of which one could be held out"));
    oct_data *d = open_set("idx:idx", OCT_SPLIT_ALL);
    ck_not_null(d);
    ck_assert_int_eq(oct_data_count(d), 2);
    const oct_input_desc *in = oct_data_input(d);
    ck_assert(in->channels == 1 && in->height == 3 && in->width == 2 && in->div == 255);
    ck_assert(in->mean[0] == 0.1114f); /* 341 in 12 pixels */
    int32_t classes, label;
    uint8_t px[6];
    ck_assert_str_eq(oct_data_classes(d, &classes)[3].id, "3");
    ck_assert_int_eq(classes, 4);
    ck_ok(oct_data_get(d, 1, px, &label));
    ck_assert(px[0] == 11 && px[5] == 255 && label == 0);
    ck_fails(OCT_EUSAGE, "0 to 1", oct_data_get(d, 2, px, &label));
    ck_assert_uint_eq(oct_data_default_augment(d), OCT_AUGMENT_NONE);
    oct_data_free(d);
    const uint8_t test_labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 7, 7};
    save("idx/t10k-images-idx3-ubyte", idx_images, sizeof idx_images);
    save("idx/t10k-labels-idx1-ubyte", test_labels, sizeof test_labels);
    d = open_set("idx:idx", OCT_SPLIT_TRAIN); /* both parts know the same classes */
    oct_data_classes(d, &classes);
    ck_assert_int_eq(classes, 8);
    oct_data_free(d);
    oct_class few[2] = {{"a", "a"}, {"b", "b"}};
    ck_assert(oct_data_open(ctx, "idx:idx",
                            &(oct_data_opts){.root = root, .classes = few, .class_count = 2}) ==
              NULL);
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "more classes than the model"));
    /* no name: the id */
    const oct_class bare[8] = {{"a", NULL}, {"b", ""},   {"c", "C"},  {"d", NULL},
                               {"e", NULL}, {"f", NULL}, {"g", NULL}, {"h", NULL}};
    d = oct_data_open(ctx, "idx:idx",
                      &(oct_data_opts){.root = root, .classes = bare, .class_count = 8});
    ck_not_null(d);
    const oct_class *list = oct_data_classes(d, &classes);
    ck_assert_str_eq(list[0].name, "a");
    ck_assert_str_eq(list[1].name, "b");
    ck_assert_str_eq(list[2].name, "C");
    oct_data_free(d);
    oct_input_desc other = {.channels = 1, .height = 28, .width = 28};
    ck_assert(oct_data_open(ctx, "idx:idx", &(oct_data_opts){.root = root, .input = &other}) ==
              NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_ESHAPE);
    save("idx/train-labels-idx1-ubyte", idx_labels, sizeof idx_labels - 1);
    opens_not(OCT_EFORMAT,
              "train-labels-idx1-ubyte: data at offset 8: expected 2 bytes by the header, got 1",
              "idx:idx");
    save("idx/train-labels-idx1-ubyte", "\0\0\x08\x01\0\0\0\x01\x05", 9);
    opens_not(OCT_EFORMAT, "number of labels", "idx:idx");
    unlink(in_root("idx/train-labels-idx1-ubyte"));
    save("idx/train-labels-idx1-ubyte.gz", "\x1f\x8b\x08 damaged", 12);
    opens_not(OCT_EFORMAT, "gz", "idx:idx");
}
END_TEST

START_TEST(idx_bytes) {
    octi_idx x;
    ck_ok(octi_idx_parse(idx_images, sizeof idx_images, "f", 3, &x));
    for (size_t n = 0; n < sizeof idx_images; n++)
        ck_fails(OCT_EFORMAT, "f", octi_idx_parse(idx_images, n, "f", 3, &x));
    const uint32_t values[] = {0, 1, 5, 0x7fffffff, 0x80000000, 0xffffffff, 0xffff, 0x10000};
    for (size_t at = 0; at < 16; at += 4)
        for (int v = 0; v < 8; v++) {
            uint8_t b[sizeof idx_images];
            memcpy(b, idx_images, sizeof b);
            for (int i = 0; i < 4; i++) b[at + (size_t)i] = (uint8_t)(values[v] >> 8 * (3 - i));
            if (memcmp(b, idx_images, sizeof b))
                ck_fails(OCT_EFORMAT, "offset", octi_idx_parse(b, sizeof b, "f", 3, &x));
        }
}
END_TEST

START_TEST(mnist) {
    const char *path = test_data("mnist");
    if (!path) return;
    char spec[1100];
    snprintf(spec, sizeof spec, "idx:%s", path);
    oct_data *d = open_set(spec, OCT_SPLIT_TEST);
    ck_not_null(d);
    ck_assert_int_eq(oct_data_count(d), 10000);
    uint8_t px[784];
    int32_t label, sum = 0;
    ck_ok(oct_data_get(d, 0, px, &label));
    for (int i = 0; i < 784; i++) sum += px[i];
    ck_assert_int_eq(label, 7); /* the first test digit is a seven */
    ck_assert_int_eq(sum, 18454);
    oct_data_free(d);
}
END_TEST

/* ---- CIFAR ---- */

START_TEST(cifar_sets) {
    static uint8_t rec[3 * 3073];
    for (size_t i = 0; i < sizeof rec; i++) rec[i] = (uint8_t)(i * 13 >> 3);
    rec[0] = 4, rec[3073] = 9, rec[2 * 3073] = 0;
    make_dir("c10");
    opens_not(OCT_EIO, "no CIFAR files", "cifar10:c10");
    save("c10/data_batch_1.bin", rec, 2 * 3073);
    save_gz("c10/data_batch_3.bin.gz", rec + 2 * 3073, 3073);
    const char names[] = "plane\n\ncar\nbird\ncat\ndeer\r\ndog\nfrog\nhorse\nship\ntruck\n\n";
    save("c10/batches.meta.txt", names, sizeof names - 1);
    oct_data *d = open_set("cifar10:c10", OCT_SPLIT_TRAIN);
    ck_not_null(d);
    ck_assert_int_eq(oct_data_count(d), 3);
    uint8_t px[3072];
    int32_t label, classes;
    ck_ok(oct_data_get(d, 1, px, &label));
    ck_assert_int_eq(label, 9);
    ck_assert(px[0] == rec[3074] && px[1] == rec[3074 + 1024] &&
              px[3 * 33 + 2] == rec[3074 + 2048 + 33]);
    ck_assert_str_eq(oct_data_classes(d, &classes)[4].name, "deer"); /* a blank line is none */
    ck_assert_str_eq(oct_data_classes(d, &classes)[9].name, "truck");
    ck_assert_uint_eq(oct_data_default_augment(d), OCT_AUGMENT_CROP4 | OCT_AUGMENT_FLIP);
    oct_data_free(d);
    rec[3073] = 10;
    save("c10/data_batch_1.bin", rec, 2 * 3073);
    opens_not(OCT_EFORMAT,
              "data_batch_1.bin: label of record 1 at offset 3073: expected 0 to 9, got 10",
              "cifar10:c10");
    int32_t labels[3];
    static uint8_t out[3 * 3072];
    for (size_t n = 0; n<sizeof rec; n += n % 3073> 3 && n % 3073 < 3070 ? 97 : 1)
        if (n % 3073 || !n)
            ck_fails(OCT_EFORMAT, "record", octi_cifar_parse(rec, n, "f", 1, 0, 10, out, labels));
    make_dir("c100");
    memset(rec, 0, 3074);
    rec[1] = 99;
    save("c100/train.bin", rec, 3074);
    d = open_set("cifar100:c100", OCT_SPLIT_TRAIN);
    ck_ok(oct_data_get(d, 0, px, &label));
    ck_assert_int_eq(label, 99);
    oct_data_free(d);
    /* both labels of a record, three records, one of them the test part */
    static uint8_t two[3 * 3074];
    for (size_t i = 0; i < sizeof two; i++) two[i] = (uint8_t)(i * 7 >> 2);
    for (int i = 0; i < 3; i++)
        two[i * 3074] = (uint8_t)(19 - i), two[i * 3074 + 1] = (uint8_t)(40 + i);
    save("c100/train.bin", two, 2 * 3074);
    save_gz("c100/test.bin.gz", two + 2 * 3074, 3074);
    for (int coarse = 0; coarse < 2; coarse++) {
        const char *spec = coarse ? "cifar100-coarse:c100" : "cifar100:c100";
        for (int part = 0; part < 2; part++) {
            d = open_set(spec, part ? OCT_SPLIT_TEST : OCT_SPLIT_TRAIN);
            ck_assert_int_eq(oct_data_count(d), part ? 1 : 2);
            const uint8_t *image = two + (part ? 2 : 1) * 3074 + 2;
            ck_ok(oct_data_get(d, part ? 0 : 1, px, &label));
            ck_assert_int_eq(label, (coarse ? 18 : 41) + (part ? coarse ? -1 : 1 : 0));
            for (int k = 0; k < 1024; k++)
                for (int c = 0; c < 3; c++) ck_assert_int_eq(px[3 * k + c], image[1024 * c + k]);
            oct_data_classes(d, &classes);
            ck_assert_int_eq(classes, coarse ? 20 : 100);
            oct_data_free(d);
        }
    }
    two[3074] = 20; /* a coarse label that cannot be: the fine set does not look at it */
    save("c100/train.bin", two, 2 * 3074);
    opens_not(OCT_EFORMAT, "label of record 1 at offset 3074: expected 0 to 19, got 20",
              "cifar100-coarse:c100");
    oct_data_free(open_set("cifar100:c100", OCT_SPLIT_TRAIN));
    opens_not(OCT_EIO, "no CIFAR files", "cifar10:c100");
    save("c100/train.bin", two, 2 * 3074 - 1);
    opens_not(OCT_EFORMAT, "a multiple of 3074 bytes", "cifar100:c100");
    save("c100/train.bin", rec, 3074);
}
END_TEST

/* The same pictures once as JPEG, decoded here, once as decoded by another decoder: a level or two
 * apart. */
START_TEST(cifar_sample_against_jpeg) {
    const char *path = test_data("cifar10-bin-sample");
    if (!path) return;
    char bin[1100], line[300], file[1500];
    snprintf(bin, sizeof bin, "cifar10:%s", path);
    snprintf(file, sizeof file, "%s/manifest.tsv", path);
    oct_data *d = open_set(bin, OCT_SPLIT_TRAIN);
    ck_not_null(d);
    ck_assert_int_eq(oct_data_count(d), 1000);
    const char *jpg = test_data("cifar10-jpg");
    if (!jpg) return oct_data_free(d);
    FILE *f = fopen(file, "r");
    ck_assert(f && fgets(line, sizeof line, f));
    oct_input_desc in = octi_input_desc(OCTI_NORM_CIFAR10, 3, 32, 32);
    int most = 0, n = 0;
    double sum = 0;
    uint8_t a[3072], b[3072];
    while (fgets(line, sizeof line, f) && !strncmp(line, "data_batch_1.bin\t", 17)) {
        char name[200];
        int32_t label;
        ck_assert_int_eq(sscanf(line + 17, "%*d %199s", name), 1);
        snprintf(file, sizeof file, "%s/%s", jpg, name);
        ck_ok(oct_image_load(ctx, file, &in, a));
        ck_ok(oct_data_get(d, n++, b, &label));
        for (int i = 0; i < 3072; i++) {
            int e = abs(a[i] - b[i]);
            if (e > most) most = e;
            sum += e;
        }
    }
    fclose(f);
    printf("JPEG against the other decoder: largest difference %d, mean %.4f of %d images\n", most,
           sum / n / 3072, n);
    ck_assert_int_eq(n, 1000);
    ck_assert_msg(sum / n / 3072 < 1.5, "mean difference %g", sum / n / 3072);
    oct_data_free(d);
}
END_TEST

/* ---- memory, functions, NPZ ---- */

START_TEST(arrays_in_memory) {
    const uint8_t nchw[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}; /* 1 x 3 x 2 x 2 */
    const int32_t label = 2;
    oct_data *d = oct_data_from_memory(ctx, OCT_U8, OCT_SHAPE(1, 3, 2, 2), nchw, &label,
                                       &(oct_array_opts){.nchw = true});
    ck_not_null(d);
    uint8_t px[12];
    int32_t l, classes;
    ck_ok(oct_data_get(d, 0, px, &l));
    ck_assert(px[0] == 1 && px[1] == 5 && px[2] == 9 && px[11] == 12 && l == 2);
    oct_data_classes(d, &classes);
    ck_assert_int_eq(classes, 3);
    oct_data_free(d);
    d = oct_data_from_memory(ctx, OCT_U8, OCT_SHAPE(1, 1, 3, 4), nchw, NULL,
                             &(oct_array_opts){.nchw = true});
    ck_not_null(d); /* sides of their own */
    ck_assert(oct_data_input(d)->height == 3 && oct_data_input(d)->width == 4);
    oct_data_free(d);
    const float f[2] = {0.5f, -1};
    d = oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(2, 1, 1, 1), f, NULL, NULL);
    float v;
    ck_ok(oct_data_get(d, 1, &v, &l));
    ck_assert(v == -1 && l == 0 && oct_data_input(d)->div == 1);
    oct_data_free(d);
    ck_assert(oct_data_from_memory(ctx, OCT_S32, OCT_SHAPE(1, 1, 1, 1), f, NULL, NULL) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_EDTYPE);
    ck_assert(oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(1, 1), f, NULL, NULL) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_ESHAPE);
    ck_assert(oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(1, 1, 1, 1), NULL, NULL, NULL) == NULL);
    ck_assert(oct_data_from_memory(ctx, OCT_F32, OCT_SHAPE(1, 1, 1, 1), f, &label,
                                   &(oct_array_opts){.classes = 2}) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_EFORMAT);
}
END_TEST

static oct_status count_up(void *user, int64_t i, void *image, int32_t *label) {
    *(uint8_t *)image = (uint8_t)i;
    *label = (int32_t)(i % 5);
    return i == *(int64_t *)user ? octi_fail(OCT_EIO, "camera", "gone", NULL, NULL, NULL) : OCT_OK;
}

START_TEST(functions) {
    int64_t broken = 7;
    oct_input_desc in = {.channels = 1, .height = 1, .width = 1, .div = 10, .std = {1}};
    oct_data *d =
        oct_data_from_source(ctx, &(oct_data_source){100, OCT_U8, count_up, &broken}, &in, 5);
    ck_not_null(d);
    uint8_t px;
    int32_t l;
    ck_ok(oct_data_get(d, 99, &px, &l));
    ck_assert(px == 99 && l == 4 && oct_data_input(d)->div == 10);
    ck_fails(OCT_EIO, "camera: gone", oct_data_get(d, 7, &px, &l));
    /* the failure of the loader's thread reaches the caller, each time */
    for (int pass = 0; pass < 2; pass++) {
        oct_loader *loader = oct_loader_new(d, &(oct_loader_opts){.batch = 4, .no_prefetch = pass});
        oct_batch b;
        bool done;
        ck_ok(oct_loader_next(loader, &b, &done));
        ck_assert(oct_f32(b.x)[3] == 0.3f);
        ck_fails(OCT_EIO, "camera: gone", oct_loader_next(loader, &b, &done));
        ck_fails(OCT_EIO, "camera: gone", oct_loader_next(loader, &b, &done));
        broken = -1;
        ck_ok(oct_loader_next(loader, &b, &done));
        ck_assert(b.step == 1 && oct_f32(b.x)[3] == 0.7f);
        oct_loader_free(loader); /* its thread may still be reading `broken` */
        broken = 7;
    }
    oct_data_free(d);
    d = oct_data_from_source(ctx, &(oct_data_source){100, OCT_U8, count_up, &broken}, &in, 3);
    ck_fails(OCT_EFORMAT, "label of sample 4", oct_data_get(d, 4, &px, &l));
    oct_data_free(d);
    ck_assert(oct_data_from_source(ctx, &(oct_data_source){100, OCT_U8, NULL, NULL}, &in, 3) ==
              NULL);
}
END_TEST

START_TEST(npz_sets) {
    const float x[4] = {1, 2, 3, 4};
    const int64_t y[2] = {0, 3};
    const float t[2] = {5, 6};
    const uint8_t pixels[2] = {5, 6}, bad[1] = {1};
    octi_npz_array a[] = {{"x", OCT_F32, OCT_SHAPE(2, 2, 1, 1), x},
                          {"y", OCT_S64, OCT_SHAPE(2), y},
                          {"x_test", OCT_F32, OCT_SHAPE(1, 2, 1, 1), t},
                          {"y_test", OCT_U8, OCT_SHAPE(1), bad}};
    ck_ok(octi_npz_write(ctx, in_root("set.npz"), a, 4));
    oct_data *d = open_set("npz:set.npz", OCT_SPLIT_TRAIN);
    ck_not_null(d);
    float v[2];
    int32_t l, classes;
    ck_ok(oct_data_get(d, 1, v, &l));
    ck_assert(v[0] == 3 && v[1] == 4 && l == 3 && oct_data_dtype(d) == OCT_F32);
    oct_data_free(d);
    d = open_set("npz:set.npz", OCT_SPLIT_TEST);
    ck_ok(oct_data_get(d, 0, v, &l));
    oct_data_classes(d, &classes);
    ck_assert(v[1] == 6 && l == 1 && classes == 4 && oct_data_input(d)->div == 1);
    oct_data_free(d);
    a[2].dtype = OCT_U8; /* pixels to test what floats have trained */
    a[2].data = pixels;
    ck_ok(octi_npz_write(ctx, in_root("set.npz"), a, 4));
    opens_not(OCT_ESHAPE,
              "set.npz:x_test: kind and size of the images: expected f [2, 2, 1, 1], as x, got u",
              "npz:set.npz");
    a[2].shape = OCT_SHAPE(1, 1, 2, 1);
    a[2].dtype = OCT_F32;
    a[2].data = t;
    ck_ok(octi_npz_write(ctx, in_root("set.npz"), a, 4));
    opens_not(OCT_ESHAPE, "kind and size of the images", "npz:set.npz");
    a[1].shape = OCT_SHAPE(1);
    ck_ok(octi_npz_write(ctx, in_root("set.npz"), a, 2));
    opens_not(OCT_ESHAPE, "shape of the labels", "npz:set.npz");
    a[1].name = "x";
    ck_ok(octi_npz_write(ctx, in_root("set.npz"), a + 1, 1));
    opens_not(OCT_EDTYPE, "dtype of the images", "npz:set.npz");
    save("set.npz", "no zip", 6);
    opens_not(OCT_EFORMAT, "not a zip", "npz:set.npz");
    opens_not(OCT_EIO, "No such", "npz:nothing.npz");
}
END_TEST

/* [N,C,H,W] in the file, [N,H,W,C] here. */
START_TEST(npz_targets_are_turned) {
    enum { C = 2, H = 3, W = 4 };
    uint8_t x[2] = {1, 2};
    float y[2 * C * H * W], got[C * H * W];
    for (int i = 0; i < 2 * C * H * W; i++) y[i] = (float)i;
    octi_npz_array a[] = {{"x", OCT_U8, OCT_SHAPE(2, 1, 1, 1), x},
                          {"y", OCT_F32, OCT_SHAPE(2, C, H, W), y}};
    ck_ok(octi_npz_write(ctx, in_root("turned.npz"), a, 2));
    oct_data *d = open_set("npz:turned.npz", OCT_SPLIT_ALL);
    ck_not_null(d);
    oct_shape s;
    ck_assert_int_eq(oct_data_truth(d, &s), OCT_TRUTH_TARGETS);
    ck_assert(s.rank == 4 && s.dim[1] == H && s.dim[2] == W && s.dim[3] == C);
    ck_ok(octi_set_target(d, 1, got));
    for (int i = 0; i < C * H * W; i++) {
        const int c = i % C, w = i / C % W, h = i / C / W;
        ck_assert_float_eq(got[i], (float)(((C + c) * H + h) * W + w));
    }
    oct_data_free(d);
}
END_TEST

/* ---- spec, limits ---- */

START_TEST(specs) {
    opens_not(OCT_EUSAGE, "synth-digits, synth-shapes, idx:DIR", "mnist");
    opens_not(OCT_EUSAGE, "needs a path", "idx");
    opens_not(OCT_EUSAGE, "needs a path", "idx:");
    opens_not(OCT_EUSAGE, "takes no path", "synth-digits:x");
    opens_not(OCT_EUSAGE, "unknown kind", "");
    ck_assert(oct_data_open(ctx, NULL, NULL) == NULL && oct_data_open(NULL, "idx:x", NULL) == NULL);
    make_dir("idx");
    save("idx/train-images-idx3-ubyte", idx_images, sizeof idx_images);
    save("idx/train-labels-idx1-ubyte", idx_labels, sizeof idx_labels);
    char *before = getenv("OCTET_DATA") ? strdup(getenv("OCTET_DATA")) : NULL;
    setenv("OCTET_DATA", root, 1);
    oct_data *d = oct_data_open(ctx, "idx:idx", NULL);
    ck_not_null(d);
    oct_data_free(d);
    if (before)
        setenv("OCTET_DATA", before, 1);
    else
        unsetenv("OCTET_DATA");
    free(before);
}
END_TEST

START_TEST(limits) {
    oct_ctx *small = oct_open(&(oct_opts){.threads = 1, .max_bytes = 1 << 20});
    ck_assert(oct_data_open(small, "synth-digits", NULL) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_ELIMIT);
    ck_assert_int_eq(oct_ctx_status(small), OCT_ELIMIT);
    ck_assert_uint_lt(oct_ctx_memory(small, OCT_MEMORY_BYTES), 2000);
    oct_close(small);
    static uint8_t zeros[1 << 20] = {0, 0, 8, 3, 0, 0, 0, 255, 0, 0, 0, 64, 0, 0, 0, 64};
    make_dir("bomb");
    save_gz("bomb/train-images-idx3-ubyte.gz", zeros, 16 + 255 * 4096);
    ck_assert(oct_data_open(ctx, "idx:bomb",
                            &(oct_data_opts){.root = root, .max_decoded_bytes = 100000}) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_ELIMIT);
}
END_TEST

OCT_TEST_MAIN_WITH("data", setup, teardown, idx_sets, idx_bytes, mnist, cifar_sets,
                   cifar_sample_against_jpeg, arrays_in_memory, functions, npz_sets,
                   npz_targets_are_turned, specs, limits)
