/* SPDX-License-Identifier: MIT
 * Candidate `nibbles`: linear layers, and others of one pixel, where no instruction sums codes in
 * s32: a code's halves of four bits times s8, whose sums of eight steps stay inside s16 for all
 * weights (VPMADDUBSW). Weights are as many bytes as products, half of what `rows` reads, and a
 * layer of one row does little else. The zero point goes into the bias. */
#include "ops/qconv.h"
#include "src/mem.h"

enum {
    MOST_IMAGES = 16,
    HALVES_BYTES = 16 << 10 /* of a call's images: they stay in the first-level cache */
};

typedef struct nibbles {
    octk_nibbles_u8u8 kernel; /* x, w, b, by, y, halves, n, o filled per call */
    int32_t images;           /* of a call */
} nibbles;

static void run(const octi_qrun *r, const octi_qcall *call) {
    const nibbles *own = r->own;
    octk_nibbles_u8u8 k = own->kernel;
    const octi_span span = octi_channels(r->u.conv, call);
    k.w += (int64_t)span.from * k.steps * 4;
    k.b += span.from;
    k.by = octi_records_at(&k.by, span.from);
    k.o = span.to - span.from;
    k.halves = call->scratch;
    for (int64_t i = 0; i < call->n; i += own->images) {
        k.x = (const uint8_t *)call->in[0] + i * k.x_image;
        k.y = (uint8_t *)call->out + i * k.y_image + span.from;
        k.n = call->n - i < own->images ? (int32_t)(call->n - i) : own->images;
        r->kernels->nibbles_u8u8(&k);
    }
}

static int32_t steps_of(const octi_qconv *c) {
    return (c->c + 4 * OCTK_NIBBLE_STEPS - 1) / (4 * OCTK_NIBBLE_STEPS) * OCTK_NIBBLE_STEPS;
}

static oct_status bind(const octi_qargs *q) {
    const octi_qconv *c = octi_qconv_of(q);
    octi_qrun *r = q->r;
    nibbles *own = octi_arena_alloc(q->arena, sizeof *own);
    if (!own) return oct_last_error()->code;
    const int32_t steps = steps_of(c);
    octi_panels p;
    OCT_TRY(octi_pack_codes(q, c, octk_lanes(c->o), steps, &p));
    *own = (nibbles){.kernel = {.w = p.w,
                                .b = p.b,
                                .by = p.by,
                                .x_image = q->in_at[0].image,
                                .y_image = q->out_at->image,
                                .k = c->c,
                                .steps = steps,
                                .zy = c->zy,
                                .lo = c->lo,
                                .hi = c->hi,
                                .far = p.bytes > OCTI_CACHED_WEIGHTS},
                     .images = HALVES_BYTES / (8 * steps)};
    if (own->images < 1) own->images = 1;
    if (own->images > MOST_IMAGES) own->images = MOST_IMAGES;
    r->scratch = (size_t)own->images * 8 * (size_t)steps;
    r->own = own;
    r->run = run;
    r->kernel = r->kernels->name.nibbles_u8u8;
    return OCT_OK;
}

static const char *unfit(const octi_qconv *c) {
    if (c->h != 1 || c->w != 1 || c->r != 1 || c->s != 1 || c->p != 1 || c->q != 1)
        return "several pixels";
    if (c->pads[0] || c->pads[1]) return "its one window lies on the border";
    if (c->groups > 1) return "groups";
    if (c->largest_value >= 0x1p31) return "a sum may leave s32 before its clamp";
    return NULL;
}

/* Of an image: panels of 16 channels by blocks of eight steps, codes' halves, and weights that come
 * from memory; on a Sapphire Rapids. Of several images the next ones cost as much. */
static double cycles(const octi_qconv *c) {
    const double panels = octk_lanes(c->o) / 16.0, blocks = steps_of(c) / OCTK_NIBBLE_STEPS;
    return panels * (28 * blocks + 8) + c->c / 8.0 +
           octi_weight_cycles(octi_weight_bytes(c) / 2, 5.7);
}

/* Where an instruction sums four products in s32, `bytes` is faster. */
static bool offered(const octk_table *kernels) {
    return kernels->needs.nibbles_u8u8 && !kernels->needs.conv_u8u8;
}

const octi_candidate octi_qconv_nibbles = {
    .name = "nibbles",
    .offered = offered,
    .unfit = unfit,
    .cycles = cycles,
    .halo = octi_no_halo,
    .units = octi_row_units,
    .panels = octi_panels_of,
    .bind = bind,
};
