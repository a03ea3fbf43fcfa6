/* SPDX-License-Identifier: MIT
 * SGD, Adam (Kingma and Ba 2015), AdamW (Loshchilov and Hutter 2019) and RMSprop (Tieleman and
 * Hinton 2012; centered: Graves 2013) with PyTorch's formulas, in fp32 without FMA;
 * scalars of a step (bias corrections) in double, as there. Work is cut into fixed chunks, so
 * threads do not change bits. */
#include "autograd/optim/optim_words.h"

#include <math.h>
#include <string.h>

#include "src/float_mode.h"
#include "src/mem.h"
#include "src/threads.h"

enum { CHUNK = 16384 };

struct chunk {
    int32_t param;
    int64_t begin, end;
    double norm2; /* of the gradient */
    bool bad;     /* a gradient that is NaN or infinite */
};

struct param {
    oct_tensor *tensor;
    const char *name;
    bool decays; /* weight decay applies: not to learned step sizes */
    /* first (or momentum) and second moment, mean gradient; NULL where the kind has none */
    oct_tensor *m, *v, *mean;
};

struct oct_optim {
    oct_ctx *ctx;
    oct_optim_opts o;
    struct param *params;
    int32_t param_count;
    struct chunk *chunks;
    int64_t chunk_count;
    oct_tensor *step; /* s64 [1] */
    oct_named_tensor *state;
    int32_t state_count;
    /* scalars of the step that runs now */
    float scale, step_size, bias2_sqrt, keep, one_minus_b1, one_minus_b2, one_minus_alpha;
};

oct_status octi_optim_defaults(oct_optim_opts *o) {
    static const struct {
        float lr, momentum, weight_decay;
    } of[] = {
#define OCT_OPTIM(value, word, lr, momentum, weight_decay) {lr, momentum, weight_decay},
#include "autograd/optim/optim_words.def"
    };
    OCT_TRY(octi_word_check(&octi_optim_words, "optimizer: kind", (int)o->kind));
    const bool moves = o->kind == OCT_OPTIM_SGD || o->kind == OCT_OPTIM_RMSPROP;
    if (o->lr == 0) o->lr = of[o->kind].lr;
    o->momentum = moves ? octi_or_default(o->momentum, of[o->kind].momentum) : 0;
    if (o->nesterov == OCT_SWITCH_DEFAULT)
        o->nesterov = o->kind == OCT_OPTIM_SGD && o->momentum > 0 ? OCT_SWITCH_YES : OCT_SWITCH_NO;
    o->weight_decay = octi_or_default(o->weight_decay, of[o->kind].weight_decay);
    if (o->beta1 == 0) o->beta1 = 0.9f;
    if (o->beta2 == 0) o->beta2 = 0.999f;
    if (o->eps == 0) o->eps = 1e-8f;
    if (o->alpha == 0) o->alpha = 0.99f;
    return OCT_OK;
}

static oct_status check(oct_optim_opts *o) {
    OCT_TRY(octi_optim_defaults(o));
    OCT_TRY(octi_word_check(&octi_switch_words, "optimizer: nesterov", (int)o->nesterov));
    const struct {
        const char *name;
        float v, hi;
    } range[] = {{"lr", o->lr, 1e30f},
                 {"momentum", o->momentum, 1},
                 {"beta1", o->beta1, 1},
                 {"beta2", o->beta2, 1},
                 {"weight_decay", o->weight_decay, 1e30f},
                 {"eps", o->eps, 1e30f},
                 {"clip_norm", o->clip_norm, 1e30f},
                 {"alpha", o->alpha, 1}};
    for (size_t i = 0; i < sizeof range / sizeof *range; i++)
        if (!(range[i].v >= 0 && range[i].v < range[i].hi))
            return octi_fail(OCT_EUSAGE, range[i].name, "out of range",
                             octi_fmt("0 <= %s < %g", range[i].name, range[i].hi),
                             octi_fmt("%g", range[i].v), NULL);
    return OCT_OK;
}

