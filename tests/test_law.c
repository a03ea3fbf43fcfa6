/* SPDX-License-Identifier: MIT
 * The number law (src/qround.h) and qparams: pinned examples, edges, degenerate ranges. */
#include "tests/oct_test.h"

#include <float.h>
#include <math.h>

#include "src/qparams.h"
#include "src/qround.h"

START_TEST(quantize_divides_rounds_then_adds) {
    /* true division: the reciprocal gives 128 */
    ck_assert_int_eq(octq_quantize(0.273939937f, 0.00214854861f, 0, 0, 255), 127);
    /* ties to even, zero point added after rounding */
    ck_assert_int_eq(octq_quantize(0.5f, 1.0f, 1, 0, 255), 1);
    ck_assert_int_eq(octq_quantize(-0.5f, 1.0f, 1, 0, 255), 1);
    ck_assert_int_eq(octq_quantize(1.5f, 1.0f, 1, 0, 255), 3);
    ck_assert_int_eq(octq_quantize(2.5f, 1.0f, 1, 0, 255), 3);
    for (int z = 0; z < 256; z++) {
        ck_assert_int_eq(octq_quantize(NAN, 0.1f, z, 0, 255), z);
        ck_assert_int_eq(octq_quantize(INFINITY, 0.1f, z, 0, 255), 255);
        ck_assert_int_eq(octq_quantize(-INFINITY, 0.1f, z, 0, 255), 0);
        ck_assert_int_eq(octq_quantize(FLT_MAX, FLT_MIN, z, 0, 255), 255);
        ck_assert_int_eq(octq_quantize(-FLT_MAX, 1e-30f, z, 0, 255), 0);
    }
}
END_TEST

START_TEST(rne_is_rintf) {
    /* every exponent and sign, all top mantissa bits, and the neighbours of ties */
    for (uint64_t i = 0; i < 1u << 22; i++) {
        uint32_t bits = (uint32_t)(i << 10 | (i * 2654435761u & 1023));
        float v;
        memcpy(&v, &bits, 4);
        float a = octq_rne(v), b = rintf(v);
        bool same = a != a ? b != b : a == b && !signbit(a) == !signbit(b);
        if (!same) ck_abort_msg("%a: %a, rintf %a", v, a, b);
    }
    for (int i = -100000; i <= 100000; i++) {
        float t = (float)i + 0.5f;
        ck_assert(octq_rne(t) == rintf(t) &&
                  octq_rne(nextafterf(t, 1e9f)) == rintf(nextafterf(t, 1e9f)));
        ck_assert(octq_rne(nextafterf(t, -1e9f)) == rintf(nextafterf(t, -1e9f)));
    }
}
END_TEST

START_TEST(codes_survive_a_round_trip) {
    float s = 1e-6f;
    for (int i = 0; i < 400; i++, s *= 1.0731f)
        for (int z = 0; z < 256; z += 51)
            for (int q = 0; q < 256; q++)
                if (octq_quantize(octq_dequantize(q, s, z), s, z, 0, 255) != q)
                    ck_abort_msg("scale %a, z %d, code %d", s, z, q);
}
END_TEST

START_TEST(requant_edges) {
    ck_assert_int_eq(octq_requant(INT32_MAX, 1.0f, 3, 0, 255), 255);
    ck_assert_int_eq(octq_requant(INT32_MIN, 1.0f, 3, 0, 255), 0);
    ck_assert_int_eq(octq_requant(5, 0.5f, 10, 0, 255), 12); /* 2.5 -> 2 */
    ck_assert_int_eq(octq_requant(7, 0.5f, 10, 0, 255), 14); /* 3.5 -> 4 */
    ck_assert_int_eq(octq_requant(-5, 0.5f, 10, 0, 255), 8);
    ck_assert_int_eq(octq_requant(-5, 0.5f, 10, 10, 255), 10); /* fused relu: lower clamp at z */
    ck_assert_int_eq(octq_bias(1.25f, 0.5f, 1.0f), 2);         /* 2.5 -> 2 */
    ck_assert_int_eq(octq_bias(NAN, 1, 1), 0);
    ck_assert_int_eq(octq_add(255, 0, 1.0f, 255, 0, 1.0f, 0, 0, 255), 255);
    ck_assert_int_eq(octq_mul(0, 255, 255, 0, 1.0f, 0, 0, 255), 0);
}
END_TEST

