/* SPDX-License-Identifier: MIT
 * What a wrong word, a wrong file, a wrong path is answered with. */
#include "tests/oct_test.h"

#include <sys/stat.h>

#include "octet.h"
#include "src/format/foreign.h"
#include "src/format/npz.h"
#include "src/format/safetensors.h"
#include "src/words.h"
#include "tests/set_files.h"

START_TEST(nearest_words) {
    static const struct {
        const char *word, *known, *near;
    } cases[] = {
        {"adm", "sgd, adam, adamw or rmsprop", "adam"},
        {"rmsporp", "sgd, adam, adamw or rmsprop", "rmsprop"},
        {"ids:/data", "synth-digits, idx:DIR, npz:FILE", "idx:DIR"},
        {"hist", "minmax, histogram, entropy", "histogram"},
        {"vgg", "lenet, resnet8, resnet20 or resnet18", NULL},
        {"resnet9", "lenet, resnet8, resnet20 or resnet18", "resnet8"},
        {"Histogram", "minmax, histogram", "histogram"},
        {"", "a, b", NULL},
        {"o", "sgd or adam", NULL},
        {"xyz", "abc", NULL},
        {"convert", "conv", NULL},
        {"evla", "eval, train", "eval"},
        /* begun is further away than misspelt */
        {"trai", "training, trail", "trail"},
        {"trai", "training, eval", "training"},
        /* a third of the letters may be wrong */
        {"abcdef", "abcdxy", "abcdxy"},
        {"abcdef", "abcxyz", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *near = oct_nearest_word(cases[i].word, cases[i].known);
        ck_assert_msg(near && cases[i].near ? !strcmp(near, cases[i].near) : near == cases[i].near,
                      "%s of %s: %s", cases[i].word, cases[i].known, near ? near : "none");
    }
    ck_assert_ptr_null(oct_nearest_word(NULL, "a"));
    (void)octi_fail_word(OCT_EUSAGE, "target", "unknown", "octet, fbgemm", "fbgem", "else this");
    ck_assert_str_eq(oct_error_message(),
                     "target: unknown: expected octet, fbgemm, got fbgem (did you mean fbgemm?)");
    (void)octi_fail_word(OCT_EUSAGE, "target", "unknown", "octet, fbgemm", "gpu", "else this");
    ck_assert_str_eq(oct_last_error()->hint, "else this");
}
END_TEST

START_TEST(the_first_failure_stays) {
    oct_ctx *ctx = oct_open(NULL);
    oct_data *d = oct_data_open(ctx, "idx:/nowhere/at/all", NULL);
    ck_assert_ptr_null(d);
    oct_net *net = oct_zoo_net(ctx, "lenet", d);
    ck_assert_int_eq(oct_net_describe(net, d), OCT_EIO);
    ck_assert_int_eq(oct_fit(net, d, NULL), OCT_EIO);
    ck_assert_int_eq(oct_calibrate(net, d, 8), OCT_EIO);
    ck_assert_msg(strstr(oct_error_message(), "/nowhere/at/all"), "%s", oct_error_message());
    oct_clear_error();
    ck_assert_int_eq(oct_fit(NULL, NULL, NULL), OCT_EUSAGE);
    ck_assert_str_eq(oct_error_message(), "oct_fit: an argument is NULL");
    oct_close(ctx);
}
END_TEST

START_TEST(files_of_other_formats_are_told) {
    static const char zip[64] =
        "PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0archive/data.pkl";
    static const struct {
        const char *bytes;
        size_t size;
        const char *what, *hint;
    } files[] = {
        {zip, 64, "PyTorch", "torch.load"},
        {"\x80\x02\x8a\nl\xfc\x9c"
         "F\xf9 j\xa8P\x19.\x80\x02",
         18, "PyTorch", "save_file"},
        {"\x89HDF\r\n\x1a\n\0\0\0\0\0\0\0\0", 16, "HDF5", "h5py"},
        {"\x08\x08\x12\x07pytorch\x1a\x05", 13, "ONNX", "safetensors"},
        {"<!DOCTYPE html><html></html>", 28, "web page", "download"},
        {"version https://git-lfs.github.com/spec/v1\n", 43, "Git LFS", "git lfs pull"},
    };
    oct_ctx *ctx = oct_open(NULL);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        ck_assert_ptr_null(octi_safetensors_parse(ctx, files[i].bytes, files[i].size, "w.pt"));
        ck_assert_msg(strstr(oct_error_message(), files[i].what) &&
                          strstr(oct_error_message(), files[i].hint),
                      "%s", oct_error_message());
        ck_assert_int_eq(oct_last_error()->code, OCT_EFORMAT);
        ck_assert_ptr_null(oct_int8_load_memory(ctx, files[i].bytes, files[i].size, "w.pt"));
        ck_assert_msg(strstr(oct_error_message(), files[i].what), "%s", oct_error_message());
    }
    ck_assert_ptr_null(octi_npz_parse(ctx, zip, 64, "w.pt"));
    ck_assert_msg(strstr(oct_error_message(), "PyTorch"), "%s", oct_error_message());
    /* a weights file of 640 bytes of header begins as a pickle does */
    char st[649] = "\x80\x02\0\0\0\0\0\0{}";
    memset(st + 10, ' ', 638);
    octi_safetensors *ok = octi_safetensors_parse(ctx, st, 648, "st");
    ck_assert_msg(ok != NULL, "%s", oct_error_message());
    octi_safetensors_free(ok);
    ck_assert_ptr_null(oct_int8_load_memory(ctx, st, 648, "st"));
    ck_assert_msg(strstr(oct_error_message(), "octet import"), "%s", oct_error_message());
    oct_close(ctx);
}
END_TEST

