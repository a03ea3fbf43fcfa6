/* SPDX-License-Identifier: MIT
 * Every candidate of an integer convolution (ops/qconv.def), on the reference kernels where the
 * machine has no others for it (of `tiles`: or with AMX's instructions in C, emulated_amx.h),
 * wherever it fits, against loops over int64 and the law: sizes, strides, pads, dilations, groups,
 * zero points, largest weights; with and without the halo that it would like, with pitches around
 * the output, whole and cut into ranges of units, one image and several. What was reached counts.
 * OCT_TEST_NETS layers (24,000: some 50,000 runs), each as often as candidates fit;
 * OCT_TEST_LONG: 1,000,000. */
#include <math.h>

#include "ops/qconv.h"
#include "src/mem.h"
#include "src/qround.h"
#include "src/rng.h"
#include "tests/oct_test.h"

static octi_rng rng;
static int below(int n) { return (int)octi_rng_below(&rng, (uint32_t)n); }
static int within(int least, int most) { return least + below(most - least + 1); }

typedef struct layer {
    int n, h, w, c, o, r, s, sh, sw, pads[4], dh, dw, g, p, q;
    int zx, zy, lo, hi, qmin, qmax;
    int8_t *weight;
    int32_t *bias;
    octq_law law;
    float *m;
    int32_t *q31;   /* [2 * o]: multipliers, shifts */
    uint8_t *x, *y; /* dense [N,H,W,C]; what is right, [N,P,Q,O] */
} layer;

static int out_size(int size, int p0, int p1, int k, int s, int d) {
    const int room = size + p0 + p1 - d * (k - 1) - 1;
    return room < 0 ? 0 : room / s + 1;
}

/* Shapes as nets have them, and odd ones. */
static bool draw_shape(layer *l) {
    static const int kernels[] = {1, 3, 3, 3, 5, 7, 2, 4};
    *l = (layer){.n = within(1, 3), .g = 1, .dh = 1, .dw = 1, .sh = 1, .sw = 1};
    l->h = below(12) ? within(1, 10) : within(11, 34);
    l->w = below(3) ? within(1, 10) : l->h;
    l->r = kernels[below(8)];
    l->s = below(6) ? l->r : kernels[below(8)];
    l->c = below(6) ? within(1, 20) : within(21, 50);
    l->o = below(6) ? within(1, 20) : within(21, 100);
    if (below(3) == 0) l->sh = within(1, 3), l->sw = below(3) ? l->sh : within(1, 3);
    if (below(6) == 0) l->dh = within(1, 3), l->dw = within(1, 3);
    if (below(10) == 0) l->r = l->s = 3, l->sh = l->sw = 2, l->dh = l->dw = 1; /* as stages begin */
    if (below(12) == 0) l->s = 5, l->o = within(17, 48), l->sh = l->sw = l->dh = l->dw = 1;
    for (int i = 0; i < 4; i++) l->pads[i] = below(3) ? l->r / 2 : below(4);
    if (below(5) == 0) l->g = l->c = l->o = within(2, 40); /* depthwise */
    if (below(8) == 0) l->g = within(2, 5), l->c = l->g * within(1, 9), l->o = l->g * within(1, 20);
    if (below(10) == 0) l->g = l->c = l->sh = l->sw = 1; /* grey images */
    if (l->c == 1 && below(2)) l->r = l->s = 5, l->dh = l->dw = 1;
    if (below(9) == 0) {
        l->h = l->w = l->r = l->s = 1, l->pads[0] = l->pads[1] = l->pads[2] = l->pads[3] = 0;
        if (below(4) == 0) l->sh = l->sw = 4, l->pads[below(2)] = within(1, 3); /* beside it */
    }
    l->p = out_size(l->h, l->pads[0], l->pads[2], l->r, l->sh, l->dh);
    l->q = out_size(l->w, l->pads[1], l->pads[3], l->s, l->sw, l->dw);
    return l->p > 0 && l->q > 0;
}