static void expect_qparams(oct_qspec q, float lo, float hi, float s, int z) {
    float gs;
    int32_t gz;
    ck_ok(oct_qparams_from_range(&q, lo, hi, "t", &gs, &gz));
    ck_assert_msg(gs == s && gz == z, "[%g, %g]: expected (%.9g, %d), got (%.9g, %d)", lo, hi, s, z,
                  gs, gz);
    ck_ok(oct_qparams_check(&q, gs, gz, "t"));
}

START_TEST(qparams_of_ranges) {
    oct_qspec u8 = oct_qspec_activation(8, false), u7 = oct_qspec_activation(8, true),
              w8 = oct_qspec_weight(8, true);
    expect_qparams(u8, -1, 3, 4 / 255.0f, 64);
    expect_qparams(u8, 5, 5, 5 / 255.0f, 0);
    expect_qparams(u8, 0, 0, OCT_SCALE_MIN, 0);
    expect_qparams(u8, -2, -1, 2 / 255.0f, 255);
    expect_qparams(u8, 0, INFINITY, FLT_MAX / 255.0f, 0);
    expect_qparams(u8, -INFINITY, INFINITY, FLT_MAX / 255.0f, 255);
    expect_qparams(u7, 0, 1, 1 / 127.0f, 0);
    expect_qparams(w8, -1, 0.5f, 1 / 127.0f, 0);
    ck_assert_int_eq(w8.qmin, -127);
    ck_assert_int_eq(oct_qspec_weight(2, true).qmax, 1);
    ck_assert_int_eq(oct_qspec_activation(4, false).qmax, 15);
    float s;
    int32_t z;
    ck_fails(OCT_EQPARAMS, "no range",
             oct_qparams_from_range(&u8, INFINITY, -INFINITY, "fc1", &s, &z));
    ck_fails(OCT_EQPARAMS, "no range", oct_qparams_from_range(&u8, NAN, 1, "fc1", &s, &z));
    ck_fails(OCT_EQPARAMS, "scale", oct_qparams_check(&u8, 0, 0, "fc1"));
    ck_fails(OCT_EQPARAMS, "zero point", oct_qparams_check(&u8, 1, 256, "fc1"));
}
END_TEST

START_TEST(fold_and_weight_scale_are_safe) {
    oct_qspec w8 = oct_qspec_weight(8, true);
    ck_assert(oct_fold_factor(0, 1, 1e-5f) == 0x1p-20f);
    ck_assert(oct_fold_factor(-1e-30f, 1, 1e-5f) == -0x1p-20f);
    ck_assert(oct_fold_factor(2, 4 - 1e-5f, 1e-5f) > 0.999f);
    /* a dead channel with a large bias: the s32 bias stays inside +-2^30 */
    float s = oct_weight_scale(&w8, 0, 100.0f, 0.01f);
    ck_assert_int_le(abs(octq_bias(100.0f, 0.01f, s)), (1 << 30) + 64);
}
END_TEST

/* gamma / sqrt(var + eps) in double; eps counts where the variance is small, and alone where a
 * channel is dead. */
START_TEST(fold_by_the_formula) {
    static const float gammas[] = {0, 1, -1.5f, 0.001f, -1e-9f, 30},
                       vars[] = {0, 1e-6f, 1e-4f, 0.5f, 80}, epsilons[] = {1e-5f, 1e-3f, 0.5f};
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < 5; k++)
            for (int e = 0; e < 3; e++) {
                double want = (double)gammas[i] / sqrt((double)vars[k] + (double)epsilons[e]);
                if (fabs(want) < 0x1p-20) want = want < 0 ? -0x1p-20 : 0x1p-20;
                const float f = oct_fold_factor(gammas[i], vars[k], epsilons[e]);
                ck_assert(isfinite(f) && f == (float)want);
                ck_assert(oct_fold_bias(0.7f, -0.2f, f, 3) ==
                          (float)(((double)0.7f - (double)-0.2f) * (double)f + 3));
                ck_assert(isfinite(oct_fold_bias(100, -1e6f, f, 3)));
            }
    /* law 5: the range's scale, or what keeps the bias inside 2^30 */
    const oct_qspec w8 = oct_qspec_weight(8, true), w3 = oct_qspec_weight(3, true);
    ck_assert(oct_weight_scale(&w8, 2, 0, 0.1f) == 2 / 127.0f &&
              oct_weight_scale(&w3, 2, 0, 0.1f) == 2 / 3.0f);
    ck_assert(oct_weight_scale(&w8, 2, 1e9f, 0.5f) == (float)(1e9 / (0.5 * 0x1p30)) &&
              oct_weight_scale(&w8, 2, -1e9f, 0.5f) == (float)(1e9 / (0.5 * 0x1p30)));
    /* the input's scale is not known yet */
    ck_assert(oct_weight_scale(&w8, 2, 1e9f, 0) == 2 / 127.0f);
}
END_TEST

