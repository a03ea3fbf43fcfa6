/* SPDX-License-Identifier: MIT
 * Layers of nets that are float whole, where sums may have any order: Winograd with weights
 * transformed once; linear layers over all images of a call. Between quantized layers neither is
 * allowed (law 12). */
#include "ops/conv_winograd.h"
#include "qat/int8/float_node.h"
#include "src/mem.h"

typedef struct winograd {
    octi_conv g; /* of one image */
    const float *u;
} winograd;

static void run_winograd(const octi_fnode *f, const float *const *in, float *y, int64_t n,
                         const octi_part *part, void *scratch) {
    const winograd *w = f->own;
    const octi_part rows = {0, f->y.dim[1], part->first, part->last};
    octi_conv g = w->g;
    g.n = n;
    octi_winograd_run(&g, f->kernels, in[0], w->u, f->b, octi_fnode_clamp(f), y, part, scratch);
    for (int64_t i = 0; f->factor && i < n; i++) octi_fnode_finish(f, y + i * f->image_out, &rows);
}

static double winograd_cycles(const octi_fnode *f, const octi_part *part) {
    return octi_winograd_cycles(&((const winograd *)f->own)->g, f->kernels, part);
}

static oct_status init_winograd(const octi_finit *i, const octi_conv *g) {
    octi_fnode *f = i->f;
    winograd *w = octi_arena_calloc(i->arena, 1, sizeof *w);
    float *u = octi_arena_calloc(i->arena, octi_winograd_floats(g), sizeof *u);
    if (!w || !u) return oct_last_error()->code;
    octi_winograd_pack(g, f->w, u);
    *w = (winograd){*g, u};
    f->own = w;
    f->scratch = octi_winograd_scratch(g);
    f->path = OCTI_PATH_float_conv_winograd;
    f->all = run_winograd;
    f->cycles = winograd_cycles;
    f->tiles = (int32_t)octi_winograd_tiles(g);
    f->units = f->factor ? 1 : f->tiles; /* what stands behind a product goes by rows */
    f->panels = (int32_t)(g->o / OCTI_PANEL);
    return OCT_OK;
}

typedef struct linear { /* panels of 16: [panel][K][16]; bias [panels * 16] */
    const float *w, *bias;
} linear;

/* Images are the pixels of a convolution of one tap. */
static void run_linear(const octi_fnode *f, const float *const *in, float *y, int64_t n,
                       const octi_part *part, void *scratch) {
    enum { TOGETHER = 8 };
    static const int32_t run = 0;
    const linear *w = f->own;
    const int32_t k = (int32_t)f->x.dim[1], o = (int32_t)f->y.dim[1];
    const int64_t first = part->first;
    (void)scratch;
    int32_t pix[TOGETHER], out[TOGETHER];
    for (int32_t j = 0; j < TOGETHER; j++) pix[j] = j * k, out[j] = j * o;
    for (int64_t i = 0; i < n; i += TOGETHER)
        f->kernels->conv_f32(&(octk_conv_f32){.x = in[0] + i * k,
                                              .w = w->w + first * k,
                                              .bias = w->bias + first,
                                              .pix = pix,
                                              .run = &run,
                                              .out = out,
                                              .y = y + i * o + first,
                                              .np = n - i < TOGETHER ? (int32_t)(n - i) : TOGETHER,
                                              .runs = 1,
                                              .len = k,
                                              .o = (int32_t)(part->last - first),
                                              .clamp = octi_fnode_clamp(f)});
    for (int64_t i = 0; f->factor && i < n; i++) octi_fnode_finish(f, y + i * o, part);
}

static double linear_cycles(const octi_fnode *f, const octi_part *part) {
    const double products = (double)(f->x.dim[1] * (part->last - part->first));
    return products / octi_float_rate(f->kernels) + octi_float_weight_cycles((int64_t)products);
}

static oct_status init_linear(const octi_finit *i) {
    enum { PANEL = OCTI_PANEL };
    octi_fnode *f = i->f;
    const int64_t k = f->x.dim[1], o = f->y.dim[1], panels = (o + PANEL - 1) / PANEL;
    linear *l = octi_arena_calloc(i->arena, 1, sizeof *l);
    float *w = octi_arena_calloc(i->arena, (size_t)(panels * PANEL * k), sizeof *w),
          *bias = octi_arena_calloc(i->arena, (size_t)(panels * PANEL), sizeof *bias);
    if (!l || !w || !bias) return oct_last_error()->code;
    for (int64_t j = 0; j < o; j++) {
        for (int64_t e = 0; e < k; e++)
            w[(j / PANEL * k + e) * PANEL + j % PANEL] = f->w[j * k + e];
        if (f->b) bias[j] = f->b[j];
    }
    *l = (linear){w, bias};
    f->own = l;
    f->all = run_linear;
    f->cycles = linear_cycles;
    f->panels = octi_fnode_panels(o);
    return OCT_OK;
}

oct_status octi_fnode_init_free(const octi_finit *i, bool *taken) {
    const octi_fnode *f = i->f;
    *taken = f->kind == OCT_OP_linear && f->x.dim[1] < 1 << 24 && f->y.dim[1] < 1 << 24;
    if (*taken) return init_linear(i);
    if (f->kind != OCT_OP_conv2d) return OCT_OK;
    const octi_conv g = octi_conv_of(&f->a, &f->x, &f->y, 1);
    *taken = octi_conv_winograd_pays(&g, f->kernels);
    return *taken ? init_winograd(i, &g) : OCT_OK;
}
