/* SPDX-License-Identifier: MIT
 * synth-shapes: coloured, textured shapes before a textured ground with clutter, 3x32x32. */
#include <math.h>

#include "datasets/synth.h"

enum { SIDE = 32, LATTICE = 6 };

static const char *const shape_names[10] = {"disc", "ring",     "square", "triangle", "plus",
                                            "star", "crescent", "bar",    "heart",    "arrow"};

static float absf(float v) { return v < 0 ? -v : v; }

/* A five-pointed star: inside at least four of the five lines through its tips. */
static bool in_star(float u, float v) {
    static const float n[5][2] = {{0, 1},
                                  {0.95106f, 0.30902f},
                                  {0.58779f, -0.80902f},
                                  {-0.58779f, -0.80902f},
                                  {-0.95106f, 0.30902f}};
    int inside = 0;
    for (int i = 0; i < 5; i++) inside += n[i][0] * u + n[i][1] * v < 0.32f;
    return inside >= 4 && u * u + v * v < 1.2f;
}

static bool inside(int label, float u, float v) {
    float r2 = u * u + v * v;
    switch (label) {
    case 0:
        return r2 < 0.8f;
    case 1:
        return r2 < 0.85f && r2 > 0.3f;
    case 2:
        return absf(u) < 0.76f && absf(v) < 0.76f;
    case 3:
        return v < 0.6f && absf(u) < (v + 0.95f) * 0.58f;
    case 4:
        return (absf(u) < 0.26f && absf(v) < 0.88f) || (absf(v) < 0.26f && absf(u) < 0.88f);
    case 5:
        return in_star(u, v);
    case 6:
        return r2 < 0.85f && (u - 0.42f) * (u - 0.42f) + v * v > 0.5f;
    case 7:
        return absf(u) < 0.95f && absf(v) < 0.32f;
    case 8: {
        /* (x^2 + y^2 - 1)^3 = x^2 y^3 */
        float x = u * 1.2f, y = 0.2f - v * 1.2f, k = x * x + y * y - 1;
        return k * k * k < x * x * y * y * y;
    }
    default:
        return (u > -0.9f && u < 0.1f && absf(v) < 0.22f) ||
               (u >= 0.1f && u < 0.9f && absf(v) < (0.9f - u) * 0.85f);
    }
}

typedef struct texture {
    float base[3], other[3];
    float lattice[LATTICE * LATTICE];
    float stripe_x, stripe_y, mix;
} texture;

static void make_texture(octi_rng *r, texture *t, float spread) {
    for (int c = 0; c < 3; c++) {
        t->base[c] = octi_synth_range(r, 20, 235);
        t->other[c] = t->base[c] + octi_synth_range(r, -spread, spread);
    }
    for (int i = 0; i < LATTICE * LATTICE; i++) t->lattice[i] = octi_rng_uniform(r);
    t->stripe_x = octi_synth_range(r, -0.35f, 0.35f);
    t->stripe_y = octi_synth_range(r, -0.35f, 0.35f);
    t->mix = octi_rng_below(r, 2) ? octi_rng_uniform(r) : 0; /* share of stripes in the pattern */
}

static float pattern(const texture *t, int x, int y) {
    float fx = (float)x * ((LATTICE - 1) / 32.0f), fy = (float)y * ((LATTICE - 1) / 32.0f);
    int ix = (int)fx, iy = (int)fy;
    fx -= (float)ix;
    fy -= (float)iy;
    const float *p = t->lattice + iy * LATTICE + ix;
    float top = p[0] + (p[1] - p[0]) * fx, low = p[LATTICE] + (p[LATTICE + 1] - p[LATTICE]) * fx,
          smooth = top + (low - top) * fy;
    float phase = (float)x * t->stripe_x + (float)y * t->stripe_y + 64;
    phase -= (float)(int)phase;
    float wave = phase < 0.5f ? phase * 2 : 2 - phase * 2;
    return smooth + (wave - smooth) * t->mix;
}

