/* SPDX-License-Identifier: MIT
 * PyTorch's weights: names, layouts, wrappers, types; and the one line that says everything that
 * does not fit. */
#include "tests/temp_folder.h"

#include <math.h>

#include "autograd/nn/nn.h"
#include "qat/fit/fit.h"
#include "qat/io/import.h"
#include "src/format/npz.h"
#include "src/format/safetensors.h"

static oct_ctx *ctx;

static void setup(void) {
    make_root();
    ctx = oct_open(&(oct_opts){.threads = 1});
    ck_not_null(ctx);
}

static void teardown(void) {
    oct_close(ctx);
    remove_root();
}

static oct_net *zoo(const char *name, int channels, int height, int width, int classes) {
    oct_net *net = oct_capture(oct_zoo_new(ctx, name,
                                           &(oct_zoo_opts){.channels = channels,
                                                           .height = height,
                                                           .width = width,
                                                           .classes = classes}),
                               OCT_SHAPE(height, width, channels));
    ck_not_null(net);
    return net;
}

/* Entries of a file, changed by the test, written again. */
typedef struct file {
    octi_safetensors *st;
    octi_safetensors_entry e[80];
    int32_t n;
} file;

static file open_file(const char *path) {
    file f = {.st = octi_safetensors_read(ctx, path)};
    ck_not_null(f.st);
    f.n = octi_safetensors_count(f.st);
    ck_assert_int_le(f.n, 70);
    for (int32_t i = 0; i < f.n; i++) f.e[i] = *octi_safetensors_at(f.st, i);
    return f;
}

static octi_safetensors_entry *entry(file *f, const char *name) {
    for (int32_t i = 0; i < f->n; i++)
        if (!strcmp(f->e[i].name, name)) return &f->e[i];
    ck_abort_msg("no %s", name);
    return NULL;
}

static const char *write_file(const file *f, const char *name) {
    const char *path = in_root(name);
    ck_ok(octi_safetensors_write(ctx, path, f->e, f->n, NULL, 0));
    return path;
}

static const char *lenet_file(void) {
    const char *path = in_root("lenet.safetensors");
    ck_ok(oct_net_save_weights(zoo("lenet", 1, 20, 16, 7), path));
    return path;
}

/* PyTorch's [O,I,R,S] of a kernel that is not square, element by element. */
START_TEST(kernels_are_saved_as_pytorch_has_them) {
    oct_module *m =
        oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 2, .out = 3, .kernel_size = {3, 5}});
    oct_net *net = oct_capture(m, OCT_SHAPE(6, 7, 2));
    ck_not_null(net);
    const oct_tensor *w = oct_net_tensor(net, "weight");
    ck_ok(oct_net_save_weights(net, in_root("conv.safetensors")));
    file f = open_file(in_root("conv.safetensors"));
    const octi_safetensors_entry *e = entry(&f, "weight");
    const int64_t want[4] = {3, 2, 3, 5};
    ck_assert(e->shape.rank == 4 && !memcmp(e->shape.dim, want, sizeof want));
    for (int i = 0; i < 90; i++) {
        const int o = i / 30, c = i / 15 % 2, tap = i % 15;
        ck_assert(((const float *)e->data)[i] == oct_f32(w)[(o * 15 + tap) * 2 + c]);
    }
    octi_safetensors_free(f.st);
}
END_TEST

static void same_tensors(const oct_net *a, const oct_net *b) {
    ck_assert_int_eq(a->tensor_count, b->tensor_count);
    for (int32_t i = 0; i < a->tensor_count; i++) {
        const oct_tensor *t = a->tensors[i].tensor, *u = oct_net_tensor(b, a->tensors[i].name);
        ck_assert_msg(u && oct_shape_equal(&t->shape, &u->shape) &&
                          !memcmp(t->data, u->data, oct_tensor_bytes(t)),
                      "%s differs", a->tensors[i].name);
    }
}

