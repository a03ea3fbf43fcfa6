/* SPDX-License-Identifier: MIT
 * Weights of few bits in the int8 file: packed and back, one net one file, what does not fit is
 * refused. */
#include "tests/exact_fix.h"

#include <string.h>

#include "src/format/few_bits.h"
#include "src/format/sections.h"
#include "tests/sections_fix.h"

static const char magic[] = "OCTINT8\n";

START_TEST(every_value_and_length_comes_back) {
    for (int bits = 2; bits <= 4; bits++)
        for (size_t count = 1; count < 60; count++) {
            int8_t x[60], back[60];
            uint8_t packed[32] = {0};
            for (size_t i = 0; i < count; i++)
                x[i] = (int8_t)((int)((i * 7 + count) % (1u << bits)) - (1 << (bits - 1)));
            const size_t bytes = octi_few_bytes(count, bits);
            ck_assert_uint_eq(bytes, (count * (size_t)bits + 7) / 8);
            octi_few_pack(x, count, bits, packed);
            ck_assert(!packed[bytes] && octi_few_unpack(packed, count, bits, back));
            ck_assert_mem_eq(back, x, count);
            if (count * (size_t)bits % 8) { /* a free bit */
                packed[bytes - 1] |= 0x80;
                ck_assert(!octi_few_unpack(packed, count, bits, back));
            }
        }
    int8_t two[] = {-2, 1};
    oct_tensor t = {.dtype = OCT_S8, .shape = OCT_SHAPE(2), .data = two};
    static const struct {
        int8_t v;
        int bits;
    } ends[] = {{-2, 2}, {1, 2},  {2, 3}, {-3, 3}, {-4, 3}, {3, 3},   {4, 4},
                {-5, 4}, {-8, 4}, {7, 4}, {8, 0},  {-9, 0}, {127, 0}, {-128, 0}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        two[1] = ends[i].v;
        ck_assert_int_eq(octi_few_bits(&t), ends[i].bits);
    }
    t.dtype = OCT_U8;
    two[1] = 1;
    ck_assert_int_eq(octi_few_bits(&t), 0);
}
END_TEST

/* Conv 3 to 8 and on, 3x3, weights of so many bits but for the ends. */
static oct_var *forward(void *self, oct_tape *t, oct_var *x) {
    oct_module **m = self;
    (void)t;
    for (int i = 0; i < 3; i++) x = oct_relu(oct_apply(m[i], x));
    return oct_apply(m[3], oct_flatten(oct_adaptive_avg_pool2d(x, 1, 1)));
}

static oct_net *made(oct_ctx *ctx, int bits, oct_target target) {
    static const char *const names[] = {"c0", "c1", "c2"};
    oct_module *part[4], *m = oct_module_new(ctx, forward, part);
    for (int i = 0; i < 3; i++) {
        const oct_conv2d_opts o = {.in = i ? 7 : 3, .out = 7, .kernel = 3, .pad = 1};
        part[i] = oct_module_add(m, names[i], oct_conv2d_new(ctx, &o));
    }
    part[3] = oct_module_add(m, "fc", oct_linear_new(ctx, &(oct_linear_opts){.in = 7, .out = 5}));
    const oct_shape image = OCT_SHAPE(6, 6, 3);
    oct_net *q = oct_prepare(oct_fuse(oct_capture(m, image)),
                             &(oct_qconfig){.wbits = bits, .target = target});
    ck_assert_msg(q != NULL, "%s", oct_error_message());
    ck_ok(calibrate(q, oct_tape_new(ctx), image, 5));
    return exact(q, image, 4, 6, "packed");
}

static uint8_t *saved(const oct_net *net, size_t *size) {
    uint8_t *file;
    ck_ok(oct_int8_save_memory(net, &file, size));
    return file;
}

