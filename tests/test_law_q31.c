/* SPDX-License-Identifier: MIT
 * Law 16 (src/qround.h), held against other words for the same: the high half as a truncating
 * division with a nudge, the right shift as a division with a half away from zero, records by what
 * they stand for; pinned numbers, ends, ties. */
#include "tests/oct_test.h"

#include <math.h>

#include "src/qround.h"
#include "src/rng.h"

static int64_t saturated(int64_t v) {
    return v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : v;
}

/* A half goes up where the doubled product is cut, and away from zero where it is shifted right. */
static int64_t in_words(int32_t x, int32_t q31, int32_t shift) {
    const int64_t a = shift > 0 ? saturated((int64_t)x * (INT64_C(1) << shift)) : x, ab = a * q31,
                  nudge = ab >= 0 ? INT64_C(1) << 30 : 1 - (INT64_C(1) << 30),
                  high = (ab + nudge) / (INT64_C(1) << 31);
    if (shift >= 0) return high;
    const int64_t by = INT64_C(1) << -shift;
    return high < 0 ? -((-2 * high + by) / (2 * by)) : (2 * high + by) / (2 * by);
}

START_TEST(scaling_is_what_the_words_say) {
    static const int32_t odd[] = {0,
                                  1,
                                  -1,
                                  2,
                                  -2,
                                  3,
                                  -3,
                                  1 << 20,
                                  -(1 << 20),
                                  INT32_MAX,
                                  INT32_MIN,
                                  INT32_MAX - 1,
                                  INT32_MIN + 1,
                                  1 << 30,
                                  -(1 << 30),
                                  255 * 127,
                                  -255 * 127};
    static const int32_t multipliers[] = {
        0, 1, 1 << 30, (1 << 30) + 1, 0x60000000, INT32_MAX - 1, INT32_MAX};
    const int n = sizeof odd / sizeof *odd, k = sizeof multipliers / sizeof *multipliers;
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 500, 0);
    for (int round = 0; round < 400000; round++) {
        const int32_t shift = (int32_t)octi_rng_below(&r, 62) - 31,
                      x = round % 3 ? (int32_t)octi_rng_u32(&r) >> octi_rng_below(&r, 31)
                                    : odd[octi_rng_below(&r, (uint32_t)n)],
                      q31 = round % 2 ? (int32_t)(octi_rng_u32(&r) >> 1)
                                      : multipliers[octi_rng_below(&r, (uint32_t)k)];
        const int64_t want = in_words(x, q31, shift);
        if (octq_q31_scale(x, q31, shift) != want)
            ck_abort_msg("%d * %d, shift %d: %d, not %lld", x, q31, shift,
                         octq_q31_scale(x, q31, shift), (long long)want);
        const int32_t z = (int32_t)octi_rng_below(&r, 256), lo = z / 2, hi = 255 - (255 - z) / 3;
        const int64_t code = want + z < lo ? lo : want + z > hi ? hi : want + z;
        ck_assert_int_eq(octq_q31_code(x, q31, shift, z, lo, hi), code);
    }
}
END_TEST

START_TEST(pinned_roundings) {
    /* m = 1/4: (1 << 30, -1). 2/4: a half, first cut to 1/2 + 1/2 = 1 = 1/2 again, away from 0 */
    ck_assert_int_eq(octq_q31_scale(2, 1 << 30, -1), 1);
    ck_assert_int_eq(octq_q31_scale(-2, 1 << 30, -1), -1);
    ck_assert_int_eq(octq_q31_scale(6, 1 << 30, -1), 2);
    /* 5/4 rounds twice: 2.5 up to 3, 1.5 away to 2; once it would be 1 */
    ck_assert_int_eq(octq_q31_scale(5, 1 << 30, -1), 2);
    ck_assert_int_eq(octq_q31_scale(-5, 1 << 30, -1), -1);
    ck_assert_int_eq(octq_q31_scale(1, 1 << 30, 0), 1);  /* 1/2: up */
    ck_assert_int_eq(octq_q31_scale(-1, 1 << 30, 0), 0); /* -1/2: up */
    ck_assert_int_eq(octq_q31_scale(77, 1 << 30, 1), 77);
    ck_assert_int_eq(octq_q31_scale(-77, 1 << 30, 1), -77);
    /* a left shift saturates */
    ck_assert_int_eq(octq_q31_scale(1 << 20, INT32_MAX, 30), INT32_MAX - 1);
    ck_assert_int_eq(octq_q31_scale(-(1 << 20), 1 << 30, 30), -(1 << 30));
    /* means: half away from the code 128 */
    ck_assert_int_eq(octq_q31_average(128 + 129, 2), 129);
    ck_assert_int_eq(octq_q31_average(127 + 128, 2), 127);
    ck_assert_int_eq(octq_q31_average(0, 9), 0);
    ck_assert_int_eq(octq_q31_average(9 * 255, 9), 255);
    ck_assert_int_eq(octq_q31_average(128 * 9 + 4, 9), 128);
    ck_assert_int_eq(octq_q31_average(128 * 9 + 5, 9), 129);
    ck_assert_int_eq(octq_q31_average(128 * 9 - 5, 9), 127);
}
END_TEST

