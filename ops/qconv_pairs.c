/* SPDX-License-Identifier: MIT
 * Candidate `pairs`: codes as they lie in memory times s8 by an instruction whose sums of two
 * products must stay inside s16 (VPMADDUBSW). That is proven from the layer's weights and the
 * largest code of its input, padding's zero point included: of every two neighbouring weights of a
 * step of four, for the whole layer, else it does not fit. Codes of seven bits always do. Beyond
 * that, steps of a panel are looked through for such as stay inside s16 added two by two, in all of
 * its channels; these come first in the panel's order. All else is `bytes`'. */
#include "ops/qconv.h"

#include <string.h>

#include "src/cpu.h"
#include "src/mem.h"

enum { TRIED = 32 /* steps that one is held against */ };

/* The largest sums of weights that stay inside s16, times the largest code: of positive ones, and
 * of the sizes of negative ones. */
typedef struct bounds {
    int32_t up, down;
} bounds;
static bounds bounds_of(const octi_qconv *c) {
    return (bounds){INT16_MAX / c->qmax, -INT16_MIN / c->qmax};
}

/* Of one step, its two pairs of weights in each lane: sums by sign. */
typedef struct step_sums {
    int16_t up[32], down[32];
} step_sums;

static step_sums sums_of(const int8_t *w, int32_t width) {
    step_sums s = {0};
    for (int32_t i = 0; i < 4 * width; i++) {
        if (w[i] > 0) s.up[i / 2] = (int16_t)(s.up[i / 2] + w[i]);
        if (w[i] < 0) s.down[i / 2] = (int16_t)(s.down[i / 2] - w[i]);
    }
    return s;
}

/* Whether sums of both may be added in s16. */
static bool mates(const step_sums *s, const step_sums *t, bounds b) {
    for (int32_t i = 0; i < 32; i++)
        if (s->up[i] + t->up[i] > b.up || s->down[i] + t->down[i] > b.down) return false;
    return true;
}

/* A panel's steps, mates first: order[count] and how many couples. `left` is room for count. */
static int64_t couple(const step_sums *s, int32_t count, bounds b, int32_t *order, int32_t *left) {
    int64_t couples = 0;
    int32_t alone = 0;
    for (int32_t k = 0; k < count; k++) {
        /* those that found nobody yet: the last ones first */
        int32_t i = alone - 1;
        while (i >= 0 && i >= alone - TRIED && !mates(&s[left[i]], &s[k], b)) i--;
        if (i < 0 || i < alone - TRIED) {
            left[alone++] = k;
            continue;
        }
        order[2 * couples] = left[i];
        order[2 * couples++ + 1] = k;
        memmove(left + i, left + i + 1, (size_t)(--alone - i) * sizeof *left);
    }
    memcpy(order + 2 * couples, left, (size_t)alone * sizeof *left);
    return couples;
}

/* Each panel's weights and places in its own order. */
static oct_status order(const octi_qargs *q, const octi_qconv *c, octi_bytes *own) {
    octk_conv_rows *k = &own->kernel;
    const int32_t lanes = octk_lanes(c->o / c->groups), count = k->runs * k->steps,
                  panels = octi_share_most(lanes, OCTI_PANEL);
    own->panel_run = 1 + count;
    int64_t *table =
        octi_arena_alloc(q->arena, (size_t)(c->groups * panels * own->panel_run) * sizeof *table);
    const octi_arena_mark mark = octi_arena_save(q->arena);
    step_sums *s = octi_arena_alloc(q->arena, (size_t)count * sizeof *s);
    int32_t *at = octi_arena_alloc(q->arena, (size_t)count * 2 * sizeof *at);
    int8_t *copy = octi_arena_alloc(q->arena, (size_t)count * OCTI_PANEL * 4);
    if (!table || !s || !at || !copy) return oct_last_error()->code;
    for (int32_t i = 0; i < c->groups * panels; i++) {
        const int32_t first = i % panels * OCTI_PANEL, width = octk_panel_lanes(lanes, first);
        const size_t bytes = (size_t)width * 4;
        int8_t *w =
            (int8_t *)(uintptr_t)k->w + i / panels * own->group_w + (int64_t)first * count * 4;
        int64_t *to = table + i * own->panel_run;
        for (int32_t n = 0; n < count; n++) s[n] = sums_of(w + n * (int64_t)bytes, width);
        to[0] = couple(s, count, bounds_of(c), at, at + count);
        memcpy(copy, w, (size_t)count * bytes);
        for (int32_t n = 0; n < count; n++) {
            to[1 + n] = k->run[at[n] / k->steps] + at[n] % k->steps * 4;
            memcpy(w + n * (int64_t)bytes, copy + at[n] * (int64_t)bytes, bytes);
        }
    }
    octi_arena_rewind(q->arena, mark);
    k->run = table;
    k->runs = count;
    k->steps = 1;
    return OCT_OK;
}

