/* SPDX-License-Identifier: MIT
 * Convolution without im2col. An image is copied into the middle of a zero-bordered one; then the
 * window of an output pixel is a few contiguous runs of floats at offsets that no pixel changes:
 *   forward    R runs of S*C floats (R*S runs of C/g where taps do not touch: dilation, groups)
 *   grad_x     the same over dy, with the taps turned around. A stride cuts dx into classes of
 *   pixels (row and column
 *              modulo the stride), each a dense convolution with its own taps: no zero is ever
 *              multiplied. Few input channels: the products of all taps by GEMM, added up where
 *              windows overlap
 *   grad_w     outer products of the same runs with dy
 * Images are independent; weight gradients are summed per slot of the batch. */
#include <string.h>

#include "ops/conv_internal.h"
#include "ops/kernels/kernels.h"

enum { PANEL = 16 };

/** A zero-bordered copy of images [h][w][c]: the image stands at (top, left). */
typedef struct frame {
    int64_t h, w, c, top, left, rows, cols;
} frame;

/** Output pixels that share their taps. */
typedef struct tap_class {
    int32_t np, runs, len;
    int32_t *pix, *out, *run; /* offsets in floats */
    float *w;                 /* [groups][panels][runs * len][PANEL] */
} tap_class;

/* The whole of a convolution, or of its grad_x, but the images. */
struct octi_direct {
    frame f;
    /* channels of a group on each side; floats of an output image */
    int64_t groups, from_group, to_group, out_image, panels;
    tap_class *cls;
    int64_t classes;
    int64_t across, step, reach; /* forward: pixels of an output row, frame rows to the next one and
                                    those that one reads */
    bool zero_first;             /* some output pixels have no taps */
    const float *bias;           /* [groups][panels * PANEL] */
    octk_clamp clamp;
    const octk_table *kernels;
};

typedef struct pass {
    const octi_direct *d;
    const float *src;
    float *dst, *padded; /* padded: [slots] frames, NULL where the image is its own frame */
    octi_cut cut;
} pass;

static int64_t frame_floats(const frame *f) { return f->rows * f->cols * f->c; }
static bool frame_is_image(const frame *f) { return f->rows == f->h && f->cols == f->w; }

/** Offsets inside an image are 32-bit. */
static oct_status check_frame(const frame *f, int64_t out_image) {
    int64_t limit = INT32_MAX;
    if (f->rows > limit || f->cols > limit || f->rows * f->cols > limit / f->c || out_image > limit)
        return octi_fail(
            OCT_ELIMIT, "conv2d", "image too large", "less than 2^31 floats",
            octi_fmt("%lld x %lld x %lld", (long long)f->rows, (long long)f->cols, (long long)f->c),
            NULL);
    return OCT_OK;
}

static void fill_frame(const frame *f, const float *image, float *framed) {
    for (int64_t y = 0; y < f->h; y++)
        memcpy(framed + ((y + f->top) * f->cols + f->left) * f->c, image + y * f->w * f->c,
               (size_t)(f->w * f->c) * sizeof(float));
}

static oct_status take_padded(octi_arena *scratch, const frame *f, int slots, float **padded) {
    *padded = NULL;
    if (frame_is_image(f)) return OCT_OK;
    *padded = octi_arena_calloc(scratch, (size_t)slots, (size_t)frame_floats(f) * sizeof(float));
    return *padded ? OCT_OK : oct_last_error()->code;
}

size_t octi_direct_frame(const octi_direct *d) {
    return frame_is_image(&d->f) ? 0 : (size_t)frame_floats(&d->f) * sizeof(float);
}

/* Pixels [at, at + np) of a class; of one group the channels [first, last) alone. */
static void run_class(const octi_direct *d, const tap_class *t, const float *image, float *y,
                      int64_t at, int64_t np, int64_t first, int64_t last) {
    const int64_t k = (int64_t)t->runs * t->len, group_w = k * PANEL * d->panels;
    for (int64_t g = 0; np && t->runs && g < d->groups; g++)
        d->kernels->conv_f32(
            &(octk_conv_f32){.x = image + g * d->from_group,
                             .w = t->w + g * group_w + first * k,
                             .bias = d->bias ? d->bias + g * d->panels * PANEL + first : NULL,
                             .pix = t->pix + at,
                             .run = t->run,
                             .out = t->out + at,
                             .y = y + g * d->to_group + first,
                             .np = (int32_t)np,
                             .runs = t->runs,
                             .len = t->len,
                             .o = (int32_t)(last - first),
                             .clamp = d->clamp,
                             .dense = d->classes == 1 && last - first == d->to_group * d->groups});
}

