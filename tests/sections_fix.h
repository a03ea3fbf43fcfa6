/* SPDX-License-Identifier: MIT
 * tests/sections_fix.h - make the CRCs and lengths of a damaged container fit again, so that what
 * lies behind them is tested. */
#ifndef OCT_TESTS_SECTIONS_FIX_H
#define OCT_TESTS_SECTIONS_FIX_H

#include <stdint.h>
#include <string.h>
#include <zlib.h>

static inline uint64_t fix_get(const uint8_t *p, int n) {
    uint64_t v = 0;
    for (int i = 0; i < n; i++) v |= (uint64_t)p[i] << 8 * i;
    return v;
}
static inline void fix_put(uint8_t *p, uint64_t v, int n) {
    for (int i = 0; i < n; i++) p[i] = (uint8_t)(v >> 8 * i);
}

/** Magic, version, total length and CRCs; offsets and sizes as far as the table is there and inside
 *  the file.
 */
static inline void sections_fix(uint8_t *b, size_t size, const char *magic, uint32_t version) {
    if (size < 28) return;
    memcpy(b, magic, 8);
    fix_put(b + 8, version, 4);
    fix_put(b + 16, size, 8);
    uint64_t n = fix_get(b + 12, 4), at;
    if (n < 1 || n > 16 || 24 + 24 * n + 4 > size) return;
    at = 24 + 24 * n + 4;
    for (uint64_t i = 0; i < n; i++) {
        uint8_t *e = b + 24 + 24 * i;
        uint64_t bytes = fix_get(e + 16, 8);
        if (bytes > size - at || i + 1 == n) bytes = size - at;
        fix_put(e + 8, at, 8);
        fix_put(e + 16, bytes, 8);
        fix_put(e + 4, (uint32_t)crc32(0, b + at, (uInt)bytes), 4);
        at += bytes;
    }
    fix_put(b + 24 + 24 * n, (uint32_t)crc32(0, b, (uInt)(24 + 24 * n)), 4);
}

#endif
