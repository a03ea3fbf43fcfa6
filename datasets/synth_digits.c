/* SPDX-License-Identifier: MIT
 * synth-digits: written digits, 1x28x28. Strokes with jittered control points, a warp, a pen width,
 * uneven light, clutter and noise: a float LeNet learns it well, but not to the last sample. */
#include <math.h>
#include <string.h>

#include "datasets/synth.h"
#include "src/mem.h"
#include "src/threads.h"

enum { SIDE = 28 };

/* Paths in a box of 100 x 100: M moves, L draws a line, Q a quadratic curve (control point,
 * end). */
static const char *const glyphs[10][3] = {
    {"M50 8Q80 8 80 50Q80 92 50 92Q20 92 20 50Q20 8 50 8",
     "M55 8Q25 12 25 55Q27 92 48 92Q75 88 75 45Q72 10 45 12",
     "M48 12Q72 10 70 50Q68 90 48 90Q30 90 30 50Q32 12 52 10"},
    {"M50 8L50 92", "M32 28L54 8L54 92", "M34 26L54 10L54 90M34 90L74 90"},
    {"M22 28Q26 8 50 8Q78 8 78 32Q78 50 50 68L20 92L80 92",
     "M24 24Q40 4 62 12Q84 26 62 54Q44 76 24 88Q20 74 34 78Q56 96 80 84",
     "M24 20Q48 2 68 18Q78 36 56 58L24 90L78 88"},
    {"M24 18Q38 6 54 8Q78 12 74 32Q70 48 46 48Q80 50 80 70Q78 92 50 92Q28 92 20 78",
     "M22 10L76 10L46 42Q80 44 80 68Q78 92 48 92Q28 92 20 80",
     "M26 16Q70 0 70 28Q68 46 44 46Q78 46 74 72Q66 96 24 84"},
    {"M62 92L62 8L18 64L84 64", "M28 10L22 54L78 54M66 12L60 92", "M56 8L20 58L80 56M62 34L62 92"},
    {"M76 10L32 10L26 46Q42 36 58 40Q80 46 78 68Q74 92 46 92Q28 92 20 80",
     "M30 12L28 48Q60 36 74 56Q80 84 52 92Q34 94 22 84M30 12L78 10",
     "M74 12L36 12L30 44Q76 36 74 66Q70 92 26 88"},
    {"M70 12Q30 20 24 62Q24 92 50 92Q78 90 76 66Q72 46 50 46Q30 48 24 66",
     "M58 8Q28 40 24 70Q28 94 52 92Q78 86 72 62Q60 46 40 58Q28 66 26 76",
     "M46 8Q26 50 28 76Q40 96 62 88Q76 70 60 58Q42 54 30 74"},
    {"M20 10L80 10L44 92", "M20 12L80 10Q56 46 46 92M34 52L70 52",
     "M22 20L24 10L76 12Q54 40 44 92"},
    {"M50 48Q24 44 26 26Q30 8 50 8Q72 8 74 26Q74 44 50 48Q20 54 22 74Q26 92 50 92Q76 92 78 72Q78 "
     "54 50 48",
     "M74 20Q56 2 34 16Q24 36 50 48Q82 64 70 84Q50 98 30 84Q20 64 48 48Q76 36 74 20",
     "M68 16Q48 2 34 20Q34 36 56 50Q76 68 62 84Q40 96 32 76Q36 56 56 44Q76 30 66 14"},
    {"M76 34Q70 54 48 54Q24 52 24 32Q26 8 50 8Q76 8 76 34Q76 70 58 92",
     "M72 14Q40 2 26 26Q24 50 46 52Q68 48 72 14L66 92",
     "M70 28Q60 50 42 46Q26 38 36 18Q54 4 70 20L64 90"},
};

typedef struct pen {
    float a, b, c, d, tx, ty, bend_x, bend_y; /* affine map of the box to pixels, and a bend */
    float jitter;
    float radius, far2[SIDE * SIDE]; /* squared distance of each pixel to the strokes */
} pen;

static void map_point(const pen *p, octi_rng *r, float x, float y, float *px, float *py) {
    float u = (x - 50 + octi_synth_range(r, -p->jitter, p->jitter)) * 0.02f,
          v = (y - 50 + octi_synth_range(r, -p->jitter, p->jitter)) * 0.02f;
    float ub = u + p->bend_x * v * v, vb = v + p->bend_y * u * u;
    *px = p->a * ub + p->b * vb + p->tx;
    *py = p->c * ub + p->d * vb + p->ty;
}

static int clamp_pixel(float v) { return v <= 0 ? 0 : v >= SIDE - 1 ? SIDE - 1 : (int)v; }

