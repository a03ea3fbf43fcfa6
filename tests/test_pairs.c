/* SPDX-License-Identifier: MIT
 * Candidate `pairs`, whose sums of products live in s16: it takes a layer up to the very bound and
 * refuses the next one, in words; steps are added up to their bound and no further; at the bound
 * and with the largest codes its codes are the law's; where VNNI is it is not asked. */
#include "ops/qconv.h"
#include "src/cpu.h"
#include "src/mem.h"
#include "src/qround.h"
#include "tests/oct_test.h"

enum { H = 3, O = 16, MOST_K = 64 };

/* A 1x1 layer of c channels whose every output channel has the weights w[c], on H x H pixels. */
typedef struct layer {
    octi_arena *arena;
    octi_qrun r;
    int c, qmax, zx;
    int8_t weight[O * MOST_K];
    int32_t bias[O];
    float m[O];
    oct_attrs a;
    oct_tensor w, b, by;
    octi_qdesc in[4], out;
} layer;

/* Judged; whether `pairs` takes it. The bias brings the sum of the largest codes to 100. */
static bool takes(layer *l, oct_ctx *ctx, int c, const int8_t *w, int qmax, int zx) {
    *l = (layer){.arena = octi_arena_new(ctx), .c = c, .qmax = qmax, .zx = zx};
    int32_t sum = 0;
    for (int i = 0; i < c; i++) sum += w[i];
    for (int o = 0; o < O; o++) {
        memcpy(l->weight + o * c, w, (size_t)c);
        l->bias[o] = 100 + o - (qmax - zx) * sum;
        l->m[o] = 1;
    }
    l->a = (oct_attrs){.kernel = {1, 1},
                       .stride = {1, 1},
                       .pads = {1, 1, 1, 1},
                       .dilation = {1, 1},
                       .groups = {1},
                       .hi = {255}};
    l->w = (oct_tensor){.dtype = OCT_S8, .shape = OCT_SHAPE(O, 1, 1, c), .data = l->weight};
    l->b = (oct_tensor){.dtype = OCT_S32, .shape = OCT_SHAPE(O), .data = l->bias};
    l->by = (oct_tensor){.dtype = OCT_F32, .shape = OCT_SHAPE(O), .data = l->m};
    const octi_qdesc codes = {.dtype = OCT_U8, .quantized = true, .scale = 0.1f, .qmax = 255};
    l->in[0] = l->out = codes;
    l->in[0].shape = OCT_SHAPE(OCT_BATCH, H, H, c);
    l->in[0].qmax = qmax;
    l->in[0].zero_point = zx;
    l->out.shape = OCT_SHAPE(OCT_BATCH, H + 2, H + 2, O);
    const oct_tensor *constants[] = {&l->w, &l->b, &l->by};
    for (int k = 0; k < 3; k++)
        l->in[k + 1] = (octi_qdesc){
            .dtype = constants[k]->dtype, .shape = constants[k]->shape, .tensor = constants[k]};
    octi_ctx_only(ctx, "pairs");
    ck_ok(octi_qinit(&l->r, l->arena, OCT_OP_qconv2d, &l->a, l->in, 4, &l->out, "case"));
    const bool fits = !strcmp(l->r.kernel, "pairs");
    const char *why = octi_qconv_pairs.unfit(l->r.u.conv);
    ck_assert(fits == !why && (fits || strstr(why, "may leave s16")));
    return fits;
}

/* Bound and run, all codes the largest one, halo as `pairs` would like it: padding's outputs and
 * the image's are the law's. Returns how many couples of steps are added. */
