/* SPDX-License-Identifier: MIT
 * Augmentation: every offset and both flips equally often; another one in every epoch; the same for
 * the same (seed, epoch, sample), whatever the order and the batch. */
#include "tests/oct_test.h"

#include "datasets/data.h"
#include "src/rng.h"

enum { SIDE = 20, N = 300, PIXELS = SIDE * SIDE };
static uint8_t images[N * PIXELS * 2];
static int32_t labels[N];

typedef struct move {
    int dy, dx, flip;
} move;

/* Two channels hold each pixel's row and column, from 1: 0 is what stands outside. */
static oct_data *make(oct_ctx *ctx) {
    for (int i = 0; i < N; i++) {
        labels[i] = i;
        for (int p = 0; p < PIXELS; p++) {
            images[(i * PIXELS + p) * 2] = (uint8_t)(p / SIDE + 1);
            images[(i * PIXELS + p) * 2 + 1] = (uint8_t)(p % SIDE + 1);
        }
    }
    const oct_input_desc in = {
        .channels = 2, .height = SIDE, .width = SIDE, .div = 1, .std = {1, 1}};
    oct_data *d = oct_data_from_memory(ctx, OCT_U8, OCT_SHAPE(N, SIDE, SIDE, 2), images, labels,
                                       &(oct_array_opts){.input = &in});
    ck_not_null(d);
    return d;
}

/* What was done to an image, from its two middle pixels; the rest must follow from it. */
static move read_move(const float *x) {
    enum { MID = SIDE / 2 };
    const float *a = x + (MID * SIDE + MID) * 2, *b = a + 2;
    move m = {(int)a[0] - 1 - MID, 0, b[1] < a[1]};
    m.dx = (int)a[1] - 1 - (m.flip ? SIDE - 1 - MID : MID);
    bool follows = true; /* asserted once: an assertion for each pixel takes minutes */
    for (int y = 0; y < SIDE; y++)
        for (int col = 0; col < SIDE; col++) {
            const int sy = y + m.dy, sx = (m.flip ? SIDE - 1 - col : col) + m.dx;
            const bool inside = sy >= 0 && sy < SIDE && sx >= 0 && sx < SIDE;
            const float *v = x + (y * SIDE + col) * 2;
            follows = follows && v[0] == (inside ? (float)(sy + 1) : 0) &&
                      v[1] == (inside ? (float)(sx + 1) : 0);
        }
    ck_assert(follows);
    return m;
}

/* moves[i] of sample i in an epoch. */
static void run(oct_loader *l, int epoch, move moves[N]) {
    bool seen[N] = {false};
    ck_ok(oct_loader_start(l, epoch, 0));
    for (;;) {
        oct_batch b;
        bool done;
        ck_ok(oct_loader_next(l, &b, &done));
        if (done) break;
        for (int64_t i = 0; i < b.x->shape.dim[0]; i++) {
            const int32_t k = oct_s32(b.labels)[i];
            seen[k] = true;
            moves[k] = read_move(oct_f32(b.x) + i * PIXELS * 2);
        }
    }
    bool all = true;
    for (int i = 0; i < N; i++) all = all && seen[i];
    ck_assert(all);
}

