/* SPDX-License-Identifier: MIT
 * tests/set_files.h - small data sets on disk, and what the library says of them. */
#ifndef OCT_TESTS_SET_FILES_H
#define OCT_TESTS_SET_FILES_H

#include "tests/temp_folder.h"

#include <math.h>
#include <sys/stat.h>
#include <zlib.h>

#include "datasets/set.h"
#include "src/format/npz.h"
#include "src/mem.h"

static char set_log[1 << 14]; /* lines of the context's log since the last forget() */

static inline void set_log_line(void *user, oct_log_level level, const char *line) {
    (void)user;
    const size_t at = strlen(set_log);
    snprintf(set_log + at, sizeof set_log - at, "%c %s\n", "EWID"[level], line);
}
static inline void forget(void) { *set_log = 0; }
static inline bool logged(const char *words) { return strstr(set_log, words) != NULL; }

static inline void save(const char *name, const void *bytes, size_t n) {
    oct_ctx *own = oct_open(NULL);
    ck_ok(octi_file_save(own, in_root(name), bytes, n));
    oct_close(own);
}
static inline void save_gz(const char *name, const void *bytes, size_t n) {
    gzFile f = gzopen(in_root(name), "wb");
    ck_assert_int_eq(gzwrite(f, bytes, (unsigned)n), (int)n);
    gzclose(f);
}
static inline void make_dir(const char *name) { ck_assert_int_eq(mkdir(in_root(name), 0777), 0); }

/* n images of side x side, the pixels of image i by paint(i, its pixels), its label by label(i);
 * under both names. */
static inline void save_idx(const char *dir, const char *part, uint32_t n, uint32_t side,
                            void (*paint)(uint32_t i, uint8_t *px), uint8_t (*label)(uint32_t i)) {
    const size_t each = (size_t)side * side;
    uint8_t *b = calloc(1, 16 + n * each), head[] = {0,
                                                     0,
                                                     8,
                                                     3,
                                                     0,
                                                     0,
                                                     (uint8_t)(n >> 8),
                                                     (uint8_t)n,
                                                     0,
                                                     0,
                                                     0,
                                                     (uint8_t)side,
                                                     0,
                                                     0,
                                                     0,
                                                     (uint8_t)side};
    char name[90];
    memcpy(b, head, 16);
    for (uint32_t i = 0; i < n; i++) paint(i, b + 16 + i * each);
    snprintf(name, sizeof name, "%s/%s-images-idx3-ubyte", dir, part);
    save(name, b, 16 + n * each);
    b[3] = 1;
    for (uint32_t i = 0; i < n; i++) b[8 + i] = label(i);
    snprintf(name, sizeof name, "%s/%s-labels-idx1-ubyte", dir, part);
    save(name, b, 8 + n);
    free(b);
}

/* A picture of one colour, BGR. */
static inline void save_bmp(const char *name, int w, int h, const uint8_t bgr[3]) {
    size_t pitch = ((size_t)w * 3 + 3) / 4 * 4, n = 54 + pitch * (size_t)h;
    uint8_t *b = calloc(1, n);
    memcpy(b, "BM", 2);
    b[10] = 54, b[14] = 40, b[18] = (uint8_t)w, b[22] = (uint8_t)h, b[26] = 1, b[28] = 24;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) memcpy(b + 54 + (size_t)y * pitch + 3 * (size_t)x, bgr, 3);
    save(name, b, n);
    free(b);
}

#endif
