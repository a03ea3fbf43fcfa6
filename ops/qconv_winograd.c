/* SPDX-License-Identifier: MIT
 * Candidates `winograd4` and `winograd2`: exact integer Winograd F(4x4,3x3) and F(2x2,3x3) for 3x3
 * kernels of stride 1: a quarter, or four ninths, of the products (ops/kernels/kernels_wino.h has
 * matrices and bounds). `winograd4s2` and `winograd2s2`: the same for stride 2, nine sixteenths or
 * 25 of 36. Of either two the second one's weights are less than half as large: it wins where few
 * tiles share many of them. Tiles are taken from raw codes; the zero point goes into the bias, so
 * the padding is the zero point's code. */
#include "ops/qconv_winograd.h"

#include <string.h>

#include "src/cpu.h"
#include "src/mem.h"

typedef octi_wino_form form;
typedef octi_qwinograd winograd;
enum { G = OCTK_WINO_GROUP };

static const form F4 = {
    .tile = 4,
    .stride = 1,
    .edge = 6,
    .sums = 6,
    .v = {{6, 0, 0}, {-4, -4, -4}, {-4, 4, -4}, {1, 2, 4}, {1, -2, 4}, {0, 0, 3}},
    .factor = 576,
    .over = 64,
    .most = 1 << 25,
    .in = 83,
    .out = 175};
static const form F2 = {.tile = 2,
                        .stride = 1,
                        .edge = 4,
                        .sums = 4,
                        .v = {{2, 0, 0}, {1, 1, 1}, {1, -1, 1}, {0, 0, 2}},
                        .factor = 4,
                        .over = 4,
                        .most = 1 << 29,
                        .in = 32,
                        .out = 60};
/* in the order of octk_wino_s2_product */
static const form F4s2 = {.tile = 4,
                          .stride = 2,
                          .edge = 9,
                          .sums = 7,
                          .v = {{3, 0, 0},
                                {0, 6, 0},
                                {0, 0, 6},
                                {0, 6, 0},
                                {-3, 0, -3},
                                {-1, 0, 1},
                                {1, 0, 2},
                                {0, 6, 0},
                                {0, 6, 0}},
                          .factor = 36,
                          .over = 4,
                          .most = 1 << 29,
                          .in = 160,
                          .out = 190};
static const form F2s2 = {.tile = 2,
                          .stride = 2,
                          .edge = 5,
                          .sums = 3,
                          .v = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {0, 1, 0}, {1, 0, 1}},
                          .factor = 1,
                          .over = 1,
                          .most = INT64_C(1) << 31,
                          .in = 50,
                          .out = 45};

static int32_t tiles_of(const form *f, int32_t size) { return (size + f->tile - 1) / f->tile; }

/* Cells from a tile to the next one. */
static int32_t step_of(const form *f) { return f->tile * f->stride; }

/* Whole tiles: `edge` cells each. */
static octi_halo halo(const form *f, const octi_qconv *c) {
    const int32_t beyond = f->edge - step_of(f),
                  h = tiles_of(f, c->p) * step_of(f) + beyond - c->pads[0] - c->h,
                  w = tiles_of(f, c->q) * step_of(f) + beyond - c->pads[1] - c->w;
    return (octi_halo){c->pads[0], c->pads[1], h > 0 ? h : 0, w > 0 ? w : 0};
}

/* A tile of the rows of tiles that a call asks for, image after image. */
typedef struct cursor {
    int64_t image;
    int32_t row, column;
} cursor;

typedef struct job { /* of one call */
    const octi_qrun *r;
    const winograd *own;
    const octi_qcall *call;
    octk_image x; /* at the first tile's corner of the first image */
    uint8_t *y;
} job;

static cursor cursor_at(const job *j, int64_t t) {
    const int64_t rows = j->call->to - j->call->from, row = t / j->own->tiles_w;
    return (cursor){row / rows, j->call->from + (int32_t)(row % rows),
                    (int32_t)(t % j->own->tiles_w)};
}
static void next_row(const job *j, cursor *at) {
    at->column = 0;
    if (++at->row < j->call->to) return;
    at->row = j->call->from;
    at->image++;
}

/* Columns wait where the sums will be, which nobody reads by then: so first-level caches of 48 KB
 * keep all that one group of a layer of 16 channels takes. */
