/* SPDX-License-Identifier: MIT
 * Times every candidate (ops/qconv.def) that a context offers, on the integer layers of the zoo's
 * nets and of depthwise and other shapes, in turn, and holds the choice against the fastest: a row
 * says what the model thought, what was measured, and by how much the choice is slower than the
 * best. Not a test. Weights that a second-level cache does not keep come from memory, as in a net
 * that has more of such layers than the last level holds; of others so many times as many bytes
 * come between two runs as the net has such layers beside (shape.others), and the model is told.
 * AMX's tiles are awake, as between layers that take them: half a microsecond without a product
 * and the next one takes 0.25 longer.
 * Usage: bench_candidates [milliseconds per layer, 200] [images, 1] [part of a layer's name]. Ends
 * with 1 where a choice is more than a tenth off. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ops/qconv.h"
#include "src/mem.h"

typedef struct shape {
    const char *name;
    int h, c, o, k, stride, pad, groups;
    int qmax;   /* the input's largest code; 0: 255 */
    int rows;   /* of the kernel; 0: k */
    int others; /* layers of its net that are about as large; 0: OTHERS */
} shape;
enum {
    ALL = 96 << 20, /* of the caches */
    OTHERS = 6
};
static const shape shapes[] = {
    {"lenet conv1", 28, 1, 6, 5, 1, 2, 1},
    {"lenet conv2", 14, 6, 16, 5, 1, 0, 1},
    {"lenet fc1", 1, 400, 120, 1, 1, 0, 1},
    {"lenet fc2", 1, 120, 84, 1, 1, 0, 1},
    {"lenet fc3", 1, 84, 10, 1, 1, 0, 1},
    {"1 to 16, 3x3", 28, 1, 16, 3, 1, 1, 1},
    {"1 to 8, 5x5", 28, 1, 8, 5, 1, 2, 1},
    {"1 to 32, 3x3", 28, 1, 32, 3, 1, 1, 1},
    {"1 to 4, 7x7", 64, 1, 4, 7, 1, 3, 1},
    {"1 to 10, 3x3", 32, 1, 10, 3, 1, 0, 1},
    {"cifar stem", 32, 3, 16, 3, 1, 1, 1},
    {"16 at 32", 32, 16, 16, 3, 1, 1, 1},
    {"16 to 32, /2", 32, 16, 32, 3, 2, 1, 1},
    {"16 to 32, 1x1 /2", 32, 16, 32, 1, 2, 0, 1},
    {"32 at 16", 16, 32, 32, 3, 1, 1, 1},
    {"32 to 64, /2", 16, 32, 64, 3, 2, 1, 1},
    {"32 to 64, 1x1 /2", 16, 32, 64, 1, 2, 0, 1},
    {"64 at 8", 8, 64, 64, 3, 1, 1, 1},
    {"cifar fc", 1, 64, 10, 1, 1, 0, 1},
    {"imagenet stem", 224, 3, 64, 7, 2, 3, 1},
    {"64 at 56", 56, 64, 64, 3, 1, 1, 1},
    {"64 to 128, /2", 56, 64, 128, 3, 2, 1, 1},
    {"64 to 128, 1x1 /2", 56, 64, 128, 1, 2, 0, 1},
    {"128 at 28", 28, 128, 128, 3, 1, 1, 1},
    {"128 to 256, /2", 28, 128, 256, 3, 2, 1, 1},
    {"256 at 14", 14, 256, 256, 3, 1, 1, 1},
    {"256 to 512, /2", 14, 256, 512, 3, 2, 1, 1},
    {"512 at 7", 7, 512, 512, 3, 1, 1, 1},
    {"imagenet fc", 1, 512, 1000, 1, 1, 0, 1},
    {"wide fc", 1, 4096, 1000, 1, 1, 0, 1},
    {"8 at 32", 32, 8, 8, 3, 1, 1, 1},
    {"24 at 20", 20, 24, 24, 3, 1, 1, 1},
    {"48 at 7", 7, 48, 40, 3, 1, 1, 1},
    {"1x1 96 to 24", 56, 96, 24, 1, 1, 0, 1},
    {"depthwise 32", 112, 32, 32, 3, 1, 1, 32},
    {"depthwise 96 /2", 112, 96, 96, 3, 2, 1, 96},
    {"depthwise 5x5", 14, 240, 240, 5, 1, 2, 240},
    {"4 groups", 28, 64, 64, 3, 1, 1, 4},
    {"5x5 16 to 32", 14, 16, 32, 5, 1, 2, 1},
    {"5x5 32 at 16", 16, 32, 32, 5, 1, 2, 1},
    {"5x5 3 to 16", 32, 3, 16, 5, 1, 2, 1},
    {"5x5 64 at 8", 8, 64, 64, 5, 1, 2, 1},
    {"5x5 128 at 28", 28, 128, 128, 5, 1, 2, 1},
    {"5x5 8 to 8", 24, 8, 8, 5, 1, 2, 1},
    {"1x5 16 at 32", 32, 16, 16, 5, 1, 0, 1, 0, 1},
    {"1x5 64 at 17", 17, 64, 96, 5, 1, 0, 1, 0, 1},
    {"1x3 64 at 17", 17, 64, 96, 3, 1, 0, 1, 0, 1},
    {"1x3 16 at 32", 32, 16, 16, 3, 1, 0, 1, 0, 1},
    {"3 to 32, 3x3", 64, 3, 32, 3, 1, 1, 1},
    {"6 to 16, 3x3", 14, 6, 16, 3, 1, 0, 1},
    {"64 at 8 of a small net", 8, 64, 64, 3, 1, 1, 1, .others = 1},
    {"64 at 8 of two", 8, 64, 64, 3, 1, 1, 1, .others = 2},
    {"48 at 12 of a small net", 12, 48, 48, 3, 1, 1, 1, .others = 1},
    {"32 at 16 of a small net", 16, 32, 32, 3, 1, 1, 1, .others = 1},
    {"96 at 8 of a small net", 8, 96, 96, 3, 1, 1, 1, .others = 1},
    {"64 at 4 of a small net", 4, 64, 64, 3, 1, 1, 1, .others = 1},
    {"64 at 16 of a small net", 16, 64, 64, 3, 1, 1, 1, .others = 1},
    {"u7 lenet conv1", 28, 1, 6, 5, 1, 2, 1, 127},
    {"u7 lenet conv2", 14, 6, 16, 5, 1, 0, 1, 127},
    {"u7 lenet fc1", 1, 400, 120, 1, 1, 0, 1, 127},
    {"u7 lenet fc2", 1, 120, 84, 1, 1, 0, 1, 127},
    {"u7 cifar stem", 32, 3, 16, 3, 1, 1, 1, 127},
    {"u7 16 at 32", 32, 16, 16, 3, 1, 1, 1, 127},
    {"u7 16 to 32, /2", 32, 16, 32, 3, 2, 1, 1, 127},
    {"u7 16 to 32, 1x1 /2", 32, 16, 32, 1, 2, 0, 1, 127},
    {"u7 32 to 64, 1x1 /2", 16, 32, 64, 1, 2, 0, 1, 127},
    {"u7 imagenet stem", 224, 3, 64, 7, 2, 3, 1, 127},
    {"u7 64 to 128, 1x1 /2", 56, 64, 128, 1, 2, 0, 1, 127},
    {"u7 32 to 64, /2", 16, 32, 64, 3, 2, 1, 1, 127},
    {"u7 128 to 256, /2", 28, 128, 256, 3, 2, 1, 1, 127},
    {"u7 256 at 14", 14, 256, 256, 3, 1, 1, 1, 127},
    {"u7 256 to 512, /2", 14, 256, 512, 3, 2, 1, 1, 127},
    {"u7 512 at 7", 7, 512, 512, 3, 1, 1, 1, 127},
    {"u7 imagenet fc", 1, 512, 1000, 1, 1, 0, 1, 127},
    {"u7 1x1 96 to 24", 56, 96, 24, 1, 1, 0, 1, 127},
    {"u7 8 at 32", 32, 8, 8, 3, 1, 1, 1, 127},
    {"u7 4 groups", 28, 64, 64, 3, 1, 1, 4, 127},
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

typedef struct ready { /* a candidate, bound */
    const char *name;
    octi_qrun r;
    double cycles, best;
    int64_t bytes;    /* of its packed weights */
    const uint8_t *x; /* pixel (0, 0) */
} ready;

typedef struct layer { /* what all candidates of one layer share */
    octi_arena *arena;
    octi_qdesc in[4], out;
    oct_attrs a;
    oct_tensor w, b, m;
    octi_layout y_at;
    uint8_t *x, *y; /* the input's memory, and pixel (0, 0) of the output */
} layer;

static void *arena_of(octi_arena *a, int64_t bytes) {
    uint8_t *p = octi_arena_alloc(a, (size_t)bytes);
    if (!p) exit((fprintf(stderr, "%s\n", oct_error_message()), 1));
    for (int64_t i = 0; i < bytes; i++) p[i] = (uint8_t)(i * 37 % 61);
    return p;
}

static int others_of(const shape *s) { return s->others ? s->others : OTHERS; }

static void make(layer *l, oct_ctx *ctx, const shape *s, int n) {
    const int p = (s->h + 2 * s->pad - s->k) / s->stride + 1, cg = s->c / s->groups,
              rows = s->rows ? s->rows : s->k, high = (s->h + 2 * s->pad - rows) / s->stride + 1;
    *l = (layer){.arena = octi_arena_new_read_often(ctx)};
    l->a = (oct_attrs){.kernel = {rows, s->k},
                       .stride = {s->stride, s->stride},
                       .pads = {s->pad, s->pad, s->pad, s->pad},
                       .dilation = {1, 1},
                       .groups = {s->groups},
                       .lo = {3},
                       .hi = {255}};
    l->w = (oct_tensor){.dtype = OCT_S8, .shape = OCT_SHAPE(s->o, rows, s->k, cg)};
    l->b = (oct_tensor){.dtype = OCT_S32, .shape = OCT_SHAPE(s->o)};
    l->m = (oct_tensor){.dtype = OCT_F32, .shape = OCT_SHAPE(s->o)};
    l->w.data = arena_of(l->arena, (int64_t)s->o * rows * s->k * cg);
    l->b.data = arena_of(l->arena, (int64_t)s->o * 4);
    l->m.data = arena_of(l->arena, (int64_t)s->o * 4);
    for (int i = 0; i < s->o; i++) ((int32_t *)l->b.data)[i] = i, ((float *)l->m.data)[i] = 1e-4f;
    for (int64_t i = 0; i < (int64_t)s->o * rows * s->k * cg; i++)
        /* spread as trained ones are: few are large */
        ((int8_t *)l->w.data)[i] = (int8_t)(i * 53 % 85 + i * 37 / 11 % 85 + i * 29 / 7 % 85 - 126);
    const octi_qdesc codes = {
        .dtype = OCT_U8, .quantized = true, .scale = 0.1f, .zero_point = 3, .qmax = 255};
    l->in[0] = l->out = codes;
    if (s->qmax) l->in[0].qmax = s->qmax;
    l->in[0].shape = OCT_SHAPE(OCT_BATCH, s->h, s->h, s->c);
    l->out.shape = OCT_SHAPE(OCT_BATCH, high, p, s->o);
    const oct_tensor *constants[] = {&l->w, &l->b, &l->m};
    for (int k = 0; k < 3; k++)
        l->in[k + 1] = (octi_qdesc){
            .dtype = constants[k]->dtype, .shape = constants[k]->shape, .tensor = constants[k]};
    l->in[1].beside = others_of(s) * oct_tensor_count(&l->w);
    l->y_at = octi_layout_of(&l->out.shape, 1, (octi_halo){1, 1, 3, 3});
    const octi_layout widest = octi_layout_of(&l->in[0].shape, 1, (octi_halo){4, 4, 8, 8});
    l->x = arena_of(l->arena, n * widest.image + OCTI_SLACK);
    l->y = (uint8_t *)arena_of(l->arena, n * l->y_at.image + OCTI_SLACK) + l->y_at.origin;
}

/* The candidates that fit, bound; how many. *chosen: the one that a plan would take. */
static int candidates(oct_ctx *ctx, layer *l, ready *all, int *chosen) {
    int count = 0;
    octi_qrun free_choice;
    octi_ctx_only(ctx, NULL);
    if (octi_qinit(&free_choice, l->arena, OCT_OP_qconv2d, &l->a, l->in, 4, &l->out, "bench"))
        exit((fprintf(stderr, "%s\n", oct_error_message()), 1));
    for (int k = 0; k < octi_candidate_count; k++) {
        ready *c = &all[count];
        bool (*const offered)(const octk_table *) = octi_candidates[k]->offered;
        if (offered && !offered(octi_ctx_kernels(ctx))) continue;
        c->name = octi_candidates[k]->name;
        octi_ctx_only(ctx, c->name);
        if (octi_qinit(&c->r, l->arena, OCT_OP_qconv2d, &l->a, l->in, 4, &l->out, "bench") ||
            strcmp(c->r.kernel, c->name))
            continue;
        /* with the halo that it would like, as a plan would give it */
        octi_layout at[4] = {octi_layout_of(&l->in[0].shape, 1, c->r.halo)};
        at[0].slack = true;
        c->x = l->x + at[0].origin;
        const octi_arena_mark before = octi_arena_save(l->arena);
        if (octi_qbind(&c->r, at, &l->y_at)) continue;
        const octi_arena_mark after = octi_arena_save(l->arena);
        c->bytes = (int64_t)after.used - (after.block == before.block ? (int64_t)before.used : 0);
        if (!strcmp(free_choice.kernel, c->name)) *chosen = count;
        c->cycles = c->r.cycles;
        c->best = 1e30;
        count++;
    }
    return count;
}

/* Takes so much of the caches. Read: what is written would cost its way back as well. */
static void flush(int64_t bytes) {
    static uint8_t *big;
    if (!big) {
        if (!(big = malloc(ALL))) exit(1);
        memset(big, 1, ALL); /* pages of its own */
    }
    for (int64_t i = 0; i < bytes && i < ALL; i += 64) (void)*(volatile const uint8_t *)(big + i);
}

static double run_once(layer *l, const ready *c, int n) {
    const octi_arena_mark mark = octi_arena_save(l->arena);
    const void *const in[4] = {c->x};
    octi_qcall call = {.in = in,
                       .out = l->y,
                       .n = n,
                       .to = c->r.units,
                       .scratch = octi_arena_alloc(l->arena, c->r.scratch)};
    const double begin = now();
    c->r.run(&c->r, &call);
    const double t = (now() - begin) / n;
    octi_arena_rewind(l->arena, mark);
    return t;
}

/* A small layer of tiles; false: this machine has none. */
static bool find_tiles(oct_ctx *ctx, layer *l, ready *tiles) {
    static const shape small = {"awake", 1, 16, 16, 1, 1, 0, 1};
    ready all[16];
    int chosen = 0;
    make(l, ctx, &small, 1);
    for (int k = candidates(ctx, l, all, &chosen) - 1; k >= 0; k--)
        if (!strcmp(all[k].name, "tiles")) return *tiles = all[k], true;
    return false;
}

int main(int argc, char **argv) {
    const double budget = argc > 1 ? atof(argv[1]) * 1000 : 200000;
    const int n = argc > 2 ? atoi(argv[2]) : 1;
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1, .amx = true});
    if (!ctx) return fprintf(stderr, "%s\n", oct_error_message()), 1;
    int off = 0;
    layer small;
    ready tiles;
    const bool awake = find_tiles(ctx, &small, &tiles);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        layer l;
        ready all[16];
        int chosen = 0, best = 0;
        if (argc > 3 && !strstr(shapes[i].name, argv[3])) continue;
        make(&l, ctx, &shapes[i], n);
        const int count = candidates(ctx, &l, all, &chosen);
        const double end = now() + budget;
        for (int round = 0; round < 5 || now() < end; round++)
            for (int k = 0; k < count; k++) {
                ready *c = &all[k];
                if (round > 2 && c->best > 4 * all[chosen].best) continue; /* hopeless */
                run_once(&l, c, n);
                const bool far = octi_weight_bytes(c->r.u.conv) > OCTI_CACHED_WEIGHTS;
                flush(far ? ALL : others_of(&shapes[i]) * c->bytes);
                if (awake) run_once(&small, &tiles, 1);
                const double t = run_once(&l, c, n);
                if (t < c->best) c->best = t;
            }
        for (int k = 0; k < count; k++)
            if (all[k].best < all[best].best) best = k;
        const double loss = all[chosen].best / all[best].best - 1;
        printf("%-20s", shapes[i].name);
        for (int k = 0; k < count; k++)
            printf("  %s%s %.1f us (%.0f cycles a us)", all[k].name, k == chosen ? "*" : "",
                   all[k].best, all[k].cycles / all[k].best);
        printf("%s\n", loss > 0.1 ? "  THE CHOICE IS SLOWER" : "");
        if (loss > 0.1) printf("%-20s  by %.0f %%\n", "", loss * 100), off++;
        octi_arena_free(l.arena);
    }
    octi_arena_free(small.arena);
    oct_close(ctx);
    return off > 0;
}