static int64_t run(layer *l) {
    octi_layout x_at = octi_layout_of(&l->in[0].shape, 1, l->r.halo),
                y_at = octi_layout_dense(&l->out.shape, 1);
    x_at.slack = true;
    uint8_t x[(H + 4) * (H + 4) * MOST_K + 2 * OCTI_SLACK], y[(H + 2) * (H + 2) * O];
    memset(x, 255, sizeof x); /* what lies between values may be anything */
    octi_halo_fill(&x_at, &l->in[0].shape, x + x_at.origin, 1, (uint8_t)l->zx);
    for (int i = 0; i < H; i++) memset(x + x_at.origin + i * x_at.row, l->qmax, (size_t)(H * l->c));
    ck_ok(octi_qbind(&l->r, &x_at, &y_at));
    const void *const in[4] = {x + x_at.origin};
    l->r.run(&l->r, &(octi_qcall){.in = in,
                                  .out = y,
                                  .n = 1,
                                  .to = l->r.units,
                                  .scratch = octi_arena_alloc(l->arena, l->r.scratch)});
    for (int i = 0; i < (H + 2) * (H + 2) * O; i++) {
        const int row = i / O / (H + 2), column = i / O % (H + 2), o = i % O;
        const bool inside = row > 0 && row <= H && column > 0 && column <= H;
        ck_assert_int_eq(y[i], octq_requant(inside ? 100 + o : l->bias[o], 1, 0, 0, 255));
    }
    const octi_bytes *own = l->r.own;
    return own->kernel.run[0];
}

/* w times a pattern of `count` weights, all over c channels. */
static void repeat(int8_t *w, int c, const int8_t *pattern, int count) {
    for (int i = 0; i < c; i++) w[i] = pattern[i % count];
}

/** Two neighbours of a step, by sign: 32767 / qmax and 32768 / qmax are taken, one more is not. */
START_TEST(a_layer_is_taken_up_to_the_bound) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    static const int codes[] = {255, 254, 200, 129, 128, 127, 1};
    layer l;
    int8_t w[MOST_K];
    int refused = 0;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        for (int sign = -1; sign <= 1; sign += 2) {
            const int most = sign > 0 ? 127 : 128,
                      bound = (sign > 0 ? 32767 : 32768) / codes[i] < 2 * most
                                  ? (sign > 0 ? 32767 : 32768) / codes[i]
                                  : 2 * most;
            const int8_t at[4] = {(int8_t)(sign * (bound - bound / 2)),
                                  (int8_t)(sign * (bound / 2)), (int8_t)(sign * (bound / 2)),
                                  (int8_t)(sign * (bound - bound / 2))};
            for (int zx = 0; zx <= codes[i]; zx += codes[i]) {
                repeat(w, 16, at, 4);
                ck_assert(takes(&l, ctx, 16, w, codes[i], zx));
                run(&l);
                octi_arena_free(l.arena);
            }
            if (bound == 2 * most) continue;
            refused++;
            /* in one place alone, of each of the two */
            for (int j = 13; j < 15; j++) {
                repeat(w, 16, at, 4);
                w[j] = (int8_t)(w[j] + sign);
                ck_assert(!takes(&l, ctx, 16, w, codes[i], 0));
                octi_arena_free(l.arena);
            }
        }
    ck_assert_int_eq(refused, 7); /* of 128 and less none, of 129 a negative one */
    octi_ctx_only(ctx, NULL);
    oct_close(ctx);
}
END_TEST

/** Neighbours are the first two and the last two of a step: what stands beside them in another
 *  step, or in another half, is none; opposite signs do not add up. */
START_TEST(who_is_a_neighbour) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    layer l;
    const struct {
        int8_t w[8];
        bool fits;
    } of[] = {{{0, 127, 127, 0, 0, 127, 127}, true},
              {{127, 0, 0, 127, 127, 0, 0}, true},
              {{127, -128, 127, -128, 127, -128, 127}, true},
              {{0, 0, 127, 2}, false},
              {{127, 2}, false},
              {{-128, -1}, false},
              {{0, 0, 0, 0, 0, 0, 127}, true}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        ck_assert(takes(&l, ctx, 7, of[i].w, 255, 9) == of[i].fits);
        if (of[i].fits) run(&l);
        octi_arena_free(l.arena);
    }
    octi_ctx_only(ctx, NULL);
    oct_close(ctx);
}
END_TEST