static void run_image(const octi_direct *d, const float *image, float *framed, float *y) {
    if (framed) {
        fill_frame(&d->f, image, framed);
        image = framed;
    }
    if (d->zero_first) memset(y, 0, (size_t)d->out_image * sizeof *y);
    for (int64_t k = 0; k < d->classes; k++)
        run_class(d, &d->cls[k], image, y, 0, d->cls[k].np, 0, d->to_group);
}

void octi_direct_part(const octi_direct *d, const float *image, float *framed, float *y,
                      const octi_part *part) {
    const bool whole = d->groups > 1;
    const frame *f = &d->f;
    if (framed) {
        octi_frame_rows(&(octi_border){f->h, f->w, f->c, f->top, f->left, f->cols}, image, framed,
                        part->from * d->step, (part->to - 1) * d->step + d->reach);
        image = framed;
    }
    run_class(d, d->cls, image, y, part->from * d->across, (part->to - part->from) * d->across,
              whole ? 0 : part->first, whole ? d->to_group : part->last);
}

/* Large weights once from memory. */
double octi_direct_cycles(const octi_conv *g, const octk_table *kernels, const octi_part *part) {
    const double k = (double)(g->r * g->s * g->cg), outputs = (double)(part->last - part->first);
    return (double)((part->to - part->from) * g->q) * k * outputs / octi_float_rate(kernels) +
           octi_float_weight_cycles((int64_t)(k * outputs));
}

/** One slot of images through all classes. */
static void pass_slot(void *arg, int64_t slot) {
    const pass *j = arg;
    const frame *f = &j->d->f;
    float *framed = j->padded ? j->padded + slot * frame_floats(f) : NULL;
    int64_t to = octi_cut_at(&j->cut, slot + 1);
    for (int64_t n = octi_cut_at(&j->cut, slot); n < to; n++)
        run_image(j->d, j->src + n * f->h * f->w * f->c, framed, j->dst + n * j->d->out_image);
}

static oct_status run_pass(oct_ctx *ctx, octi_arena *scratch, const octi_direct *d, int64_t n,
                           const float *src, float *dst) {
    pass j = {.d = d, .src = src, .dst = dst, .cut = octi_cut_of(ctx, n)};
    OCT_TRY(take_padded(scratch, &d->f, j.cut.count, &j.padded));
    octi_parallel_for(octi_ctx_pool(ctx), j.cut.count, pass_slot, &j);
    return OCT_OK;
}

/** Offsets of the windows of x: R runs where a row of taps is contiguous, else one run per tap. */
static oct_status window_runs(octi_arena *scratch, const octi_conv *g, const frame *f,
                              int32_t *runs, int32_t *len, int32_t **run) {
    const bool rows = octi_conv_runs_are_rows(g);
    *runs = (int32_t)(rows ? g->r : g->r * g->s);
    *len = (int32_t)(rows ? g->s * g->c : g->cg);
    *run = octi_arena_alloc(scratch, (size_t)*runs * sizeof **run);
    if (!*run) return oct_last_error()->code;
    for (int64_t i = 0; i < *runs; i++) {
        int64_t r = rows ? i : i / g->s, s = rows ? 0 : i % g->s;
        (*run)[i] = (int32_t)((r * g->dil_h * f->cols + s * g->dil_w) * f->c);
    }
    return OCT_OK;
}

static frame window_frame(const octi_conv *g) {
    int64_t rows = (g->p - 1) * g->stride_h + (g->r - 1) * g->dil_h + 1,
            cols = (g->q - 1) * g->stride_w + (g->s - 1) * g->dil_w + 1;
    /* The frame ends with the last window, or with the image where that is larger. */
    if (rows < g->h + g->top) rows = g->h + g->top;
    if (cols < g->w + g->left) cols = g->w + g->left;
    return (frame){g->h, g->w, g->c, g->top, g->left, rows, cols};
}

