/* SPDX-License-Identifier: MIT
 * tests/every_set.h - a set of every kind in the test's folder, of one painting. */
#ifndef OCT_TESTS_EVERY_SET_H
#define OCT_TESTS_EVERY_SET_H

#include "tests/set_files.h"

static oct_ctx *ctx;

/* ---- one set of every kind, each without a test part, each image known by its pixels ---- */

enum { COUNT = 300, SIDE = 8 };
static void paint(uint32_t i, uint8_t *px) {
    for (int k = 0; k < SIDE * SIDE; k++) px[k] = (uint8_t)(i * 7 + (uint32_t)k * (i / 256 + 1));
}
static uint8_t label3(uint32_t i) { return (uint8_t)(i % 3); }

static void make_idx(void) {
    make_dir("idx");
    save_idx("idx", "train", COUNT, SIDE, paint, label3);
}
static void make_cifar(void) {
    static uint8_t rec[COUNT * 3073];
    make_dir("c10");
    for (size_t i = 0; i < COUNT; i++) {
        rec[i * 3073] = (uint8_t)(i % 10);
        for (size_t k = 0; k < 3072; k++)
            rec[i * 3073 + 1 + k] = (uint8_t)(i * 7 + k * (i / 256 + 1));
    }
    save("c10/data_batch_1.bin", rec, 200 * 3073);
    save("c10/data_batch_2.bin", rec + 200 * 3073, 100 * 3073);
}
static void make_npz(bool floats) {
    static float x[COUNT * 64];
    static uint8_t u[COUNT * 64];
    static int32_t y[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        paint(i, u + 64 * i);
        y[i] = (int32_t)i % 3;
    }
    for (int i = 0; i < COUNT * 64; i++) x[i] = (float)u[i] / 16;
    octi_npz_array a[] = {
        {"x", floats ? OCT_F32 : OCT_U8, OCT_SHAPE(COUNT, 1, 8, 8), floats ? (void *)x : u},
        {"y", OCT_S32, OCT_SHAPE(COUNT), y}};
    ck_ok(octi_npz_write(ctx, in_root(floats ? "f.npz" : "u.npz"), a, 2));
}
static void make_folder(const char *dir, int each) {
    char name[90];
    make_dir(dir);
    for (int k = 0; k < 3; k++) {
        snprintf(name, sizeof name, "%s/class%d", dir, k);
        make_dir(name);
        for (int i = 0; i < each; i++) {
            snprintf(name, sizeof name, "%s/class%d/%d.bmp", dir, k, i);
            save_bmp(name, SIDE, SIDE,
                     (uint8_t[]){(uint8_t)(i * 2), (uint8_t)(100 * k), (uint8_t)(i / 100)});
        }
    }
}
static const char *const kinds[] = {"idx:idx", "cifar10:c10", "npz:f.npz", "npz:u.npz", "folder:f"};
enum { KINDS = sizeof kinds / sizeof *kinds };
static void make_all(void) {
    make_idx();
    make_cifar();
    make_npz(true);
    make_npz(false);
    make_folder("f", COUNT / 3);
}

#endif
