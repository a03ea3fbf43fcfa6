/* SPDX-License-Identifier: MIT
 * Candidate `rows`: a band of input rows widened to s16 (x - zx, zeros for padding), over which the
 * windows of all kernel rows are contiguous runs. Serves every shape: any stride, dilation, groups,
 * stems of one or three channels, and linear layers, whose images are the pixels. */
#include "ops/qconv.h"

#include <string.h>

#include "src/cpu.h"
#include "src/mem.h"

enum {
    BAND_BYTES = 24 << 10, /* of widened rows: they stay in the first-level cache */
    WIDE_BYTES =
        128 << 10,     /* in the second-level one: weights from memory are read for each band */
    BAND_PIXELS = 400, /* each has an entry in the table of places */
    FEW = 48,          /* an image of fewer pixels shares its block with others */
    MOST_IMAGES = 16
};

typedef struct rows {
    octk_conv_rows kernel; /* x, w, b, by, y, np filled per call */
    octi_layout in, out;
    int32_t images, band;       /* of a block: images, or units of one */
    int32_t frame_w;            /* pixels of a widened row */
    int64_t group_w, per_image; /* elements */
} rows;

/* Input rows from a widened one to the next: a kernel of one row needs none in between. */
static int32_t rows_apart(const octi_qconv *c) { return c->r == 1 ? c->stride[0] : 1; }
/* From the widened rows of an output row to those of the next. */
static int32_t row_step(const octi_qconv *c) { return c->stride[0] / rows_apart(c); }

/* Input rows that `count` output rows read. */
static int64_t frame_rows(const octi_qconv *c, int64_t count) {
    return (count - 1) * row_step(c) + (int64_t)(c->r - 1) * c->dilation[0] + 1;
}
static int64_t frame_width(const octi_qconv *c) {
    return (int64_t)(c->q - 1) * c->stride[1] + (int64_t)(c->s - 1) * c->dilation[1] + 1;
}

/* Outputs of a row. */
static int32_t columns(const octi_qconv *c) { return c->q / c->pool; }

/* Input rows from h0 on, widened. */
static void widen(const octi_qrun *r, const rows *own, const uint8_t *x, int64_t h0, int64_t count,
                  int16_t *y) {
    const octi_qconv *c = r->u.conv;
    const int64_t row = (int64_t)own->frame_w * c->c,
                  left = c->pads[1] < own->frame_w ? c->pads[1] : own->frame_w,
                  inside = own->frame_w - left < c->w ? own->frame_w - left : c->w,
                  right = own->frame_w - left - inside;
    for (int64_t i = 0; i < count; i++, y += row, h0 += rows_apart(c)) {
        if (h0 < 0 || h0 >= c->h) {
            memset(y, 0, (size_t)row * sizeof *y);
            continue;
        }
        if (left) memset(y, 0, (size_t)(left * c->c) * sizeof *y);
        r->kernels->widen_u8s16(x + h0 * own->in.row, inside * c->c, c->zx, y + left * c->c);
        if (right) memset(y + (left + inside) * c->c, 0, (size_t)(right * c->c) * sizeof *y);
    }
}

static void run(const octi_qrun *r, const octi_qcall *call) {
    const octi_qconv *c = r->u.conv;
    const rows *own = r->own;
    octk_conv_rows k = own->kernel;
    int16_t *frame = call->scratch;
    const bool whole = call->from == 0 && call->to == octi_row_units(c);
    const int32_t images = whole ? own->images : 1;
    const int32_t cg = c->c / c->groups;
    const octi_span span = octi_channels(c, call);
    const int32_t each = (span.to - span.from) / c->groups;
    const int64_t first_w = (int64_t)span.from * k.runs * k.steps * 2;
    k.o = each;
    for (int64_t i = 0; i < call->n; i += images)
        for (int32_t p = call->from; p < call->to; p += own->band) {
            const int32_t now = call->n - i < images ? (int32_t)(call->n - i) : images,
                          count = call->to - p < own->band ? call->to - p : own->band;
            for (int32_t e = 0; e < now; e++)
                widen(r, own, (const uint8_t *)call->in[0] + (i + e) * own->in.image,
                      (int64_t)p * c->pool * c->stride[0] - c->pads[0],
                      frame_rows(c, count * c->pool), frame + e * own->per_image);
            k.np = now * count * columns(c) * c->pool * c->pool;
            for (int32_t g = 0; g < c->groups; g++) {
                const int64_t lane = octi_lane_begin(c, g) + span.from;
                k.x = frame + (int64_t)g * cg;
                k.w = (const int16_t *)own->kernel.w + g * own->group_w + first_w;
                k.b = own->kernel.b + lane;
                k.by = octi_records_at(&own->kernel.by, lane);
                k.y = (uint8_t *)call->out + i * own->out.image + (p - call->first) * own->out.row +
                      (int64_t)g * each + span.from;
                r->kernels->conv_s16u8(&k);
            }
        }
}

