/* SPDX-License-Identifier: MIT
 * A job is published by a generation number; workers take indices with an atomic counter. The
 * caller works too. Whoever waits, for a job or for the last worker of one, spins a little before
 * it sleeps: the many small loops of a training step, or of an image that threads share, follow
 * each other faster than a thread wakes. No lock is taken but to sleep, and to wake a sleeper. */
#include "src/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "src/clock.h"
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
    atomic_int sleepers; /* workers that wait for `wake`, or are about to */
    atomic_bool stop;
    unsigned forks; /* when the threads were made */
    /* the job; nothing of it moves while a worker is inside */
    octi_task_fn fn;
    void *arg;
    int64_t n;
    atomic_llong next;
    atomic_uint gate; /* workers inside it; and SHUT where it takes no more of them */
};

/* A sleeper of a virtual machine takes 100 us to wake, and 50 of whoever wakes it. Who waits longer
 * than usual gives its CPU away: the one that it waits for may want it. */
enum { SPIN_NS = 300000, KEEP_NS = 20000, STACK_BYTES = 1 << 20 };
#define SHUT (1u << 31)

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

/* A wait that spins: false, now and from then on, when it has taken SPIN_NS. */
typedef struct spin {
    unsigned rounds;
    int64_t end;
} spin;
static bool goes_on(spin *s) {
    cpu_relax();
    if (++s->rounds % 32) return true;
    const int64_t now = octi_nanoseconds();
    if (!s->end) s->end = now + SPIN_NS;
    if (now > s->end - SPIN_NS + KEEP_NS) sched_yield();
    return now < s->end;
}

static void work(octi_threads *p, octi_task_fn fn, void *arg, int64_t n) {
    for (;;) {
        int64_t i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (i >= n) return;
        fn(arg, i);
    }
}

/* Into the job, unless it has ended: then nobody waits for this thread. */
static bool enter(octi_threads *p) {
    unsigned inside = atomic_load_explicit(&p->gate, memory_order_relaxed);
    while (!(inside & SHUT))
        if (atomic_compare_exchange_weak_explicit(&p->gate, &inside, inside + 1,
                                                  memory_order_acquire, memory_order_relaxed))
            return true;
    return false;
}

static void leave(octi_threads *p) {
    if (atomic_fetch_sub_explicit(&p->gate, 1, memory_order_release) != SHUT + 1) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_signal(&p->done);
    pthread_mutex_unlock(&p->lock);
}

/* Until a job comes that is newer than `seen`, or the end. */
static unsigned await(octi_threads *p, unsigned seen) {
    unsigned now = seen;
    spin s = {0};
    while (now == seen && goes_on(&s))
        now = atomic_load_explicit(&p->generation, memory_order_acquire);
    if (now != seen) return now;
    pthread_mutex_lock(&p->lock);
    /* then the number: whoever moves that looks here behind it */
    atomic_fetch_add(&p->sleepers, 1);
    while ((now = atomic_load(&p->generation)) == seen) pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
    return now;
}

static void *worker(void *opaque) {
    octi_threads *p = opaque;
    for (unsigned seen = 0;;) {
        seen = await(p, seen);
        if (atomic_load(&p->stop)) return NULL;
        if (!enter(p)) continue;
        /* made by a thread in whatever mode; user code may run in it */
        (void)octi_float_mode_enter();
        work(p, p->fn, p->arg, p->n);
        leave(p);
    }
}

static void announce(octi_threads *p) {
    atomic_fetch_add(&p->generation, 1);
    if (!atomic_load(&p->sleepers)) return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

/* No worker enters any more, and none is inside. */
static void shut(octi_threads *p) {
    unsigned inside = atomic_fetch_or_explicit(&p->gate, SHUT, memory_order_acquire);
    spin s = {0};
    while (inside & ~SHUT && goes_on(&s))
        inside = atomic_load_explicit(&p->gate, memory_order_acquire);
    if (!(inside & ~SHUT)) return;
    pthread_mutex_lock(&p->lock);
    while (atomic_load_explicit(&p->gate, memory_order_acquire) & ~SHUT)
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

octi_threads *octi_threads_new(oct_ctx *ctx, int threads) {
    octi_threads *p = octi_alloc(ctx, sizeof *p);
    if (!p || !(p->thread = octi_calloc(ctx, (size_t)threads, sizeof *p->thread))) return NULL;
    p->ctx = ctx;
    p->forks = octi_forks();
    atomic_store(&p->gate, SHUT);
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
        atomic_store(&p->stop, true);
        announce(p);
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
    p->fn = fn;
    p->arg = arg;
    p->n = n;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    atomic_store_explicit(&p->gate, 0, memory_order_release);
    announce(p);
    work(p, fn, arg, n);
    shut(p);
    atomic_store_explicit(&p->busy, false, memory_order_release);
}
