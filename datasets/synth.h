/* SPDX-License-Identifier: MIT
 * datasets/synth.h - what the two synthetic sets share. Sample i of a part depends on (seed, part,
 * i) alone. Only + - * / and square roots of IEEE singles are used, no libm function whose last bit
 * may differ: the pixels are the same everywhere. */
#ifndef OCT_DATASETS_SYNTH_H
#define OCT_DATASETS_SYNTH_H

#include "datasets/set.h"
#include "src/rng.h"

enum { OCTI_SYNTH_TRAIN = 20000, OCTI_SYNTH_TEST = 4000 };

/** Draw one image of class `label`. */
typedef void octi_synth_draw(octi_rng *r, int label, uint8_t *pixels);

/** A set of ten classes (sample i has class i mod 10), drawn whole on the context's threads. */
oct_data *octi_synth_open(oct_ctx *ctx, const char *name, int32_t channels, int32_t side,
                          const char *const names[10], uint32_t key, octi_synth_draw *draw,
                          const oct_data_opts *opts);

/** Uniform in [lo, hi). */
static inline float octi_synth_range(octi_rng *r, float lo, float hi) {
    return lo + (hi - lo) * octi_rng_uniform(r);
}
/** cos and sin of twice the angle whose tangent is t, rational: |t| <= 0.4142 reaches 45
 *  degrees. */
static inline void octi_synth_turn(float t, float *cosine, float *sine) {
    float n = 1 + t * t;
    *cosine = (1 - t * t) / n;
    *sine = 2 * t / n;
}
static inline uint8_t octi_synth_byte(float v) {
    return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)(v + 0.5f);
}

void octi_synth_draw_digit(octi_rng *r, int label, uint8_t *pixels);
void octi_synth_draw_shape(octi_rng *r, int label, uint8_t *pixels);

#endif
