/* SPDX-License-Identifier: MIT
 * src/rng.h - counter-based random numbers: Philox 4x32-10 (Salmon et al., SC'11, "Parallel random
 * numbers: as easy as
 * 1, 2, 3"). A number depends on (seed, stream, index) alone: never on threads, order or how many
 * were drawn before. */
#ifndef OCT_SRC_RNG_H
#define OCT_SRC_RNG_H

#include "api.h"

/** A stream: the seed and up to three words that say what it is for, such as epoch, sample, op. */
typedef struct octi_rng {
    uint64_t seed;
    uint32_t stream[3];
    uint32_t index; /* next block of four words */
    uint32_t word[4];
    int left; /* words of `word` not yet given */
} octi_rng;

/** First words of streams, so that no two uses share one. */
enum octi_rng_use {
    OCTI_RNG_INIT = 1,
    OCTI_RNG_SHUFFLE,
    OCTI_RNG_AUGMENT,
    OCTI_RNG_DROPOUT,
    OCTI_RNG_SYNTH,
    OCTI_RNG_SPLIT,
    OCTI_RNG_TEST,
    OCTI_RNG_SAMPLE
};

/** Block `index` of a stream: four words. */
void octi_philox(uint64_t seed, const uint32_t stream[3], uint32_t index, uint32_t out[4]);

octi_rng octi_rng_stream(uint64_t seed, uint32_t use, uint32_t a, uint32_t b);
uint32_t octi_rng_u32(octi_rng *r);
/** Uniform in [0, 1), 24 bits. */
float octi_rng_uniform(octi_rng *r);
/** Standard normal (Box-Muller in double). */
float octi_rng_normal(octi_rng *r);
/** Uniform in [0, n), unbiased; n >= 1. */
uint32_t octi_rng_below(octi_rng *r, uint32_t n);
/** Permutation of 0..n-1 (Fisher-Yates). */
void octi_rng_permutation(octi_rng *r, uint32_t *out, uint32_t n);

#endif