/* Runs of a window: whole kernel rows where pixels follow each other, else taps. */
static bool whole_rows(const octi_qconv *c) { return c->groups == 1 && c->dilation[1] == 1; }

static oct_status make_runs(const octi_qargs *q, const octi_qconv *c, rows *own) {
    const int32_t taps = whole_rows(c) ? 1 : c->s, len = c->c / c->groups * (c->s / taps);
    int64_t *run_at = octi_arena_alloc(q->arena, (size_t)c->r * (size_t)taps * sizeof *run_at);
    if (!run_at) return oct_last_error()->code;
    for (int32_t i = 0; i < c->r * taps; i++)
        run_at[i] = ((int64_t)(i / taps) * c->dilation[0] * own->frame_w +
                     (int64_t)(i % taps) * c->dilation[1]) *
                    c->c * (int64_t)sizeof(int16_t);
    own->kernel.run = run_at;
    own->kernel.runs = c->r * taps;
    own->kernel.steps = (len + 1) / 2;
    return OCT_OK;
}

/* Outputs, and the pixels of each behind one another. */
static oct_status make_pixels(const octi_qargs *q, const octi_qconv *c, rows *own) {
    const int64_t count = (int64_t)own->images * own->band * columns(c), each = c->pool * c->pool;
    int64_t *pix = octi_arena_alloc(q->arena, (size_t)(count * (each + 1)) * sizeof *pix),
            *out = pix + count * each;
    if (!pix) return oct_last_error()->code;
    own->kernel.pix = pix;
    own->kernel.out = out;
    for (int64_t i = 0; i < count; i++) {
        const int64_t image = i / columns(c) / own->band, p = i / columns(c) % own->band,
                      at = i % columns(c);
        out[i] = image * own->out.image + p * own->out.row + at * own->out.pixel;
        for (int64_t k = 0; k < each; k++)
            *pix++ = (image * own->per_image +
                      ((p * c->pool + k / c->pool) * row_step(c) * own->frame_w +
                       (at * c->pool + k % c->pool) * c->stride[1]) *
                          (int64_t)c->c) *
                     (int64_t)sizeof(int16_t);
    }
    own->kernel.pair =
        columns(c) * c->pool % 2 ? 0 : (int64_t)c->stride[1] * c->c * (int64_t)sizeof(int16_t);
    return OCT_OK;
}

/* [group][panel][run][pair][lane][2] */
static oct_status pack(const octi_qargs *q, const octi_qconv *c, rows *own) {
    const int32_t each = c->o / c->groups, lanes = octk_lanes(each),
                  len = c->c / c->groups * (whole_rows(c) ? c->s : 1);
    const int64_t k_all = (int64_t)own->kernel.runs * own->kernel.steps;
    own->group_w = k_all * lanes * 2;
    int16_t *w = octi_arena_calloc(q->arena, (size_t)(own->group_w * c->groups), sizeof *w);
    if (!w) return oct_last_error()->code;
    own->kernel.w = w;
    for (int32_t j = 0; j < c->groups; j++)
        for (int32_t l = 0; l < lanes; l++) {
            const int32_t first = l / 16 * 16, width = octk_panel_lanes(lanes, first),
                          o = octk_lane_channel(lanes, l);
            if (o >= each) continue;
            const int8_t *from = c->weight + ((int64_t)j * each + o) * own->kernel.runs * len;
            int16_t *to = w + j * own->group_w + first * k_all * 2 + (l - first) * 2;
            for (int32_t n = 0; n < own->kernel.runs; n++)
                for (int32_t i = 0; i < len; i++)
                    to[((int64_t)n * own->kernel.steps + i / 2) * width * 2 + i % 2] =
                        from[(int64_t)n * len + i];
        }
    return octi_pack_lanes(q, c, lanes, &own->kernel.b, &own->kernel.by);
}