static void transform(const job *j, cursor at, int32_t count, int16_t *v, int32_t *m) {
    const winograd *own = j->own;
    const int64_t step = step_of(own->f);
    octk_wino_in_u8s16 k = {.v = v,
                            .columns = (int16_t *)(void *)m,
                            .blocks = own->blocks,
                            .row = j->x.row,
                            .pixel = j->x.pixel,
                            .place = (int64_t)own->blocks * G * 16,
                            .group = (int64_t)own->products * own->blocks * G * 16};
    for (int32_t t = 0; t < count; t += k.count, next_row(j, &at)) {
        k.count = own->tiles_w - at.column < count - t ? own->tiles_w - at.column : count - t;
        k.t = t;
        k.x = j->x.base + at.image * j->x.image + at.row * step * j->x.row +
              at.column * step * j->x.pixel;
        own->in(&k);
    }
}

/* Tiles that reach beyond the image, or fewer than 16 channels: each by way of a block. */
static void put_parts(const winograd *own, const octk_wino_out_s32u8 *to, int32_t rows,
                      int32_t columns, int32_t channels) {
    const int32_t tile = own->f->tile;
    uint8_t block[16 * 16];
    octk_wino_out_s32u8 k = *to;
    k.y = block, k.row = 64, k.pixel = 16, k.count = 1;
    for (int32_t x = 0; x < columns && x < to->count * tile; x++) {
        if (x % tile == 0) own->out(&k), k.t++;
        for (int32_t i = 0; i < rows; i++)
            memcpy(to->y + i * to->row + x * to->pixel, block + i * k.row + x % tile * k.pixel,
                   (size_t)channels);
    }
}

/* Elements of a panel's sums, of all groups. */
static int64_t panel_m(const winograd *own) { return (int64_t)own->groups * own->sums * G * 16; }

static void put(const job *j, const int32_t *m, cursor at, int32_t count, int32_t panel) {
    const octi_qconv *c = j->r->u.conv;
    const winograd *own = j->own;
    const int32_t tile = own->f->tile, channels = c->o - panel * 16 < 16 ? c->o - panel * 16 : 16,
                  whole = own->whole_w;
    octk_wino_out_s32u8 k = {.m = m,
                             .y = j->y, /* and count, t: where all are given, nothing is cleared */
                             .count = 0,
                             .t = 0,
                             .b = own->b + panel * 16,
                             .by = octi_records_at(&own->by, panel * 16),
                             .row = own->y_at.row,
                             .pixel = own->y_at.pixel,
                             .group = (int64_t)own->sums * G * 16,
                             .zy = c->zy,
                             .lo = c->lo,
                             .hi = c->hi,
                             .small = own->small};
    for (; k.t < count; k.t += k.count) {
        const int32_t rows = c->p - at.row * tile, end = at.column < whole ? whole : own->tiles_w;
        k.count = end - at.column < count - k.t ? end - at.column : count - k.t;
        k.y = j->y + at.image * own->y_at.image + panel * 16 +
              (at.row - j->call->first) * tile * k.row + at.column * tile * k.pixel;
        if (rows >= tile && at.column < whole && channels == 16)
            own->out(&k);
        else
            put_parts(own, &k, rows < tile ? rows : tile, c->q - at.column * tile, channels);
        if ((at.column += k.count) == own->tiles_w) next_row(j, &at);
    }
}

/* Products of count tiles with the weights of so many panels, a sum's products as if they were
 * channels. Weights come a few products at a time, for all tiles; while these are multiplied, each
 * group of tiles fetches its share of the next ones. A net's weights together hardly stay in a
 * second-level cache, so this pays for small ones, and costs nothing where they are near. */
