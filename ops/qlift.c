/* SPDX-License-Identifier: MIT
 * Operands of an add as floats by their bits (octk_lifted_code), and the proof that codes stay the
 * law's. */
#include <math.h>
#include <string.h>

#include "ops/qrun.h"

enum { CODES = UINT8_MAX + 1, MOST_TRIES = 1 << 14, MOST_PAIRS = 8 };

/* ---- a number 2^15 + z + more whose product with m is a float, nearly ---- */

/* In units of 2^-8 it is 24 bits, of which the second byte is z. Times m's odd part they are a
 * small number modulo the power of two that a float's 24 bits leave: an inverse gives such. */
typedef struct search {
    float m;
    uint32_t z, inverse, modulo, tried;
} search;

uint32_t octi_odd_inverse(float m, uint32_t *modulo) {
    int e;
    uint32_t odd = (uint32_t)(frexp((double)m, &e) * 0x1p24), inverse;
    *modulo = 1 << 24;
    for (; odd % 2 == 0; odd /= 2) *modulo /= 2;
    inverse = odd;
    for (int i = 0; i < 4; i++) inverse *= 2 - odd * inverse;
    return inverse;
}

static search search_of(float m, int32_t z) {
    search s = {.m = m, .z = (uint32_t)z};
    s.inverse = octi_odd_inverse(m, &s.modulo);
    return s;
}

/* The next one, no nearer than those before. */
static bool next(search *s, octk_lifted_code *l) {
    const uint32_t first = UINT32_C(1) << 23;
    while (s->tried < MOST_TRIES) {
        const uint32_t i = s->tried++, near = i % 2 ? -(i + 1) / 2 : i / 2,
                       found = (near * s->inverse & (s->modulo - 1)) |
                               ((first | s->z << 8) & -s->modulo),
                       x = i == 0 && s->z == 0 ? first : found; /* 2^15 m is a float */
        if (!(x & first) || (x >> 8 & UINT8_MAX) != s->z) continue;
        *l = (octk_lifted_code){0x47000000 | (x & 0x7f00ff),
                                (float)((double)x * 0x1p-8 * (double)s->m)};
        return true;
    }
    return false;
}

/* ---- the proof ---- */

typedef struct products { /* by code: the law's, the lifted ones, whether they differ */
    float law[CODES], lifted[CODES];
    bool differ[CODES];
} products;

static void products_of(products *p, const octk_lifted_code *l, float m, int32_t z) {
    for (uint32_t code = 0; code < CODES; code++) {
        const uint32_t bits = l->bits | code << 8;
        float f;
        memcpy(&f, &bits, sizeof f);
        p->law[code] = (float)((int32_t)code - z) * m;
        /* a double has all bits of such a product and of the difference */
        p->lifted[code] = (float)((double)f * (double)m - (double)l->less);
        p->differ[code] = p->law[code] != p->lifted[code];
    }
}

/* One code of p with all of q. */
static bool same_codes(const products *p, int32_t code, const products *q, const octk_map_u8 *a) {
    const float integers = 0x1.8p23f; /* a float that much higher is rounded as the law rounds */
    const float law = p->law[code], lifted = p->lifted[code];
    int32_t differ = 0;
    for (int32_t i = 0; i < CODES; i++)
        differ |= (law + q->law[i]) + integers != (lifted + q->lifted[i]) + integers;
    for (int32_t i = 0; differ && i < CODES; i++)
        if (octq_round_code(law + q->law[i], a->zy, a->lo, a->hi) !=
            octq_round_code(lifted + q->lifted[i], a->zy, a->lo, a->hi))
            return false;
    return true;
}

/* Pairs of which neither product differs have the law's sum. */
static bool proven(const products *p, const products *q, const octk_map_u8 *a) {
    for (int32_t i = 0; i < CODES; i++)
        if ((p->differ[i] && !same_codes(p, i, q, a)) || (q->differ[i] && !same_codes(q, i, p, a)))
            return false;
    return true;
}

void octi_lift_add(octk_map_u8 *a) {
    a->lift[0] = a->lift[1] = (octk_lifted_code){0, 0};
    if (a->by.law != OCTQ_FP32) return;
    for (int i = 0; i < 2; i++) /* no float leaves its normal numbers, no sum s32 */
        if (!(a->by.m[i] > 0x1p-60f && a->by.m[i] < 0x1p14f)) return;
    const float m = a->by.m[0], m2 = a->by.m[1];
    search s = search_of(m, a->zx), s2 = search_of(m2, a->zx2);
    octk_lifted_code l, l2;
    products p, q;
    for (int pair = 0; pair < MOST_PAIRS; pair++) {
        /* one of them is another one than before */
        if (pair % 2 == 0) {
            if (!next(&s, &l)) return;
            products_of(&p, &l, m, a->zx);
        }
        if (pair % 2 || pair == 0) {
            if (!next(&s2, &l2)) return;
            products_of(&q, &l2, m2, a->zx2);
        }
        if (!proven(&p, &q, a)) continue;
        a->lift[0] = l;
        a->lift[1] = l2;
        return;
    }
}
