/* SPDX-License-Identifier: MIT
 * A job is published under a lock and a generation number; workers take indices with an atomic
 * counter. The caller works too. A short spin before sleeping keeps the many small loops of a
 * training step from paying a wake-up each. */
#include "src/threads.h"

#include <pthread.h>
#include <stdatomic.h>

#include "src/float_mode.h"
#include "src/mem.h"

struct octi_threads {
    oct_ctx *ctx;
    int workers; /* threads beside the caller */
    pthread_t *thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    atomic_bool busy;
    atomic_uint generation;
    bool stop;
    unsigned forks; /* when the threads were made */
    /* the job */
    octi_task_fn fn;
    void *arg;
    int64_t n;
    atomic_llong next;
    bool open;  /* the job still takes workers */
    int active; /* workers inside it */
};

enum { SPIN_ROUNDS = 2000, STACK_BYTES = 1 << 20 };

static atomic_uint forks;
static void forked(void) { atomic_fetch_add(&forks, 1); }
static void watch_forks(void) { pthread_atfork(NULL, NULL, forked); }

unsigned octi_forks(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    return atomic_load_explicit(&forks, memory_order_relaxed);
}

int octi_thread_start(pthread_t *thread, void *(*run)(void *), void *arg) {
    pthread_attr_t attr;
    size_t have = 0;
    int error = pthread_attr_init(&attr);
    if (error) return error;
    if (!pthread_attr_getstacksize(&attr, &have) && have < STACK_BYTES)
        error = pthread_attr_setstacksize(&attr, STACK_BYTES);
    if (!error) error = pthread_create(thread, &attr, run, arg);
    pthread_attr_destroy(&attr);
    return error;
}

static inline void cpu_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void work(octi_threads *p, octi_task_fn fn, void *arg, int64_t n) {
    for (;;) {
        int64_t i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (i >= n) return;
        fn(arg, i);
    }
}

static void *worker(void *opaque) {
    octi_threads *p = opaque;
    unsigned seen = 0;
    for (;;) {
        for (int i = 0;
             i < SPIN_ROUNDS && atomic_load_explicit(&p->generation, memory_order_acquire) == seen;
             i++)
            cpu_relax();
        pthread_mutex_lock(&p->lock);
        while (atomic_load(&p->generation) == seen && !p->stop)
            pthread_cond_wait(&p->wake, &p->lock);
        seen = atomic_load(&p->generation);
        if (p->stop) return pthread_mutex_unlock(&p->lock), NULL;
        if (!p->open) { /* the loop ended before this thread woke: nobody waits for it */
            pthread_mutex_unlock(&p->lock);
            continue;
        }
        p->active++;
        octi_task_fn fn = p->fn;
        void *arg = p->arg;
        int64_t n = p->n;
        pthread_mutex_unlock(&p->lock);
        /* made by a thread in whatever mode; user code may run in it */
        (void)octi_float_mode_enter();
        work(p, fn, arg, n);
        pthread_mutex_lock(&p->lock);
        if (--p->active == 0) pthread_cond_signal(&p->done);
        pthread_mutex_unlock(&p->lock);
    }
}

octi_threads *octi_threads_new(oct_ctx *ctx, int threads) {
    octi_threads *p = octi_alloc(ctx, sizeof *p);
    if (!p || !(p->thread = octi_calloc(ctx, (size_t)threads, sizeof *p->thread))) return NULL;
    p->ctx = ctx;
    p->forks = octi_forks();
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->done, NULL);
    for (int i = 0; i < threads - 1; i++) {
        if (octi_thread_start(&p->thread[i], worker, p)) {
            octi_fail(OCT_ELIMIT, "threads", "cannot start a thread",
                      octi_fmt("%d threads", threads), octi_fmt("%d", i + 1),
                      "ask for fewer threads");
            octi_threads_free(p);
            return NULL;
        }
        p->workers++;
    }
    return p;
}

void octi_threads_free(octi_threads *p) {
    if (!p) return;
    /* else the threads are the parent's, and what they held stays locked */
    if (p->forks == octi_forks()) {
        pthread_mutex_lock(&p->lock);
        p->stop = true;
        atomic_fetch_add(&p->generation, 1);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->lock);
        for (int i = 0; i < p->workers; i++) pthread_join(p->thread[i], NULL);
        pthread_mutex_destroy(&p->lock);
        pthread_cond_destroy(&p->wake);
        pthread_cond_destroy(&p->done);
    }
    oct_ctx *ctx = p->ctx;
    octi_free(ctx, p->thread);
    octi_free(ctx, p);
}

void octi_parallel_for(octi_threads *p, int64_t n, octi_task_fn fn, void *arg) {
    if (!p || n < 2 || p->forks != octi_forks() ||
        atomic_exchange_explicit(&p->busy, true, memory_order_acquire)) {
        for (int64_t i = 0; i < n; i++) fn(arg, i);
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->fn = fn;
    p->arg = arg;
    p->n = n;
    p->open = true;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&p->generation, 1, memory_order_release);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    work(p, fn, arg, n);
    pthread_mutex_lock(&p->lock);
    p->open = false;
    while (p->active) pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
    atomic_store_explicit(&p->busy, false, memory_order_release);
}
