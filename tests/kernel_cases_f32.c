/* SPDX-License-Identifier: MIT
 * Float kernels against sums in double within their bound, (terms + 1) * 2^-24 * sum of sizes, or
 * against the reference bit for bit where the passes promise that; NaN and infinity land where they
 * do in the reference and nowhere else. */
#include <math.h>

#include "src/qround.h"
#include "tests/kernel_cases.h"

enum { GUARD = 24 };

static float *floats(size_t n) { return untouched(n * sizeof(float)); }
static float *normals(octi_rng *r, size_t n) {
    float *p = floats(n);
    for (size_t i = 0; i < n; i++) p[i] = octi_rng_normal(r);
    return p;
}
/* The same bits, or both NaN. */
static void same_floats(const char *name, const float *got, const float *want, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(&got[i], &want[i], sizeof *got) && !(isnan(got[i]) && isnan(want[i])))
            ck_abort_msg("%s: element %zu: %.9g, reference %.9g", name, i, (double)got[i],
                         (double)want[i]);
}
/* got against a sum of `terms` products whose sizes add up to `size`. */
static void near_sum(const char *name, float got, double sum, double size, double terms) {
    if (isfinite(sum) ? !(fabs((double)got - sum) <= 0x1p-24 * (terms + 1) * size + 1e-300)
        : isnan(sum)  ? !isnan(got)
                      : (double)got != sum)
        ck_abort_msg("%s: %.9g, in double %.17g", name, (double)got, sum);
}

/* What relu, relu6 or nothing make of it: clamping moves no two values apart. */
static void near_clamped(const char *name, float got, double sum, double size, double terms,
                         octk_clamp to) {
    const double end = (double)to.lo > sum   ? (double)to.lo
                       : (double)to.hi < sum ? (double)to.hi
                                             : sum;
    near_sum(name, got, end, isnan(sum) ? 0 : size, terms);
}
static octk_clamp clamp_of(octi_rng *r) {
    static const float lo[] = {-INFINITY, 0, 0, -0.5f}, hi[] = {INFINITY, INFINITY, 6, 0.25f};
    const int i = below(r, 4);
    return (octk_clamp){lo[i], hi[i]};
}

/* ---- gemm ---- */

static void check_gemm_case(octk_gemm_f32_fn *kernel, const char *name, bool ta, bool tb, int m,
                            int n, int k, bool add, bool odd, octi_rng *r) {
    int lda = (ta ? m : k) + below(r, 3), ldb = (tb ? k : n) + below(r, 3), ldc = n + below(r, 3);
    float *a = normals(r, (size_t)(ta ? k : m) * (size_t)lda + 1),
          *b = normals(r, (size_t)(tb ? n : k) * (size_t)ldb + 1);
    size_t nc = (size_t)m * (size_t)ldc + 2 * GUARD;
    float *c = normals(r, nc), *old = floats(nc);
    memcpy(old, c, nc * sizeof *c);
    if (odd && k) {
        a[below(r, (ta ? k : m) * lda)] = below(r, 2) ? NAN : INFINITY;
        b[below(r, (tb ? n : k) * ldb)] = below(r, 2) ? -INFINITY : 3e38f;
    }
    kernel(ta, tb, m, n, k, a, lda, b, ldb, add, c + GUARD, ldc);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            size_t at = GUARD + (size_t)i * (size_t)ldc + (size_t)j;
            double sum = add ? (double)old[at] : 0, size = fabs(sum);
            for (int l = 0; l < k; l++) {
                double v = (double)(ta ? a[l * lda + i] : a[i * lda + l]) *
                           (double)(tb ? b[j * ldb + l] : b[l * ldb + j]);
                sum += v;
                size += fabs(v);
            }
            /* beyond float, the order of sums decides */
            if (!(odd && size > 1e38)) near_sum(name, c[at], sum, size, k);
            c[at] = old[at];
        }
    same_bytes(name, c, old, nc * sizeof *c);
    free(a), free(b), free(c), free(old);
}