/* Weights that no second-level cache keeps: bands and positions are cut otherwise. */
static void draw_many(layer *l, int kernel, int stride) {
    *l = (layer){.n = within(1, 2), .g = 1, .dh = 1, .dw = 1, .sh = stride, .sw = stride};
    l->h = within(5, kernel == 3 ? 15 : 8);
    l->w = within(5, kernel == 3 ? 15 : 8);
    l->r = l->s = kernel;
    l->c = within(116, 150);
    l->o = within(130, 150);
    for (int i = 0; i < 4; i++) l->pads[i] = below(3);
    l->p = out_size(l->h, l->pads[0], l->pads[2], l->r, l->sh, l->dh);
    l->q = out_size(l->w, l->pads[1], l->pads[3], l->s, l->sw, l->dw);
}

/* A linear layer of such weights, whose images are many codes. */
static void draw_linear(layer *l) {
    *l = (layer){.n = within(2, 3), .g = 1, .dh = 1, .dw = 1, .sh = 1, .sw = 1};
    l->h = l->w = l->r = l->s = l->p = l->q = 1;
    l->c = within(4100, 4300);
    l->o = within(65, 80);
}

static int64_t elements(const layer *l, bool out) {
    return out ? (int64_t)l->n * l->p * l->q * l->o : (int64_t)l->n * l->h * l->w * l->c;
}

/* Codes in qmin..qmax; weights up to -128; multipliers of every size that is sound. */
static void draw_numbers(layer *l) {
    /* of draw_many: such numbers that every candidate has some of them */
    const bool many = l->c > 115, u7 = many && l->sh == 1, few = !u7 && below(4) == 0;
    const int k = l->r * l->s * (l->c / l->g), style = many ? within(2, 4) : below(5);
    l->qmin = few ? below(100) : 0;
    l->qmax = few ? within(l->qmin + 1, 255) : !u7 && below(4) ? 255 : 127;
    l->zx = below(3) ? within(l->qmin, l->qmax) : below(2) ? l->qmin : l->qmax;
    l->zy = below(3) ? below(256) : 255 * below(2);
    l->lo = below(2) ? l->zy : below(l->zy + 1);
    l->hi = within(l->zy, 255);
    if (l->hi == l->lo && l->lo > 0) l->lo--;
    l->x = malloc((size_t)elements(l, false));
    l->y = malloc((size_t)elements(l, true));
    l->weight = malloc((size_t)(l->o * k));
    l->bias = malloc((size_t)l->o * 4);
    l->m = malloc((size_t)l->o * 4);
    l->q31 = malloc((size_t)l->o * 8);
    l->law = below(2) ? OCTQ_Q31 : OCTQ_FP32;
    for (int64_t i = 0; i < elements(l, false); i++)
        l->x[i] = (uint8_t)(style == 0   ? l->qmax
                            : style == 1 ? (below(2) ? l->qmin : l->qmax)
                                         : within(l->qmin, l->qmax));
    for (int i = 0; i < l->o * k; i++)
        l->weight[i] = (int8_t)(style == 0   ? 127
                                : style == 1 ? (below(2) ? 127 : -128)
                                : style == 2 ? within(-3, 3)
                                             : within(-128, 127));
    const bool far = !many && below(12) == 0; /* sums that Winograd's factors drive out of s32 */
    for (int j = 0; j < l->o; j++) {
        l->bias[j] =
            far ? (below(2) ? 1 : -1) * within(1 << 23, 1 << 30) : within(-(1 << 19), 1 << 19);
        const double usual = 60.0 / (4000.0 * sqrt(k));
        l->m[j] = (float)(many || below(5) ? usual * (0.2 + octi_rng_uniform(&rng))
                          : below(3)       ? 0.5 /* ties */
                          : below(30)      ? usual
                          : below(2)       ? 0x1p-110
                                           : 1e4);
        octq_q31_of((double)l->m[j], &l->q31[j], &l->q31[l->o + j]);
        if (below(20) == 0) l->q31[j] = INT32_MAX - below(3), l->q31[l->o + j] = within(-31, 30);
    }
}