octi_direct *octi_direct_new(octi_arena *arena, const octi_conv *g, const float *w, const float *b,
                             octk_clamp clamp) {
    octi_direct *d = octi_arena_alloc(arena, sizeof *d);
    tap_class *t = octi_arena_alloc(arena, sizeof *t);
    if (!d || !t) return NULL;
    *d = (octi_direct){.f = window_frame(g),
                       .groups = g->groups,
                       .from_group = g->cg,
                       .to_group = g->og,
                       .out_image = g->p * g->q * g->o,
                       .panels = (g->og + PANEL - 1) / PANEL,
                       .cls = t,
                       .classes = 1,
                       .across = g->q,
                       .step = g->stride_h,
                       .reach = (g->r - 1) * g->dil_h + 1,
                       .clamp = clamp,
                       .kernels = octi_ctx_kernels(octi_arena_ctx(arena))};
    *t = (tap_class){.np = (int32_t)(g->p * g->q)};
    if (check_frame(&d->f, d->out_image) != OCT_OK ||
        window_runs(arena, g, &d->f, &t->runs, &t->len, &t->run) != OCT_OK)
        return NULL;
    int64_t k = g->r * g->s * g->cg, panels = d->panels;
    t->pix = octi_arena_alloc(arena, (size_t)t->np * sizeof *t->pix);
    t->out = octi_arena_alloc(arena, (size_t)t->np * sizeof *t->out);
    t->w =
        octi_arena_calloc(arena, (size_t)(g->groups * panels), (size_t)(k * PANEL) * sizeof(float));
    float *bias =
        b ? octi_arena_calloc(arena, (size_t)(g->groups * panels), PANEL * sizeof(float)) : NULL;
    if (!t->pix || !t->out || !t->w || (b && !bias)) return NULL;
    for (int64_t i = 0; i < t->np; i++) {
        t->pix[i] = (int32_t)((i / g->q * g->stride_h * d->f.cols + i % g->q * g->stride_w) * g->c);
        t->out[i] = (int32_t)(i * g->o);
    }
    for (int64_t o = 0; o < g->o; o++) {
        int64_t at = o / g->og * panels * PANEL + o % g->og; /* column among all padded panels */
        float *to = t->w + at / PANEL * k * PANEL + at % PANEL;
        for (int64_t i = 0; i < k; i++) to[i * PANEL] = w[o * k + i];
        if (b) bias[at] = b[o];
    }
    d->bias = bias;
    return d;
}

oct_status octi_conv_direct_forward(oct_ctx *ctx, octi_arena *scratch, const octi_conv *g,
                                    const float *x, const float *w, const float *b, float *y) {
    const octi_direct *d = octi_direct_new(scratch, g, w, b, OCTK_NO_CLAMP);
    return d ? run_pass(ctx, scratch, d, g->n, x, y) : oct_last_error()->code;
}

/** Along one axis: where tap `t` of a pixel of class `phase` reads, relative to the pixel's number
 *  in its class. */
static bool tap_offset(int64_t phase, int64_t pad, int64_t dil, int64_t stride, int64_t t,
                       int64_t *off) {
    int64_t d = phase + pad - t * dil;
    if (d % stride) return false;
    *off = d / stride;
    return true;
}

static int64_t pixels_of(int64_t phase, int64_t size, int64_t stride) {
    return phase < size ? (size - phase + stride - 1) / stride : 0;
}

/** Extent of dy that grad_x reads along one axis: [lo, hi). */
static void reach(int64_t size, int64_t kernel, int64_t pad, int64_t dil, int64_t stride,
                  int64_t out, int64_t *lo, int64_t *hi) {
    *lo = 0;
    *hi = out;
    for (int64_t phase = 0; phase < stride && phase < size; phase++)
        for (int64_t t = 0, off; t < kernel; t++)
            if (tap_offset(phase, pad, dil, stride, t, &off)) {
                int64_t last = off + pixels_of(phase, size, stride);
                if (off < *lo) *lo = off;
                if (last > *hi) *hi = last;
            }
}

/** Taps of one class, in order of their offset: t[], off[] of the kernel rows or columns. */
static int64_t taps_of(int64_t phase, int64_t kernel, int64_t pad, int64_t dil, int64_t stride,
                       int32_t *tap, int32_t *off) {
    int64_t n = 0, d;
    for (int64_t t = kernel - 1; t >= 0; t--)
        if (tap_offset(phase, pad, dil, stride, t, &d)) {
            tap[n] = (int32_t)t;
            off[n++] = (int32_t)d;
        }
    return n;
}