static oct_status add_state(oct_optim *o, const char *param, const char *what, oct_dtype dtype,
                            oct_shape shape, oct_tensor **to) {
    *to = oct_tensor_new(o->ctx, dtype, shape);
    const char *name =
        param ? octi_asprintf(o->ctx, "%s.%s", param, what) : octi_strdup(o->ctx, what);
    if (!*to || !name) {
        octi_free(o->ctx, (void *)name);
        oct_tensor_unref(*to);
        *to = NULL;
        return oct_last_error()->code;
    }
    o->state[o->state_count++] = (oct_named_tensor){name, OCT_ROLE_CONST, *to};
    return OCT_OK;
}

static oct_status fill(oct_optim *o, const oct_named_tensor *list, int32_t count) {
    o->params = octi_calloc(o->ctx, (size_t)count + 1, sizeof *o->params);
    o->state = octi_calloc(o->ctx, (size_t)count * 3 + 1, sizeof *o->state);
    if (!o->params || !o->state) return oct_last_error()->code;
    OCT_TRY(add_state(o, NULL, "step", OCT_S64, OCT_SHAPE(1), &o->step));
    int64_t chunks = 0;
    for (int32_t i = 0; i < count; i++) {
        if (list[i].role != OCT_ROLE_PARAM && list[i].role != OCT_ROLE_STEP) continue;
        if (list[i].tensor->dtype != OCT_F32)
            return octi_fail(OCT_EDTYPE, list[i].name, "parameter is not float32", "float32",
                             oct_dtype_name(list[i].tensor->dtype), NULL);
        struct param *p = &o->params[o->param_count++];
        p->tensor = oct_tensor_ref(list[i].tensor);
        p->decays = list[i].role == OCT_ROLE_PARAM;
        p->name = octi_strdup(o->ctx, list[i].name);
        if (!p->name) return oct_last_error()->code;
        oct_shape s = p->tensor->shape;
        if (o->o.kind == OCT_OPTIM_RMSPROP) {
            OCT_TRY(add_state(o, p->name, "square_avg", OCT_F32, s, &p->v));
            if (o->o.centered) OCT_TRY(add_state(o, p->name, "grad_avg", OCT_F32, s, &p->mean));
            if (o->o.momentum > 0) OCT_TRY(add_state(o, p->name, "momentum", OCT_F32, s, &p->m));
        } else if (o->o.kind != OCT_OPTIM_SGD) {
            OCT_TRY(add_state(o, p->name, "exp_avg", OCT_F32, s, &p->m));
            OCT_TRY(add_state(o, p->name, "exp_avg_sq", OCT_F32, s, &p->v));
        } else if (o->o.momentum > 0) {
            OCT_TRY(add_state(o, p->name, "momentum", OCT_F32, s, &p->m));
        }
        chunks += (oct_tensor_count(p->tensor) + CHUNK - 1) / CHUNK;
    }
    o->chunks = octi_calloc(o->ctx, (size_t)chunks + 1, sizeof *o->chunks);
    if (!o->chunks) return oct_last_error()->code;
    for (int32_t i = 0; i < o->param_count; i++) {
        int64_t n = oct_tensor_count(o->params[i].tensor);
        for (int64_t b = 0; b < n; b += CHUNK)
            o->chunks[o->chunk_count++] =
                (struct chunk){i, b, b + CHUNK < n ? b + CHUNK : n, 0, false};
    }
    return OCT_OK;
}

oct_optim *oct_optim_new(oct_ctx *ctx, const oct_named_tensor *params, int32_t count,
                         const oct_optim_opts *opts) {
    OCTI_LAW_MODE();
    bool whole = (params || count <= 0) && count >= 0;
    for (int32_t i = 0; whole && i < count; i++) whole = params[i].name && params[i].tensor;
    if (!ctx || !whole) {
        octi_fail(OCT_EUSAGE, "optimizer", "no parameters", NULL, NULL, NULL);
        if (ctx) octi_ctx_failed(ctx);
        return NULL;
    }
    oct_optim *o = octi_alloc(ctx, sizeof *o);
    if (!o) return octi_ctx_failed(ctx), NULL;
    o->ctx = ctx;
    if (opts) o->o = *opts;
    if (check(&o->o) != OCT_OK || fill(o, params, count) != OCT_OK) {
        oct_optim_free(o);
        octi_ctx_failed(ctx);
        return NULL;
    }
    return o;
}