static void segment(pen *p, float x0, float y0, float x1, float y1) {
    float reach = p->radius + 1, dx = x1 - x0, dy = y1 - y0, len2 = dx * dx + dy * dy;
    int left = clamp_pixel((x0 < x1 ? x0 : x1) - reach),
        right = clamp_pixel((x0 < x1 ? x1 : x0) + reach + 1);
    int top = clamp_pixel((y0 < y1 ? y0 : y1) - reach),
        bottom = clamp_pixel((y0 < y1 ? y1 : y0) + reach + 1);
    for (int y = top; y <= bottom; y++)
        for (int x = left; x <= right; x++) {
            float qx = (float)x - x0, qy = (float)y - y0,
                  t = len2 > 0 ? (qx * dx + qy * dy) / len2 : 0;
            t = t < 0 ? 0 : t > 1 ? 1 : t;
            float ex = qx - t * dx, ey = qy - t * dy, d2 = ex * ex + ey * ey;
            if (d2 < p->far2[y * SIDE + x]) p->far2[y * SIDE + x] = d2;
        }
}

static float read_number(const char **s) {
    int v = 0;
    while (**s == ' ') ++*s;
    while (**s >= '0' && **s <= '9') v = v * 10 + *(*s)++ - '0';
    return (float)v;
}

static void trace(pen *p, octi_rng *r, const char *path) {
    float x = 0, y = 0;
    while (*path) {
        char op = *path++;
        float px[2], py[2];
        for (int i = 0; i < (op == 'Q' ? 2 : 1); i++) {
            float gx = read_number(&path), gy = read_number(&path);
            map_point(p, r, gx, gy, &px[i], &py[i]);
        }
        if (op == 'L')
            segment(p, x, y, px[0], py[0]);
        else if (op == 'Q') {
            float fx = x, fy = y;
            for (int k = 1; k <= 8; k++) {
                float t = (float)k * 0.125f, u = 1 - t;
                float nx = u * u * x + 2 * t * u * px[0] + t * t * px[1],
                      ny = u * u * y + 2 * t * u * py[0] + t * t * py[1];
                segment(p, fx, fy, nx, ny);
                fx = nx, fy = ny;
            }
            px[0] = px[1], py[0] = py[1];
        }
        x = px[0], y = py[0];
    }
}

static void clear(pen *p) {
    for (int i = 0; i < SIDE * SIDE; i++) p->far2[i] = 1e6f;
}

/* Ink where the strokes cover a pixel, with soft edges. */
static void ink(const pen *p, float *image, float level) {
    for (int i = 0; i < SIDE * SIDE; i++) {
        if (p->far2[i] > 100) continue;
        float cover = p->radius + 0.5f - sqrtf(p->far2[i]);
        cover = cover < 0 ? 0 : cover > 1 ? 1 : cover;
        image[i] += (level - image[i]) * cover;
    }
}

/* A line of up to `most` a side from (x, y): drawn in statements, since the order in which
 * arguments are evaluated is a compiler's own and the images may not be. */
static void stroke(pen *p, octi_rng *r, float x, float y, float most) {
    float dy = octi_synth_range(r, -most, most), dx = octi_synth_range(r, -most, most);
    segment(p, x, y, x + dx, y + dy);
}

static void clutter(pen *p, octi_rng *r, float *image, float level) {
    for (int n = (int)octi_rng_below(r, 4); n > 0; n--) {
        clear(p);
        p->radius = octi_synth_range(r, 0.2f, 0.8f);
        float x = octi_synth_range(r, 0, SIDE), y = octi_synth_range(r, 0, SIDE);
        stroke(p, r, x, y, 9);
        ink(p, image, level * octi_synth_range(r, 0.4f, 1));
    }
    if (octi_rng_below(r, 4) == 0) { /* the edge of a neighbour */
        clear(p);
        p->radius = octi_synth_range(r, 0.8f, 1.4f);
        p->tx += octi_rng_below(r, 2) ? 19.0f : -19.0f;
        trace(p, r, glyphs[octi_rng_below(r, 10)][0]);
        ink(p, image, level);
    }
}