START_TEST(a_zoo_net_comes_back_with_its_channels_and_classes) {
    const char *names[] = {"lenet", "resnet8"};
    for (int i = 0; i < 2; i++) {
        oct_net *net = zoo(names[i], 2, 20, 16, 7);
        const char *path = in_root("w.safetensors");
        ck_ok(oct_net_save_weights(net, path));
        oct_net *got = oct_import_torch(
            ctx, path, &(oct_import_opts){.model = names[i], .height = 20, .width = 16});
        ck_not_null(got);
        same_tensors(net, got);
        ck_assert_str_eq(got->model, names[i]);
        ck_assert_int_eq(got->class_count, 7);
        ck_assert_str_eq(got->classes[6].id, "6");
        ck_assert(got->input.channels == 2 && got->input.height == 20 && got->input.width == 16 &&
                  got->input.div == 255 && got->input.std[1] == 1);
        ck_ok(oct_run_save(got, in_root(names[i]), NULL, false));
        oct_net *again = oct_run_load(ctx, in_root(names[i]), NULL);
        ck_not_null(again);
        same_tensors(net, again);
    }
}
END_TEST

/* Half precision, bfloat16, "module." in front: against PyTorch's own output. */
START_TEST(torch_output_is_octets) {
    oct_net *net =
        oct_import_torch(ctx, OCT_SOURCE_DIR "/tests/golden/torch_lenet16.safetensors",
                         &(oct_import_opts){.model = "lenet", .height = 16, .width = 16});
    ck_not_null(net);
    ck_assert(net->input.channels == 3 && net->class_count == 5);
    const char *npz = OCT_SOURCE_DIR "/tests/golden/torch_lenet16.npz";
    oct_tensor *x = oct_npz_images(net, npz);
    ck_not_null(x);
    oct_runner *r = oct_runner_new(net, NULL);
    const oct_tensor *y = oct_runner_run(r, x);
    ck_not_null(y);
    octi_npz *z = octi_npz_read(ctx, npz);
    octi_npy want;
    ck_ok(octi_npz_get(z, "y", 0, &want));
    float ref[20];
    ck_assert_int_eq(oct_shape_count(&want.shape), 20);
    ck_ok(octi_npy_to_f32(&want, "y", ref));
    for (int i = 0; i < 20; i++)
        ck_assert_msg(fabsf(((float *)y->data)[i] - ref[i]) < 1e-5f, "logit %d: %g, PyTorch %g", i,
                      ((float *)y->data)[i], ref[i]);
    octi_npz_free(z);
    oct_runner_free(r);
    oct_tensor_unref(x);
}
END_TEST

START_TEST(wrappers_and_counters_are_taken_in_stride) {
    const char *path = in_root("r.safetensors");
    oct_net *net = zoo("resnet8", 3, 32, 32, 10);
    ck_ok(oct_net_save_weights(net, path));
    static const char *const wraps[] = {"module.", "_orig_mod.", "_orig_mod.module.",
                                        "module.module."};
    for (int k = 0; k < 4; k++) {
        file f = open_file(path);
        static const int64_t count = 391;
        f.e[f.n++] = (octi_safetensors_entry){.name = "bn1.num_batches_tracked",
                                              .dtype = OCT_S64,
                                              .shape = {.rank = 0},
                                              .data = &count,
                                              .bytes = 8};
        static char names[80][128];
        for (int32_t i = 0; i < f.n; i++) {
            snprintf(names[i], sizeof names[i], "%s%s", wraps[k], f.e[i].name);
            f.e[i].name = names[i];
        }
        oct_net *got = oct_import_torch(ctx, write_file(&f, "wrapped.safetensors"),
                                        &(oct_import_opts){.model = "resnet8"});
        ck_not_null(got);
        same_tensors(net, got);
        octi_safetensors_free(f.st);
    }
}
END_TEST

START_TEST(doubles_are_rounded) {
    file f = open_file(lenet_file());
    octi_safetensors_entry *e = entry(&f, "fc3.bias");
    double v[7] = {0.1, -1e-300, 1, 2, 3, 4, 16777217};
    e->dtype = OCT_F64;
    e->data = v;
    e->bytes = sizeof v;
    oct_net *net =
        oct_import_torch(ctx, write_file(&f, "d.safetensors"),
                         &(oct_import_opts){.model = "lenet", .height = 20, .width = 16});
    ck_not_null(net);
    const float *b = oct_net_tensor(net, "fc3.bias")->data;
    for (int i = 0; i < 7; i++) ck_assert(b[i] == (float)v[i]);
    octi_safetensors_free(f.st);
}
END_TEST