void oct_optim_free(oct_optim *o) {
    if (!o) return;
    for (int32_t i = 0; o->params && i < o->param_count; i++) {
        oct_tensor_unref(o->params[i].tensor);
        octi_free(o->ctx, (void *)o->params[i].name);
    }
    for (int32_t i = 0; i < o->state_count; i++) {
        oct_tensor_unref(o->state[i].tensor);
        octi_free(o->ctx, (void *)o->state[i].name);
    }
    octi_free(o->ctx, o->params);
    octi_free(o->ctx, o->state);
    octi_free(o->ctx, o->chunks);
    octi_free(o->ctx, o);
}

static void zero_chunk(void *arg, int64_t i) {
    oct_optim *o = arg;
    const struct chunk *c = &o->chunks[i];
    oct_tensor *g = o->params[c->param].tensor->grad;
    if (g) memset(oct_f32(g) + c->begin, 0, (size_t)(c->end - c->begin) * sizeof(float));
}

void oct_optim_zero_grad(oct_optim *o) {
    if (o) octi_parallel_for(octi_ctx_pool(o->ctx), o->chunk_count, zero_chunk, o);
}

void oct_optim_set_lr(oct_optim *o, float lr) {
    if (o) o->o.lr = lr;
}

static void judge_chunk(void *arg, int64_t i) {
    oct_optim *o = arg;
    struct chunk *c = &o->chunks[i];
    const oct_tensor *t = o->params[c->param].tensor->grad;
    c->norm2 = 0;
    c->bad = false;
    if (!t) return;
    const float *g = oct_f32(t);
    if (o->o.clip_norm > 0) {
        double sum = 0;
        for (int64_t k = c->begin; k < c->end; k++) sum += (double)g[k] * (double)g[k];
        c->norm2 = sum;
        c->bad = !isfinite(sum); /* squares of floats cannot overflow a double */
    } else {
        float probe = 0; /* stays 0 unless something is not finite: 0 * inf and 0 * NaN are NaN */
        for (int64_t k = c->begin; k < c->end; k++) probe += 0.0f * g[k];
        c->bad = probe != 0.0f;
    }
}

static void sgd_chunk(const oct_optim *o, const struct param *p, const struct chunk *c) {
    float *w = oct_f32(p->tensor), *m = p->m ? oct_f32(p->m) : NULL;
    const float *grad = oct_f32(p->tensor->grad);
    float decay = p->decays ? o->o.weight_decay : 0, mu = o->o.momentum, lr = o->o.lr,
          scale = o->scale;
    const bool nesterov = o->o.nesterov == OCT_SWITCH_YES;
    for (int64_t k = c->begin; k < c->end; k++) {
        float g = grad[k] * scale;
        if (decay != 0) g = g + decay * w[k];
        if (m) {
            m[k] = mu * m[k] + g;
            g = nesterov ? g + mu * m[k] : m[k];
        }
        w[k] = w[k] - lr * g;
    }
}

static void adam_chunk(const oct_optim *o, const struct param *p, const struct chunk *c) {
    float *w = oct_f32(p->tensor), *m = oct_f32(p->m), *v = oct_f32(p->v);
    const float *grad = oct_f32(p->tensor->grad);
    bool decoupled = o->o.kind == OCT_OPTIM_ADAMW;
    float decay = decoupled || !p->decays ? 0 : o->o.weight_decay, one_minus_b1 = o->one_minus_b1,
          b2 = o->o.beta2;
    float one_minus_b2 = o->one_minus_b2, eps = o->o.eps, scale = o->scale;
    for (int64_t k = c->begin; k < c->end; k++) {
        float g = grad[k] * scale, x = w[k];
        if (decoupled && p->decays) x = x * o->keep;
        if (decay != 0) g = g + decay * x;
        m[k] = m[k] + one_minus_b1 * (g - m[k]);
        v[k] = v[k] * b2 + one_minus_b2 * g * g;
        float denom = sqrtf(v[k]) / o->bias2_sqrt + eps;
        w[k] = x - o->step_size * (m[k] / denom);
    }
}

