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
        ck_assert(octq_rne(t) == rintf(t) && octq_rne(nextafterf(t, 1e9f)) == rintf(nextafterf(t, 1e9f)));
        ck_assert(octq_rne(nextafterf(t, -1e9f)) == rintf(nextafterf(t, -1e9f)));
    }
}
END_TEST

START_TEST(codes_survive_a_round_trip) {
    float s = 1e-6f;
    for (int i = 0; i < 400; i++, s *= 1.0731f)
        for (int z = 0; z < 256; z += 51)
            for (int q = 0; q < 256; q++)
                if (octq_quantize(octq_dequantize(q, s, z), s, z, 0, 255) != q) ck_abort_msg("scale %a, z %d, code %d", s, z, q);
}
END_TEST

START_TEST(requant_edges) {
    ck_assert_int_eq(octq_requant(INT32_MAX, 1.0f, 3, 0, 255), 255);
    ck_assert_int_eq(octq_requant(INT32_MIN, 1.0f, 3, 0, 255), 0);
    ck_assert_int_eq(octq_requant(5, 0.5f, 10, 0, 255), 12);  /* 2.5 -> 2 */
    ck_assert_int_eq(octq_requant(7, 0.5f, 10, 0, 255), 14);  /* 3.5 -> 4 */
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
    ck_assert_msg(gs == s && gz == z, "[%g, %g]: expected (%.9g, %d), got (%.9g, %d)", lo, hi, s, z, gs, gz);
    ck_ok(oct_qparams_check(&q, gs, gz, "t"));
}

START_TEST(qparams_of_ranges) {
    oct_qspec u8 = oct_qspec_activation(8, false), u7 = oct_qspec_activation(8, true), w8 = oct_qspec_weight(8, true);
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
    ck_fails(OCT_EQPARAMS, "no range", oct_qparams_from_range(&u8, INFINITY, -INFINITY, "fc1", &s, &z));
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

OCT_TEST_MAIN("law", rne_is_rintf, quantize_divides_rounds_then_adds, codes_survive_a_round_trip, requant_edges, qparams_of_ranges,
              fold_and_weight_scale_are_safe)