START_TEST(uniform) {
    static const struct {
        uint32_t augment;
        int pad, flips;
    } kinds[] = {{OCT_AUGMENT_NONE, 0, 1},
                 {OCT_AUGMENT_CROP4, 4, 1},
                 {OCT_AUGMENT_CROP8, 8, 1},
                 {OCT_AUGMENT_FLIP, 0, 2},
                 {OCT_AUGMENT_CROP4 | OCT_AUGMENT_FLIP, 4, 2},
                 {OCT_AUGMENT_FLIP | OCT_AUGMENT_CROP8, 8, 2}};
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 1});
    oct_data *d = make(ctx);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        enum { EPOCHS = 40 };
        static int count[2][17][17];
        static move m[N];
        memset(count, 0, sizeof count);
        oct_loader *l =
            oct_loader_new(d, &(oct_loader_opts){.batch = 50, .augment = kinds[k].augment});
        for (int e = 0; e < EPOCHS; e++) {
            run(l, e, m);
            for (int i = 0; i < N; i++) {
                if (abs(m[i].dy) > kinds[k].pad || abs(m[i].dx) > kinds[k].pad ||
                    m[i].flip >= kinds[k].flips)
                    ck_abort_msg("%s: moved by %d %d, flip %d", oct_augment_name(kinds[k].augment),
                                 m[i].dy, m[i].dx, m[i].flip);
                count[m[i].flip][m[i].dy + 8][m[i].dx + 8]++;
            }
        }
        const int side = 2 * kinds[k].pad + 1, cells = side * side * kinds[k].flips;
        const double want = (double)EPOCHS * N / cells;
        double chi = 0;
        for (int f = 0; f < kinds[k].flips; f++)
            for (int y = -kinds[k].pad; y <= kinds[k].pad; y++)
                for (int x = -kinds[k].pad; x <= kinds[k].pad; x++) {
                    const double e = count[f][y + 8][x + 8] - want;
                    chi += e * e / want;
                }
        /* mean of chi squared; its deviation is sqrt(2 dof): five of them */
        const double dof = cells - 1;
        ck_assert_msg(dof < 1 || (chi - dof) * (chi - dof) < 25 * 2 * dof,
                      "%s: chi squared %g of %g", oct_augment_name(kinds[k].augment), chi, dof);
        oct_loader_free(l);
    }
    oct_close(ctx);
}
END_TEST

static int differences(const move *a, const move *b) {
    int n = 0;
    for (int i = 0; i < N; i++)
        n += a[i].dy != b[i].dy || a[i].dx != b[i].dx || a[i].flip != b[i].flip;
    return n;
}

START_TEST(by_seed_epoch_and_sample) {
    static move base[N], other[N];
    oct_ctx *ctx = oct_open(&(oct_opts){.threads = 2});
    oct_data *d = make(ctx);
    const oct_loader_opts rows[] = {{.batch = 32, .seed = 5},
                                    {.batch = 7, .seed = 5, .even = true},
                                    {.batch = 64, .seed = 5, .shuffle = true},
                                    {.batch = 3, .seed = 5, .shuffle = true, .no_prefetch = true}};
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        oct_loader_opts o = rows[k];
        o.augment = OCT_AUGMENT_CROP4 | OCT_AUGMENT_FLIP;
        oct_loader *l = oct_loader_new(d, &o);
        run(l, 3, k ? other : base);
        /* the draw itself: a window of the image, then flipped */
        for (uint32_t i = 0; i < N && !k; i++) {
            octi_rng r = octi_rng_stream(5, OCTI_RNG_AUGMENT, 3, i);
            const int dy = (int)octi_rng_below(&r, 9) - 4, dx = (int)octi_rng_below(&r, 9) - 4,
                      flip = octi_rng_u32(&r) & 1;
            if (base[i].dy != dy || base[i].dx != dx || base[i].flip != flip)
                ck_abort_msg("sample %d: moved by %d %d, flip %d, drawn %d %d, %d", i, base[i].dy,
                             base[i].dx, base[i].flip, dy, dx, flip);
        }
        if (k) ck_assert_int_eq(differences(base, other), 0); /* whatever the order and the batch */
        run(l, 4, other);
        ck_assert_int_gt(differences(base, other), N * 9 / 10); /* 161 of 162 differ */
        run(l, 3, other);
        ck_assert_int_eq(differences(base, other), 0); /* and back again */
        oct_loader_free(l);
    }
    oct_loader *l = oct_loader_new(
        d, &(oct_loader_opts){
               .batch = 32, .seed = 6, .augment = OCT_AUGMENT_CROP4 | OCT_AUGMENT_FLIP});
    run(l, 3, other);
    ck_assert_int_gt(differences(base, other), N * 9 / 10);
    for (int i = 1; i < N; i++) base[i] = base[0]; /* samples differ from each other */
    ck_assert_int_gt(differences(base, other), N * 9 / 10);
    oct_close(ctx);
}
END_TEST

OCT_TEST_MAIN("augment", uniform, by_seed_epoch_and_sample)