static void refused(const char *path, const char *model, oct_status want, const char *text) {
    oct_clear_error();
    ck_assert(oct_import_torch(ctx, path,
                               &(oct_import_opts){.model = model, .height = 20, .width = 16}) ==
              NULL);
    ck_assert_msg(oct_last_error()->code == want, "%s: %s", text, oct_error_message());
    ck_assert_msg(strstr(oct_error_message(), text) != NULL, "\"%s\" lacks \"%s\"",
                  oct_error_message(), text);
    ck_assert(!strchr(oct_error_message(), '\n'));
}

START_TEST(all_that_does_not_fit_is_one_line) {
    static const int64_t whole[7] = {1, 2, 3, 4, 5, 6, 7};
    file f = open_file(lenet_file());
    entry(&f, "fc1.weight")->name = "classifier.weight"; /* missing and extra */
    /* missing, unless it was the last */
    *entry(&f, "fc2.bias") = f.e[--f.n];
    entry(&f, "conv2.weight")->shape = OCT_SHAPE(16, 6, 25, 1); /* of another shape */
    octi_safetensors_entry *e = entry(&f, "fc3.bias");          /* of another type */
    e->dtype = OCT_S64;
    e->data = whole;
    e->bytes = sizeof whole;
    const char *path = write_file(&f, "bad.safetensors");
    refused(path, "lenet", OCT_EFORMAT,
            "not those of lenet: 2 missing, 1 extra, 2 of another shape or type");
    static const char *const words[] = {"conv2.weight [16, 6, 5, 5]",
                                        "conv2.weight [16, 6, 25, 1]",
                                        "fc1.weight",
                                        "fc2.bias",
                                        "classifier.weight",
                                        "fc3.bias I64"};
    for (int i = 0; i < 6; i++)
        ck_assert_msg(strstr(oct_error_message(), words[i]) != NULL, "\"%s\" lacks \"%s\"",
                      oct_error_message(), words[i]);
    /* a net of one's own: counted where asked for, and nothing is touched */
    oct_net *net = zoo("lenet", 1, 20, 16, 7);
    float before = *(float *)oct_net_tensor(net, "fc3.weight")->data;
    *(float *)oct_net_tensor(net, "fc3.weight")->data = before + 1;
    int32_t missing, unused;
    ck_fails(OCT_EFORMAT, "of another shape", oct_net_load_weights(net, path, &missing, &unused));
    ck_assert_int_eq(missing, 2);
    ck_assert_int_eq(unused, 1);
    ck_assert(*(float *)oct_net_tensor(net, "fc3.weight")->data == before + 1);
    octi_safetensors_free(f.st);
    /* only some of the names are wrapped: then none is */
    f = open_file(lenet_file());
    entry(&f, "fc1.weight")->name = "module.fc1.weight";
    refused(write_file(&f, "half.safetensors"), "lenet", OCT_EFORMAT, "got module.fc1.weight");
    ck_ok(oct_net_load_weights(net, in_root("half.safetensors"), &missing, &unused));
    ck_assert(missing == 1 && unused == 1 &&
              *(float *)oct_net_tensor(net, "fc3.weight")->data == before);
    ck_fails(OCT_EFORMAT, "fc1.weight",
             oct_net_load_weights(net, in_root("half.safetensors"), NULL, &unused));
    ck_fails(OCT_EFORMAT, "module.fc1.weight",
             oct_net_load_weights(net, in_root("half.safetensors"), &missing, NULL));
    octi_safetensors_free(f.st);
    /* the weights of another model: the list ends in a number */
    refused(in_root("lenet.safetensors"), "resnet20", OCT_EFORMAT, " more");
}
END_TEST

START_TEST(weights_are_finite_numbers) {
    static const float odd[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        file f = open_file(lenet_file());
        octi_safetensors_entry *e = entry(&f, "conv2.bias");
        float v[16] = {0};
        v[15] = odd[i];
        e->data = v;
        refused(write_file(&f, "nan.safetensors"), "lenet", OCT_EFORMAT, "conv2.bias: not finite");
        octi_safetensors_free(f.st);
    }
}
END_TEST

