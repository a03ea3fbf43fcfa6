/* SPDX-License-Identifier: MIT
 * Candidate `bytes`: codes as they lie in memory times s8, four at a time, by an instruction that
 * sums exactly in s32 (VPDPBUSD, SDOT, USDOT). Windows are contiguous runs of whole kernel rows, or
 * taps; the zero point goes into the bias, so the padding is the zero point's code. Serves every
 * shape: any stride, dilation, groups, and linear layers, whose images are the pixels. */
#include "ops/qconv.h"

#include "src/cpu.h"
#include "src/mem.h"

enum {
    BLOCK_PIXELS = 400, /* each has an entry in the table of places */
    FEW = 48,           /* an image of fewer pixels shares its block with others */
    MOST_IMAGES = 16
};

/* Outputs of a row. */
static int32_t columns(const octi_qconv *c) { return c->q / c->pool; }

/* `rows` rows of outputs, of each image. Of four lines in turn some may be left. */
static void multiply(const octi_qconv *c, const octi_bytes *own, octk_conv_rows *k, int32_t images,
                     int32_t rows) {
    const int32_t left = k->line && !k->pooled ? rows % OCTK_LINES : 0, each = c->pool * c->pool;
    k->np = images * (rows - left) * columns(c) * each;
    if (k->np) own->conv(k);
    if (!left) return;
    octk_conv_rows single = *k;
    single.pix = own->single;
    single.out = own->single + columns(c);
    single.line = 0;
    single.pair = own->pair;
    single.np = columns(c);
    for (int32_t i = rows - left; i < rows; i++) {
        single.x = (const uint8_t *)k->x + i * k->line;
        single.y = k->y + i * own->out.row;
        own->conv(&single);
    }
}

static void run(const octi_qrun *r, const octi_qcall *call) {
    const octi_qconv *c = r->u.conv;
    const octi_bytes *own = r->own;
    octk_conv_rows k = own->kernel;
    const bool whole = call->from == 0 && call->to == octi_row_units(c);
    const int32_t images = whole ? own->images : 1;
    const int32_t cg = c->c / c->groups;
    const octi_span span = octi_channels(c, call);
    const int32_t each = (span.to - span.from) / c->groups;
    const int64_t first_w = (int64_t)span.from * k.runs * k.steps * 4,
                  panels = (octk_lanes(c->o / c->groups) + OCTI_PANEL - 1) / OCTI_PANEL;
    k.o = each;
    k.dense &= each == c->o;
    for (int64_t i = 0; i < call->n; i += images) {
        const octk_image x =
            octi_framed(c, &own->in, &own->need, (const uint8_t *)call->in[0] + i * own->in.image,
                        call->scratch);
        const uint8_t *corner = x.base - c->pads[0] * x.row - c->pads[1] * x.pixel;
        const int32_t now = call->n - i < images ? (int32_t)(call->n - i) : images;
        for (int32_t p = call->from; p < call->to; p += own->band) {
            const int32_t count = call->to - p < own->band ? call->to - p : own->band;
            for (int32_t g = 0; g < c->groups; g++) {
                k.x = corner + (int64_t)p * c->pool * c->stride[0] * x.row + (int64_t)g * cg;
                const int64_t lane = octi_lane_begin(c, g) + span.from;
                k.w = (const int8_t *)own->kernel.w + g * own->group_w + first_w;
                k.run = own->kernel.run + (g * panels + span.from / OCTI_PANEL) * own->panel_run;
                k.b = own->kernel.b + lane;
                k.lift = octi_lift_at(&own->kernel.lift, lane);
                k.sums = own->kernel.sums + lane;
                k.by = octi_records_at(&own->kernel.by, lane);
                k.y = (uint8_t *)call->out + i * own->out.image + (p - call->first) * own->out.row +
                      (int64_t)g * each + span.from;
                multiply(c, own, &k, now, count);
            }
        }
    }
}