static void free_layer(layer *l) {
    free(l->x), free(l->y), free(l->weight), free(l->bias), free(l->m);
    free(l->q31);
}

static void reference(const layer *l) {
    const int cg = l->c / l->g, og = l->o / l->g;
    for (int64_t at = 0; at < elements(l, true); at++) {
        const int o = (int)(at % l->o), q = (int)(at / l->o % l->q),
                  p = (int)(at / l->o / l->q % l->p), n = (int)(at / l->o / l->q / l->p);
        int64_t sum = l->bias[o];
        for (int t = 0; t < l->r * l->s; t++) {
            const int h = p * l->sh - l->pads[0] + t / l->s * l->dh,
                      w = q * l->sw - l->pads[1] + t % l->s * l->dw;
            if (h < 0 || w < 0 || h >= l->h || w >= l->w) continue;
            const uint8_t *x = l->x + ((int64_t)(n * l->h + h) * l->w + w) * l->c + o / og * cg;
            const int8_t *g = l->weight + ((int64_t)o * l->r * l->s + t) * cg;
            for (int c = 0; c < cg; c++) sum += (x[c] - l->zx) * g[c];
        }
        const int32_t acc = (int32_t)sum;
        l->y[at] = (uint8_t)(l->law == OCTQ_FP32 ? octq_requant(acc, l->m[o], l->zy, l->lo, l->hi)
                                                 : octq_q31_code(acc, l->q31[o], l->q31[l->o + o],
                                                                 l->zy, l->lo, l->hi));
    }
}

#if defined(__SANITIZE_ADDRESS__) || defined(OCT_EMULATED)
enum { ROUNDS = 1500, LONG_ROUNDS = 24000 };
#else
enum { ROUNDS = 24000, LONG_ROUNDS = 1000000 };
#endif

typedef struct reach { /* runs, by candidate */
    int64_t taken, granted, framed, pitched, cut, split, several, pooled, many;
    int64_t twice, once, wide, q31; /* of `pairs`: steps that are added, alone; codes beyond u7 */
} reach;

typedef struct place { /* of a value: memory, layout, first pixel */
    uint8_t *memory;
    size_t bytes;
    octi_layout at;
    uint8_t *first;
} place;

static place place_of(oct_shape shape, octi_halo halo, int n, bool slack) {
    place v = {.at = octi_layout_of(&shape, 1, halo)};
    v.at.slack = slack;
    v.bytes = (size_t)(n * v.at.image) + (slack ? OCTI_SLACK : 0);
    v.memory = malloc(v.bytes);
    memset(v.memory, 0xa5, v.bytes);
    v.first = v.memory + v.at.origin;
    return v;
}

/* Element of what is right: a code, or with the pool behind the layer the largest of four. */
static uint8_t right(const layer *l, bool pooled, int64_t at) {
    const int q = pooled ? l->q / 2 : l->q, p = pooled ? l->p / 2 : l->p, each = pooled ? 2 : 1;
    const int64_t o = at % l->o, j = at / l->o % q, i = at / l->o / q % p, n = at / l->o / q / p;
    uint8_t most = 0;
    for (int k = 0; k < each * each; k++) {
        const uint8_t code =
            l->y[((n * l->p + i * each + k / each) * l->q + j * each + k % each) * l->o + o];
        if (code > most) most = code;
    }
    return most;
}

/* What steps of a layer by `pairs` are. */
static void count_pairs(const octi_qrun *r, const layer *l, reach *seen) {
    const octi_bytes *own = r->own;
    const int64_t *table = own->kernel.run;
    const int panels = (l->o / l->g + 15) / 16 * l->g;
    int64_t twice = 0;
    for (int i = 0; i < panels; i++) twice += table[i * own->panel_run];
    seen->twice += twice > 0;
    seen->once += 2 * twice < (int64_t)panels * own->kernel.runs;
    seen->wide += l->qmax > 127;
    seen->q31 += l->law == OCTQ_Q31;
}

