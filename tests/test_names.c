/* SPDX-License-Identifier: MIT
 * What stands under a name: the index, the registry of a net however it is changed, and files of
 * very many tensors, whose time grows as their number does. */
#include "tests/temp_folder.h"

#include <time.h>

#include "autograd/nn/nn.h"
#include "qat/fit/fit.h"
#include "qat/io/import.h"
#include "src/format/npz.h"
#include "src/format/safetensors.h"
#include "src/net.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SLOWER = 10 };
#else
enum { SLOWER = 1 };
#endif
enum { MANY = 20000, ROOM = 40 };

static oct_ctx *ctx;
static char name[MANY][ROOM];

static void setup(void) {
    make_root();
    ctx = oct_open(&(oct_opts){.threads = 1});
    ck_not_null(ctx);
    for (int i = 0; i < MANY; i++)
        snprintf(name[i], ROOM, "layer%d.%d.conv%d.weight", i / 100, i / 10 % 10, i % 10);
}

static void teardown(void) {
    oct_close(ctx);
    remove_root();
}

START_TEST(names_are_found) {
    octi_arena *arena = octi_arena_new(ctx);
    octi_name_index x = {.slot = NULL};
    ck_assert_int_eq(octi_name_find(&x, "nothing"), -1);
    for (int i = 0; i < MANY; i++) {
        ck_assert_int_eq(octi_name_find(&x, name[i]), -1);
        ck_ok(octi_name_put(&x, arena, name[i], i));
        ck_assert_int_eq(octi_name_find(&x, name[i / 2]), i / 2);
    }
    ck_assert_int_eq(x.used, MANY);
    char copy[ROOM];
    for (int i = 0; i < MANY; i++) { /* by their text, not by where it lies */
        memcpy(copy, name[i], ROOM);
        ck_assert_int_eq(octi_name_find(&x, copy), i);
    }
    ck_assert_int_eq(octi_name_find(&x, "layer1.1.conv1"), -1);
    ck_assert_int_eq(octi_name_find(&x, ""), -1);
    ck_ok(octi_name_put(&x, arena, name[7], 70)); /* in place of what was there */
    ck_assert_int_eq(octi_name_find(&x, name[7]), 70);
    ck_assert_int_eq(x.used, MANY);
    octi_name_clear(&x);
    ck_assert(octi_name_find(&x, name[7]) == -1 && !x.used);
    ck_ok(octi_name_put(&x, arena, name[9], 3));
    ck_assert(octi_name_find(&x, name[9]) == 3 && octi_name_find(&x, name[8]) == -1);
    octi_arena_free(arena);
}
END_TEST

static void found_where_they_stand(const oct_net *net) {
    for (int32_t i = 0; i < net->tensor_count; i++)
        ck_assert_ptr_eq(oct_net_tensor(net, net->tensors[i].name), net->tensors[i].tensor);
}

START_TEST(registry_follows_what_changes_it) {
    oct_module *parts[] = {
        oct_linear_new(ctx, &(oct_linear_opts){.in = 4, .out = 4}),
        oct_relu_new(ctx),
        oct_linear_new(ctx, &(oct_linear_opts){.in = 4, .out = 3}),
    };
    oct_net *net = oct_capture(oct_sequential_new(ctx, parts, 3), OCT_SHAPE(4));
    ck_not_null(net);
    found_where_they_stand(net);
    /* frozen ones go behind those that training moves */
    ck_ok(oct_net_freeze(net, "0.*", true, NULL));
    int32_t moving;
    const char *first = net->tensors[0].name;
    oct_net_parameters(net, &moving);
    ck_assert(moving == 2 && strcmp(first, net->tensors[0].name) != 0);
    found_where_they_stand(net);
    /* one goes, from the middle */
    oct_tensor *gone = oct_net_tensor(net, "2.bias");
    octi_net_unregister(net, gone);
    ck_assert_ptr_null(oct_net_tensor(net, "2.bias"));
    ck_assert_int_eq(net->tensor_count, 3);
    found_where_they_stand(net);
    oct_tensor *t = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(3));
    ck_ok(octi_net_register(net, "2.bias", OCT_ROLE_PARAM, t));
    ck_assert_ptr_eq(oct_net_tensor(net, "2.bias"), t);
    ck_fails(OCT_EINTERNAL, "twice", octi_net_register(net, "2.bias", OCT_ROLE_PARAM, t));
    found_where_they_stand(net);
    oct_tensor_unref(t);
}
END_TEST

static double seconds_since(clock_t from) { return (double)(clock() - from) / CLOCKS_PER_SEC; }

/* A square of 20,000 is 400 million comparisons of names: each of the four took half a second and
 * more. */
START_TEST(many_tensors_are_no_square) {
    const char *path = in_root("many.safetensors");
    const clock_t from = clock();
    oct_net *net = octi_net_new(ctx, OCT_STAGE_FLOAT);
    for (int i = 0; i < MANY; i++) {
        oct_tensor *t = oct_tensor_new(ctx, OCT_F32, OCT_SHAPE(1));
        *oct_f32(t) = (float)i;
        ck_ok(octi_net_register(net, name[i], OCT_ROLE_PARAM, t));
        oct_tensor_unref(t);
    }
    ck_ok(oct_net_save_weights(net, path));
    oct_net *copy = octi_net_new(ctx, OCT_STAGE_FLOAT);
    ck_ok(octi_net_copy_tensors(copy, net));
    for (int i = 0; i < MANY; i++) *oct_f32(copy->tensors[i].tensor) = -1;
    ck_ok(oct_net_load_weights(copy, path, NULL, NULL));
    for (int i = 0; i < MANY; i++)
        ck_assert_float_eq(*oct_f32(oct_net_tensor(copy, name[i])), (float)i);
    const double took = seconds_since(from);
    ck_assert_msg(took < SLOWER, "%d tensors take %.2f s", MANY, took);
}
END_TEST

START_TEST(arrays_of_one_file_have_names_of_their_own) {
    static octi_npz_array a[MANY];
    const float one = 1;
    for (int i = 0; i < MANY; i++)
        a[i] = (octi_npz_array){
            .name = name[i], .dtype = OCT_F32, .shape = OCT_SHAPE(1), .data = &one};
    a[MANY - 1].name = name[3];
    const clock_t from = clock();
    ck_fails(OCT_EUSAGE, "stands twice", octi_npz_write(ctx, in_root("twice.npz"), a, MANY));
    ck_assert_double_lt(seconds_since(from), SLOWER);
}
END_TEST

OCT_TEST_MAIN_WITH("names", setup, teardown, names_are_found, registry_follows_what_changes_it,
                   many_tensors_are_no_square, arrays_of_one_file_have_names_of_their_own)
