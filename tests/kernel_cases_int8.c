/* SPDX-License-Identifier: MIT
 * Integer kernels against the law, byte for byte, written as loops over single elements: halo and
 * slack around images, all codes, zero points and clamps at their ends, multipliers that saturate,
 * exact ties. */
#include <math.h>

#include "src/qround.h"
#include "tests/kernel_cases.h"

typedef struct codes { /* clamp and zero points; every fifth draw is at the ends */
    int zx, zx2, zy, lo, hi;
} codes;

static codes draw_codes(octi_rng *r) {
    codes c = {below(r, 256), below(r, 256), below(r, 256), 0, 255};
    if (below(r, 5) == 0)
        c.zx = 255 * below(r, 2), c.zx2 = 255 * below(r, 2), c.zy = 255 * below(r, 2);
    if (below(r, 2)) c.lo = below(r, c.zy + 1), c.hi = c.zy + below(r, 256 - c.zy);
    return c;
}

/* Multipliers: usual ones, exact ties, and those that drive everything into the clamp. */
static float draw_multiplier(octi_rng *r, float usual) {
    static const float odd[] = {0.5f, 1.0f, 0x1p-20f, 1e29f, 1e-38f};
    return below(r, 3) ? usual * (0.1f + octi_rng_uniform(r)) : odd[below(r, 5)];
}

static void draw_bytes(octi_rng *r, uint8_t *x, size_t n) {
    int style = below(r, 4);
    for (size_t i = 0; i < n; i++)
        x[i] = style == 0   ? 0
               : style == 1 ? 255
               : style == 2 ? (uint8_t)(i % 256)
                            : (uint8_t)below(r, 256);
}

/* An image with slack behind pixels, rows and images. */
static octk_image draw_image(octi_rng *r, int h, int w, int c, bool dense, int n, size_t *bytes) {
    octk_image i = {.pixel = c + (dense ? 0 : below(r, 5))};
    i.row = w * i.pixel + (dense ? 0 : below(r, 9));
    i.image = h * i.row + (dense ? 0 : below(r, 17));
    *bytes = (size_t)(n * i.image);
    i.base = untouched(*bytes);
    return i;
}

/* ---- element by element ---- */

typedef int one_fn(const octk_map_u8 *a, int x, int x2);
static one_fn law_add;

/* What y becomes; the rest of want stays. */
static void expect_map(const octk_map_u8 *a, one_fn *law, uint8_t *want) {
    for (int in = 0; in < a->n; in++)
        for (int ih = 0; ih < a->h; ih++)
            for (int iw = 0; iw < a->w; iw++)
                for (int ic = 0; ic < a->c; ic++)
                    want[in * a->y.image + ih * a->y.row + iw * a->y.pixel + ic] = (uint8_t)law(
                        a, a->x.base[in * a->x.image + ih * a->x.row + iw * a->x.pixel + ic],
                        a->x2.base[in * a->x2.image + ih * a->x2.row + iw * a->x2.pixel + ic]);
}

