/* SPDX-License-Identifier: MIT
 * OpenBLAS, loaded by the first product that it does better. It is the serial build: octet cuts the
 * work itself, and one thread gives the same bits whoever calls. Two habits of OpenBLAS shape this
 * file: where it gets no memory for a work buffer it asks again for ever, and where more callers
 * want one than it has slots it ends the process. So buffers are taken while there is somebody to
 * tell, after a look whether there is room, and no more callers than buffers are let in: later ones
 * wait. */
#define _GNU_SOURCE /* RTLD_DEEPBIND */
#include "autograd/blas.h"

#include <cblas.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#include "src/cut.h"
#include "src/mem.h"

/* Its own symbols first, whatever the host program has loaded; sanitizers' runtimes refuse that. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_SYMBOLS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OWN_SYMBOLS 0
#endif
#endif
#ifndef OWN_SYMBOLS
#define OWN_SYMBOLS RTLD_DEEPBIND
#endif

typedef void cblas_sgemm_fn(enum CBLAS_ORDER, enum CBLAS_TRANSPOSE, enum CBLAS_TRANSPOSE, blasint,
                            blasint, blasint, float, const float *, blasint, const float *, blasint,
                            float, float *, blasint);

/* One per process: a library is loaded once. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t left; /* a caller is out again */
    void *library;
    cblas_sgemm_fn *sgemm;
    void *(*buffer_take)(int);
    void (*buffer_give)(void *);
    int buffers, inside;
} blas = {.lock = PTHREAD_MUTEX_INITIALIZER, .left = PTHREAD_COND_INITIALIZER};

enum { MOST_BUFFERS = OCTI_MAX_SLOTS };
/* its BUFFER_SIZE, the largest of all CPUs that it knows */
static const size_t BUFFER_BYTES = (size_t)32 << 22;

static void sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
                  int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc) {
    pthread_mutex_lock(&blas.lock);
    while (blas.inside == blas.buffers) pthread_cond_wait(&blas.left, &blas.lock);
    blas.inside++;
    pthread_mutex_unlock(&blas.lock);
    blas.sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
               (blasint)m, (blasint)n, (blasint)k, alpha, a, (blasint)lda, b, (blasint)ldb, beta, c,
               (blasint)ldc);
    pthread_mutex_lock(&blas.lock);
    blas.inside--;
    pthread_cond_broadcast(&blas.left);
    pthread_mutex_unlock(&blas.lock);
}

static oct_status load(void) {
    static const char *const want =
        "the serial OpenBLAS that octet was configured with, " OCT_OPENBLAS_LIBRARY;
    errno = 0;
    void *l = dlopen(OCT_OPENBLAS_LIBRARY, RTLD_NOW | RTLD_LOCAL | OWN_SYMBOLS);
    if (!l)
        return octi_fail(errno == ENOMEM ? OCT_ENOMEM : OCT_EUNSUPPORTED, "OpenBLAS",
                         "cannot be loaded", want, octi_fmt("%s", dlerror()),
                         "training needs it (Debian: libopenblas0-serial), int8 nets do not");
    union { /* what dlsym gives is a data pointer */
        void *p;
        int (*parallel)(void);
        cblas_sgemm_fn *sgemm;
        void *(*take)(int);
        void (*give)(void *);
    } parallel = {dlsym(l, "openblas_get_parallel")}, product = {dlsym(l, "cblas_sgemm")},
      take = {dlsym(l, "blas_memory_alloc")}, give = {dlsym(l, "blas_memory_free")};
    if (!parallel.p || !product.p || !take.p || !give.p || parallel.parallel() != 0) {
        dlclose(l);
        return octi_fail(OCT_EUNSUPPORTED, "OpenBLAS", "not a serial build", want, NULL,
                         "configure with -DOCT_OPENBLAS_LIBRARY=PATH");
    }
    blas.sgemm = product.sgemm, blas.buffer_take = take.take, blas.buffer_give = give.give;
    blas.library = l;
    return OCT_OK;
}

static bool room_for(int buffers) {
    size_t bytes = (size_t)buffers * BUFFER_BYTES;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p != MAP_FAILED && !munmap(p, bytes);
}

/* `want` buffers in all, or as many as there is room for. */
static oct_status grow(int want) {
    void *held[MOST_BUFFERS];
    while (blas.inside) pthread_cond_wait(&blas.left, &blas.lock);
    int more = want - blas.buffers;
    while (more > 0 && !room_for(more)) more--;
    if (more <= 0 && !blas.buffers)
        return octi_fail(OCT_ENOMEM, "OpenBLAS", "no memory for a work buffer",
                         octi_fmt("%zu MiB of addresses", BUFFER_BYTES >> 20), NULL,
                         "training needs it; raise the limit (ulimit -v)");
    for (int i = 0; i < blas.buffers + more; i++) held[i] = blas.buffer_take(0);
    blas.buffers += more;
    for (int i = 0; i < blas.buffers; i++) blas.buffer_give(held[i]);
    return OCT_OK;
}

oct_status octi_blas_install(oct_ctx *ctx) {
    if (octi_ctx_sgemm(ctx)) return OCT_OK;
    int want = oct_ctx_threads(ctx) < MOST_BUFFERS ? oct_ctx_threads(ctx) : MOST_BUFFERS;
    pthread_mutex_lock(&blas.lock);
    oct_status s = blas.library ? OCT_OK : load();
    if (s == OCT_OK && want > blas.buffers) s = grow(want);
    pthread_mutex_unlock(&blas.lock);
    if (s == OCT_OK) octi_ctx_set_sgemm(ctx, sgemm);
    return s;
}
