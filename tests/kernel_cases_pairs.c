/* SPDX-License-Identifier: MIT
 * The kernel that keeps sums of products in s16: weights drawn up to the very bound that its caller
 * proves, all codes the largest one, both signs; a panel's own order of steps. */
#include "tests/kernel_cases.h"

/* `n` weights that share a sum in s16, `apart` from each other two by two: as the bound allows, or
 * exactly at it. */
static void draw_group(octi_rng *r, int8_t *w, int n, int64_t apart, int qmax, bool at_bound) {
    int up = 32767 / qmax, down = 32768 / qmax;
    const bool positive = below(r, 2);
    for (int i = 0; i < n; i++) {
        int8_t *at = &w[i / 2 * apart + i % 2];
        if (at_bound) {
            const int most = positive ? 127 : 128, left = positive ? up : down, later = n - 1 - i;
            int v = left < most ? left : most;
            const int least = left > later * most ? left - later * most : 0;
            if (later && least < v) v = least + below(r, v - least + 1);
            *at = (int8_t)(positive ? v : -v);
        } else {
            const int v = below(r, 256) - 128;
            *at = (int8_t)(v > up ? up : v < -down ? -down : v);
        }
        if (*at > 0) up -= *at;
        if (*at < 0) down += *at;
    }
}

/* A panel: its table and its weights, [steps][width][4]. */
static void draw_panel(octi_rng *r, int64_t *table, int8_t *w, int steps, int width, int qmax,
                       bool at_bound) {
    const int twice = below(r, steps / 2 + 1);
    *table++ = twice;
    for (int k = 0; k < steps; k++) table[k] = below(r, 4 * steps + 1);
    for (int k = 0; k < steps; k++)
        for (int l = 0; l < width; l++)
            for (int half = 0; half < 2; half++) {
                int8_t *at = w + (k * width + l) * 4 + 2 * half;
                if (k >= 2 * twice)
                    draw_group(r, at, 2, 0, qmax, at_bound);
                else if (k % 2 == 0)
                    draw_group(r, at, 4, (int64_t)width * 4, qmax, at_bound);
            }
}

static int64_t sum_of(const uint8_t *x, const int64_t *table, const int8_t *w, int steps, int width,
                      int lane) {
    int64_t sum = 0;
    for (int k = 0; k < steps; k++)
        for (int i = 0; i < 4; i++) sum += x[table[1 + k] + i] * w[(k * width + lane) * 4 + i];
    return sum;
}

void check_pairs_u8u8(octk_pairs_u8u8_fn *kernel, const char *name) {
    octi_rng r = octi_rng_stream(1, OCTI_RNG_TEST, 176, 0);
    int exact = 0;
    for (int round = 0; round < 1500 / SANITIZED_PART; round++) {
        static const int largest[] = {127, 127, 255, 64};
        const int o = 1 + (round < 70 ? round : below(&r, 70)), lanes = octk_lanes(o),
                  steps = 1 + below(&r, round % 5 ? 12 : 90), pool = below(&r, 3) ? 1 : OCTK_POOLED,
                  np = pool * (1 + below(&r, 12)), room = 12 * steps + 64,
                  qmax = round % 5 == 4 ? 1 + below(&r, 255) : largest[round % 5],
                  panels = (lanes + 15) / 16;
        /* all codes the largest one: every sum a lane's own, at its bound, and each unit of it
         * shows in the code */
        const bool same = below(&r, 2), at_bound = same || below(&r, 2);
        uint8_t *x = untouched((size_t)room);
        int8_t *w = untouched((size_t)(lanes * steps * 4));
        int64_t *table = untouched((size_t)(panels * (1 + steps)) * 8),
                *pix = untouched((size_t)np * 8), *out = untouched((size_t)np * 8);
        int32_t *b = untouched((size_t)(lanes + 16) * 4),
                *numbers = untouched((size_t)(lanes + 16) * 8);
        float *m = untouched((size_t)(lanes + 16) * 4);
        for (int i = 0; i < room; i++) x[i] = (uint8_t)(same ? qmax : below(&r, qmax + 1));
        for (int p = 0; p < panels; p++)
            draw_panel(&r, table + p * (1 + steps), w + p * 16 * steps * 4, steps,
                       octk_panel_lanes(lanes, 16 * p), qmax, at_bound);
        for (int l = 0; l < lanes + 16; l++) {
            b[l] = below(&r, 1 << 20) - (1 << 19);
            m[l] = same ? 1 : 1e-4f * (0.1f + octi_rng_uniform(&r));
            if (same && l < lanes) {
                const int p = l / 16;
                b[l] = below(&r, 256) - (int32_t)sum_of(x, table + p * (1 + steps),
                                                        w + p * 16 * steps * 4, steps,
                                                        octk_panel_lanes(lanes, 16 * p), l % 16);
            }
        }
        const int64_t pitch = o + below(&r, 7);
        for (int i = 0; i < np; i++)
            pix[i] = below(&r, room - 4 * steps - 4), out[i] = (round % 2 ? i : np - 1 - i) * pitch;
        const size_t bytes = (size_t)(np * pitch);
        uint8_t *want = untouched(bytes);
        octk_conv_rows a = {.x = x,
                            .w = w,
                            .pix = pix,
                            .out = out,
                            .run = table,
                            .b = b,
                            .by = same ? (octq_multipliers){.law = OCTQ_FP32, .m = m}
                                       : draw_records(&r, m, numbers, lanes + 16),
                            .y = untouched(bytes),
                            .np = np,
                            .runs = steps,
                            .steps = 1,
                            .o = o,
                            .zy = same ? 0 : below(&r, 256),
                            .lo = 0,
                            .hi = 255,
                            .pooled = pool > 1};
        for (int i = 0; i < np; i++)
            for (int l = 0; l < lanes; l++) {
                const int p = l / 16, channel = octk_lane_channel(lanes, l);
                if (channel >= o) continue;
                const int64_t sum =
                    b[l] + sum_of(x + pix[i], table + p * (1 + steps), w + p * 16 * steps * 4,
                                  steps, octk_panel_lanes(lanes, 16 * p), l % 16);
                uint8_t *at = want + out[i / pool] + channel;
                const uint8_t code = (uint8_t)law_of_sum(&a.by, l, (int32_t)sum, a.zy, a.lo, a.hi);
                if (i % pool == 0 || code > *at) *at = code;
                exact += same;
            }
        kernel(&a);
        same_bytes(name, a.y, want, bytes);
        free(x), free(w), free(table), free(pix), free(out), free(b), free(numbers), free(m);
        free(want), free(a.y);
    }
    ck_assert_int_gt(exact, 0);
}
