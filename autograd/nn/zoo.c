/* SPDX-License-Identifier: MIT
 * The zoo. lenet: LeCun et al. 1998 with ReLU and max pooling, images below 32x32 padded by 2.
 * resnet8, resnet20: He et al. 2015 for small images, widths
 * 16, 32, 64, projection shortcuts (1x1 conv + bn). resnet18: He et al. 2015 for photographs: 7x7
 * stem with stride 2, max pool, widths 64 to 512. Names are torchvision's. */
#include <string.h>

#include "autograd/nn/nn.h"
#include "src/float_mode.h"
#include "src/mem.h"
#include "src/status.h"
#include "src/words.h"

/* ---- lenet ---- */

struct plan; /* of resnets */

struct lenet {
    oct_module *conv1, *conv2, *fc1, *fc2, *fc3;
};

static oct_var *lenet_forward(void *self, oct_tape *t, oct_var *x) {
    struct lenet *n = self;
    (void)t;
    const oct_pool_opts two = {.kernel = 2};
    x = oct_max_pool2d(oct_relu(oct_apply(n->conv1, x)), &two);
    x = oct_max_pool2d(oct_relu(oct_apply(n->conv2, x)), &two);
    x = oct_relu(oct_apply(n->fc1, oct_flatten(x)));
    return oct_apply(n->fc3, oct_relu(oct_apply(n->fc2, x)));
}

static oct_module *lenet_new(oct_ctx *ctx, const oct_zoo_opts *o, const struct plan *plan) {
    (void)plan;
    /* LeNet-5 was made for 32x32, where MNIST's 28x28 is padded: 400 features either way. conv1 and
     * conv2 take 4 off each, a pool halves. */
    const int pad = o->height >= 32 && o->width >= 32 ? 0 : 2;
    int h = ((o->height + 2 * pad - 4) / 2 - 4) / 2, w = ((o->width + 2 * pad - 4) / 2 - 4) / 2;
    if (h < 1 || w < 1) {
        octi_fail(OCT_EUSAGE, "lenet", "image too small", "at least 12x12",
                  octi_fmt("%dx%d", o->height, o->width), NULL);
        return octi_ctx_failed(ctx), NULL;
    }
    struct lenet *n = octi_alloc(ctx, sizeof *n);
    if (!n) return octi_ctx_failed(ctx), NULL;
    oct_module *m = oct_module_new(ctx, lenet_forward, n);
    n->conv1 = oct_module_add(
        m, "conv1",
        oct_conv2d_new(ctx,
                       &(oct_conv2d_opts){.in = o->channels, .out = 6, .kernel = 5, .pad = pad}));
    n->conv2 = oct_module_add(
        m, "conv2", oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = 6, .out = 16, .kernel = 5}));
    n->fc1 = oct_module_add(m, "fc1",
                            oct_linear_new(ctx, &(oct_linear_opts){.in = 16 * h * w, .out = 120}));
    n->fc2 =
        oct_module_add(m, "fc2", oct_linear_new(ctx, &(oct_linear_opts){.in = 120, .out = 84}));
    n->fc3 = oct_module_add(m, "fc3",
                            oct_linear_new(ctx, &(oct_linear_opts){.in = 84, .out = o->classes}));
    return n->conv1 && n->conv2 && n->fc1 && n->fc2 && n->fc3 ? m : NULL;
}

/* ---- resnets ---- */

struct block {
    oct_module *conv1, *bn1, *conv2, *bn2, *downsample;
};

static oct_var *block_forward(void *self, oct_tape *t, oct_var *x) {
    struct block *b = self;
    (void)t;
    oct_var *y = oct_relu(oct_apply(b->bn1, oct_apply(b->conv1, x)));
    y = oct_apply(b->bn2, oct_apply(b->conv2, y));
    return oct_relu(oct_add(y, b->downsample ? oct_apply(b->downsample, x) : x));
}

static oct_module *conv(oct_ctx *ctx, int in, int out, int kernel, int stride) {
    return oct_conv2d_new(ctx, &(oct_conv2d_opts){.in = in,
                                                  .out = out,
                                                  .kernel = kernel,
                                                  .stride = stride,
                                                  .pad = kernel / 2,
                                                  .no_bias = true});
}

static oct_module *norm(oct_ctx *ctx, int channels) {
    return oct_batch_norm_new(ctx, &(oct_batch_norm_opts){.channels = channels});
}

static oct_module *block_new(oct_ctx *ctx, int in, int out, int stride) {
    struct block *b = octi_alloc(ctx, sizeof *b);
    if (!b) return octi_ctx_failed(ctx), NULL;
    oct_module *m = oct_module_new(ctx, block_forward, b);
    b->conv1 = oct_module_add(m, "conv1", conv(ctx, in, out, 3, stride));
    b->bn1 = oct_module_add(m, "bn1", norm(ctx, out));
    b->conv2 = oct_module_add(m, "conv2", conv(ctx, out, out, 3, 1));
    b->bn2 = oct_module_add(m, "bn2", norm(ctx, out));
    if (stride != 1 || in != out) {
        oct_module *parts[2] = {conv(ctx, in, out, 1, stride), norm(ctx, out)};
        b->downsample = oct_module_add(m, "downsample", oct_sequential_new(ctx, parts, 2));
        if (!b->downsample) return NULL;
    }
    return b->conv1 && b->bn1 && b->conv2 && b->bn2 ? m : NULL;
}

