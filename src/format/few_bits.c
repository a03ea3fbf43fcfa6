/* SPDX-License-Identifier: MIT */
#include "src/format/few_bits.h"

int octi_few_bits(const oct_tensor *t) {
    const int64_t count = oct_tensor_count(t);
    if (t->dtype != OCT_S8 || count < 1) return 0;
    const int8_t *x = oct_s8(t);
    int bits = 2;
    for (int64_t i = 0; i < count; i++)
        while (bits < 5 && (x[i] < -(1 << (bits - 1)) || x[i] >= 1 << (bits - 1))) bits++;
    return bits < 5 ? bits : 0;
}

void octi_few_pack(const int8_t *x, size_t count, int bits, uint8_t *packed) {
    uint32_t held = 0;
    int have = 0;
    for (size_t i = 0; i < count; i++) {
        held |= ((uint32_t)x[i] & ((1u << bits) - 1)) << have;
        for (have += bits; have >= 8; have -= 8, held >>= 8) *packed++ = (uint8_t)held;
    }
    if (have) *packed = (uint8_t)held;
}

bool octi_few_unpack(const uint8_t *packed, size_t count, int bits, int8_t *x) {
    uint32_t held = 0;
    int have = 0;
    for (size_t i = 0; i < count; i++) {
        if (have < bits) held |= (uint32_t)*packed++ << have, have += 8;
        const int v = (int)(held & ((1u << bits) - 1));
        x[i] = (int8_t)(v >= 1 << (bits - 1) ? v - (1 << bits) : v);
        held >>= bits;
        have -= bits;
    }
    return !held;
}