static one_fn law_add;
static void check_map(void (*kernel)(const octk_map_u8 *), const char *name, one_fn *law,
                      bool second, float usual) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 70, 0);
    static uint8_t table[256];
    for (int i = 0; i < 256; i++) table[i] = (uint8_t)(i * 7 + 3);
    for (int round = 0; round < 400; round++) {
        int n = 1 + below(&r, 3), h = 1 + below(&r, 4), w = 1 + below(&r, 4),
            c = round < 140 ? round + 1 : 1 + below(&r, 300);
        codes k = draw_codes(&r);
        if (below(&r, 3) == 0) k.zx2 = k.zy = k.lo = 0, k.hi = 255; /* behind a relu */
        size_t bx, b2, by;
        octk_map_u8 a = {.n = n,
                         .h = h,
                         .w = w,
                         .c = c,
                         .zx = k.zx,
                         .zx2 = k.zx2,
                         .zy = k.zy,
                         .lo = k.lo,
                         .hi = k.hi,
                         .table = table};
        const float m[3] = {draw_multiplier(&r, usual), draw_multiplier(&r, usual), 0.5f};
        int32_t numbers[6];
        a.by = draw_records(&r, m, numbers, 3);
        for (int i = 0; i < 2 && law == law_add; i++) /* as they are judged */
            if (a.by.law == OCTQ_Q31 && numbers[3 + i] > 0) numbers[3 + i] *= -1;
        if (law == law_add && round % 2) octi_lift_add(&a);
        a.x = draw_image(&r, h, w, c, below(&r, 2), n, &bx),
        a.y = draw_image(&r, h, w, c, below(&r, 2), n, &by);
        a.x2 = draw_image(&r, h, w, c, below(&r, 2), n, &b2);
        draw_bytes(&r, a.x.base, bx), draw_bytes(&r, a.x2.base, b2);
        if (second && below(&r, 3) == 0) a.x2.row = a.x2.pixel = 0; /* [N,1,1,C] */
        uint8_t *want = untouched(by);
        expect_map(&a, law, want);
        kernel(&a);
        same_bytes(name, a.y.base, want, by);
        for (int place = 0; place < 1 + second; place++) { /* y may be an operand */
            octk_map_u8 in_place = a;
            *(place ? &in_place.x2 : &in_place.x) = a.y;
            expect_map(&in_place, law, want);
            kernel(&in_place);
            same_bytes(name, a.y.base, want, by);
        }
        free(a.x.base), free(a.x2.base), free(a.y.base), free(want);
    }
}

static int law_add(const octk_map_u8 *a, int x, int x2) {
    if (a->by.law == OCTQ_Q31)
        return octq_whole_code(octq_q31_add(x, a->zx, x2, a->zx2, a->by.q31, a->by.shift), a->zy,
                               a->lo, a->hi);
    return octq_add(x, a->zx, a->by.m[0], x2, a->zx2, a->by.m[1], a->zy, a->lo, a->hi);
}
static int law_mul(const octk_map_u8 *a, int x, int x2) {
    return law_of_sum(&a->by, 0, (x - a->zx) * (x2 - a->zx2), a->zy, a->lo, a->hi);
}
static int law_rescale(const octk_map_u8 *a, int x, int x2) {
    return (void)x2, law_of_sum(&a->by, 0, x - a->zx, a->zy, a->lo, a->hi);
}
static int law_clip(const octk_map_u8 *a, int x, int x2) {
    return (void)x2, x < a->lo ? a->lo : x > a->hi ? a->hi : x;
}
static int law_table(const octk_map_u8 *a, int x, int x2) { return (void)x2, a->table[x]; }

/* Multipliers of which many sums lie at a half, so that the last bit of a product tells. */
static float draw_halves(octi_rng *r) {
    return (float)(2 * below(r, 40) + 1) / (float)(2 * (1 + below(r, 60)));
}

/* Lifted or not, the codes of all pairs. */
static void check_all_sums(octk_add_u8_fn *kernel, const char *name) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 71, 0);
    static uint8_t x[1 << 16], x2[1 << 16], y[1 << 16];
    for (int32_t i = 0; i < 1 << 16; i++) x[i] = (uint8_t)(i >> 8), x2[i] = (uint8_t)i;
    int lifted = 0, refused = 0;
    for (int round = 0; round < 60; round++) {
        codes k = draw_codes(&r);
        if (round % 3 == 0) k.zy = k.lo = 0, k.hi = round % 2 ? 255 : below(&r, 256);
        const float m[2] = {round % 2 ? draw_halves(&r) : draw_multiplier(&r, 1.0f),
                            round % 2 ? draw_halves(&r) : draw_multiplier(&r, 1.0f)};
        octk_map_u8 a = {.x.base = x,
                         .x2.base = x2,
                         .y.base = y,
                         .n = 1,
                         .h = 1,
                         .w = 1,
                         .c = 1 << 16,
                         .zx = k.zx,
                         .zx2 = k.zx2,
                         .zy = k.zy,
                         .lo = k.lo,
                         .hi = k.hi,
                         .by = {.law = OCTQ_FP32, .m = m}};
        octi_lift_add(&a);
        lifted += a.lift[0].bits != 0;
        refused += !a.lift[0].bits && m[0] < 1000 && m[1] < 1000;
        kernel(&a);
        for (int32_t i = 0; i < 1 << 16; i++)
            if (y[i] != law_add(&a, x[i], x2[i]))
                ck_abort_msg("%s: %d and %d at %.9g and %.9g: %d", name, x[i], x2[i], (double)m[0],
                             (double)m[1], y[i]);
    }
    ck_assert_int_gt(lifted, 20);
    ck_assert_int_gt(refused, 2);
}

