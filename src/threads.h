/* SPDX-License-Identifier: MIT
 * src/threads.h - one small persistent pool per context. The doc of a call is the serial loop that
 * it equals. */
#ifndef OCT_SRC_THREADS_H
#define OCT_SRC_THREADS_H

#include <pthread.h>

#include "context.h"

enum { OCTI_MAX_THREADS = 256 };

typedef struct octi_threads octi_threads;
typedef void (*octi_task_fn)(void *arg, int64_t i);

/** How often this process was forked from one that had a pool: a child has the memory of its
 *  parent's threads, and not the threads. Whoever made a thread keeps this number, and waits for
 *  the thread only where it is still the same. */
unsigned octi_forks(void);
/** pthread_create with a stack that the library's own functions fit in, whatever `ulimit -s` says;
 *  0 or an error number. */
int octi_thread_start(pthread_t *thread, void *(*run)(void *), void *arg);

octi_threads *octi_threads_new(oct_ctx *ctx, int threads);
void octi_threads_free(octi_threads *pool);

/** for (i = 0; i < n; i++) fn(arg, i);  in any order and at once. pool NULL, or busy with another
 *  caller's (or this thread's own) loop: serial. What a task computes must not depend on who runs
 *  it. */
void octi_parallel_for(octi_threads *pool, int64_t n, octi_task_fn fn, void *arg);

#endif
