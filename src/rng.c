/* SPDX-License-Identifier: MIT
 * Philox 4x32-10, and the draws made of it: uniform, normal, below n. */
#include "src/rng.h"

#include <math.h>

void octi_philox(uint64_t seed, const uint32_t stream[3], uint32_t index, uint32_t out[4]) {
    uint32_t c0 = index, c1 = stream[0], c2 = stream[1], c3 = stream[2];
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

octi_rng octi_rng_stream(uint64_t seed, uint32_t use, uint32_t a, uint32_t b) {
    return (octi_rng){.seed = seed, .stream = {use, a, b}};
}

uint32_t octi_rng_u32(octi_rng *r) {
    if (!r->left) {
        octi_philox(r->seed, r->stream, r->index++, r->word);
        r->left = 4;
    }
    return r->word[4 - r->left--];
}

float octi_rng_uniform(octi_rng *r) { return (float)(octi_rng_u32(r) >> 8) * 0x1p-24f; }

float octi_rng_normal(octi_rng *r) {
    double u = ((double)octi_rng_u32(r) + 1.0) * 0x1p-32, v = (double)octi_rng_u32(r) * 0x1p-32;
    return (float)(sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v));
}

uint32_t octi_rng_below(octi_rng *r, uint32_t n) {
    /* Lemire's multiply with rejection */
    uint64_t m = (uint64_t)octi_rng_u32(r) * n;
    if ((uint32_t)m < n) {
        uint32_t floor = (uint32_t)(-n) % n;
        while ((uint32_t)m < floor) m = (uint64_t)octi_rng_u32(r) * n;
    }
    return (uint32_t)(m >> 32);
}

void octi_rng_permutation(octi_rng *r, uint32_t *out, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        uint32_t j = octi_rng_below(r, i + 1);
        out[i] = out[j];
        out[j] = i;
    }
}