static void touch(const char *name) {
    FILE *f = fopen(in_root(name), "wb");
    ck_not_null(f);
    fclose(f);
}

START_TEST(a_path_is_answered_with_its_kind) {
    oct_ctx *ctx = oct_open(NULL);
    char spec[160];
    static const struct {
        const char *file, *kind;
    } cases[] = {{"t10k-images-idx3-ubyte.gz", "idx"},
                 {"data_batch_1.bin", "cifar10"},
                 {"fine_label_names.txt", "cifar100"}};
    for (size_t i = 0; i < 3; i++) {
        fresh_root();
        ck_assert_ptr_null(oct_data_kind(root));
        touch(cases[i].file);
        ck_assert_str_eq(oct_data_kind(root), cases[i].kind);
        ck_assert_ptr_null(oct_data_open(ctx, root, NULL));
        snprintf(spec, sizeof spec, "did you mean %s:%s?", cases[i].kind, root);
        ck_assert_str_eq(oct_last_error()->hint, spec);
        snprintf(spec, sizeof spec, "folder:%s", root);
        ck_assert_ptr_null(oct_data_open(ctx, spec, NULL));
        ck_assert_msg(strstr(oct_last_error()->hint, cases[i].kind), "%s", oct_error_message());
    }
    fresh_root();
    ck_assert_int_eq(mkdir(in_root("cat"), 0777), 0);
    ck_assert_str_eq(oct_data_kind(root), "folder");
    remove_root();
    ck_assert_ptr_null(oct_data_kind("/nowhere"));
    ck_assert_ptr_null(oct_data_open(ctx, "sinth-digits", NULL));
    ck_assert_str_eq(oct_last_error()->hint, "did you mean synth-digits?");
    /* a path that is not there, by the one beside it */
    make_root();
    make_dir("mnist");
    snprintf(spec, sizeof spec, "idx:%s", in_root("mnits"));
    ck_assert_ptr_null(oct_data_open(ctx, spec, NULL));
    snprintf(spec, sizeof spec, "did you mean idx:%s?", in_root("mnist"));
    ck_assert_str_eq(oct_last_error()->hint, spec);
    remove_root();
    oct_close(ctx);
}
END_TEST

/* ---- what is in a file ---- */

static void holds(oct_ctx *ctx, const char *file, oct_file_kind kind, const char *name,
                  oct_shape shape, const char *note) {
    oct_file_info *f = oct_file_inspect(ctx, in_root(file));
    ck_assert_msg(f != NULL, "%s: %s", file, oct_error_message());
    ck_assert_msg(f->kind == kind, "%s: %s", file, oct_file_kind_name(f->kind));
    const oct_file_array *a = &f->arrays[f->array_count - 1];
    ck_assert_msg(!strcmp(a->name, name) && !strcmp(a->dtype, "u1") &&
                      oct_shape_equal(&a->shape, &shape),
                  "%s: %s %s %s", file, a->name, a->dtype, oct_shape_text(&a->shape));
    ck_assert_int_eq(f->note_count, note ? 1 : 0);
    if (note) ck_assert_str_eq(f->notes[0].value, note);
    oct_file_info_free(ctx, f);
}

static void nothing(uint32_t i, uint8_t *px) { (void)i, (void)px; }
static uint8_t its_number(uint32_t i) { return (uint8_t)i; }

START_TEST(what_is_in_a_file) {
    enum { PIXELS = 32 * 32 * 3 };
    static uint8_t ten[3 * (1 + PIXELS)], hundred[2 * (2 + PIXELS)];
    for (int i = 0; i < 3; i++) ten[i * (1 + PIXELS)] = (uint8_t)(9 - i);
    for (int i = 0; i < 2; i++) { /* a coarse label of 20, a fine one of 100 */
        hundred[i * (2 + PIXELS)] = (uint8_t)(19 - i);
        hundred[i * (2 + PIXELS) + 1] = (uint8_t)(99 - i);
    }
    oct_ctx *ctx = oct_open(NULL);
    fresh_root();
    save("ten", ten, sizeof ten);
    save("hundred", hundred, sizeof hundred);
    save_bmp("colour", 5, 4, (uint8_t[]){1, 2, 3});
    ck_ok(oct_image_save(ctx, in_root("grey"), ten, 6, 3, 1));
    save_idx(".", "a", 7, 5, nothing, its_number);
    holds(ctx, "ten", OCT_FILE_CIFAR10, "images", OCT_SHAPE(3, 3, 32, 32), NULL);
    holds(ctx, "hundred", OCT_FILE_CIFAR100, "images", OCT_SHAPE(2, 3, 32, 32), NULL);
    holds(ctx, "colour", OCT_FILE_IMAGE, "pixels", OCT_SHAPE(4, 5, 3), "BMP");
    holds(ctx, "grey", OCT_FILE_IMAGE, "pixels", OCT_SHAPE(3, 6, 1), "PNG");
    holds(ctx, "a-images-idx3-ubyte", OCT_FILE_IDX, "images", OCT_SHAPE(7, 5, 5), NULL);
    holds(ctx, "a-labels-idx1-ubyte", OCT_FILE_IDX, "labels", OCT_SHAPE(7), NULL);
    hundred[2 + PIXELS] = 20; /* no coarse label */
    save("hundred", hundred, sizeof hundred);
    ck_assert_ptr_null(oct_file_inspect(ctx, in_root("hundred")));
    remove_root();
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("words", nearest_words, the_first_failure_stays, files_of_other_formats_are_told,
              a_path_is_answered_with_its_kind, what_is_in_a_file)
