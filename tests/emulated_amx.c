/* SPDX-License-Identifier: MIT
 * AMX instructions in C: Intel's manual (volume 2, LDTILECFG, TILELOADD, TDPBUSD, ...), palette
 * 1. */
#include "tests/emulated_amx.h"

#include <string.h>

#include "tests/oct_test.h"

enum { TILES = 8, ROWS = 16, ROW_BYTES = 64, SHAPES = 64 };

_Thread_local emu_tiles emu_tiles_now;
_Thread_local emu_tile_counts emu_tile_count;
_Thread_local void (*emu_tile_fault)(const char *what);

/* Whether something is wrong; then it was told. */
static bool fault(bool wrong, const char *what) {
    if (!wrong) return false;
    if (!emu_tile_fault) ck_abort_msg("AMX: %s", what);
    emu_tile_fault(what);
    return true;
}

void emu_ldtilecfg(const void *shapes) {
    emu_tiles t = {0};
    memcpy(&t, shapes, SHAPES);
    emu_tile_count.configured++;
    if (t.palette == 0) {
        emu_tiles_now = (emu_tiles){0};
        return;
    }
    if (fault(t.palette > 1, "#GP: a palette that there is not")) return;
    for (int i = 0; i < 14; i++)
        if (fault(t.reserved[i], "#GP: a reserved byte")) return;
    for (int i = 0; i < 16; i++) {
        if (fault(i >= TILES && (t.rows[i] || t.bytes[i]), "#GP: a ninth tile")) return;
        if (fault(t.rows[i] > ROWS, "#GP: more than 16 rows")) return;
        if (fault(t.bytes[i] > ROW_BYTES, "#GP: more than 64 bytes a row")) return;
        if (fault(!t.rows[i] != !t.bytes[i], "#GP: a tile with rows or bytes alone")) return;
    }
    emu_tiles_now = t; /* all zero */
}

void emu_sttilecfg(void *shapes) { memcpy(shapes, &emu_tiles_now, SHAPES); }

void emu_tilerelease(void) {
    emu_tile_count.released++;
    emu_tiles_now = (emu_tiles){0};
}

static bool unusable(int t) {
    return fault(emu_tiles_now.palette != 1, "#UD: no tiles are configured") ||
           fault(t < 0 || t >= TILES || !emu_tiles_now.rows[t], "#UD: this tile is not configured");
}

void emu_tileloadd(int t, const void *at, int64_t pitch) {
    emu_tile_count.loads++;
    if (unusable(t)) return;
    memset(emu_tiles_now.data[t], 0, sizeof emu_tiles_now.data[t]);
    for (int r = 0; r < emu_tiles_now.rows[t]; r++)
        memcpy(emu_tiles_now.data[t][r], (const uint8_t *)at + r * pitch, emu_tiles_now.bytes[t]);
}

void emu_tilestored(int t, void *at, int64_t pitch) {
    emu_tile_count.stores++;
    if (unusable(t)) return;
    for (int r = 0; r < emu_tiles_now.rows[t]; r++)
        memcpy((uint8_t *)at + r * pitch, emu_tiles_now.data[t][r], emu_tiles_now.bytes[t]);
}

void emu_tilezero(int t) {
    if (!unusable(t)) memset(emu_tiles_now.data[t], 0, sizeof emu_tiles_now.data[t]);
}

void emu_tdpbusd(int c, int a, int b) {
    emu_tiles *s = &emu_tiles_now;
    emu_tile_count.products++;
    if (unusable(c) || unusable(a) || unusable(b)) return;
    if (fault(c == a || a == b || c == b, "#UD: a tile twice")) return;
    if (fault(s->bytes[c] % 4 || s->bytes[a] % 4 || s->bytes[b] % 4, "#UD: half a sum")) return;
    if (fault(s->rows[c] != s->rows[a], "#UD: rows of sums and of codes differ")) return;
    if (fault(s->bytes[c] != s->bytes[b], "#UD: columns of sums and of weights differ")) return;
    if (fault(s->bytes[a] / 4 != s->rows[b], "#UD: steps of codes and of weights differ")) return;
    int32_t weight[ROWS][4][16]; /* by step, code, column: loops that compilers make vectors of */
    for (int k = 0; k < ROWS; k++)
        for (int i = 0; i < ROW_BYTES; i++) weight[k][i % 4][i / 4] = (int8_t)s->data[b][k][i];
    for (int m = 0; m < s->rows[c]; m++) {
        uint32_t sum[16];
        memcpy(sum, s->data[c][m], sizeof sum);
        for (int k = 0; k < s->rows[b]; k++)
            for (int i = 0; i < 4; i++)
                for (int n = 0; n < 16; n++)
                    sum[n] += (uint32_t)(s->data[a][m][4 * k + i] * weight[k][i][n]);
        memset(s->data[c][m], 0, ROW_BYTES);
        memcpy(s->data[c][m], sum, s->bytes[c]);
    }
    for (int m = s->rows[c]; m < ROWS; m++) memset(s->data[c][m], 0, ROW_BYTES);
}