/* Up to a power of two, never down; powers of two stay. */
START_TEST(grids_of_powers_of_two) {
    oct_qspec q = oct_qspec_activation(8, false);
    ck_assert(oct_scale_on_grid(&q, 0.3f) == 0.3f);
    q.pow2 = true;
    ck_assert(oct_scale_on_grid(&q, 0.25f) == 0.25f && oct_scale_on_grid(&q, 0.2500001f) == 0.5f &&
              oct_scale_on_grid(&q, 0.3f) == 0.5f && oct_scale_on_grid(&q, 3) == 4);
    q.symmetric = true;
    expect_qparams(q, -1, 0.25f, 1 / 64.0f, 128); /* 1 / 127.5, up */
    q = (oct_qspec){.bits = 8, .qmin = -128, .qmax = 127, .symmetric = true};
    expect_qparams(q, -0.5f, 3, 3 / 127.5f, 0);
    expect_qparams(q, -3, 0.5f, 3 / 127.5f, 0);
}
END_TEST

/* The parts of the law that kernels use in another form, one by one: a zero point of each operand,
 * products in double. */
START_TEST(pieces_by_the_formula) {
    for (int a = 0; a < 256; a += 5)
        for (int b = 0; b < 256; b += 7) {
            ck_assert(octq_add_value(a, 3, 0.3f, b, 200, 0.7f) ==
                      (float)(a - 3) * 0.3f + (float)(b - 200) * 0.7f);
            ck_assert(octq_mul_value(a, 3, b, 200, 0.01f) == (float)((a - 3) * (b - 200)) * 0.01f);
            ck_assert_int_eq(
                octq_add(a, 3, 0.3f, b, 200, 0.7f, 9, 4, 250),
                octq_clamp(octq_rne((float)(a - 3) * 0.3f + (float)(b - 200) * 0.7f) + 9, 4, 250,
                           9));
            ck_assert_int_eq(octq_rescale(a, b, 1.7f, 11, 2, 240),
                             octq_clamp(octq_rne((float)(a - b) * 1.7f) + 11, 2, 240, 11));
        }
    int apart = 0, biases = 0, dynamic = 0; /* in float they would be others, somewhere */
    for (int i = 1; i < 400; i++) {
        const float x = 0.013f * (float)i, w = 0.0007f * (float)(i % 37 + 1),
                    y = 0.05f + 0.001f * (float)i, b = 37.3f * (float)i;
        ck_assert(octq_multiplier(x, w, y) == (float)((double)x * (double)w / (double)y));
        ck_assert(octq_ratio(x, y) == (float)((double)x / (double)y));
        ck_assert(octq_mean_multiplier(x, y, i) == (float)((double)x / ((double)i * (double)y)));
        ck_assert_int_eq(octq_bias(b, x, w), (int32_t)rint((double)b / ((double)x * (double)w)));
        ck_assert(octq_dynamic(i * 771, x, w, b) ==
                  (float)(i * 771) * (float)((double)x * (double)w) + b);
        ck_assert(octq_pixel((uint8_t)(i % 256), 255, 0.4f, 0.2f) ==
                  ((float)(i % 256) / 255 - 0.4f) / 0.2f);
        apart += octq_multiplier(x, w, y) != x * w / y;
        biases += octq_bias(b, x, w) != (int32_t)rint((double)b / (double)(x * w));
        dynamic += octq_mean_multiplier(x, y, i) != x / ((float)i * y);
    }
    ck_assert(apart > 0 && biases > 0 && dynamic > 0);
    ck_assert_int_eq(octq_bias(1e30f, 1, 1), 2147483647);
    ck_assert_int_eq(octq_bias(-1e30f, 1, 1), -2147483647);
    const uint8_t q[4] = {3, 9, 9, 1};
    float e[256];
    for (int k = 0; k < 256; k++) e[k] = octq_softmax_exp(0.1f, k);
    int32_t top;
    ck_assert(octq_softmax_sum(q, 4, e, &top) == ((e[6] + e[0]) + e[0]) + e[8] && top == 9);
    ck_assert(e[8] == (float)exp(-(double)0.1f * 8));
}
END_TEST

OCT_TEST_MAIN("law", fold_by_the_formula, grids_of_powers_of_two, pieces_by_the_formula,
              rne_is_rintf, quantize_divides_rounds_then_adds, codes_survive_a_round_trip,
              requant_edges, qparams_of_ranges, fold_and_weight_scale_are_safe)