static oct_status bind(const octi_qargs *q) {
    const octi_qconv *c = octi_qconv_of(q);
    octi_qrun *r = q->r;
    rows *own = octi_arena_calloc(q->arena, 1, sizeof *own);
    if (!own) return oct_last_error()->code;
    own->in = q->in_at[0];
    own->out = *q->out_at;
    own->frame_w = (int32_t)frame_width(c);
    const int64_t row = (int64_t)own->frame_w * c->c * (int64_t)sizeof(int16_t);
    own->images = 1;
    own->band = octi_row_units(c);
    if (c->p * (int64_t)c->q < FEW) {
        own->images = FEW / (c->p * c->q);
        if (own->images > MOST_IMAGES) own->images = MOST_IMAGES;
    } else {
        const int64_t most = octi_weight_bytes(c) > OCTI_CACHED_WEIGHTS ? WIDE_BYTES : BAND_BYTES;
        while (own->band > 1 && (frame_rows(c, own->band * c->pool) * row > most ||
                                 (int64_t)own->band * c->pool * c->q > BAND_PIXELS))
            own->band = (own->band + 1) / 2;
    }
    own->per_image = frame_rows(c, own->band * c->pool) * own->frame_w * c->c;
    own->kernel = (octk_conv_rows){
        .o = c->o / c->groups, .zy = c->zy, .lo = c->lo, .hi = c->hi, .pooled = c->pool > 1};
    OCT_TRY(make_runs(q, c, own));
    OCT_TRY(make_pixels(q, c, own));
    OCT_TRY(pack(q, c, own));
    /* the second of an odd last pair is read too */
    r->scratch = ((size_t)(own->images * own->per_image + 2) * sizeof(int16_t) + 63) & ~(size_t)63;
    r->own = own;
    r->run = run;
    r->kernel = r->kernels->name.conv_s16u8;
    return OCT_OK;
}

static const char *unfit(const octi_qconv *c) {
    if (c->largest_value >= 0x1p31) return "a sum may leave s32 before its clamp";
    if (frame_rows(c, 1) * frame_width(c) > (1 << 28) / c->c) return "rows too long to widen";
    return NULL;
}

/* Measured on 37 layers: of Intel's instructions on a Sapphire Rapids; of Zen's AVX2 on a Zen 3
 * (tiles of 6 pixels by 16 channels: a pair 7.2 cycles, a tile 60), which serves NEON too; a Zen
 * 4's from its rate. */
static double cycles(const octi_qconv *c) {
    static const octi_row_cost costs[] = {
        {0, 1.2, 10, 0.5, 0.25},
        {OCTI_CPU_AVX2, 1.47, 6.4, 0.55, 0.35, 0.018},
        {OCTI_CPU_AVX2 | OCTI_CPU_ZEN, 1.2, 10, 0.5, 0.25, 0.02},
        {OCTI_CPU_AVXVNNI, 1.09, 6.0, 0.7, 0.31, 0.04, 200},
        {OCTI_CPU_AVX512VNNI, 0.65, 4.2, 0.86, 0.29, 0.03, 200},
        {OCTI_CPU_AVX512VNNI | OCTI_CPU_ZEN, 1.05, 3, 0.9, 0.29},
    };
    const double pairs = whole_rows(c) ? c->r * ((c->s * (double)c->c + 1) / 2)
                                       : (double)c->r * c->s * ((c->c / (double)c->groups + 1) / 2);
    const double widened = (double)frame_rows(c, c->p) * (double)frame_width(c) * c->c;
    return octi_row_cycles(c, costs, sizeof costs / sizeof *costs, c->kernels->needs.conv_s16u8,
                           pairs, octi_weight_bytes(c)) +
           widened / 8;
}

static bool offered(const octk_table *kernels) { return kernels->needs.conv_s16u8; }

const octi_candidate octi_qconv_rows = {
    .name = "rows",
    .offered = offered,
    .unfit = unfit,
    .cycles = cycles,
    .halo = octi_no_halo,
    .units = octi_row_units,
    .panels = octi_panels_of,
    .bind = bind,
    .pools = true,
};