/** Offsets and packed weights of the class of pixels (i * stride_h + a, j * stride_w + b). */
static oct_status fill_class(octi_arena *scratch, const octi_conv *g, const octi_direct *j,
                             int64_t a, int64_t b, const float *w, tap_class *t) {
    int32_t *row = octi_arena_alloc(scratch, (size_t)(2 * (g->r + g->s)) * sizeof *row);
    if (!row) return oct_last_error()->code;
    int32_t *row_off = row + g->r, *col = row_off + g->r, *col_off = col + g->s;
    int64_t nr = taps_of(a, g->r, g->top, g->dil_h, g->stride_h, row, row_off);
    int64_t ns = taps_of(b, g->s, g->left, g->dil_w, g->stride_w, col, col_off);
    int64_t hs = pixels_of(a, g->h, g->stride_h), ws = pixels_of(b, g->w, g->stride_w);
    bool touch = g->groups == 1;
    for (int64_t i = 1; i < ns; i++) touch = touch && col_off[i] == col_off[i - 1] + 1;
    *t = (tap_class){.np = (int32_t)(hs * ws),
                     .runs = (int32_t)(touch && ns ? nr : nr * ns),
                     .len = (int32_t)(touch ? ns * g->og : g->og)};
    if (!t->np || !t->runs) return OCT_OK;
    int64_t k = nr * ns * g->og;
    t->pix = octi_arena_alloc(scratch, (size_t)t->np * sizeof *t->pix);
    t->out = octi_arena_alloc(scratch, (size_t)t->np * sizeof *t->out);
    t->run = octi_arena_alloc(scratch, (size_t)t->runs * sizeof *t->run);
    t->w = octi_arena_calloc(scratch, (size_t)(g->groups * j->panels),
                             (size_t)(k * PANEL) * sizeof(float));
    if (!t->pix || !t->out || !t->run || !t->w) return oct_last_error()->code;
    for (int64_t i = 0; i < t->np; i++) {
        int64_t y = i / ws, x = i % ws;
        t->pix[i] = (int32_t)(((y + j->f.top) * j->f.cols + x + j->f.left) * g->o);
        t->out[i] = (int32_t)(((y * g->stride_h + a) * g->w + x * g->stride_w + b) * g->c);
    }
    for (int64_t i = 0; i < t->runs; i++)
        t->run[i] =
            (int32_t)((row_off[touch ? i : i / ns] * j->f.cols + col_off[touch ? 0 : i % ns]) *
                      g->o);
    for (int64_t grp = 0; grp < g->groups; grp++)
        for (int64_t i = 0; i < nr * ns; i++) {
            const float *from =
                w + ((grp * g->og * g->r + row[i / ns]) * g->s + col[i % ns]) * g->cg;
            for (int64_t o = 0; o < g->og; o++, from += g->r * g->s * g->cg)
                for (int64_t c = 0; c < g->cg; c++)
                    t->w[((grp * j->panels + c / PANEL) * k + i * g->og + o) * PANEL + c % PANEL] =
                        from[c];
        }
    return OCT_OK;
}

/* ---- grad_x for few input channels, which would leave most of a panel empty: products first, then
 * sums where windows meet */

enum { FEW_CHANNELS = 8, MOST_PRODUCTS = 1 << 16 };

typedef struct scatter_job {
    const octi_conv *g;
    frame f;
    int32_t runs, len;
    int32_t *run;
    const float *dy, *w;
    float *dx, *products, *framed; /* products [slots][P*Q][R*S*C], framed [slots] */
    octi_cut cut;
    const octk_table *kernels;
} scatter_job;

static void scatter_slot(void *arg, int64_t slot) {
    const scatter_job *j = arg;
    const octi_conv *g = j->g;
    const int64_t k = g->r * g->s * g->c, pq = g->p * g->q, c = g->c;
    float *products = j->products + slot * pq * k, *framed = j->framed + slot * frame_floats(&j->f);
    for (int64_t n = octi_cut_at(&j->cut, slot); n < octi_cut_at(&j->cut, slot + 1); n++) {
        j->kernels->gemm_f32(false, false, pq, k, g->o, j->dy + n * pq * g->o, g->o, j->w, k, false,
                             products, k);
        memset(framed, 0, (size_t)frame_floats(&j->f) * sizeof *framed);
        for (int64_t i = 0; i < pq; i++) {
            float *to = framed + (i / g->q * g->stride_h * j->f.cols + i % g->q * g->stride_w) * c;
            for (int32_t r = 0; r < j->runs; r++) {
                float *sum = to + j->run[r];
                const float *from = products + i * k + (int64_t)r * j->len;
                OCTI_IVDEP for (int32_t l = 0; l < j->len; l++) sum[l] += from[l];
            }
        }
        for (int64_t y = 0; y < g->h; y++)
            memcpy(j->dx + (n * g->h + y) * g->w * c,
                   framed + ((y + g->top) * j->f.cols + g->left) * c,
                   (size_t)(g->w * c) * sizeof(float));
    }
}