/* The kernel that shares loads between lines, and knows lifted sums. */
static bool on_512_bits(const octi_qconv *c) {
    return c->kernels->needs.conv_u8u8 & OCTI_CPU_AVX512VNNI;
}

/* One panel of 16 channels has a load for each product, unless pixels of several lines share it:
 * where the kernel can, and these lie as it asks. */
static bool shares_lines(const octi_qconv *c) {
    const bool one_panel = c->groups == 1 && octk_lanes(c->o) == OCTI_PANEL,
               lies = c->r > 1 && c->stride[0] == c->dilation[0] && octi_runs_of(c).taps == 1;
    return on_512_bits(c) && one_panel && lies && (c->pool > 1 || c->p >= OCTK_LINES) &&
           c->p * (int64_t)c->q >= FEW;
}

/* Places of runs, of outputs, and of the pixels of each, behind one another; where lines are taken
 * in turn, those of a line alone behind them. */
static oct_status make_places(const octi_qargs *q, const octi_qconv *c, const octk_image *x,
                              octi_bytes *own) {
    const octi_runs runs = octi_runs_of(c);
    octk_conv_rows *k = &own->kernel;
    k->line = shares_lines(c) ? c->stride[0] * x->row : 0;
    const int64_t columns_ = columns(c), count = (int64_t)own->images * own->band * columns_,
                  each = c->pool * c->pool, turn = k->line && c->pool == 1 ? OCTK_LINES : 1;
    const size_t places = (size_t)(runs.count + count * (each + 1) + 2 * columns_);
    int64_t *at = octi_arena_alloc(q->arena, places * sizeof *at), *pix = at + runs.count,
            *out = pix + count * each;
    if (!at) return oct_last_error()->code;
    k->run = at;
    k->pix = pix;
    k->out = out;
    int64_t *single = out + count;
    own->single = single;
    k->runs = runs.count;
    k->steps = (runs.length + 3) / 4;
    octi_place_runs(c, x, at);
    for (int64_t i = 0; i < count; i++) {
        const int64_t row = i / (turn * columns_) * turn + i % turn, image = row / own->band,
                      p = row % own->band, column = i % (turn * columns_) / turn;
        out[i] = image * own->out.image + p * own->out.row + column * own->out.pixel;
        for (int64_t n = 0; n < each; n++) {
            const int64_t down = k->line ? n % c->pool : n / c->pool,
                          right = k->line ? n / c->pool : n % c->pool;
            *pix++ = image * x->image + (p * c->pool + down) * c->stride[0] * x->row +
                     (column * c->pool + right) * c->stride[1] * x->pixel;
        }
    }
    for (int64_t i = 0; i < columns_; i++) {
        single[i] = i * c->stride[1] * x->pixel;
        single[columns_ + i] = i * own->out.pixel;
    }
    own->pair = columns_ * c->pool % 2 ? 0 : c->stride[1] * x->pixel;
    k->pair = k->line ? 0 : own->pair;
    k->dense = columns_ % 4 == 0 && own->out.pixel == c->o;
    return OCT_OK;
}

static oct_status pack(const octi_qargs *q, const octi_qconv *c, octi_bytes *own) {
    octi_panels p;
    OCT_TRY(octi_pack_codes(q, c, octk_lanes(c->o / c->groups), own->kernel.steps, &p));
    own->kernel.w = p.w;
    if (on_512_bits(c)) OCT_TRY(octi_lift_panels(q, c, &p));
    own->kernel.b = p.b;
    own->kernel.lift = p.lift;
    own->kernel.sums = p.sums;
    own->kernel.by = p.by;
    own->group_w = p.bytes;
    return OCT_OK;
}