static void multiply(const job *j, const int16_t *v, const int16_t *u, int32_t *m, int32_t count,
                     int32_t panels) {
    const winograd *own = j->own;
    const int32_t groups = (count + G - 1) / G,
                  lines = groups == 1 && own->near ? 0 : (8 + groups - 1) / groups;
    const int64_t place_v = (int64_t)own->blocks * G * 16, place_u = (int64_t)own->blocks * 16 * 16;
    for (int32_t e = 0; e < OCTI_WINO_STRETCHES && own->stretches[e].sums; e++) {
        const octi_wino_stretch s = own->stretches[e];
        const int32_t few = groups > 1 ? s.at_once : s.ahead,
                      step = groups > 1 ? few : s.sums; /* one group's go without a break */
        for (int32_t i = 0; i < s.sums; i += step) {
            const int32_t now = s.sums - i < step ? s.sums - i : step,
                          depth = own->blocks * s.products;
            octk_wino_mul_s16 k = {
                .u = u,
                .u_panel = own->products * place_u,
                .m_panel = panel_m(own),
                .positions = now,
                .blocks = depth,
                .panels = panels,
                .next = {(uintptr_t)(u + few * s.products * place_u), lines, groups == 1}};
            for (int32_t g = 0; g < groups; g++) {
                k.v = v + g * own->products * place_v;
                k.m = m + g * own->sums * G * 16;
                k.count = count - g * G < G ? count - g * G : G;
                j->r->kernels->wino_mul_s16(&k);
                k.next.at += (uintptr_t)(now * depth * lines) * 64;
            }
            v += now * s.products * place_v;
            u += now * s.products * place_u;
            m += now * G * 16;
        }
    }
}

/* All tiles of `images` images, a block of groups at a time: weights are read once for a block. */
static void run_images(const job *j, int64_t images) {
    const winograd *own = j->own;
    int16_t *v = (int16_t *)(void *)((uint8_t *)j->call->scratch + own->frame);
    int32_t *m = (int32_t *)(void *)((uint8_t *)j->call->scratch + own->frame + own->v);
    const int64_t all = images * (j->call->to - j->call->from) * own->tiles_w,
                  step = (int64_t)own->groups * G,
                  panel_u = (int64_t)own->products * own->blocks * 16 * 16;
    const int32_t first = j->call->panel, panels = j->call->panels ? j->call->panels : own->panels;
    for (int64_t t = 0; t < all; t += step) {
        const int32_t count = (int32_t)(all - t < step ? all - t : step);
        const cursor at = cursor_at(j, t);
        transform(j, at, count, v, m);
        for (int32_t panel = first; panel < first + panels; panel += own->together) {
            const int32_t left = first + panels - panel,
                          now = left < own->together ? left : own->together;
            multiply(j, v, own->u + panel * panel_u, m, count, now);
            for (int32_t i = 0; i < now; i++) put(j, m + i * panel_m(own), at, count, panel + i);
        }
    }
}

static void run(const octi_qrun *r, const octi_qcall *call) {
    const octi_qconv *c = r->u.conv;
    const winograd *own = r->own;
    /* a frame holds one image */
    const int64_t together = own->frame ? 1 : call->n;
    for (int64_t i = 0; i < call->n; i += together) {
        job j = {r, own, call, .y = (uint8_t *)call->out + i * own->y_at.image};
        j.x = octi_framed(c, &own->x_at, &own->need,
                          (const uint8_t *)call->in[0] + i * own->x_at.image, call->scratch);
        j.x.base -= c->pads[0] * j.x.row + c->pads[1] * j.x.pixel;
        run_images(&j, together);
    }
}

static int64_t weight_bytes(const form *f, const octi_qconv *c) {
    return (int64_t)f->edge * f->edge * ((c->c + 15) / 16) * ((c->o + 15) / 16) * 512;
}

enum { /* shares of the second-level cache, and weights of a few products */
       V_SHARE = 336 << 10,
       WIDE_SHARE = 640 << 10, /* where 512 bits multiply: such cores have 1 or 2 MB, and sums of
                                  several panels lie beside */
       AT_ONCE = 16 << 10,     /* the first-level cache keeps them for all groups */
       AHEAD = 4 << 10,        /* a third-level one answers in that time */
       NEAR = 3 << 19          /* weights of a net that a big second-level cache keeps */
};

/* Panels that its kernel multiplies at once. */
static int32_t together_of(const octi_qconv *c) {
    return c->kernels->needs.wino_mul_s16 & OCTI_CPU_AVX512VNNI ? 4 : 1;
}

/* Groups of tiles at a time: one where the weights stay in cache, since its sums then do in the
 * first-level one, else as many as do. */
