/* SPDX-License-Identifier: MIT
 * First values of parameters. He et al. 2015 (kaiming), Glorot and Bengio 2010 (xavier). The
 * default is PyTorch's: kaiming_uniform with a = sqrt 5, that is uniform in +-1/sqrt(fan_in), for
 * weights and biases alike. */
#include <math.h>
#include <string.h>

#include "autograd/nn/module.h"
#include "src/rng.h"
#include "src/words.h"

/* FNV-1a: a path is a key, not a secret. */
static uint64_t path_hash(const char *s) {
    uint64_t h = 0xcbf29ce484222325u;
    for (; *s; s++) h = (h ^ (uint8_t)*s) * 0x100000001b3u;
    return h;
}

struct scheme {
    bool normal;
    /* half width of the uniform, or deviation of the normal */
    double (*spread)(double fan_in, double fan_out);
};

static double kaiming_uniform(double fan_in, double fan_out) {
    return (void)fan_out, 1.0 / sqrt(fan_in);
}
static double kaiming_normal(double fan_in, double fan_out) {
    return (void)fan_in, sqrt(2.0 / fan_out);
}
static double xavier_uniform(double fan_in, double fan_out) {
    return sqrt(6.0 / (fan_in + fan_out));
}
static double xavier_normal(double fan_in, double fan_out) {
    return sqrt(2.0 / (fan_in + fan_out));
}

static const struct scheme schemes[] = {
#define OCT_INIT(value, word, normal, spread) {normal, spread},
#include "autograd/nn/init_schemes.def"
};
static const char *const words[] = {
#define OCT_INIT(value, word, normal, spread) word,
#include "autograd/nn/init_schemes.def"
};
static const octi_words init_words = OCTI_WORDS("init", words);
OCTI_WORD_PAIR(oct_init, init_words)

oct_status octi_init_check(oct_init scheme) {
    return octi_word_check(&init_words, "oct_module_init: scheme", (int)scheme);
}

oct_status octi_init_tensor(oct_ctx *ctx, const octi_slot *s, const char *path, oct_init scheme) {
    float *v = oct_f32(s->tensor);
    int64_t n = oct_tensor_count(s->tensor);
    if (s->init == OCTI_INIT_ZERO || s->init == OCTI_INIT_ONE) {
        for (int64_t i = 0; i < n; i++) v[i] = s->init == OCTI_INIT_ONE;
        return OCT_OK;
    }
    const struct scheme *by = &schemes[scheme];
    double fan_out = (double)s->tensor->shape.dim[0];
    /* O * R * S */
    for (int32_t d = 1; d + 1 < s->tensor->shape.rank; d++)
        fan_out *= (double)s->tensor->shape.dim[d];
    float spread = (float)by->spread((double)s->fan_in, fan_out);
    uint64_t h = path_hash(path);
    octi_rng r =
        octi_rng_stream(oct_ctx_seed(ctx), OCTI_RNG_INIT, (uint32_t)h, (uint32_t)(h >> 32));
    for (int64_t i = 0; i < n; i++)
        v[i] = by->normal ? octi_rng_normal(&r) * spread
                          : (2.0f * octi_rng_uniform(&r) - 1.0f) * spread;
    return OCT_OK;
}