void check_gemm_f32(octk_gemm_f32_fn *kernel, const char *name) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 20, 0);
    for (int m = 1; m <= 20; m++)
        for (int n = 1; n <= 20; n++)
            for (int i = 0; i < 4; i++)
                check_gemm_case(kernel, name, i & 1, i & 2, m, n, below(&r, 71), below(&r, 2),
                                (m + n) % 5 == 0, &r);
    for (int k = 0; k <= 70; k++)
        for (int i = 0; i < 8; i++)
            check_gemm_case(kernel, name, i & 1, i & 2, 1 + below(&r, 20), 1 + below(&r, 40), k,
                            i & 4, false, &r);
    static const int deep[] = {255, 256, 257, 511, 512, 513, 1030};
    for (int d = 0; d < 7; d++)
        for (int i = 0; i < 8; i++)
            check_gemm_case(kernel, name, i & 1, i & 2, 7, 19, deep[d], i & 4, i == 5, &r);
    /* a row's bits do not depend on how many rows are asked for: the batch's cut rests on it */
    enum { M = 23, N = 37, K = 300 };
    float *a = normals(&r, M * K), *b = normals(&r, K * N), *c = floats(M * N), *d = floats(N);
    for (int tb = 0; tb < 2; tb++) {
        kernel(false, tb, M, N, K, a, K, b, tb ? K : N, false, c, N);
        for (int i = 0; i < M; i++) {
            kernel(false, tb, 1, N, K, a + i * K, K, b, tb ? K : N, false, d, N);
            same_bytes(name, d, c + i * N, N * sizeof *d);
        }
    }
    free(a), free(b), free(c), free(d);
}

/* ---- convolution ---- */

/* What a whole call gave of one pixel, and of one panel's channels, a call for these alone gives
 * bit for bit: the cut of batches and of images rests on it. Panels of 8 channels or fewer may have
 * another order. */
static void same_cut(octk_conv_f32_fn *kernel, const char *name, const octk_conv_f32 *a, int pixel,
                     int panel) {
    const int64_t k = (int64_t)a->runs * a->len;
    const int first = 16 * panel, cols = a->o - first < 16 ? a->o - first : 16;
    octk_conv_f32 one = *a, part = *a;
    one.y = part.y = floats((size_t)(a->out[a->np - 1] + a->o));
    one.pix += pixel, one.out += pixel, one.np = 1, one.dense = part.dense = false;
    kernel(&one);
    same_bytes(name, one.y + *one.out, a->y + *one.out, (size_t)a->o * sizeof *one.y);
    part.w += first * k, part.o = cols;
    if (part.bias) part.bias += first;
    if (cols > 8 || a->o <= 8) kernel(&part);
    for (int i = 0; i < a->np && (cols > 8 || a->o <= 8); i++)
        same_bytes(name, part.y + a->out[i], a->y + a->out[i] + first,
                   (size_t)cols * sizeof *part.y);
    free(one.y);
}

void check_conv_f32(octk_conv_f32_fn *kernel, const char *name) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 26, 0);
    for (int round = 0; round < 600; round++) {
        int np = 1 + below(&r, round % 4 ? 40 : 4), runs = 1 + below(&r, 5),
            len = 1 + below(&r, round % 10 ? 30 : 300),
            o = round < 60 ? round + 1 : 1 + below(&r, np == 1 ? 300 : 70);
        int k = runs * len, panels = (o + 15) / 16, slack = below(&r, 3);
        int32_t *pix = untouched((size_t)np * 4), *run = untouched((size_t)runs * 4),
                *out = untouched((size_t)np * 4), reach = 0;
        for (int i = 0; i < np; i++) pix[i] = below(&r, 50), out[i] = i * (o + slack);
        for (int i = 0; i < runs; i++)
            run[i] = below(&r, 100), reach = run[i] > reach ? run[i] : reach;
        float *x = normals(&r, (size_t)(50 + reach + len)), *w = floats((size_t)(panels * 16 * k)),
              *bias = normals(&r, (size_t)panels * 16);
        for (int e = 0; e < panels * 16 * k; e++)
            w[e] = e / (16 * k) * 16 + e % 16 < o ? octi_rng_normal(&r) : 0;
        if (round % 20 == 7) x[below(&r, 50 + reach + len)] = round % 40 == 7 ? NAN : INFINITY;
        size_t ny = (size_t)(np * (o + slack)) + 2 * GUARD;
        float *y = floats(ny), *before = floats(ny);
        octk_conv_f32 a = {.x = x,
                           .w = w,
                           .bias = below(&r, 2) ? bias : NULL,
                           .pix = pix,
                           .run = run,
                           .out = out,
                           .y = y + GUARD,
                           .np = np,
                           .runs = runs,
                           .len = len,
                           .o = o,
                           .clamp = clamp_of(&r),
                           .dense = slack == 0 && below(&r, 2)};
        kernel(&a);
        same_cut(kernel, name, &a, below(&r, np), below(&r, panels));
        for (int i = 0; i < np; i++)
            for (int j = 0; j < o; j++) {
                double sum = a.bias ? (double)bias[j] : 0, size = fabs(sum);
                for (int e = 0; e < k; e++) {
                    double v = (double)x[pix[i] + run[e / len] + e % len] *
                               (double)w[j / 16 * 16 * k + e * 16 + j % 16];
                    sum += v, size += fabs(v);
                }
                near_clamped(name, a.y[out[i] + j], sum, size, k, a.clamp);
                memcpy(&a.y[out[i] + j], &before[0], sizeof(float));
            }
        same_bytes(name, y, before, ny * sizeof *y);
        free(pix), free(run), free(out), free(x), free(w), free(bias), free(y), free(before);
    }
}