static int32_t groups_of(const form *f, const octi_qconv *c) {
    const bool wide = together_of(c) > 1;
    const int64_t v = (int64_t)f->edge * f->edge * ((c->c + 15) / 16) * G * 32,
                  m = wide ? (int64_t)f->sums * f->sums * G * 64 * together_of(c) : 0,
                  share = wide ? WIDE_SHARE : V_SHARE;
    if (weight_bytes(f, c) <= OCTI_CACHED_WEIGHTS) return 1;
    return (v + m) * 2 > share ? 1 : (int32_t)(share / (v + m));
}

/* Whether the second-level cache keeps the weights of a net whose other layers are transformed too
 * (F4 makes eight bytes of one): multiplied on 512 bits, they then are better not fetched ahead. */
static bool stays_near(const form *f, const octi_qconv *c) {
    return together_of(c) > 1 && c->kernels->have & OCTI_CPU_BIG_L2 &&
           weight_bytes(f, c) + 8 * c->beside <= NEAR;
}

/* Products with so many bytes of weights. */
static int32_t products_of(const octi_qconv *c, int32_t bytes) {
    const int32_t few = bytes / 512 / ((c->c + 15) / 16) / together_of(c);
    return few < 1 ? 1 : few;
}

/* Sums of so many products each. */
static int32_t few_of(int32_t all, int32_t products) { return all > products ? all / products : 1; }

static oct_status bind(const octi_qargs *q, const form *f, octk_wino_in_fn *in,
                       octk_wino_out_fn *out) {
    const octi_qconv *c = octi_qconv_of(q);
    octi_qrun *r = q->r;
    winograd *own = octi_arena_calloc(q->arena, 1, sizeof *own);
    if (!own) return oct_last_error()->code;
    *own = (winograd){.f = f,
                      .in = in,
                      .out = out,
                      .x_at = q->in_at[0],
                      .y_at = *q->out_at,
                      .need = halo(f, c),
                      .small = octi_small_sums(c, f->factor, (int32_t)f->over),
                      .near = stays_near(f, c),
                      .products = f->edge * f->edge,
                      .sums = f->sums * f->sums,
                      .blocks = (c->c + 15) / 16,
                      .panels = (c->o + 15) / 16,
                      .tiles_w = tiles_of(f, c->q),
                      .whole_w = c->q / f->tile,
                      .groups = groups_of(f, c),
                      .together = together_of(c)};
    const int32_t n = f->sums - 2;
    if (f->stride == 1)
        own->stretches[0] = (octi_wino_stretch){own->sums, 1};
    else
        memcpy(own->stretches,
               (const octi_wino_stretch[OCTI_WINO_STRETCHES]){{4, 4}, {4 * n, 2}, {n * n, 1}},
               sizeof own->stretches);
    for (int32_t e = 0; e < OCTI_WINO_STRETCHES && own->stretches[e].sums; e++) {
        octi_wino_stretch *to = &own->stretches[e];
        to->at_once = few_of(products_of(c, AT_ONCE), to->products);
        to->ahead = few_of(products_of(c, AHEAD), to->products);
    }
    OCT_TRY(octi_pack_winograd(q, c, own));
    const size_t tiles = (size_t)own->groups * G * 16;
    own->frame = octi_frame_bytes(c, &own->x_at, &own->need);
    own->v = tiles * (size_t)own->products * (size_t)own->blocks * sizeof(int16_t);
    own->m = tiles * (size_t)(own->sums * own->together) * sizeof(int32_t);
    if (own->m < OCTK_WINO_COLUMNS) own->m = OCTK_WINO_COLUMNS;
    r->scratch = own->frame + own->v + own->m;
    r->own = own;
    r->run = run;
    r->kernel = r->kernels->name.wino_mul_s16;
    return OCT_OK;
}

static const char *unfit(const form *f, const octi_qconv *c) {
    if (c->r != 3 || c->s != 3 || c->stride[0] != f->stride || c->stride[1] != f->stride ||
        c->dilation[0] != 1 || c->dilation[1] != 1 || c->groups != 1)
        return "not 3x3 of its stride";
    if (c->pads[0] > 2 || c->pads[1] > 2 || c->pads[2] > 2 || c->pads[3] > 2) return "pads over 2";
    if (c->largest_output >= f->most) return "sums too large";
    if (c->largest_value >= 0x1p31) return "a sum may leave s32 before its clamp";
    if (c->least_m < 0x1p-100f) return "a multiplier too small to divide";
    if ((int64_t)c->c * c->o > 1 << 22) return "weights too large to transform";
    return NULL;
}