/* The panels up to `split`, then the others. */
static void run_panels(const octi_qrun *r, octi_qcall *call, int split) {
    call->panel = 0;
    call->panels = split < r->panels ? split : 0;
    r->run(r, call);
    if (split == r->panels) return;
    call->panel = split;
    call->panels = r->panels - split;
    r->run(r, call);
}

static void check(oct_ctx *ctx, const layer *l, const char *candidate, reach *seen) {
    octi_arena *arena = octi_arena_new(ctx);
    const int cg = l->c / l->g;
    const oct_attrs a = {.kernel = {l->r, l->s},
                         .stride = {l->sh, l->sw},
                         .pads = {l->pads[0], l->pads[1], l->pads[2], l->pads[3]},
                         .dilation = {l->dh, l->dw},
                         .groups = {l->g},
                         .lo = {l->lo},
                         .hi = {l->hi},
                         .law = {(int32_t)l->law}};
    oct_tensor w = {.dtype = OCT_S8, .shape = OCT_SHAPE(l->o, l->r, l->s, cg), .data = l->weight},
               b = {.dtype = OCT_S32, .shape = OCT_SHAPE(l->o), .data = l->bias},
               m = {.dtype = OCT_F32, .shape = OCT_SHAPE(l->o), .data = l->m};
    if (l->law == OCTQ_Q31)
        m = (oct_tensor){.dtype = OCT_S32, .shape = OCT_SHAPE(2, l->o), .data = l->q31};
    const octi_qdesc in[4] = {{.dtype = OCT_U8,
                               .shape = OCT_SHAPE(OCT_BATCH, l->h, l->w, l->c),
                               .quantized = true,
                               .scale = 0.1f,
                               .zero_point = l->zx,
                               .qmin = l->qmin,
                               .qmax = l->qmax},
                              {.dtype = OCT_S8, .shape = w.shape, .tensor = &w},
                              {.dtype = OCT_S32, .shape = b.shape, .tensor = &b},
                              {.dtype = m.dtype, .shape = m.shape, .tensor = &m}};
    octi_qdesc out = {.dtype = OCT_U8,
                      .shape = OCT_SHAPE(OCT_BATCH, l->p, l->q, l->o),
                      .quantized = true,
                      .scale = 0.2f,
                      .zero_point = l->zy,
                      .qmin = 0,
                      .qmax = 255};
    octi_qrun r;
    octi_ctx_only(ctx, candidate);
    ck_ok(octi_qinit(&r, arena, OCT_OP_qconv2d, &a, in, 4, &out, "case"));
    bool pooled = false; /* as one wants it, with a pool alone */
    if (below(3) == 0 || strcmp(r.kernel, candidate)) ck_ok(octi_qconv_take_pool(&r, &pooled));
    if (strcmp(r.kernel, candidate)) { /* it does not fit */
        octi_arena_free(arena);
        return;
    }
    if (pooled) out.shape = OCT_SHAPE(OCT_BATCH, l->p / 2, l->q / 2, l->o);
    const int rows = (int)out.shape.dim[1], row = (int)out.shape.dim[2] * l->o;
    const bool grant = below(2), pitched = below(2);
    octi_halo more = r.halo;
    if (grant && below(3) == 0) more = octi_halo_join(more, (octi_halo){3, 2, 1, 3});
    const bool scant = grant && below(4) == 0; /* of one side less than it asked for */
    if (scant) {
        int32_t *const sides[4] = {&more.top, &more.left, &more.bottom, &more.right};
        int32_t *side = sides[below(4)];
        *side = below(*side + 1);
    }
    place x = place_of(in[0].shape, grant ? more : (octi_halo){0}, l->n, grant),
          y = place_of(out.shape, pitched ? (octi_halo){1, 2, 0, 3} : (octi_halo){0}, l->n, false);
    if (grant) octi_halo_fill(&x.at, &in[0].shape, x.first, l->n, (uint8_t)l->zx);
    for (int i = 0; i < l->n * l->h; i++)
        memcpy(x.first + i / l->h * x.at.image + i % l->h * x.at.row,
               l->x + (int64_t)i * l->w * l->c, (size_t)(l->w * l->c));
    const octi_layout at[4] = {x.at};
    ck_ok(octi_qbind(&r, at, &y.at));
    void *scratch = octi_arena_alloc(arena, r.scratch);
    memset(scratch, 0xa5, r.scratch);
    const void *const inputs[4] = {x.first};
    const int cut = below(2) && r.units > 1 ? 1 + below(r.units - 1) : r.units;
    const int split = below(2) && r.panels > 1 ? 1 + below(r.panels - 1) : r.panels;
    const bool apart = below(3) == 0; /* image by image */
    for (int i = 0; i < (apart ? l->n : 1); i++) {
        const void *const moved[4] = {x.first + i * x.at.image};
        octi_qcall call = {.in = apart ? moved : inputs,
                           .out = y.first + i * y.at.image,
                           .n = apart ? 1 : l->n,
                           .to = cut,
                           .scratch = scratch};
        run_panels(&r, &call, split);
        call.from = cut;
        call.to = r.units;
        if (i % 2) { /* as whoever has memory for the rest alone */
            call.first = cut;
            call.out = (uint8_t *)call.out + (int64_t)cut * r.unit_rows * y.at.row;
        }
        if (cut < r.units) run_panels(&r, &call, split);
    }
    /* every code, and nothing beside them */
    uint8_t *want = malloc(y.bytes);
    memset(want, 0xa5, y.bytes);
    for (int i = 0; i < l->n * rows; i++)
        for (int k = 0; k < row; k++)
            want[(y.first - y.memory) + i / rows * y.at.image + i % rows * y.at.row + k] =
                right(l, pooled, (int64_t)i * row + k);
    if (memcmp(want, y.memory, y.bytes))
        ck_abort_msg(
            "%s: %d x %dx%dx%d -> %d, kernel %dx%d, stride %d %d, pads %d %d %d %d, dilation "
            "%d %d, groups %d%s%s%s: not the law's codes",
            candidate, l->n, l->h, l->w, l->c, l->o, l->r, l->s, l->sh, l->sw, l->pads[0],
            l->pads[1], l->pads[2], l->pads[3], l->dh, l->dw, l->g, grant ? ", halo" : "",
            split < r.panels ? ", channels cut"
            : cut < r.units  ? ", cut"
                             : "",
            pooled ? ", pooled" : "");
    seen->taken++;
    if (!strcmp(candidate, "pairs")) count_pairs(&r, l, seen);
    seen->pooled += pooled;
    seen->granted += grant && !octi_halo_none(&r.halo);
    seen->framed += !grant && !octi_halo_none(&r.halo);
    seen->pitched += pitched;
    seen->cut += cut < r.units;
    seen->split += split < r.panels;
    seen->several += l->n > 1 && !apart;
    seen->many += octi_weight_bytes(r.u.conv) > OCTI_CACHED_WEIGHTS;
    free(want), free(x.memory), free(y.memory);
    octi_arena_free(arena);
}