static void record(double m, int32_t q31, int32_t shift) {
    int32_t q, s;
    octq_q31_of(m, &q, &s);
    if (q != q31 || s != shift) ck_abort_msg("%a: %d, %d, not %d, %d", m, q, s, q31, shift);
}

START_TEST(records_of_multipliers) {
    record(0, 0, 0);
    record(1, 1 << 30, 1);
    record(0.5, 1 << 30, 0);
    record(0.25, 1 << 30, -1);
    record(0.75, 0x60000000, 0);
    record(1 - 0x1p-31, INT32_MAX, 0);
    record(1 - 0x1p-32, 1 << 30, 1); /* rounds up to 2^31: halved, one shift more */
    record(0.5 + 0x1p-32, (1 << 30) + 1, 0);
    record(0.5 + 0x1.8p-32, (1 << 30) + 1, 0);
    record(0.5 + 0x1p-33, 1 << 30, 0);
    record(0x1p-32, 1 << 30, -31);
    record(0x1.fp-33, 0, 0); /* too small: nothing */
    record(0x1p29, 1 << 30, 30);
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 501, 0);
    for (int i = 0; i < 20000; i++) {
        const float a = ldexpf(0.5f + octi_rng_uniform(&r), -(int)octi_rng_below(&r, 12)),
                    b = ldexpf(0.5f + octi_rng_uniform(&r), -(int)octi_rng_below(&r, 12)),
                    y = ldexpf(0.5f + octi_rng_uniform(&r), -(int)octi_rng_below(&r, 12));
        const double m = (double)a * (double)b / (double)y;
        int32_t q[3], s[3];
        octq_q31_of(m, q, s);
        ck_assert(q[0] >= 1 << 30);
        ck_assert(fabs(ldexp(q[0], s[0] - 31) - m) <= ldexp(0.5, s[0] - 31));
        octq_q31_add_of(a, b, y, q, s);
        const double twice = 2.0 * (double)fmaxf(a, b),
                     want[3] = {(double)a / twice, (double)b / twice,
                                twice / (1 << 20) / (double)y};
        for (int k = 0; k < 3; k++)
            ck_assert(fabs(ldexp(q[k], s[k] - 31) - want[k]) <= ldexp(0.5, s[k] - 31));
        ck_assert(s[0] <= 0 && s[1] <= 0 && (q[0] == 1 << 30 || q[1] == 1 << 30));
        const int n = 1 + (int)octi_rng_below(&r, 3000);
        octq_q31_mean_of(a, y, n, q, s);
        ck_assert(q[0] >= 0 && s[0] >= -31);
        const double one = (double)a / (double)y / n;
        ck_assert(fabs(ldexp(q[0], s[0] - 31) - one) <= ldexp(1.5, s[0] - 31));
        ck_assert(n > 1 || ldexp(q[0], s[0] - 31) >= one * (1 - 0x1p-31));
    }
}
END_TEST

START_TEST(add_and_rows) {
    /* 10 * 0.5 + 20 * 0.25 on a grid of 0.125: 80 */
    int32_t q[3], s[3];
    octq_q31_add_of(0.5f, 0.25f, 0.125f, q, s);
    ck_assert_int_eq(octq_q31_add(130, 120, 20, 0, q, s), 80);
    ck_assert_int_eq(octq_q31_add(110, 120, 0, 20, q, s), -80);
    /* rows are single codes, by either law, from any channel on */
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 502, 0);
    enum { N = 37, AT = 5 };
    float m[N + AT];
    int32_t q31[N + AT], shift[N + AT], acc[N];
    uint8_t y[N];
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < N + AT; i++) {
            m[i] = 0.001f * (0.1f + octi_rng_uniform(&r));
            octq_q31_of((double)m[i], &q31[i], &shift[i]);
        }
        for (int i = 0; i < N; i++) acc[i] = (int32_t)octi_rng_below(&r, 1 << 19) - (1 << 18);
        octq_requant_row(&(octq_multipliers){.law = OCTQ_FP32, .m = m}, AT, acc, N, 99, 3, 250, y);
        for (int i = 0; i < N; i++)
            ck_assert_int_eq(y[i], octq_requant(acc[i], m[AT + i], 99, 3, 250));
        octq_requant_row(&(octq_multipliers){.law = OCTQ_Q31, .q31 = q31, .shift = shift}, AT, acc,
                         N, 99, 3, 250, y);
        for (int i = 0; i < N; i++)
            ck_assert_int_eq(y[i], octq_q31_code(acc[i], q31[AT + i], shift[AT + i], 99, 3, 250));
    }
}
END_TEST

OCT_TEST_MAIN("law_q31", scaling_is_what_the_words_say, pinned_roundings, records_of_multipliers,
              add_and_rows)