/* No layer becomes larger than the file. */
START_TEST(sizes_that_are_only_claimed_are_no_sizes) {
    file f = open_file(lenet_file());
    octi_safetensors_entry *e = entry(&f, "fc3.weight");
    e->shape = OCT_SHAPE((int64_t)1 << 40, 0);
    e->bytes = 0;
    e = entry(&f, "conv1.weight");
    e->shape = OCT_SHAPE(6, 0, 5, 5);
    e->bytes = 0;
    size_t held = oct_ctx_memory(ctx, OCT_MEMORY_BYTES);
    /* fc3.bias has 7, where the model keeps its 10 */
    refused(write_file(&f, "claims.safetensors"), "lenet", OCT_EFORMAT, "3 of another shape");
    ck_assert_uint_lt(oct_ctx_memory(ctx, OCT_MEMORY_PEAK_BYTES) - held, 32 << 20);
    octi_safetensors_free(f.st);
}
END_TEST

START_TEST(misuse) {
    const char *path = lenet_file();
    refused(path, "vgg", OCT_EUSAGE, "unknown zoo model");
    refused(path, NULL, OCT_EUSAGE, "model is missing");
    refused(in_root("nothing"), "lenet", OCT_EIO, "nothing");
    refused(root, "lenet", OCT_EIO, root);
    ck_assert(oct_import_torch(NULL, path, &(oct_import_opts){.model = "lenet"}) == NULL);
    ck_assert(oct_import_torch(ctx, path, NULL) == NULL);
    ck_assert(oct_import_torch(ctx, path,
                               &(oct_import_opts){.model = "lenet", .height = 3, .width = 3}) ==
              NULL);
    file empty = {.n = 0};
    refused(write_file(&empty, "empty.safetensors"), "lenet", OCT_EFORMAT, "10 missing");
    ck_assert(oct_zoo_defaults("vgg") == NULL);
    ck_assert_int_eq(oct_zoo_defaults("resnet20")->channels, 3);
}
END_TEST

START_TEST(trained_nets_keep_their_accuracy) {
    char path[1100], spec[1100];
    if (!test_data("nets")) return;
    snprintf(path, sizeof path, "%s/lenet-mnist.safetensors", test_data("nets"));
    const char *mnist = test_data("mnist");
    if (!mnist) return;
    snprintf(spec, sizeof spec, "idx:%s", mnist);
    oct_net *net = oct_import_torch(ctx, path, &(oct_import_opts){.model = "lenet"});
    ck_not_null(net);
    oct_input_desc d = net->input;
    d.mean[0] = 0.1307f;
    d.std[0] = 0.3081f;
    ck_ok(oct_net_set_input(net, &d));
    oct_data *test = oct_data_open(ctx, spec,
                                   &(oct_data_opts){.split = OCT_SPLIT_TEST,
                                                    .input = &net->input,
                                                    .classes = net->classes,
                                                    .class_count = net->class_count});
    ck_not_null(test);
    oct_eval r;
    ck_ok(oct_evaluate(net, test, NULL, &r));
    ck_assert_msg(r.accuracy == 0.9921, "accuracy %g", r.accuracy);
    oct_eval_free(ctx, &r);
    snprintf(path, sizeof path, "%s/resnet8-cifar10jpg.safetensors", test_data("nets"));
    ck_not_null(oct_import_torch(ctx, path, &(oct_import_opts){.model = "resnet8"}));
}
END_TEST

OCT_TEST_MAIN_WITH("import", setup, teardown, kernels_are_saved_as_pytorch_has_them,
                   a_zoo_net_comes_back_with_its_channels_and_classes, torch_output_is_octets,
                   wrappers_and_counters_are_taken_in_stride, doubles_are_rounded,
                   all_that_does_not_fit_is_one_line, weights_are_finite_numbers,
                   sizes_that_are_only_claimed_are_no_sizes, misuse,
                   trained_nets_keep_their_accuracy)
