/* SPDX-License-Identifier: MIT
 * tests/rigged_alloc.h - an allocator for oct_opts.alloc that counts what is out and fails on
 * demand. */
#ifndef OCT_TESTS_RIGGED_ALLOC_H
#define OCT_TESTS_RIGGED_ALLOC_H

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "src/context.h"

/* bytes of a block that are spoilt: an arena's megabyte would take all the time */
enum { RIG_FILL = 1 << 14 };

typedef struct rig {
    atomic_llong calls, blocks, bytes; /* made; out now */
    long long fail_at;                 /* this call of alloc fails, counted from 1; 0: none */
    bool on;                           /* and all behind it */
    atomic_bool hit;
} rig;

static inline void *rig_alloc(void *user, size_t bytes) {
    rig *r = user;
    long long k = atomic_fetch_add(&r->calls, 1) + 1;
    if (r->fail_at && (k == r->fail_at || (r->on && k > r->fail_at))) {
        atomic_store(&r->hit, true);
        return NULL;
    }
    void *p = NULL;
    if (posix_memalign(&p, 64, bytes)) return NULL;
    /* nothing may rely on fresh memory being zero */
    memset(p, 0xA5, bytes < RIG_FILL ? bytes : RIG_FILL);
    atomic_fetch_add(&r->blocks, 1);
    atomic_fetch_add(&r->bytes, (long long)bytes);
    return p;
}

static inline void rig_free(void *user, void *p, size_t bytes) {
    rig *r = user;
    /* nor on freed memory keeping its values */
    memset(p, 0x5A, bytes < RIG_FILL ? bytes : RIG_FILL);
    free(p);
    atomic_fetch_sub(&r->blocks, 1);
    atomic_fetch_sub(&r->bytes, (long long)bytes);
}

static inline oct_ctx *rig_open(rig *r, int threads) {
    return oct_open(&(oct_opts){.threads = threads, .alloc = {rig_alloc, rig_free, r}});
}

#endif