static bool scatter_fits(const octi_conv *g) {
    return g->groups == 1 && g->c <= FEW_CHANNELS && g->r * g->s > 1 &&
           g->p * g->q * g->r * g->s * g->c <= MOST_PRODUCTS;
}

static oct_status scatter_grad_x(oct_ctx *ctx, octi_arena *scratch, const octi_conv *g,
                                 const float *dy, const float *w, float *dx) {
    scatter_job j = {.g = g,
                     .f = window_frame(g),
                     .dy = dy,
                     .w = w,
                     .dx = dx,
                     .cut = octi_cut_of(ctx, g->n),
                     .kernels = octi_ctx_kernels(ctx)};
    OCT_TRY(check_frame(&j.f, g->h * g->w * g->c));
    OCT_TRY(window_runs(scratch, g, &j.f, &j.runs, &j.len, &j.run));
    size_t slots = (size_t)j.cut.count;
    j.products = octi_arena_alloc(scratch, slots * (size_t)(g->p * g->q * g->r * g->s * g->c) *
                                               sizeof(float));
    j.framed = octi_arena_alloc(scratch, slots * (size_t)frame_floats(&j.f) * sizeof(float));
    if (!j.products || !j.framed) return oct_last_error()->code;
    octi_parallel_for(octi_ctx_pool(ctx), j.cut.count, scatter_slot, &j);
    return OCT_OK;
}

oct_status octi_conv_direct_grad_x(oct_ctx *ctx, octi_arena *scratch, const octi_conv *g,
                                   const float *dy, const float *w, float *dx) {
    if (scatter_fits(g)) return scatter_grad_x(ctx, scratch, g, dy, w, dx);
    int64_t lo_h, hi_h, lo_w, hi_w;
    reach(g->h, g->r, g->top, g->dil_h, g->stride_h, g->p, &lo_h, &hi_h);
    reach(g->w, g->s, g->left, g->dil_w, g->stride_w, g->q, &lo_w, &hi_w);
    int64_t across = g->stride_w < g->w ? g->stride_w : g->w,
            down = g->stride_h < g->h ? g->stride_h : g->h;
    octi_direct d = {.f = {g->p, g->q, g->o, -lo_h, -lo_w, hi_h - lo_h, hi_w - lo_w},
                     .groups = g->groups,
                     .from_group = g->og,
                     .to_group = g->cg,
                     .out_image = g->h * g->w * g->c,
                     .panels = (g->cg + PANEL - 1) / PANEL,
                     .classes = down * across,
                     .clamp = OCTK_NO_CLAMP,
                     .kernels = octi_ctx_kernels(ctx)};
    OCT_TRY(check_frame(&d.f, d.out_image));
    d.cls = octi_arena_calloc(scratch, (size_t)d.classes, sizeof *d.cls);
    if (!d.cls) return oct_last_error()->code;
    for (int64_t i = 0; i < d.classes; i++) {
        OCT_TRY(fill_class(scratch, g, &d, i / across, i % across, w, &d.cls[i]));
        if (!d.cls[i].runs) d.zero_first = true;
    }
    return run_pass(ctx, scratch, &d, g->n, dy, dx);
}

/* ---- weight gradient ---- */

typedef struct grad_w_pass {
    const octi_conv *g;
    frame f;
    int32_t runs, len;
    int32_t *run;
    int64_t k, width; /* rows of a group's dw, its columns padded to panels */
    const float *x, *dy;
    /* padded: [slots]; tail_dy: a copy of the batch's last dy with slack behind it */
    float *padded, *tail_dy;
    int64_t tail_from; /* first image of tail_dy */
    float *dw, *db;    /* [slots][groups][k][width], [slots][groups][width] */
    octi_cut cut;
    const octk_table *kernels;
} grad_w_pass;