void octi_synth_draw_digit(octi_rng *r, int label, uint8_t *pixels) {
    pen p;
    float image[SIDE * SIDE], cosine, sine;
    octi_synth_turn(octi_synth_range(r, -0.17f, 0.17f), &cosine, &sine);
    float sx = octi_synth_range(r, 7.5f, 12), sy = octi_synth_range(r, 8.5f, 12.5f),
          shear = octi_synth_range(r, -0.35f, 0.25f);
    p.a = cosine * sx;
    p.b = (cosine * shear - sine) * sy;
    p.c = sine * sx;
    p.d = (sine * shear + cosine) * sy;
    p.tx = 13.5f + octi_synth_range(r, -2.5f, 2.5f);
    p.ty = 13.5f + octi_synth_range(r, -2.5f, 2.5f);
    p.bend_x = octi_synth_range(r, -0.2f, 0.2f);
    p.bend_y = octi_synth_range(r, -0.2f, 0.2f);
    p.jitter = 6;
    float paper = octi_synth_range(r, 0, 60), level = octi_synth_range(r, 110, 255),
          slope_x = octi_synth_range(r, -1.2f, 1.2f), slope_y = octi_synth_range(r, -1.2f, 1.2f);
    for (int i = 0; i < SIDE * SIDE; i++)
        image[i] = paper + slope_x * (float)(i % SIDE - 14) + slope_y * (float)(i / SIDE - 14);
    pen q = p;
    clutter(&q, r, image, level);
    p.radius = octi_synth_range(r, 0.7f, 1.9f);
    clear(&p);
    trace(&p, r, glyphs[label][octi_rng_below(r, 3)]);
    ink(&p, image, level);
    if (octi_rng_below(r, 5) == 0) { /* a scratch through the digit */
        clear(&q);
        q.radius = octi_synth_range(r, 0.5f, 1.1f);
        float x = octi_synth_range(r, 6, 22), y = octi_synth_range(r, 6, 22);
        stroke(&q, r, x, y, 8);
        ink(&q, image, paper);
    }
    float noise = octi_synth_range(r, 2, 45) * (1.0f / 255);
    for (int i = 0; i < SIDE * SIDE; i += 2) {
        uint32_t w = octi_rng_u32(r); /* two triangular values */
        pixels[i] =
            octi_synth_byte(image[i] + noise * (float)((int)(w & 255) - (int)(w >> 8 & 255)));
        pixels[i + 1] =
            octi_synth_byte(image[i + 1] + noise * (float)((int)(w >> 16 & 255) - (int)(w >> 24)));
    }
}

oct_data *octi_open_synth_digits(oct_ctx *ctx, const char *none, const oct_data_opts *opts) {
    (void)none;
    return octi_synth_open(ctx, "synth-digits", 1, SIDE, NULL, 0, octi_synth_draw_digit, opts);
}

/* ---- both sets ---- */

typedef struct draw_job {
    octi_synth_draw *draw;
    uint64_t seed;
    uint32_t key;
    int64_t count;
    size_t bytes;
    uint8_t *pixels;
} draw_job;

enum { CHUNK = 64 };

static void draw_chunk(void *arg, int64_t chunk) {
    draw_job *j = arg;
    for (int64_t i = chunk * CHUNK; i < (chunk + 1) * CHUNK && i < j->count; i++) {
        octi_rng r = octi_rng_stream(j->seed, OCTI_RNG_SYNTH, j->key, (uint32_t)i);
        j->draw(&r, (int)(i % 10), j->pixels + (size_t)i * j->bytes);
    }
}

static oct_status fill(oct_data *d, const char *const *names, uint32_t key, octi_synth_draw *draw,
                       const oct_data_opts *opts) {
    bool test = opts->split == OCT_SPLIT_TEST;
    d->dtype = OCT_U8;
    d->count = test ? OCTI_SYNTH_TEST : OCTI_SYNTH_TRAIN;
    /* the first ones: no other is drawn */
    if (opts->limit > 0 && opts->limit < d->count) d->count = opts->limit;
    OCT_TRY(octi_set_finish(d, opts, true));
    OCT_TRY(octi_set_number_classes(d, 10, names, opts));
    draw_job j = {draw,
                  opts->synth_seed ? opts->synth_seed : 1,
                  2 * key + test,
                  d->count,
                  octi_set_image_bytes(d),
                  NULL};
    int32_t *labels = octi_calloc(d->ctx, (size_t)d->count, sizeof *labels);
    d->owned[0] = j.pixels = octi_alloc_raw(d->ctx, (size_t)d->count * j.bytes);
    d->owned[1] = labels;
    if (!labels || !j.pixels) return oct_last_error()->code;
    for (int64_t i = 0; i < d->count; i++) labels[i] = (int32_t)(i % 10);
    octi_parallel_for(octi_ctx_pool(d->ctx), (d->count + CHUNK - 1) / CHUNK, draw_chunk, &j);
    d->pixels = j.pixels;
    d->labels = labels;
    return OCT_OK;
}

oct_data *octi_synth_open(oct_ctx *ctx, const char *name, int32_t channels, int32_t side,
                          const char *const names[10], uint32_t key, octi_synth_draw *draw,
                          const oct_data_opts *opts) {
    oct_data *d = octi_set_new(ctx, name);
    if (!d) return NULL;
    d->input = octi_input_desc(OCTI_NORM_PLAIN, channels, side, side);
    return fill(d, names, key, draw, opts) == OCT_OK ? d : octi_set_fail(d);
}