static oct_status bind(const octi_qargs *q) {
    octi_bytes *own;
    OCT_TRY(octi_bind_bytes(q, &own));
    OCT_TRY(order(q, octi_qconv_of(q), own));
    own->conv = q->r->kernels->pairs_u8u8;
    q->r->kernel = q->r->kernels->name.pairs_u8u8;
    return OCT_OK;
}

static const char *unfit(const octi_qconv *c) {
    const char *other = octi_codes_unfit(c);
    if (other) return other;
    const octi_runs runs = octi_runs_of(c);
    const bounds b = bounds_of(c);
    if (b.up >= 2 * INT8_MAX && b.down >= -2 * INT8_MIN) return NULL;
    const int64_t all = (int64_t)c->o * runs.count;
    for (int64_t n = 0; n < all; n++) {
        const int8_t *w = c->weight + n * runs.length;
        for (int32_t i = 0; i < runs.length; i += 2) {
            const int32_t v = w[i], next = i + 1 < runs.length ? w[i + 1] : 0;
            if ((v > 0 ? v : 0) + (next > 0 ? next : 0) > b.up ||
                (v < 0 ? v : 0) + (next < 0 ? next : 0) < -b.down)
                return "two neighbouring weights times the largest code may leave s16";
        }
    }
    return NULL;
}

/* Tiles of 4 pixels by 16 channels. A step among mates costs 7.3 cycles, alone 8.4, a tile 37 (on a
 * Sapphire Rapids without its VNNI); 6.8, 8.2 and 40 on a Zen 3, by what its instructions reach.
 * Weights that training drew towards zero find mates for nine steps of ten (mean sizes of 27 to
 * 47), such as are spread evenly over s8 for a quarter (64). One pixel takes two fifths of what
 * four do, and its weights come from memory as those of `nibbles` do. */
static double cycles(const octi_qconv *c) {
    static const struct {
        double step[2], tile; /* alone, among mates */
    } intel = {{8.4, 7.3}, 37}, amd = {{8.2, 6.8}, 40};
    const octi_runs runs = octi_runs_of(c);
    const int32_t lanes = octk_lanes(c->o / c->groups), panels = octi_share_most(lanes, OCTI_PANEL);
    const bool zen = octi_cost_counts(c, OCTI_CPU_ZEN, 0);
    const bool one_pixel = c->p * (int64_t)c->q == 1;
    const double tiles = one_pixel ? 0.4 : (double)c->p * c->q / 4,
                 steps = (double)runs.count * ((runs.length + 3) / 4),
                 mean = (double)c->largest_weight / ((double)runs.count * runs.length),
                 step = (zen ? amd : intel).step[mean < 58], tile = (zen ? amd : intel).tile;
    return c->groups * tiles * (lanes / 16.0 * steps * step + panels * tile) +
           (double)c->h * c->w * c->c / 16 +
           octi_weight_cycles(octi_weight_bytes(c) / 2, one_pixel ? 5.7 : 5);
}

/* Where an instruction sums four products in s32, that serves all weights and is faster. */
static bool offered(const octk_table *kernels) {
    return kernels->needs.pairs_u8u8 && !kernels->needs.conv_u8u8;
}

const octi_candidate octi_qconv_pairs = {
    .name = "pairs",
    .offered = offered,
    .unfit = unfit,
    .cycles = cycles,
    .halo = octi_codes_halo,
    .units = octi_row_units,
    .panels = octi_panels_of,
    .bind = bind,
    .pools = true,
};