/* Where the machine has no tiles, every other run of `tiles` takes them in C. */
#if defined(__x86_64__) && !defined(OCT_NO_AMX)
octk_tiles_u8u8_fn emulated_tiles_u8u8_amx;
static int64_t emulated;
static void emulate_tiles(oct_ctx *ctx, bool now) {
    octk_table *t = (octk_table *)(uintptr_t)octi_ctx_kernels(ctx);
    if (t->needs.tiles_u8u8 || !t->needs.conv_s16u8) return; /* AMX; or no AVX2 to emulate with */
    t->tiles_u8u8 = now ? emulated_tiles_u8u8_amx : octk_tiles_u8u8_ref;
    emulated += now;
}
#else
static int64_t emulated;
static void emulate_tiles(oct_ctx *ctx, bool now) { (void)ctx, (void)now; }
#endif

START_TEST(every_candidate_gives_the_laws_codes) {
    const char *asked = getenv("OCT_TEST_NETS");
    const int64_t rounds = asked ? atoll(asked) : oct_test_long() ? LONG_ROUNDS : ROUNDS;
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1, .amx = true});
    reach seen[16] = {{0}};
    rng = octi_rng_stream(11, OCTI_RNG_TEST, 0, 0);
    for (int64_t i = 0; i < rounds; i++) {
        layer l;
        if (i % 500 == 0) /* one of each kind, however few rounds */
            draw_many(&l, i % 1500 ? 3 : 5, i % 1500 == 1000 ? 2 : 1);
        else if (i % 500 == 248)
            draw_linear(&l);
        else if (!draw_shape(&l))
            continue;
        draw_numbers(&l);
        reference(&l);
        emulate_tiles(ctx, i % 8 == 4);
        for (int k = 0; k < octi_candidate_count; k++) {
            const octi_candidate *c = octi_candidates[k];
            /* on reference kernels, which are slow, a part of them */
            if (i % 4 && c->offered && !c->offered(octi_ctx_kernels(ctx))) continue;
            check(ctx, &l, c->name, &seen[k]);
        }
        free_layer(&l);
    }
    for (int k = 0; k < octi_candidate_count; k++) {
        const octi_candidate *c = octi_candidates[k];
        const reach *s = &seen[k];
        printf("%s: %lld runs, halo granted %lld, made %lld; output pitched %lld; cut %lld, by "
               "channels %lld; several images %lld; pooled %lld; many weights %lld\n",
               c->name, (long long)s->taken, (long long)s->granted, (long long)s->framed,
               (long long)s->pitched, (long long)s->cut, (long long)s->split, (long long)s->several,
               (long long)s->pooled, (long long)s->many);
        ck_assert_int_ge(s->taken, rounds / 160);
        const bool one_row = !strcmp(c->name, "nibbles");
        ck_assert(s->pitched && s->cut + one_row && s->several && c->pools == (s->pooled > 0));
        ck_assert(!c->panels == !s->split);
        /* what serves 3x3 kernels of many channels */
        const bool whole = strcmp(c->name, "taps") && strncmp(c->name, "plane", 5);
        ck_assert(!whole || s->many);
        if (!strcmp(c->name, "pairs")) {
            printf("  steps added %lld, alone %lld; codes beyond u7 %lld; q31 %lld\n",
                   (long long)s->twice, (long long)s->once, (long long)s->wide, (long long)s->q31);
            ck_assert_int_gt(s->twice, s->taken / 20);
            ck_assert_int_gt(s->once, s->taken / 20);
            ck_assert(s->wide && s->q31);
        }
        const octi_qconv wishes = {.p = 4,
                                   .q = 4,
                                   .h = 4,
                                   .w = 4,
                                   .r = 3,
                                   .s = 3,
                                   .stride = {1, 1},
                                   .dilation = {1, 1},
                                   .pads = {1, 1, 1, 1}};
        const octi_halo halo = c->halo(&wishes);
        ck_assert(octi_halo_none(&halo) || (s->granted && s->framed));
    }
    printf("layers with AMX's tiles in C: %lld\n", (long long)emulated);
    oct_close(ctx);
}
END_TEST