void check_conv_grad_w_f32(octk_conv_grad_w_f32_fn *kernel, const char *name) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 27, 0);
    for (int round = 0; round < 300; round++) {
        octk_conv_grad_w_f32 a = {.p = 1 + below(&r, 6),
                                  .q = 1 + below(&r, 9),
                                  .runs = 1 + below(&r, 4),
                                  .len = 1 + below(&r, 20),
                                  .o = 16 * (1 + below(&r, 3)),
                                  .add = below(&r, 2)};
        a.x_pixel = 1 + below(&r, 8), a.x_row = a.q * a.x_pixel + below(&r, 9),
        a.dy_pixel = a.o + below(&r, 5), a.dy_row = a.q * a.dy_pixel + below(&r, 9);
        int32_t *run = untouched((size_t)a.runs * 4), reach = 0, k = a.runs * a.len;
        for (int i = 0; i < a.runs; i++)
            run[i] = below(&r, 60), reach = run[i] > reach ? run[i] : reach;
        float *x = normals(&r, (size_t)(a.p * a.x_row + reach + a.len)),
              *dy = normals(&r, (size_t)(a.p * a.dy_row + a.o));
        float *dw = normals(&r, (size_t)(k * a.o) + GUARD), *db = normals(&r, (size_t)a.o + GUARD),
              *old = floats((size_t)(k * a.o) + GUARD), *old_b = floats((size_t)a.o + GUARD);
        memcpy(old, dw, ((size_t)(k * a.o) + GUARD) * 4),
            memcpy(old_b, db, ((size_t)a.o + GUARD) * 4);
        a.x = x, a.dy = dy, a.run = run, a.dw = dw, a.db = below(&r, 3) ? db : NULL;
        kernel(&a);
        for (int e = -1; e < k; e++) /* -1: the bias */
            for (int j = 0; j < a.o; j++) {
                float *got = e < 0 ? &db[j] : &dw[e * a.o + j],
                      *was = e < 0 ? &old_b[j] : &old[e * a.o + j];
                double sum = a.add ? (double)*was : 0, size = fabs(sum);
                for (int p = 0; p < a.p; p++)
                    for (int q = 0; q < a.q; q++) {
                        double v =
                            (double)dy[p * a.dy_row + q * a.dy_pixel + j] *
                            (e < 0
                                 ? 1.0
                                 : (double)
                                       x[p * a.x_row + q * a.x_pixel + run[e / a.len] + e % a.len]);
                        sum += v, size += fabs(v);
                    }
                if (e >= 0 || a.db) near_sum(name, *got, sum, size, a.p * a.q), *got = *was;
            }
        same_bytes(name, dw, old, ((size_t)(k * a.o) + GUARD) * 4);
        same_bytes(name, db, old_b, ((size_t)a.o + GUARD) * 4);
        free(run), free(x), free(dy), free(dw), free(db), free(old), free(old_b);
    }
}

/* ---- Winograd: B^T, A^T as published (Lavin and Gray 2016), in double ---- */

static const double BT[6][6] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                                {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
static const double AT[4][6] = {
    {1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};
static double in_at(int i, int k) { return BT[i][k]; }
static double out_at(int i, int k) { return AT[i][k]; }
static double dy_at(int i, int k) { return AT[k][i]; }

/* to = T from T^T, from `in` square to `out` square; element (y, x) of channel c at y * row + x *
 * step + c. */
static void check_transform(const char *name, double (*t)(int, int), int in, int out,
                            const float *from, int64_t row, int64_t step, const float *bias,
                            octk_clamp clamp, float *to, int64_t to_row, int64_t to_step,
                            int64_t channels, const float *before, size_t all) {
    for (int64_t c = 0; c < channels; c++)
        for (int i = 0; i < out; i++)
            for (int k = 0; k < out; k++) {
                double sum = bias ? (double)bias[c] : 0, size = fabs(sum);
                for (int y = 0; y < in; y++)
                    for (int x = 0; x < in; x++) {
                        double v = t(i, y) * t(k, x) * (double)from[y * row + x * step + c];
                        sum += v, size += fabs(v);
                    }
                float *got = &to[i * to_row + k * to_step + c];
                near_clamped(name, *got, sum, size, in * in, clamp);
                memcpy(got, before, sizeof *got);
            }
    same_bytes(name, to, before, all * sizeof *to);
}

void check_wino_in_f32(octk_wino_in_f32_fn *kernel, const char *name) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 23, 0);
    for (int round = 0; round < 60; round++) {
        int64_t c = 16 * (1 + below(&r, 4)), row = 6 * c + below(&r, 20), plane = c + below(&r, 9);
        size_t all = (size_t)(36 * plane);
        float *x = normals(&r, (size_t)(6 * row)), *v = floats(all), *before = floats(all);
        kernel(x, row, c, v, plane);
        check_transform(name, in_at, 6, 6, x, row, c, NULL, OCTK_NO_CLAMP, v, 6 * plane, plane, c,
                        before, all);
        free(x), free(v), free(before);
    }
}