void check_add_u8(octk_add_u8_fn *kernel, const char *name) {
    check_map(kernel, name, law_add, true, 1.0f);
    check_all_sums(kernel, name);
}
void check_mul_u8(octk_mul_u8_fn *kernel, const char *name) {
    check_map(kernel, name, law_mul, true, 0.01f);
}
void check_rescale_u8(octk_rescale_u8_fn *kernel, const char *name) {
    check_map(kernel, name, law_rescale, false, 1.0f);
}
void check_clip_u8(octk_clip_u8_fn *kernel, const char *name) {
    check_map(kernel, name, law_clip, false, 1.0f);
}
void check_table_u8(octk_table_u8_fn *kernel, const char *name) {
    check_map(kernel, name, law_table, false, 1.0f);
}

void check_softmax_u8(octk_softmax_u8_fn *kernel, const char *name) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 71, 0);
    for (int round = 0; round < 300; round++) {
        int n = 1 + below(&r, 2), h = 1 + below(&r, 3), w = 1 + below(&r, 3),
            c = round < 70 ? round + 1 : 1 + below(&r, 1000);
        /* 30: all but the largest underflow */
        float e[256], s = round % 7 ? 0.001f + octi_rng_uniform(&r) * 0.3f : 30.0f;
        for (int i = 0; i < 256; i++) e[i] = octq_softmax_exp(s, i);
        size_t bx, by;
        octk_map_u8 a = {.n = n,
                         .h = h,
                         .w = w,
                         .c = c,
                         .lo = 0,
                         .hi = round % 5 ? 255 : 200,
                         .exp = e,
                         .sy = 1.0f / 256};
        a.x = draw_image(&r, h, w, c, below(&r, 2), n, &bx),
        a.y = draw_image(&r, h, w, c, below(&r, 2), n, &by);
        draw_bytes(&r, a.x.base, bx);
        uint8_t *want = untouched(by);
        for (int in = 0; in < n; in++)
            for (int p = 0; p < h * w; p++) {
                const uint8_t *x = a.x.base + in * a.x.image + p / w * a.x.row + p % w * a.x.pixel;
                int32_t top;
                float sum = octq_softmax_sum(x, c, e, &top);
                for (int i = 0; i < c; i++)
                    want[in * a.y.image + p / w * a.y.row + p % w * a.y.pixel + i] =
                        (uint8_t)octq_clamp(octq_rne(octq_softmax_value(e[top - x[i]], sum, a.sy)),
                                            a.lo, a.hi, 0);
            }
        kernel(&a);
        same_bytes(name, a.y.base, want, by);
        free(a.x.base), free(a.y.base), free(want);
    }
}

/* ---- windows ---- */

static void draw_windows(octi_rng *r, int size, int out, int32_t *from, int32_t *to) {
    for (int i = 0; i < out; i++) {
        from[i] = below(r, size);
        to[i] = from[i] + 1 + below(r, size - from[i]);
    }
}