/** Of codes of seven bits four weights of two steps may sum to 258. */
START_TEST(steps_are_added_up_to_the_bound) {
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    layer l;
    int8_t w[MOST_K];
    const struct {
        int8_t w[8];
        int couples; /* of 16 steps */
        int qmax;    /* 0: 127 */
    } of[] = {{{64, 64, 64, 64, 64, 64, 64, 64}, 8},
              {{64, 65, 65, 64, 65, 64, 64, 65}, 8},         /* 258 */
              {{65, 65, 65, 64, 65, 65, 64, 65}, 0},         /* 260 and 258 */
              {{65, 65, 65, 64, 65, 64, 65, 64}, 4},         /* every other step with its like */
              {{-64, -65, -65, -64, -65, -64, -64, -65}, 8}, /* 258 */
              {{-65, -65, -65, -64, -65, -65, -64, -65}, 0},
              {{0, 0, 65, 64, 0, 0, 65, 65}, 4},
              {{127, 127, 127, 127, -128, -128, -128, -128}, 8}, /* one of each sign */
              {{127, 127, -128, -128, -128, -128, 127, 127}, 8},
              {{127, 127, 2, 2, 2, 2, 127, 127}, 8}, /* 258 */
              {{127, 127, 3, 2, 2, 2, 127, 127}, 0},
              {{127, 127, 127, 127, 127, 127, 127, 127}, 0},
              {{64, 64, 64, 64, 64, 64, 64, 64}, 0, 128}, /* 32768 */
              {{64, 64, 64, 64, 64, 63, 64, 63}, 8, 128},
              {{-64, -64, -64, -64, -64, -64, -64, -64}, 8, 128}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        repeat(w, MOST_K, of[i].w, 8);
        ck_assert(takes(&l, ctx, MOST_K, w, of[i].qmax ? of[i].qmax : 127, 0));
        ck_assert_int_eq(run(&l), of[i].couples);
        octi_arena_free(l.arena);
    }
    /* an odd one out of 15: the last step of three weights */
    repeat(w, 59, of[0].w, 8);
    ck_assert(takes(&l, ctx, 59, w, 127, 127));
    ck_assert_int_eq(run(&l), 7);
    octi_arena_free(l.arena);
    octi_ctx_only(ctx, NULL);
    oct_close(ctx);
}
END_TEST

/** By itself it is taken where AVX2 is and no instruction sums codes in s32. */
START_TEST(where_vnni_is_it_is_not_asked) {
    const struct {
        const char *cap;
        octi_cpu_features needs;
        const char *takes;
    } of[] = {{"avx2", OCTI_CPU_AVX2 | OCTI_CPU_FMA, "pairs"},
              {"avxvnni", OCTI_CPU_AVX2 | OCTI_CPU_FMA | OCTI_CPU_AVXVNNI, "bytes"},
              {"ref", 0, "patches"}};
    const char *was = getenv("OCT_CPU");
    char kept[64] = "";
    if (was) snprintf(kept, sizeof kept, "%s", was);
    for (int i = 0; i < 3; i++) {
        octi_cpu_features have;
        unsetenv("OCT_CPU");
        ck_ok(octi_cpu_have(false, &have, NULL));
        if (of[i].needs & ~have) continue;
        setenv("OCT_CPU", of[i].cap, 1);
        oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
        ck_not_null(ctx);
        ck_assert(octi_qconv_pairs.offered(octi_ctx_kernels(ctx)) == (i == 0));
        ck_assert(octi_qconv_nibbles.offered(octi_ctx_kernels(ctx)) == (i == 0));
        layer l;
        int8_t w[MOST_K];
        repeat(w, MOST_K, (const int8_t[]){50, -50, 20, -128}, 4);
        ck_assert(takes(&l, ctx, MOST_K, w, 127, 0)); /* asked for, everywhere */
        octi_ctx_only(ctx, NULL);
        ck_ok(octi_qinit(&l.r, l.arena, OCT_OP_qconv2d, &l.a, l.in, 4, &l.out, "case"));
        ck_assert_str_eq(l.r.kernel, of[i].takes);
        octi_arena_free(l.arena);
        oct_close(ctx);
    }
    if (*kept)
        setenv("OCT_CPU", kept, 1);
    else
        unsetenv("OCT_CPU");
}
END_TEST

OCT_TEST_MAIN("pairs", a_layer_is_taken_up_to_the_bound, who_is_a_neighbour,
              steps_are_added_up_to_the_bound, where_vnni_is_it_is_not_asked)