void check_wino_out_f32(octk_wino_out_f32_fn *kernel, const char *name) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 28, 0);
    for (int round = 0; round < 60; round++) {
        int64_t o = 16 * (1 + below(&r, 4)), pixel = o + (round & 2 ? below(&r, 9) : 0),
                row = 4 * pixel + below(&r, 20), plane = o + below(&r, 9);
        size_t all = (size_t)(4 * row);
        float *m = normals(&r, (size_t)(36 * plane)), *bias = normals(&r, (size_t)o),
              *y = floats(all), *before = floats(all), *b = round & 1 ? bias : NULL;
        const octk_clamp clamp = clamp_of(&r);
        kernel(m, plane, o, b, clamp, y, row, pixel);
        check_transform(name, out_at, 6, 4, m, 6 * plane, plane, b, clamp, y, row, pixel, o, before,
                        all);
        free(m), free(bias), free(y), free(before);
    }
}

void check_wino_dy_f32(octk_wino_dy_f32_fn *kernel, const char *name) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 29, 0);
    for (int round = 0; round < 60; round++) {
        int64_t o = 16 * (1 + below(&r, 4)), row = 4 * o + below(&r, 20), plane = o + below(&r, 9);
        size_t all = (size_t)(36 * plane);
        float *dy = normals(&r, (size_t)(4 * row)), *v = floats(all), *before = floats(all);
        kernel(dy, row, o, v, plane);
        check_transform(name, dy_at, 4, 6, dy, row, o, NULL, OCTK_NO_CLAMP, v, 6 * plane, plane, o,
                        before, all);
        free(dy), free(v), free(before);
    }
}

/* ---- passes of batch norm: the reference's bits ---- */

typedef struct bn_case {
    int64_t rows, c;
    size_t n;
    /* col: per channel; got, want: the output, or two sums */
    float *x, *dy, *col[4], *got[2], *want[2];
} bn_case;

static void each_bn(const char *name, void (*run)(const bn_case *k, bool reference, void *kernel),
                    void *kernel, size_t columns) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 22, 0);
    for (int64_t c = 1; c <= 40; c++)
        for (int64_t rows = 1; rows < 40; rows = rows * 2 + 1) {
            bn_case k = {rows,
                         c,
                         (size_t)(rows * c),
                         normals(&r, (size_t)(rows * c)),
                         normals(&r, (size_t)(rows * c)),
                         {0},
                         {0},
                         {0}};
            size_t out = (columns ? columns * (size_t)c : k.n) + GUARD;
            for (int i = 0; i < 4; i++) k.col[i] = normals(&r, (size_t)c);
            for (int i = 0; i < 2; i++) k.got[i] = floats(out), k.want[i] = floats(out);
            if (c % 7 == 0)
                k.x[below(&r, (int)k.n)] = rows % 2 ? NAN : INFINITY,
                              k.dy[below(&r, (int)k.n)] = -INFINITY;
            run(&k, true, NULL), run(&k, false, kernel);
            for (int i = 0; i < 2; i++)
                same_floats(name, k.got[i], k.want[i], out), free(k.got[i]), free(k.want[i]);
            for (int i = 0; i < 4; i++) free(k.col[i]);
            free(k.x), free(k.dy);
        }
}
#define BN(slot, columns, call)                                                                    \
    static void run_##slot(const bn_case *k, bool reference, void *kernel) {                       \
        octk_##slot##_fn *f = reference ? octk_##slot##_ref : *(octk_##slot##_fn **)kernel;        \
        float *const *to = reference ? k->want : k->got;                                           \
        call;                                                                                      \
    }                                                                                              \
    void check_##slot(octk_##slot##_fn *kernel, const char *name) {                                \
        each_bn(name, run_##slot, &kernel, columns);                                               \
    }