static void check_pool(void (*kernel)(const octk_pool_u8 *), const char *name, bool average) {
    enum { MOST = 24 };
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 72, 0);
    for (int round = 0; round < 300; round++) {
        /* now and then more cells than 16 bits hold the sum of */
        const int side = round % 8 ? 8 : MOST;
        int n = 1 + below(&r, 2), h = 1 + below(&r, side), w = 1 + below(&r, side),
            p = 1 + below(&r, 8), q = 1 + below(&r, 8),
            c = round < 140 ? round + 1 : 1 + below(&r, 200);
        int32_t h0[MOST], h1[MOST], w0[MOST], w1[MOST];
        float m[MOST * MOST + 1];
        int32_t numbers[2 * (MOST * MOST + 1)];
        draw_windows(&r, h, p, h0, h1), draw_windows(&r, w, q, w0, w1);
        codes k = draw_codes(&r);
        for (int i = 0; i <= MOST * MOST; i++)
            m[i] = draw_multiplier(&r, 1.0f / (float)(i ? i : 1));
        octq_multipliers record = draw_records(&r, m, numbers, MOST * MOST + 1);
        const bool shared = record.law == OCTQ_Q31 && below(&r, 2);
        if (shared) record = (octq_multipliers){.law = OCTQ_Q31}, k.zy = k.zx, k.lo = 0, k.hi = 255;
        size_t bx, by;
        octk_pool_u8 a = {.h0 = h0,
                          .h1 = h1,
                          .w0 = w0,
                          .w1 = w1,
                          .n = n,
                          .c = c,
                          .p = p,
                          .q = q,
                          .by = record,
                          .cells = below(&r, 2) ? 1 + below(&r, side * side) : 0,
                          .zx = k.zx,
                          .zy = k.zy,
                          .lo = k.lo,
                          .hi = k.hi};
        a.x = draw_image(&r, h, w, c, below(&r, 2), n, &bx),
        a.y = draw_image(&r, p, q, c, below(&r, 2), n, &by);
        draw_bytes(&r, a.x.base, bx);
        uint8_t *want = untouched(by);
        for (int64_t at = 0; at < (int64_t)n * p * q * c; at++) {
            int ic = (int)(at % c), iq = (int)(at / c % q), ip = (int)(at / c / q % p),
                in = (int)(at / c / q / p), most = 0, sum = 0, cells = 0;
            for (int ih = h0[ip]; ih < h1[ip]; ih++)
                for (int iw = w0[iq]; iw < w1[iq]; iw++, cells++) {
                    int v = a.x.base[in * a.x.image + ih * a.x.row + iw * a.x.pixel + ic];
                    most = v > most ? v : most;
                    sum += v - k.zx;
                }
            const int count = a.cells ? a.cells : cells;
            int code = most;
            if (average && shared) { /* half away from signed codes' 0; padding has the code z */
                const double mean = (sum + count * (k.zx - 128.0)) / count;
                code = 128 + (int)(mean < 0 ? -floor(0.5 - mean) : floor(mean + 0.5));
                code = code < 0 ? 0 : code > 255 ? 255 : code;
            } else if (average)
                code = law_of_sum(&record, count, sum, k.zy, k.lo, k.hi);
            want[in * a.y.image + ip * a.y.row + iq * a.y.pixel + ic] = (uint8_t)code;
        }
        kernel(&a);
        same_bytes(name, a.y.base, want, by);
        free(a.x.base), free(a.y.base), free(want);
    }
}

void check_max_pool_u8(octk_max_pool_u8_fn *kernel, const char *name) {
    check_pool(kernel, name, false);
}
void check_avg_pool_u8(octk_avg_pool_u8_fn *kernel, const char *name) {
    check_pool(kernel, name, true);
}

/* ---- convolution ---- */

void check_patch_u8s16(octk_patch_u8s16_fn *kernel, const char *name) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 73, 0);
    for (int round = 0; round < 1500; round++) {
        int h = 1 + below(&r, 7), w = 1 + below(&r, 7), cg = 1 + below(&r, round % 9 ? 20 : 70),
            c0 = round % 3 ? 0 : below(&r, 5);
        octk_patch_u8s16 a = {.rows = 1 + below(&r, 6),
                              .h0 = below(&r, 13) - 6,
                              .w0 = below(&r, 13) - 6,
                              .h = h,
                              .w_in = w,
                              .c0 = c0,
                              .cg = cg,
                              .r = 1 + below(&r, 4),
                              .s = 1 + below(&r, 4),
                              .stride_w = 1 + below(&r, 3),
                              .dil_h = 1 + below(&r, 2),
                              .dil_w = 1 + below(&r, 2),
                              .zx = below(&r, 5) ? below(&r, 256) : 255 * below(&r, 2)};
        size_t bx;
        a.x = draw_image(&r, h, w, c0 + cg, below(&r, 2), 1, &bx);
        draw_bytes(&r, a.x.base, bx);
        int64_t k = (int64_t)a.r * a.s * cg;
        a.pitch = k + below(&r, 17);
        size_t bytes = (size_t)(a.rows * a.pitch) * sizeof(int16_t);
        int16_t *want = untouched(bytes);
        a.out = untouched(bytes);
        memset(want, 0, bytes);
        for (int j = 0; j < a.rows; j++)
            for (int64_t e = 0; e < k; e++) {
                int ih = a.h0 + (int)(e / cg / a.s) * a.dil_h,
                    iw = a.w0 + j * a.stride_w + (int)(e / cg % a.s) * a.dil_w;
                if (ih >= 0 && ih < h && iw >= 0 && iw < w)
                    want[j * a.pitch + e] =
                        (int16_t)(a.x.base[ih * a.x.row + iw * a.x.pixel + c0 + e % cg] - a.zx);
            }
        kernel(&a);
        same_bytes(name, a.out, want, bytes);
        free(a.x.base), free(a.out), free(want);
    }
}