struct plan {
    int width;          /* of the first stage; doubles at each */
    int stages, blocks; /* blocks of each stage */
    int stem, stride;   /* kernel and stride of conv1 */
    bool pool;          /* max pool behind it: kernel 3, stride 2 */
    int least;          /* smallest side of an image */
};
/* photo4x2: at 17 the last stage still halves something (9, 5, 5, 3, 2, 1), as at MNIST's 28 */
static const struct plan small3x1 = {16, 3, 1, 3, 1, false, 1},
                         small3x3 = {16, 3, 3, 3, 1, false, 1},
                         photo4x2 = {64, 4, 2, 7, 2, true, 17};

struct resnet {
    oct_module *conv1, *bn1, *layer[4], *fc;
    const struct plan *plan;
};

static oct_var *resnet_forward(void *self, oct_tape *t, oct_var *x) {
    struct resnet *n = self;
    (void)t;
    x = oct_relu(oct_apply(n->bn1, oct_apply(n->conv1, x)));
    if (n->plan->pool) x = oct_max_pool2d(x, &(oct_pool_opts){.kernel = 3, .stride = 2, .pad = 1});
    for (int i = 0; i < n->plan->stages; i++) x = oct_apply(n->layer[i], x);
    return oct_apply(n->fc, oct_flatten(oct_adaptive_avg_pool2d(x, 1, 1)));
}

static oct_module *resnet_new(oct_ctx *ctx, const oct_zoo_opts *o, const struct plan *plan) {
    if (o->height < plan->least || o->width < plan->least) {
        octi_fail(OCT_EUSAGE, "resnet", "image too small",
                  octi_fmt("at least %dx%d", plan->least, plan->least),
                  octi_fmt("%dx%d", o->height, o->width),
                  "lenet and resnet8 take small images; those of folder: can be made larger "
                  "(.input.resize)");
        return octi_ctx_failed(ctx), NULL;
    }
    struct resnet *n = octi_alloc(ctx, sizeof *n);
    if (!n) return octi_ctx_failed(ctx), NULL;
    n->plan = plan;
    oct_module *m = oct_module_new(ctx, resnet_forward, n);
    n->conv1 =
        oct_module_add(m, "conv1", conv(ctx, o->channels, plan->width, plan->stem, plan->stride));
    n->bn1 = oct_module_add(m, "bn1", norm(ctx, plan->width));
    for (int i = 0, in = plan->width; i < plan->stages; i++) {
        int width = plan->width << i;
        oct_module *parts[8];
        for (int b = 0; b < plan->blocks; b++) {
            parts[b] = block_new(ctx, in, width, b == 0 && i > 0 ? 2 : 1);
            in = width;
        }
        n->layer[i] = oct_module_add(m, octi_fmt("layer%d", i + 1),
                                     oct_sequential_new(ctx, parts, plan->blocks));
        if (!n->layer[i]) return NULL;
    }
    n->fc = oct_module_add(
        m, "fc",
        oct_linear_new(
            ctx, &(oct_linear_opts){.in = plan->width << (plan->stages - 1), .out = o->classes}));
    return n->conv1 && n->bn1 && n->fc ? m : NULL;
}

static const struct zoo_row {
    const char *name;
    oct_module *(*make)(oct_ctx *ctx, const oct_zoo_opts *o, const struct plan *plan);
    const struct plan *plan; /* of resnets */
    oct_zoo_opts own;
} zoo[] = {
    {"lenet", lenet_new, NULL, {1, 28, 28, 10}},
    {"resnet8", resnet_new, &small3x1, {3, 32, 32, 10}},
    {"resnet20", resnet_new, &small3x3, {3, 32, 32, 10}},
    {"resnet18", resnet_new, &photo4x2, {3, 224, 224, 1000}},
};

static const struct zoo_row *find(const char *name) {
    for (size_t i = 0; name && i < sizeof zoo / sizeof *zoo; i++)
        if (!strcmp(zoo[i].name, name)) return &zoo[i];
    octi_fail_word(OCT_EUSAGE, "model", "unknown zoo model", "lenet, resnet8, resnet20 or resnet18",
                   name ? name : "NULL", NULL);
    return NULL;
}

const oct_zoo_opts *oct_zoo_defaults(const char *name) {
    const struct zoo_row *row = find(name);
    return row ? &row->own : NULL;
}

oct_module *oct_zoo_new(oct_ctx *ctx, const char *name, const oct_zoo_opts *opts) {
    OCTI_LAW_MODE();
    if (!ctx) return NULL;
    const struct zoo_row *row = find(name);
    if (!row) return octi_ctx_failed(ctx), NULL;
    oct_zoo_opts o = row->own;
    if (opts) {
        if (opts->channels) o.channels = opts->channels;
        if (opts->height) o.height = opts->height;
        if (opts->width) o.width = opts->width;
        if (opts->classes) o.classes = opts->classes;
    }
    enum { WIDEST = 1 << 24, LARGEST = 16384 }; /* channels, as of modules; sides, as of images */
    if (o.channels < 1 || o.height < 1 || o.width < 1 || o.classes < 1 || o.channels > WIDEST ||
        o.height > LARGEST || o.width > LARGEST || o.classes > WIDEST) {
        octi_fail(OCT_EUSAGE, name, "shape out of range",
                  "channels, classes 1 to 2^24, height, width 1 to 16384",
                  octi_fmt("%d, %d, %d, %d", o.channels, o.height, o.width, o.classes), NULL);
        return octi_ctx_failed(ctx), NULL;
    }
    return row->make(ctx, &o, row->plan);
}

void oct_zoo_opts_init(oct_zoo_opts *opts) {
    if (opts) *opts = (oct_zoo_opts){0};
}