static void grad_w_slot(void *arg, int64_t slot) {
    const grad_w_pass *j = arg;
    const octi_conv *g = j->g;
    int64_t from = octi_cut_at(&j->cut, slot), to = octi_cut_at(&j->cut, slot + 1),
            image_dy = g->p * g->q * g->o;
    float *dw = j->dw + slot * g->groups * j->k * j->width,
          *db = j->db ? j->db + slot * g->groups * j->width : NULL;
    for (int64_t n = from; n < to; n++) {
        const float *image = j->x + n * g->h * g->w * g->c, *dy = j->dy + n * image_dy;
        if (j->padded) {
            float *framed = j->padded + slot * frame_floats(&j->f);
            fill_frame(&j->f, image, framed);
            image = framed;
        }
        /* Whole panels are read; where they reach beyond a pixel's channels the sums are dropped.
         * Only at the end of the batch would that leave the tensor. */
        if (j->tail_dy && n >= j->tail_from) dy = j->tail_dy + (n - j->tail_from) * image_dy;
        for (int64_t grp = 0; grp < g->groups; grp++)
            j->kernels->conv_grad_w_f32(
                &(octk_conv_grad_w_f32){.x = image + grp * g->cg,
                                        .dy = dy + grp * g->og,
                                        .run = j->run,
                                        .dw = dw + grp * j->k * j->width,
                                        .db = db ? db + grp * j->width : NULL,
                                        .x_row = g->stride_h * j->f.cols * g->c,
                                        .x_pixel = g->stride_w * g->c,
                                        .dy_row = g->q * g->o,
                                        .dy_pixel = g->o,
                                        .p = (int32_t)g->p,
                                        .q = (int32_t)g->q,
                                        .runs = j->runs,
                                        .len = j->len,
                                        .o = (int32_t)j->width,
                                        .add = n > from});
    }
}

oct_status octi_conv_direct_grad_w(oct_ctx *ctx, octi_arena *scratch, const octi_conv *g,
                                   const float *x, const float *dy, float *dw, float *db) {
    grad_w_pass j = {.g = g,
                     .f = window_frame(g),
                     .k = g->r * g->s * g->cg,
                     .width = (g->og + PANEL - 1) / PANEL * PANEL,
                     .x = x,
                     .dy = dy,
                     .cut = octi_cut_of(ctx, g->n),
                     .kernels = octi_ctx_kernels(ctx)};
    OCT_TRY(check_frame(&j.f, g->p * g->q * g->o));
    OCT_TRY(take_padded(scratch, &j.f, j.cut.count, &j.padded));
    OCT_TRY(window_runs(scratch, g, &j.f, &j.runs, &j.len, &j.run));
    size_t count = (size_t)(g->groups * j.k * j.width);
    j.dw = octi_arena_alloc(scratch, count * (size_t)j.cut.count * sizeof(float));
    j.db =
        db ? octi_arena_alloc(scratch, (size_t)(g->groups * j.width * j.cut.count) * sizeof(float))
           : NULL;
    if (j.width != g->og) {
        int64_t image = g->p * g->q * g->o, images = (PANEL + image - 1) / image;
        if (images > g->n) images = g->n;
        j.tail_from = g->n - images;
        j.tail_dy = octi_arena_calloc(scratch, (size_t)(images * image + PANEL), sizeof(float));
        if (j.tail_dy)
            memcpy(j.tail_dy, dy + j.tail_from * image, (size_t)(images * image) * sizeof(float));
    }
    if (!j.dw || (db && !j.db) || (j.width != g->og && !j.tail_dy)) return oct_last_error()->code;
    octi_threads *pool = octi_ctx_pool(ctx);
    octi_parallel_for(pool, j.cut.count, grad_w_slot, &j);
    OCT_TRY(octi_cut_fold_f32(&j.cut, pool, j.dw, (int64_t)count));
    for (int64_t o = 0; o < g->o; o++) {
        const float *from = j.dw + o / g->og * j.k * j.width + o % g->og;
        for (int64_t k = 0; k < j.k; k++) dw[o * j.k + k] = from[k * j.width];
    }
    if (db) {
        OCT_TRY(octi_cut_fold_f32(&j.cut, pool, j.db, g->groups * j.width));
        for (int64_t o = 0; o < g->o; o++) db[o] = j.db[o / g->og * j.width + o % g->og];
    }
    return OCT_OK;
}