void check_dot_s16u8(octk_dot_s16u8_fn *kernel, const char *name) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 74, 0);
    for (int round = 0; round < 500; round++) {
        int rows = 1 + below(&r, 9), cols = round < 150 ? round + 1 : 1 + below(&r, 140),
            k = OCTK_K_STEP * (1 + below(&r, round % 4 ? 6 : 30));
        codes z = draw_codes(&r);
        int style = below(&r, 4); /* 0: largest sums that the proof allows in k <= 480 */
        octk_dot_s16u8 a = {.a_pitch = k + OCTK_K_STEP * below(&r, 2),
                            .w_pitch = k + OCTK_K_STEP * below(&r, 2),
                            .y_pitch = cols + below(&r, 9),
                            .rows = rows,
                            .cols = cols,
                            .k = k,
                            .zy = z.zy,
                            .lo = z.lo,
                            .hi = z.hi};
        int16_t *x = untouched((size_t)(rows * a.a_pitch) * 2),
                *w = untouched((size_t)(cols * a.w_pitch) * 2);
        int32_t *b = untouched((size_t)cols * 4);
        float *m = untouched((size_t)cols * 4);
        int32_t *numbers = untouched((size_t)cols * 8);
        for (int i = 0; i < rows; i++)
            for (int e = 0; e < k; e++)
                x[i * a.a_pitch + e] = (int16_t)(style ? below(&r, 511) - 255 : i % 2 ? 255 : -255);
        for (int j = 0; j < cols; j++) {
            for (int e = 0; e < k; e++)
                w[j * a.w_pitch + e] = (int16_t)(style ? below(&r, 256) - 128 : j % 2 ? 127 : -128);
            b[j] = style ? below(&r, 1 << 20) - (1 << 19)
                         : (j % 2 ? 1 : -1) * (INT32_MAX - 255 * 128 * k);
            m[j] = draw_multiplier(&r, 60.0f / (4000.0f * sqrtf((float)k)));
        }
        a.a = x, a.w = w, a.b = b, a.by = draw_records(&r, m, numbers, cols);
        size_t by = (size_t)(rows * a.y_pitch);
        uint8_t *want = untouched(by);
        a.y = untouched(by);
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < cols; j++) {
                int64_t sum = b[j];
                for (int e = 0; e < k; e++)
                    sum += (int64_t)x[i * a.a_pitch + e] * w[j * a.w_pitch + e];
                want[i * a.y_pitch + j] =
                    (uint8_t)law_of_sum(&a.by, j, (int32_t)sum, z.zy, z.lo, z.hi);
            }
        kernel(&a);
        same_bytes(name, a.y, want, by);
        free(x), free(w), free(b), free(m), free(numbers), free(a.y), free(want);
    }
}

/* ---- borders ---- */

/* All halves between two codes and their neighbours, a few of a block among others: by the inverse
 * of a scale, those of many scales, they would fall on the other side. */