oct_status octi_bind_bytes(const octi_qargs *q, octi_bytes **made) {
    const octi_qconv *c = octi_qconv_of(q);
    octi_qrun *r = q->r;
    octi_bytes *own = *made = octi_arena_calloc(q->arena, 1, sizeof *own);
    if (!own) return oct_last_error()->code;
    own->in = q->in_at[0];
    own->out = *q->out_at;
    own->need = octi_codes_halo(c);
    own->frame = octi_frame_bytes(c, &own->in, &own->need);
    own->images = 1;
    own->band = octi_row_units(c);
    if (c->p * (int64_t)c->q < FEW) {
        /* a frame holds one image */
        own->images = own->frame ? 1 : FEW / (c->p * c->q);
        if (own->images > MOST_IMAGES) own->images = MOST_IMAGES;
    } else {
        const int32_t turn = shares_lines(c) ? OCTK_LINES : 1;
        while (own->band > turn && (int64_t)own->band * c->pool * c->q > BLOCK_PIXELS)
            own->band = (own->band + 1) / 2;
        own->band = (own->band + turn - 1) / turn * turn;
    }
    own->kernel = (octk_conv_rows){
        .o = c->o / c->groups, .zy = c->zy, .lo = c->lo, .hi = c->hi, .pooled = c->pool > 1};
    const octk_image x = octi_frame_pitches(c, &own->in, &own->need);
    OCT_TRY(make_places(q, c, &x, own));
    OCT_TRY(pack(q, c, own));
    r->scratch = own->frame;
    r->own = own;
    r->run = run;
    return OCT_OK;
}

static oct_status bind(const octi_qargs *q) {
    octi_bytes *own;
    OCT_TRY(octi_bind_bytes(q, &own));
    own->conv = q->r->kernels->conv_u8u8;
    q->r->kernel = q->r->kernels->name.conv_u8u8;
    return OCT_OK;
}

/* What one panel takes on 512 bits beside what a wide layer's panels do: pixels of four lines share
 * loads, and what is left of four lines is a call for each; eight lanes begin and end as slowly as
 * sixteen. With 75 for a call on 99 layers of 8 to 32 pixels, 3 to 16 channels, 3x3 and 5x5, within
 * a tenth. */
static double one_panel(const octi_qconv *c, double steps) {
    const double pixels = (double)c->p * c->q;
    if (shares_lines(c))
        return (c->pool == 1 ? c->p % OCTK_LINES * 150 : 0) - pixels * (0.03 * steps + 0.4);
    return c->groups == 1 && octk_lanes(c->o) < OCTI_PANEL ? 2.3 * pixels : 0;
}

/* Measured on a Sapphire Rapids, on 37 layers, within a tenth of most (a step of 64 products in
 * 1.07 cycles is 60 of the 64 that its instruction reaches on 256 bits; 119 of 127 on 512); of a
 * Zen 4, whose 512 bits go at half that rate, from a probe's layers. Others (NEON) are reckoned. */
static double cycles(const octi_qconv *c) {
    static const octi_row_cost costs[] = {
        {0, 1.1, 10, 0.5, 0.25},
        {OCTI_CPU_AVXVNNI, 1.07, 5.3, 0.75, 0.41, 0.04, 200},
        {OCTI_CPU_AVX512VNNI, 0.54, 3.5, 0.93, 0.25, 0.03, 75},
        {OCTI_CPU_AVX512VNNI | OCTI_CPU_ZEN, 1.05, 2.5, 0.95, 0.33},
    };
    const octi_runs runs = octi_runs_of(c);
    const double steps = (double)runs.count * ((runs.length + 3) / 4),
                 all =
                     octi_row_cycles(c, costs, sizeof costs / sizeof *costs,
                                     c->kernels->needs.conv_u8u8, steps, octi_weight_bytes(c) / 2);
    return on_512_bits(c) ? all + one_panel(c, steps) : all;
}

static bool offered(const octk_table *kernels) { return kernels->needs.conv_u8u8; }

const octi_candidate octi_qconv_bytes = {
    .name = "bytes",
    .offered = offered,
    .unfit = octi_codes_unfit,
    .cycles = cycles,
    .halo = octi_codes_halo,
    .units = octi_row_units,
    .panels = octi_panels_of,
    .bind = bind,
    .pools = true,
};