static void paint(const texture *t, int x, int y, float cover, float *out) {
    float k = pattern(t, x, y);
    for (int c = 0; c < 3; c++) {
        float v = t->base[c] + (t->other[c] - t->base[c]) * k;
        out[c] += (v - out[c]) * cover;
    }
}

typedef struct place {
    float cx, cy, uu, uv, vu, vv; /* pixel to shape coordinates */
} place;

static place make_place(octi_rng *r, float turn, float least, float most, float low, float high) {
    float cosine, sine, s = octi_synth_range(r, least, most),
                        aspect = octi_synth_range(r, 0.85f, 1.18f);
    octi_synth_turn(octi_synth_range(r, -turn, turn), &cosine, &sine);
    float su = 1 / (s * aspect), sv = aspect / s;
    float cx = octi_synth_range(r, low, high), cy = octi_synth_range(r, low, high);
    return (place){cx, cy, cosine * su, sine * su, -sine * sv, cosine * sv};
}

static void stamp(int label, const place *p, const texture *t, float *image) {
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            int hits = 0;
            for (int k = 0; k < 4; k++) {
                float dx = (float)x + (float)(k & 1) * 0.5f - 0.25f - p->cx,
                      dy = (float)y + (float)(k >> 1) * 0.5f - 0.25f - p->cy;
                float u = p->uu * dx + p->uv * dy, v = p->vu * dx + p->vv * dy;
                if (u < -1.2f || u > 1.2f || v < -1.2f || v > 1.2f) continue;
                hits += inside(label, u, v);
            }
            if (hits) paint(t, x, y, (float)hits * 0.25f, image + 3 * (y * SIDE + x));
        }
}

/* Mean colour far enough from the ground's that the shape can be seen, though not by much. */
static void part_from(texture *t, const texture *ground) {
    float d = 0;
    for (int c = 0; c < 3; c++)
        d += absf((t->base[c] + t->other[c]) - (ground->base[c] + ground->other[c])) * 0.5f;
    if (d >= 75) return;
    for (int c = 0; c < 3; c++) {
        float shift = ground->base[c] + ground->other[c] > 255 ? -55.0f : 55.0f;
        t->base[c] += shift;
        t->other[c] += shift;
    }
}

void octi_synth_draw_shape(octi_rng *r, int label, uint8_t *pixels) {
    float image[SIDE * SIDE * 3] = {0};
    texture ground, ink;
    make_texture(r, &ground, 70);
    for (int i = 0; i < SIDE * SIDE; i++) paint(&ground, i % SIDE, i / SIDE, 1, image + 3 * i);
    /* small things that are no class: discs, bars, squares */
    for (int n = (int)octi_rng_below(r, 4); n > 0; n--) {
        static const int small[3] = {0, 7, 2};
        make_texture(r, &ink, 40);
        place p = make_place(r, 0.41f, 1.5f, 3.0f, 0, SIDE);
        stamp(small[octi_rng_below(r, 3)], &p, &ink, image);
    }
    make_texture(r, &ink, 60);
    part_from(&ink, &ground);
    place p = make_place(r, 0.25f, 6.5f, 12, 12, 20);
    stamp(label, &p, &ink, image);
    float noise = octi_synth_range(r, 2, 35) * (1.0f / 255);
    for (int i = 0; i < SIDE * SIDE * 3; i += 2) {
        uint32_t w = octi_rng_u32(r);
        pixels[i] =
            octi_synth_byte(image[i] + noise * (float)((int)(w & 255) - (int)(w >> 8 & 255)));
        pixels[i + 1] =
            octi_synth_byte(image[i + 1] + noise * (float)((int)(w >> 16 & 255) - (int)(w >> 24)));
    }
}

oct_data *octi_open_synth_shapes(oct_ctx *ctx, const char *none, const oct_data_opts *opts) {
    (void)none;
    return octi_synth_open(ctx, "synth-shapes", 3, SIDE, shape_names, 1, octi_synth_draw_shape,
                           opts);
}