/* A multiplier with which sum's float, `odd` times too large, gives another code than the sum:
 * divided and then multiplied, or by one multiplier for both; 0: none near by. */
static float telling(int32_t sum, int32_t odd, bool both) {
    const float many = (float)(odd * sum), over = 1.0f / (float)odd, again = many * over;
    for (int n = 1; n < 200; n++) {
        float m = (float)((n + 0.5) / sum);
        for (int i = 0; i < 4; i++, m = nextafterf(m, 1)) {
            const float by = over * m, v = both ? many * by : again * m;
            if (octq_round_code(v, 0, 0, 255) != octq_requant(sum, m, 0, 0, 255)) return m;
        }
    }
    return 0;
}

/* A layer whose sums are all its bias, of few channels: runs of it, 0 where it does not fit. */
static int64_t check_sum(oct_ctx *ctx, const char *candidate, int kernel, int stride, int32_t sum,
                         float m) {
    layer l = {.n = 1, .h = 7, .w = 7, .o = 1, .g = 1, .r = kernel, .s = kernel};
    reach seen = {0};
    l.c = strcmp(candidate, "plane5x5") ? 2 : 1;
    l.dh = l.dw = 1, l.sh = l.sw = stride;
    l.p = l.q = out_size(7, 0, 0, kernel, stride, 1);
    draw_numbers(&l);
    memset(l.weight, 0, (size_t)(kernel * kernel * l.c));
    l.law = OCTQ_FP32, l.bias[0] = sum, l.m[0] = m;
    l.zy = sum < 0 ? 200 : 0, l.lo = 0, l.hi = 255;
    reference(&l);
    check(ctx, &l, candidate, &seen);
    free_layer(&l);
    return seen.taken;
}