/* What a kernel of products costs. */
typedef struct cost {
    uint32_t needs;
    double transforms; /* so many times what `form` says */
    double products;   /* in a cycle */
    double byte;       /* cycles of a byte of weights from memory */
    double hidden;     /* so much of them while others are multiplied */
    double near;       /* cycles of a byte from the second-level cache, which keeps them all; 0: it
                          does not, or nothing waits for it */
    double at_hand;    /* the same where it keeps the net's besides; 0: no less */
} cost;

/* A tile's transforms, its products; weights that do not stay in cache come once for a block of
 * tiles. Measured on a Zen 3 (AVX2; NEON as that) and on a Sapphire Rapids; of a Zen 4 its rate. */
static double cycles(const form *f, const octi_qconv *c) {
    static const cost costs[] = {
        {0, 1, 25, 0.25, 0.75, 0},
        {OCTI_CPU_AVX2, 1.23, 22.4, 0.25, 0.5, 0.02},
        {OCTI_CPU_AVX2 | OCTI_CPU_ZEN, 1, 25, 0.25, 0.75, 0},
        {OCTI_CPU_AVXVNNI, 1.14, 29, 0.3, 0, 0.022},
        {OCTI_CPU_AVX512VNNI, 1.2, 50, 0.15, 0, 0.028, 0.01},
        {OCTI_CPU_AVX512VNNI | OCTI_CPU_ZEN, 1, 30, 0.25, 0, 0.01},
    };
    const cost *k = costs;
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++)
        if (octi_cost_counts(c, costs[i].needs, c->kernels->needs.wino_mul_s16)) k = &costs[i];
    const bool many = octi_weight_bytes(c) > OCTI_CACHED_WEIGHTS;
    const double tiles = (double)tiles_of(f, c->p) * tiles_of(f, c->q), blocks = (c->c + 15) / 16,
                 panels = (c->o + 15) / 16, all = f->edge * f->edge,
                 passes = tiles / (groups_of(f, c) * G),
                 products = tiles * blocks * panels * all * 256 / k->products,
                 near = k->at_hand && stays_near(f, c) ? k->at_hand : k->near,
                 first = many ? k->byte : near, again = many && !near ? k->byte : near,
                 streamed =
                     (double)weight_bytes(f, c) * (first + (passes > 1 ? (passes - 1) * again : 0)),
                 both = products + streamed * (1 - k->hidden);
    return k->transforms * tiles * (blocks * f->in + panels * f->out) +
           (both > streamed ? both : streamed);
}

#define CANDIDATE(n, tile)                                                                         \
    static bool offered##n(const octk_table *kernels) {                                            \
        return kernels->needs.wino_mul_s16 && kernels->needs.wino##n##_in_u8s16;                   \
    }                                                                                              \
    static const char *unfit##n(const octi_qconv *c) { return unfit(&F##n, c); }                   \
    static double cycles##n(const octi_qconv *c) { return cycles(&F##n, c); }                      \
    static octi_halo halo##n(const octi_qconv *c) { return halo(&F##n, c); }                       \
    static int32_t units##n(const octi_qconv *c) { return tiles_of(&F##n, c->p); }                 \
    static oct_status bind##n(const octi_qargs *q) {                                               \
        return bind(q, &F##n, q->r->kernels->wino##n##_in_u8s16,                                   \
                    q->r->kernels->wino##n##_out_s32u8);                                           \
    }                                                                                              \
    const octi_candidate octi_qconv_winograd##n = {.name = "winograd" #n,                          \
                                                   .offered = offered##n,                          \
                                                   .unfit = unfit##n,                              \
                                                   .cycles = cycles##n,                            \
                                                   .halo = halo##n,                                \
                                                   .units = units##n,                              \
                                                   .panels = octi_panels_of,                       \
                                                   .unit_rows = tile,                              \
                                                   .bind = bind##n};
CANDIDATE(4, 4)
CANDIDATE(2, 2)
CANDIDATE(4s2, 4)
CANDIDATE(2s2, 2)
