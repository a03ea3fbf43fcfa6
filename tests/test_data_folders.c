/* SPDX-License-Identifier: MIT
 * Folders of images as data sets: classes by their names, parts, what is skipped and what
 * refused. */
#include "tests/data_fix.h"

static void bmp(const char *name, int w, int h, uint8_t level) {
    size_t pitch = ((size_t)w * 3 + 3) / 4 * 4, n = 54 + pitch * (size_t)h;
    uint8_t *b = calloc(1, n);
    memcpy(b, "BM", 2);
    b[10] = 54, b[14] = 40, b[18] = (uint8_t)w, b[22] = (uint8_t)h, b[26] = 1, b[28] = 24;
    memset(b + 54, level, n - 54);
    save(name, b, n);
    free(b);
}

START_TEST(folders) {
    const char *dirs[] = {"f",     "f/train",   "f/train/cat", "f/train/ant",
                          "f/val", "f/val/cat", "f/.hidden"};
    opens_not(OCT_EIO, "No such", "folder:f");
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) make_dir(dirs[i]);
    opens_not(OCT_EFORMAT, "f/train/ant: class without an image", "folder:f");
    bmp("f/train/cat/b.bmp", 4, 2, 50);
    bmp("f/train/cat/a.png", 8, 8, 60); /* content counts, not the name */
    bmp("f/val/cat/v.bmp", 10, 10, 80);
    opens_not(OCT_EFORMAT, "f/train/ant: class without an image", "folder:f");
    bmp("f/train/ant/z.BMP", 6, 4, 70);
    save("f/train/ant/notes.txt", "x", 1);
    const char wood[] = "0\tant\tAnt of the wood\n1\tcat\tHouse cat\n";
    save("f/classes.txt", wood, sizeof wood - 1);
    ck_assert_int_eq(mkfifo(in_root("f/train/ant/pipe.jpg"), 0600), 0);
    ck_assert_int_eq(symlink("/etc/passwd", in_root("f/train/ant/out.jpg")), 0);
    ck_assert_int_eq(symlink("z.BMP", in_root("f/train/ant/zz.jpg")), 0);
    oct_data *d = open_set("folder:f", OCT_SPLIT_TRAIN);
    ck_not_null(d);
    ck_assert_int_eq(oct_data_count(d), 4); /* z.BMP, zz.jpg, a.png, b.bmp */
    const oct_input_desc *in = oct_data_input(d);
    ck_assert(in->width == 6 && in->height == 4 && in->channels == 3);
    /* of levels 70, 70, 60, 50 */
    for (int k = 0; k < 3; k++) ck_assert(in->mean[k] == 0.2451f && in->std[k] == 0.03252f);
    int32_t classes, l;
    const oct_class *c = oct_data_classes(d, &classes);
    ck_assert_int_eq(classes, 2);
    ck_assert_str_eq(c[0].id, "ant");
    ck_assert_str_eq(c[0].name, "Ant of the wood");
    ck_assert_str_eq(c[1].name, "House cat");
    uint8_t px[6 * 4 * 3];
    for (int pass = 0; pass < 2; pass++) { /* decoded, then kept */
        ck_ok(oct_data_get(d, 2, px, &l));
        ck_assert(l == 1 && px[0] == 60);
        ck_ok(oct_data_get(d, 3, px, &l));
        ck_assert(l == 1 && px[71] == 50);
    }
    oct_data_free(d);
    d = oct_data_open(ctx, "folder:f", &(oct_data_opts){.root = root, .limit = 2});
    ck_assert_int_eq(oct_data_count(d), 2);
    for (int i = 0; i < 2; i++) { /* a limit keeps every class in */
        ck_ok(oct_data_get(d, i, px, &l));
        ck_assert_int_eq(l, i);
    }
    oct_data_free(d);
    d = open_set("folder:f", OCT_SPLIT_TEST);
    ck_assert_int_eq(oct_data_count(d), 1);
    ck_assert_int_eq(oct_data_input(d)->width, 6); /* the training part's size */
    ck_ok(oct_data_get(d, 0, px, &l));
    ck_assert(l == 1 && px[0] == 80);
    oct_data_free(d);
    oct_class model[3] = {{"n1", "cat"}, {"n2", "dog"}, {"ant", "x"}};
    oct_input_desc want = {.channels = 1, .resize = 100, .crop = 80};
    oct_data_opts o = {.root = root, .classes = model, .class_count = 3, .input = &want};
    d = oct_data_open(ctx, "folder:f", &o);
    ck_not_null(d);
    ck_ok(oct_data_get(d, 3, (uint8_t[6400]){0}, &l));
    ck_assert_int_eq(l, 0); /* by name */
    in = oct_data_input(d);
    ck_assert(in->width == 80 && in->channels == 1 && in->resize == 100 && in->mean[0] == 0.2451f);
    oct_data_free(d);
    o.class_count = 2;
    ck_assert(oct_data_open(ctx, "folder:f", &o) == NULL);
    ck_assert_int_eq(oct_last_error()->code, OCT_EFORMAT);
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "f/train/ant"));
    /* sorted order, as many as there are */
    oct_class unnamed[3] = {{"0", ""}, {"1", ""}, {"2", ""}};
    o = (oct_data_opts){.root = root, .classes = unnamed, .class_count = 2};
    d = oct_data_open(ctx, "folder:f", &o);
    ck_not_null(d);
    ck_ok(oct_data_get(d, 3, px, &l));
    ck_assert_int_eq(l, 1);
    ck_assert_str_eq(oct_data_classes(d, &classes)[1].name, "House cat");
    oct_data_free(d);
    o.class_count = 3;
    ck_assert(oct_data_open(ctx, "folder:f", &o) == NULL);
    ck_assert_ptr_nonnull(
        strstr(oct_error_message(),
               "class folders for a model whose classes have no names: expected 3, got 2"));
    make_dir("f/val/dog");
    ck_assert(open_set("folder:f", OCT_SPLIT_TEST) == NULL); /* no class of the training part */
    ck_assert_ptr_nonnull(strstr(oct_error_message(), "f/val/dog"));
    save("f/train/cat/c.jpg", "\xff\xd8\xff\xd9", 4);
    /* its pixels are wanted for mean and std */
    opens_not(OCT_EFORMAT, "train/cat/c.jpg", "folder:f");
    const oct_input_desc told = {.std = {1}};
    d = oct_data_open(ctx, "folder:f", &(oct_data_opts){.root = root, .input = &told});
    ck_not_null(d);
    ck_fails(OCT_EFORMAT, "train/cat/c.jpg", oct_data_get(d, 4, px, &l));
    oct_loader *loader = oct_loader_new(d, &(oct_loader_opts){.batch = 3});
    oct_batch b;
    bool done;
    ck_ok(oct_loader_next(loader, &b, &done));
    ck_fails(OCT_EFORMAT, "train/cat/c.jpg", oct_loader_next(loader, &b, &done));
    oct_loader_free(loader);
    oct_data_free(d);
}
END_TEST
OCT_TEST_MAIN_WITH("data_folders", setup, teardown, folders)
