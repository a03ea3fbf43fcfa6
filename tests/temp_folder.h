/* SPDX-License-Identifier: MIT
 * tests/temp_folder.h - a folder of a test's own. */
#ifndef OCT_TESTS_TEMP_FOLDER_H
#define OCT_TESTS_TEMP_FOLDER_H

#include "tests/oct_test.h"

static char root[64]; /* "" where there is none */

/** Make it: in $TMPDIR, else in memory where the machine has such a place. */
static inline void make_root(void) {
    /* whoever runs many tests at once gives each its own place */
    const char *own = getenv("TMPDIR");
    if (!own || strlen(own) > 40) own = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
    snprintf(root, sizeof root, "%s/octet-test-XXXXXX", own);
    ck_assert(mkdtemp(root) != NULL);
}

static inline void remove_root(void) {
    char cmd[96];
    if (!*root) return;
    snprintf(cmd, sizeof cmd, "rm -rf %s", root);
    ck_assert_int_eq(system(cmd), 0);
    *root = 0;
}

/** An empty one, the old one gone. */
static inline void fresh_root(void) {
    remove_root();
    make_root();
}

/** A path in it; good for the next 31 calls. */
static inline const char *in_root(const char *name) {
    static char path[32][160];
    static int turn;
    turn = (turn + 1) % 32;
    snprintf(path[turn], sizeof path[0], "%s/%s", root, name);
    return path[turn];
}

#endif