START_TEST(files_hold_few_bits) {
    size_t whole = 0;
    for (int bits = 8; bits >= 2; bits--) {
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
        oct_net *net = made(ctx, bits, bits % 2 ? OCT_TARGET_LITERT : OCT_TARGET_OCTET);
        size_t size, again_size, inside = 0;
        uint8_t *file = saved(net, &size);
        ck_assert_int_eq(file[8], bits <= 4 ? 3 : 2);
        for (int32_t i = 0; i < net->tensor_count; i++)
            inside += oct_tensor_bytes(net->tensors[i].tensor);
        if (bits == 8) whole = 1;
        ck_assert(whole);
        /* two layers of 7 by 63 are packed */
        const size_t saves = bits > 4 ? 0 : 2 * (441 - octi_few_bytes(441, bits));
        ck_assert_int_eq(oct_net_bytes(net), (int64_t)(inside - saves));
        oct_net *back = oct_int8_load_memory(ctx, file, size, "t");
        ck_assert_msg(back != NULL, "%d bits: %s", bits, oct_error_message());
        ck_assert_int_eq(back->tensor_count, net->tensor_count);
        for (int32_t i = 0; i < net->tensor_count; i++) {
            const oct_tensor *a = net->tensors[i].tensor, *b = back->tensors[i].tensor;
            ck_assert(a->dtype == b->dtype && oct_shape_equal(&a->shape, &b->shape));
            ck_assert_mem_eq(a->data, b->data, oct_tensor_bytes(a));
        }
        uint8_t *again = saved(back, &again_size);
        ck_assert(again_size == size && !memcmp(again, file, size));
        oct_close(ctx);
    }
}
END_TEST

static oct_status loads(oct_ctx *ctx, const uint8_t *file, size_t size) {
    oct_clear_error();
    oct_net *net = oct_int8_load_memory(ctx, file, size, "t");
    oct_net_free(net);
    return net ? OCT_OK : oct_last_error()->code;
}

START_TEST(what_does_not_fit_is_refused) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    size_t size;
    uint8_t *file = saved(made(ctx, 3, OCT_TARGET_OCTET), &size), *copy = malloc(size);
    octi_section s[OCTI_MAX_SECTIONS];
    int count;
    ck_ok(octi_sections_read(file, size, "t", magic, 3, s, &count));
    const uint8_t *name = memmem(s[1].bytes, s[1].size, "c1.weight", 9);
    ck_assert(name && !memcmp(s[1].tag, "TENS", 4));
    const size_t dtype = (size_t)(name - file) - 4, data = (size_t)(name - file) + 9 + 4 * 8,
                 bytes = octi_few_bytes(441, 3);
    ck_assert_int_eq(file[dtype], 0x32);
    static const struct {
        const char *what, *says;
        uint8_t dtype, last, version;
        bool zeros;
    } cases[] = {
        {"as it is", NULL, 0x32, 0, 3, false},
        {"a version that knew no packing", "tensor header", 0x32, 0, 2, false},
        {"a free bit", "free bits", 0x32, 0x80, 3, false},
        {"more bits than it takes", "bits of packed weights", 0x32, 0, 3, true},
        {"one bit", "tensor header", 0x12, 0, 3, false},
        {"five bits", "tensor header", 0x52, 0, 3, false},
        {"packed floats", "tensor header", 0x30, 0, 3, false},
        {"packed codes", "tensor header", 0x31, 0, 3, false},
        {"another number of bits", "", 0x42, 0, 3, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memcpy(copy, file, size);
        copy[dtype] = cases[i].dtype;
        if (cases[i].zeros) memset(copy + data, 0, bytes);
        copy[data + bytes - 1] |= cases[i].last;
        sections_fix(copy, size, magic, cases[i].version);
        const oct_status got = loads(ctx, copy, size);
        ck_assert_msg((got == OCT_OK) == !cases[i].says, "%s: %s", cases[i].what,
                      oct_error_message());
        if (!cases[i].says) continue;
        ck_assert_int_eq(got, OCT_EFORMAT);
        ck_assert_msg(strstr(oct_error_message(), cases[i].says) != NULL, "%s: %s", cases[i].what,
                      oct_error_message());
    }
    free(copy);
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("packed_weights", every_value_and_length_comes_back, files_hold_few_bits,
              what_does_not_fit_is_refused)