BN(column_sums_f32, 1, f(k->rows, k->c, k->x, to[0]))
BN(column_moments_f32, 1, f(k->rows, k->c, k->x, k->col[0], to[0], to[1]))
BN(normalize_f32, 0, f(k->rows, k->c, k->x, k->col[0], k->col[1], k->col[2], to[0]))
BN(bn_grad_sums_f32, 1, f(k->rows, k->c, k->x, k->dy, k->col[0], to[0], to[1]))
BN(bn_grad_x_f32, 0,
   f(k->rows, k->c, k->x, k->dy, k->col[0], k->col[1], k->col[2], k->col[3], to[0]))

/* ---- fake quantization: the law ---- */

static float draw_value(octi_rng *r, float s) {
    static const float odd[] = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 3.4e38f, -3.4e38f, 1e-45f};
    return below(r, 10)
               ? s * ((float)below(r, 700) - 350.0f) * (below(r, 3) ? 0.5f : octi_rng_uniform(r))
               : odd[below(r, 8)];
}

static void each_fake_quant(const char *name, octk_fake_quant_f32_fn *forward,
                            octk_straight_through_f32_fn *backward) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 30, 0);
    static const int32_t grids[][2] = {{0, 255}, {-127, 127}, {-128, 127},
                                       {0, 127}, {0, 3},      {-1, 1}};
    for (int round = 0; round < 600; round++) {
        size_t n = (size_t)(round < 100 ? round : below(&r, 500)), all = n + GUARD;
        const int32_t *grid = grids[round % 6];
        int32_t z = grid[0] < 0 ? 0 : grid[0] + below(&r, grid[1] - grid[0] + 1);
        float s = round % 9 ? 0.001f + octi_rng_uniform(&r) : round % 2 ? 0x1p-23f : 0.25f;
        float *x = floats(n), *dy = normals(&r, n), *y = floats(all), *want = floats(all);
        uint8_t *codes = untouched(all), *want_codes = untouched(all);
        for (size_t i = 0; i < n; i++) {
            x[i] = draw_value(&r, s);
            int32_t q = octq_quantize(x[i], s, z, grid[0], grid[1]);
            float v = octq_rne(x[i] / s) + (float)z;
            want[i] = forward                                      ? octq_dequantize(q, s, z)
                      : v >= (float)grid[0] && v <= (float)grid[1] ? dy[i]
                                                                   : 0.0f;
            want_codes[i] = forward ? (uint8_t)q : want_codes[i];
        }
        if (forward) {
            bool no_y = round % 5 == 1, no_codes = round % 5 == 2;
            forward((int64_t)n, x, s, z, grid[0], grid[1], no_y ? NULL : y,
                    no_codes ? NULL : codes);
            if (!no_codes) same_bytes(name, codes, want_codes, all);
            if (!no_y) same_bytes(name, y, want, all * sizeof *y);
            forward((int64_t)n, x, s, z, grid[0], grid[1], x, NULL); /* in place */
            same_bytes(name, x, want, n * sizeof *x);
        } else {
            backward((int64_t)n, x, s, z, grid[0], grid[1], dy, y);
            same_bytes(name, y, want, all * sizeof *y);
            backward((int64_t)n, x, s, z, grid[0], grid[1], dy, dy);
            same_bytes(name, dy, want, n * sizeof *dy);
        }
        free(x), free(dy), free(y), free(want), free(codes), free(want_codes);
    }
}
void check_fake_quant_f32(octk_fake_quant_f32_fn *kernel, const char *name) {
    each_fake_quant(name, kernel, NULL);
}
void check_straight_through_f32(octk_straight_through_f32_fn *kernel, const char *name) {
    each_fake_quant(name, NULL, kernel);
}

/* As many products as rounds say, in some time: a fixed number to a round. */
static void check_peak(octk_peak_fn *kernel, const char *name) {
    const int64_t one = kernel(1);
    if (one < 8 || one % 8 || kernel(7) != 7 * one || kernel(1000) != 1000 * one)
        ck_abort_msg("%s: products of a round", name);
}
void check_peak_f32(octk_peak_fn *kernel, const char *name) { check_peak(kernel, name); }
void check_peak_s16(octk_peak_fn *kernel, const char *name) { check_peak(kernel, name); }
void check_peak_u8(octk_peak_fn *kernel, const char *name) { check_peak(kernel, name); }
void check_peak_tiles(octk_peak_fn *kernel, const char *name) { check_peak(kernel, name); }