static void rmsprop_chunk(const oct_optim *o, const struct param *p, const struct chunk *c) {
    float *w = oct_f32(p->tensor), *v = oct_f32(p->v), *m = p->m ? oct_f32(p->m) : NULL,
          *mean = p->mean ? oct_f32(p->mean) : NULL;
    const float *grad = oct_f32(p->tensor->grad);
    float decay = p->decays ? o->o.weight_decay : 0, mu = o->o.momentum, lr = o->o.lr,
          eps = o->o.eps, scale = o->scale;
    float alpha = o->o.alpha, one_minus_alpha = o->one_minus_alpha;
    for (int64_t k = c->begin; k < c->end; k++) {
        float g = grad[k] * scale;
        if (decay != 0) g = g + decay * w[k];
        v[k] = v[k] * alpha + one_minus_alpha * g * g;
        float spread = v[k];
        if (mean) {
            mean[k] = mean[k] + one_minus_alpha * (g - mean[k]);
            spread = v[k] - mean[k] * mean[k];
            /* a constant gradient: rounding alone could make it negative, and its root NaN */
            spread = spread > 0 ? spread : 0;
        }
        float d = g / (sqrtf(spread) + eps);
        if (m) d = m[k] = mu * m[k] + d;
        w[k] = w[k] - lr * d;
    }
}

static void step_chunk(void *arg, int64_t i) {
    const oct_optim *o = arg;
    const struct param *p = &o->params[o->chunks[i].param];
    /* no gradient flowed: as elsewhere, the parameter is left alone */
    if (!p->tensor->grad) return;
    if (o->o.kind == OCT_OPTIM_SGD)
        sgd_chunk(o, p, &o->chunks[i]);
    else if (o->o.kind == OCT_OPTIM_RMSPROP)
        rmsprop_chunk(o, p, &o->chunks[i]);
    else
        adam_chunk(o, p, &o->chunks[i]);
}

/* 0.999f is not 0.999, and 1 - beta would show it: take the decimal that was meant, as a double. */
static double decimal(float beta) { return rint((double)beta * 1e7) / 1e7; }

oct_status oct_optim_step(oct_optim *o) {
    OCTI_LAW_MODE();
    if (!o) return octi_fail(OCT_EUSAGE, "optimizer", "no optimizer", NULL, "NULL", NULL);
    struct octi_threads *pool = octi_ctx_pool(o->ctx);
    if (!isfinite(o->o.lr))
        return octi_fail(OCT_EDIVERGED, "lr", "not finite", "a finite learning rate",
                         octi_fmt("%g", o->o.lr), NULL);
    octi_parallel_for(pool, o->chunk_count, judge_chunk, o);
    double norm2 = 0;
    for (int64_t i = 0; i < o->chunk_count; i++) {
        if (o->chunks[i].bad)
            return octi_fail(OCT_EDIVERGED, o->params[o->chunks[i].param].name,
                             "gradient is not finite", "finite numbers", "NaN or infinity",
                             "lower the learning rate");
        norm2 += o->chunks[i].norm2;
    }
    o->scale = 1.0f;
    if (o->o.clip_norm > 0) {
        double coef = (double)o->o.clip_norm / (sqrt(norm2) + 1e-6);
        if (coef < 1.0) o->scale = (float)coef;
    }
    int64_t t = ++*(int64_t *)o->step->data;
    if (o->o.kind == OCT_OPTIM_RMSPROP) {
        o->one_minus_alpha = (float)(1.0 - decimal(o->o.alpha));
    } else if (o->o.kind != OCT_OPTIM_SGD) {
        double b1 = decimal(o->o.beta1), b2 = decimal(o->o.beta2);
        double c1 = 1.0 - pow(b1, (double)t), c2 = 1.0 - pow(b2, (double)t);
        o->one_minus_b1 = (float)(1.0 - b1);
        o->one_minus_b2 = (float)(1.0 - b2);
        o->step_size = (float)((double)o->o.lr / c1);
        o->bias2_sqrt = (float)sqrt(c2);
        o->keep = (float)(1.0 - (double)o->o.lr * (double)o->o.weight_decay);
    }
    octi_parallel_for(pool, o->chunk_count, step_chunk, o);
    return OCT_OK;
}

const oct_named_tensor *oct_optim_state(oct_optim *o, int32_t *count) {
    if (count) *count = o ? o->state_count : 0;
    return o ? o->state : NULL;
}

void oct_optim_opts_init(oct_optim_opts *opts) {
    if (opts) *opts = (oct_optim_opts){0};
}