static void check_halves(octk_quantize_f32u8_fn *kernel, const char *name, octi_rng *r) {
    enum { HALVES = 520, AROUND = 7, COUNT = HALVES * AROUND };
    static float x[COUNT];
    static uint8_t y[COUNT], want[COUNT];
    const int rounds = (oct_test_long() ? 100000 : 400) / SANITIZED_PART;
    for (int round = 0; round < rounds; round++) {
        const float s = ldexpf(1 + octi_rng_uniform(r), below(r, 226) - 125);
        const int z = below(r, 3) * 255 / 2, apart = 1 + below(r, 200);
        for (int i = 0; i < COUNT; i++) {
            const int at = (int)((int64_t)i * 2741 % COUNT); /* in no order */
            x[i] = ((float)(at / AROUND - HALVES / 2) + 0.5f) * s;
            for (int k = AROUND / 2; k < at % AROUND; k++) x[i] = nextafterf(x[i], INFINITY);
            for (int k = AROUND / 2; k > at % AROUND; k--) x[i] = nextafterf(x[i], -INFINITY);
            if (i % apart && round % 2) x[i] = s * (float)(i % 256);
            want[i] = (uint8_t)octq_quantize(x[i], s, z, 0, 255);
        }
        kernel(&(octk_quantize_f32u8){x, y, 1, COUNT, COUNT, s, z, 0, 255});
        same_bytes(name, y, want, COUNT);
    }
}

void check_quantize_f32u8(octk_quantize_f32u8_fn *kernel, const char *name) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 76, 0);
    static const float odd[] = {NAN,     INFINITY, -INFINITY, 0.0f,   -0.0f,
                                3.4e38f, -3.4e38f, 1e-45f,    -1e-45f};
    for (int round = 0; round < 400; round++) {
        int n = round < 100 ? round : below(&r, 1000), qmin = round % 4 ? 0 : below(&r, 100),
            qmax = round % 4 ? 255 : 127 + below(&r, 129), z = qmin + below(&r, qmax - qmin + 1);
        /* 0.25: ties */
        static const float rare[] = {0.25f,    0x1p-23f,   0x1p-126f,   0x1.8p-101f,
                                     0x1p101f, 0x1.fp100f, 0x1.77p127f, 0x1.5p-140f};
        float s = round % 9 ? 0.001f + octi_rng_uniform(&r) : rare[round / 9 % 8];
        const int rows = 1 + below(&r, 3), pitch = n + below(&r, 2) * below(&r, 9);
        const size_t bytes = (size_t)(rows * pitch) + 8;
        float *x = untouched((size_t)(rows * n) * 4);
        uint8_t *y = untouched(bytes), *want = untouched(bytes);
        for (int i = 0; i < rows * n; i++) {
            x[i] = below(&r, 8) ? s * ((float)below(&r, 700) - 350.0f) *
                                      (below(&r, 3) ? 0.5f : octi_rng_uniform(&r))
                                : odd[below(&r, 9)];
            if (below(&r, 2)) x[i] = nextafterf(x[i], below(&r, 2) ? INFINITY : -INFINITY);
            want[i / n * pitch + i % n] = (uint8_t)octq_quantize(x[i], s, z, qmin, qmax);
        }
        kernel(&(octk_quantize_f32u8){x, y, rows, n, pitch, s, z, qmin, qmax});
        same_bytes(name, y, want, bytes);
        free(x), free(y), free(want);
    }
    check_halves(kernel, name, &r);
}

void check_dequantize_u8f32(octk_dequantize_u8f32_fn *kernel, const char *name) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 77, 0);
    for (int round = 0; round < 300; round++) {
        int n = round < 100 ? round : 256 + below(&r, 100),
            z = round % 5 ? below(&r, 256) : 255 * (round & 1);
        float s = round % 9 ? octi_rng_uniform(&r) : 1.3e36f;
        uint8_t *x = untouched((size_t)n);
        float *y = untouched((size_t)n * 4 + 32), *want = untouched((size_t)n * 4 + 32);
        for (int i = 0; i < n; i++) x[i] = (uint8_t)(i + round), want[i] = s * (float)(x[i] - z);
        kernel(x, n, s, z, y);
        same_bytes(name, y, want, (size_t)n * 4 + 32);
        free(x), free(y), free(want);
    }
}