/** Along a row sums are 24 times too large: up to the last one that s32 holds they are taken. */
START_TEST(sums_of_a_row_reach_their_bound) {
    const int32_t most = INT32_MAX / 24;
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    rng = octi_rng_stream(12, OCTI_RNG_TEST, 0, 0);
    for (int i = 0; i < 24; i++) { /* a third of them pooled */
        const int beyond = i / 2 % 2, sum = most + beyond;
        ck_assert_int_eq(
            check_sum(ctx, "winograd1x5", 5, 1, i % 2 ? sum : -sum, 100.0f / (float)most), !beyond);
    }
    oct_close(ctx);
}
END_TEST

/** Sums that are 9 or 3 times too large are divided as floats for as long as these have them, or
 *  whatever they are has the same code, and no further, and multiplied behind that. */
START_TEST(sums_are_divided_as_floats_that_have_them) {
    static const struct {
        const char *candidate;
        int kernel, stride, odd, factor;
    } rows[] = {{"winograd4", 3, 1, 9, 576},
                {"winograd4s2", 3, 2, 9, 36},
                {"winograd1x5", 5, 1, 3, 24},
                {"plane5x5", 5, 1, 3, 48}};
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    rng = octi_rng_stream(13, OCTI_RNG_TEST, 0, 0);
    for (int i = 0; i < 4; i++) {
        const int last = ((1 << 24) - 1) / rows[i].odd;
        int told[2] = {0}; /* beyond that; up to it */
        for (int32_t sum = last - 100; sum < last + 200; sum++) {
            const bool both = sum <= last;
            const float m = telling(sum, rows[i].odd, both);
            if (both) ck_assert(telling(sum, rows[i].odd, false) == 0);
            if (m == 0) continue;
            told[both]++;
            ck_assert_int_eq(
                check_sum(ctx, rows[i].candidate, rows[i].kernel, rows[i].stride, sum, m), 1);
        }
        ck_assert(told[0] > 10 && told[1] > 10);
        /* far from the codes s32 alone must have them */
        for (int32_t at = -20; at < 20; at++) {
            const int32_t sum = INT32_MAX / rows[i].factor + at / 2;
            check_sum(ctx, rows[i].candidate, rows[i].kernel, rows[i].stride, at % 2 ? sum : -sum,
                      8000.0f / (float)sum);
        }
    }
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("candidates", every_candidate_gives_the_laws_codes, sums_of_a_row_reach_their_bound,
              sums_are_divided_as_floats_that_have_them)
