/* SPDX-License-Identifier: MIT
 * Pitches of values, and the cells around images that hold the zero point. */
#include "ops/layout.h"

#include <string.h>

octi_layout octi_layout_of(const oct_shape *s, size_t element, octi_halo h) {
    octi_layout l = {.image = (int64_t)element};
    if (s->rank != 4) {
        for (int i = 1; i < s->rank; i++) l.image *= s->dim[i];
        return l;
    }
    l.halo = h;
    l.pixel = s->dim[3] * (int64_t)element;
    l.row = (h.left + s->dim[2] + h.right) * l.pixel;
    l.image = (h.top + s->dim[1] + h.bottom) * l.row;
    l.origin = h.top * l.row + h.left * l.pixel;
    return l;
}

octi_layout octi_layout_dense(const oct_shape *s, size_t element) {
    return octi_layout_of(s, element, (octi_halo){0});
}

bool octi_halo_none(const octi_halo *h) { return !(h->top | h->left | h->bottom | h->right); }

static int32_t larger(int32_t a, int32_t b) { return a > b ? a : b; }

octi_halo octi_halo_join(octi_halo a, octi_halo b) {
    return (octi_halo){larger(a.top, b.top), larger(a.left, b.left), larger(a.bottom, b.bottom),
                       larger(a.right, b.right)};
}

bool octi_halo_covers(const octi_halo *have, const octi_halo *need) {
    return have->top >= need->top && have->left >= need->left && have->bottom >= need->bottom &&
           have->right >= need->right;
}

/* Between rows stand a few cells: a call of memset costs more than they do. */
static inline void fill_few(uint8_t *at, const uint8_t code[16], int64_t n) {
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) memcpy(at + i, code, 16);
    for (; i + 4 <= n; i += 4) memcpy(at + i, code, 4);
    for (; i < n; i++) at[i] = code[0];
}

void octi_halo_fill(const octi_layout *l, const oct_shape *s, uint8_t *at, int64_t n,
                    uint8_t code) {
    const octi_halo *h = &l->halo;
    /* what stands right of a row and left of the next one is one run */
    const int64_t side = (h->left + h->right) * l->pixel, inside = s->dim[2] * l->pixel,
                  last = (s->dim[1] - 1) * l->row;
    uint8_t codes[16];
    memset(codes, code, sizeof codes);
    for (int64_t i = 0; i < n; i++, at += l->image) {
        memset(at - l->origin, code, (size_t)l->origin);
        for (int64_t r = 0; r < last && side; r += l->row) fill_few(at + r + inside, codes, side);
        memset(at + last + inside, code, (size_t)(l->image - l->origin - last - inside));
    }
}
