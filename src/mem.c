/* SPDX-License-Identifier: MIT
 * The context and its memory. Each block carries a 64-byte header in a doubly linked list, so that
 * oct_close can free what the caller left: ownership of everything is the context's in the end. */
#define _DEFAULT_SOURCE /* madvise, MAP_ANONYMOUS */
#include "src/mem.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "src/arena.h"
#include "src/cpu.h"
#include "src/paths.h"
#include "src/threads.h"
#include "src/words.h"

typedef struct block {
    struct block *prev, *next;
    size_t bytes; /* with the header and the slack behind */
    size_t used;  /* asked for */
    char pad[64 - 2 * sizeof(void *) - 2 * sizeof(size_t)];
} block;

_Static_assert(sizeof(block) == 64, "the header keeps the payload 64-byte aligned");

enum { WARNINGS = 16, WARNING_BYTES = 256 };

typedef struct closer {
    struct closer *next;
    void (*destroy)(void *);
    void *object;
} closer;

struct oct_ctx {
    oct_opts opts;
    pthread_mutex_t lock;
    block blocks; /* list head */
    uint64_t counts[OCT_MEMORY_COUNT];
    uint64_t fail_at; /* OCT_FAIL_ALLOC: the n-th allocation fails; 0 never */
    closer *closers;
    oct_status first_failure;
    octi_threads *pool;
    const struct octi_cut *cut;
    octi_sgemm_fn sgemm;
    octi_sgemm_install_fn sgemm_install;
    octi_arena *scratch;
    void *observers;
    octi_paths paths;
    char warning[WARNINGS][WARNING_BYTES]; /* under the lock: pool threads warn too */
    int64_t warning_count;
    octi_cpu_features features;
    const char *no_amx;  /* why it is not used; NULL: it is */
    const char *only;    /* candidate, for tests */
    octk_table *kernels; /* behind the context, in one block with it */
};

static size_t ctx_bytes(void) { return sizeof(oct_ctx) + octk_table_bytes; }

static bool is_large(size_t bytes) { return bytes && bytes % OCTI_LARGE_PAGE == 0; }

/* A second-level cache finds its lines by physical addresses: pages of 4 KB lie there at random, so
 * that some sets are asked for more lines than they have long before the cache is full. Fresh
 * memory, since the heap's may have such pages already. */
static void *large_alloc(size_t bytes) {
    uint8_t *p = mmap(NULL, bytes + OCTI_LARGE_PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    const size_t front = -(uintptr_t)p % OCTI_LARGE_PAGE;
    if (front) munmap(p, front);
    p += front;
    munmap(p + bytes, OCTI_LARGE_PAGE - front);
#ifdef MADV_HUGEPAGE
    (void)madvise(p, bytes, MADV_HUGEPAGE); /* a wish */
#endif
    return p;
}

static void *heap_alloc(void *user, size_t bytes) {
    (void)user;
    void *p = NULL;
    if (is_large(bytes)) return large_alloc(bytes);
    return posix_memalign(&p, 64, bytes) ? NULL : p;
}

static void heap_free(void *user, void *p, size_t bytes) {
    (void)user;
    if (is_large(bytes))
        munmap(p, bytes);
    else
        free(p);
}

octi_paths *octi_ctx_paths(oct_ctx *ctx) { return &ctx->paths; }

size_t octi_ctx_declared_limit(const oct_ctx *ctx) {
    return ctx->opts.max_bytes ? ctx->opts.max_bytes : (size_t)1 << 30;
}

void *octi_alloc_raw(oct_ctx *ctx, size_t bytes) {
    size_t total, rounded;
    if (!ctx) return octi_fail_null("memory"), NULL; /* a constructor of no context */
    if (!octi_add_size(bytes, sizeof(block) + 63, &rounded)) {
        octi_fail(OCT_ELIMIT, "memory", "allocation size overflows", NULL,
                  octi_fmt("%zu bytes", bytes), NULL);
        return NULL;
    }
    total = rounded & ~(size_t)63;
    pthread_mutex_lock(&ctx->lock);
    bool inject = ++ctx->counts[OCT_MEMORY_ALLOCS] == ctx->fail_at;
    bool over =
        ctx->opts.max_bytes && (total > ctx->opts.max_bytes ||
                                ctx->counts[OCT_MEMORY_BYTES] > ctx->opts.max_bytes - total);
    const size_t held = (size_t)ctx->counts[OCT_MEMORY_BYTES];
    pthread_mutex_unlock(&ctx->lock);
    if (over) {
        octi_fail(OCT_ELIMIT, "memory", "over the context's max_bytes",
                  octi_fmt("at most %zu bytes", ctx->opts.max_bytes),
                  octi_fmt("%zu more on top of %zu", bytes, held),
                  "raise .max_bytes or use a smaller batch");
        return NULL;
    }
    block *b = inject ? NULL : ctx->opts.alloc.alloc(ctx->opts.alloc.user, total);
    if (!b) {
        octi_fail(OCT_ENOMEM, "memory", "allocation failed", NULL, octi_fmt("%zu bytes", bytes),
                  NULL);
        return NULL;
    }
    b->bytes = total;
    b->used = bytes;
    pthread_mutex_lock(&ctx->lock);
    b->prev = &ctx->blocks;
    b->next = ctx->blocks.next;
    b->next->prev = b;
    ctx->blocks.next = b;
    ctx->counts[OCT_MEMORY_BYTES] += total;
    if (ctx->counts[OCT_MEMORY_BYTES] > ctx->counts[OCT_MEMORY_PEAK_BYTES])
        ctx->counts[OCT_MEMORY_PEAK_BYTES] = ctx->counts[OCT_MEMORY_BYTES];
    pthread_mutex_unlock(&ctx->lock);
    return b + 1;
}

void *octi_alloc(oct_ctx *ctx, size_t bytes) {
    void *p = octi_alloc_raw(ctx, bytes);
    if (p) memset(p, 0, bytes);
    return p;
}

void *octi_calloc(oct_ctx *ctx, size_t n, size_t size) {
    size_t bytes;
    if (!octi_mul_size(n, size, &bytes)) {
        octi_fail(OCT_ELIMIT, "memory", "allocation size overflows", NULL,
                  octi_fmt("%zu x %zu bytes", n, size), NULL);
        return NULL;
    }
    return octi_alloc(ctx, bytes);
}

void octi_free(oct_ctx *ctx, void *p) {
    if (!p || !ctx) return; /* without its context it lives until that closes */
    block *b = (block *)p - 1;
    pthread_mutex_lock(&ctx->lock);
    b->prev->next = b->next;
    b->next->prev = b->prev;
    ctx->counts[OCT_MEMORY_BYTES] -= b->bytes;
    pthread_mutex_unlock(&ctx->lock);
    ctx->opts.alloc.free(ctx->opts.alloc.user, b, b->bytes);
}

void *octi_realloc(oct_ctx *ctx, void *p, size_t bytes) {
    block *b = p ? (block *)p - 1 : NULL;
    size_t old = b ? b->used : 0;
    if (b && bytes <= b->bytes - sizeof(block)) {
        if (bytes > old) memset((char *)p + old, 0, bytes - old);
        b->used = bytes;
        return p;
    }
    char *q = octi_alloc_raw(ctx, bytes);
    if (!q) return NULL;
    if (p) memcpy(q, p, old);
    memset(q + old, 0, bytes - old);
    octi_free(ctx, p);
    return q;
}

oct_status octi_reserve(oct_ctx *ctx, void **items, size_t *capacity, size_t need,
                        size_t item_bytes) {
    if (need <= *capacity) return OCT_OK;
    size_t cap = *capacity < 8 ? 8 : *capacity, bytes;
    while (cap < need)
        if (!octi_mul_size(cap, 2, &cap))
            return octi_fail(OCT_ELIMIT, "memory", "array too long", NULL, NULL, NULL);
    if (!octi_mul_size(cap, item_bytes, &bytes))
        return octi_fail(OCT_ELIMIT, "memory", "array too long", NULL, NULL, NULL);
    void *p = octi_realloc(ctx, *items, bytes);
    if (!p) return oct_last_error()->code;
    *items = p;
    *capacity = cap;
    return OCT_OK;
}

char *octi_strdup(oct_ctx *ctx, const char *s) {
    size_t n = strlen(s) + 1;
    char *p = octi_alloc_raw(ctx, n);
    return p ? memcpy(p, s, n) : NULL;
}

char *octi_asprintf(oct_ctx *ctx, const char *format, ...) {
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : octi_alloc_raw(ctx, (size_t)n + 1);
    if (p) vsnprintf(p, (size_t)n + 1, format, again);
    va_end(again);
    return p;
}

oct_status octi_on_close(oct_ctx *ctx, void (*destroy)(void *), void *object) {
    closer *c = octi_alloc(ctx, sizeof *c);
    if (!c) return oct_last_error()->code;
    *c = (closer){ctx->closers, destroy, object};
    ctx->closers = c;
    return OCT_OK;
}

void octi_on_close_cancel(oct_ctx *ctx, void *object) {
    for (closer **p = &ctx->closers; *p; p = &(*p)->next)
        if ((*p)->object == object) {
            closer *dead = *p;
            *p = dead->next;
            octi_free(ctx, dead);
            return;
        }
}

oct_ctx *oct_open(const oct_opts *opts) {
    oct_opts o = opts ? *opts : (oct_opts){0};
    if (o.threads < 0 || o.threads > OCTI_MAX_THREADS) {
        octi_fail(OCT_EUSAGE, "oct_open", "threads out of range",
                  octi_fmt("0 to %d", OCTI_MAX_THREADS), octi_fmt("%d", o.threads),
                  "0 means one per core");
        return NULL;
    }
    if (!o.alloc.alloc != !o.alloc.free) {
        octi_fail(OCT_EUSAGE, "oct_open", "allocator needs both alloc and free", NULL, NULL, NULL);
        return NULL;
    }
    octi_cpu_features have;
    octi_no_amx no_amx;
    if (octi_cpu_have(o.amx, &have, &no_amx) != OCT_OK) return NULL;
    if (!o.alloc.alloc) o.alloc = (oct_allocator){heap_alloc, heap_free, NULL};
    if (!o.seed) o.seed = 1;
    if (!o.threads) o.threads = octi_cpu_count();
    oct_ctx *ctx = o.alloc.alloc(o.alloc.user, ctx_bytes());
    if (!ctx) {
        octi_fail(OCT_ENOMEM, "oct_open", "allocation failed", NULL,
                  octi_fmt("%zu bytes", ctx_bytes()), NULL);
        return NULL;
    }
    memset(ctx, 0, sizeof *ctx);
    ctx->opts = o;
    ctx->kernels = (octk_table *)(ctx + 1);
    ctx->features = have;
    ctx->no_amx = no_amx.why;
    octk_table_choose(ctx->kernels, have);
    ctx->blocks.prev = ctx->blocks.next = &ctx->blocks;
    pthread_mutex_init(&ctx->lock, NULL);
    const char *fail = getenv("OCT_FAIL_ALLOC");
    if (fail) ctx->fail_at = strtoull(fail, NULL, 10);
    if (o.threads > 1 && !(ctx->pool = octi_threads_new(ctx, o.threads))) {
        oct_close(ctx);
        return NULL;
    }
    if (no_amx.refused) octi_log(ctx, OCT_LOG_WARN, "AMX is not used: %s", no_amx.why);
    return ctx;
}

void oct_close(oct_ctx *ctx) {
    if (!ctx) return;
    while (ctx->closers) {
        closer c = *ctx->closers;
        octi_free(ctx, ctx->closers);
        ctx->closers = c.next;
        c.destroy(c.object);
    }
    octi_threads_free(ctx->pool);
    while (ctx->blocks.next != &ctx->blocks) octi_free(ctx, ctx->blocks.next + 1);
    pthread_mutex_destroy(&ctx->lock);
    oct_allocator a = ctx->opts.alloc;
    a.free(a.user, ctx, ctx_bytes());
}

void octi_ctx_failed(oct_ctx *ctx) {
    oct_status s = octi_fail_null("context");
    if (ctx && ctx->first_failure == OCT_OK) ctx->first_failure = s;
}

static void keep_warning(oct_ctx *ctx, const char *line) {
    pthread_mutex_lock(&ctx->lock);
    if (ctx->warning_count < WARNINGS)
        snprintf(ctx->warning[ctx->warning_count], WARNING_BYTES, "%.*s", WARNING_BYTES - 1, line);
    ctx->warning_count++;
    pthread_mutex_unlock(&ctx->lock);
}

void octi_log(oct_ctx *ctx, oct_log_level level, const char *format, ...) {
    if (!ctx->opts.log && level > OCT_LOG_WARN) return;
    char line[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    if (level <= OCT_LOG_WARN) keep_warning(ctx, line);
    if (ctx->opts.log) ctx->opts.log(ctx->opts.log_user, level, line);
}

const char *oct_ctx_warning(const oct_ctx *ctx, int i) {
    const bool kept = ctx && i >= 0 && i < WARNINGS && i < ctx->warning_count;
    return kept ? ctx->warning[i] : NULL;
}
int64_t oct_ctx_warning_count(const oct_ctx *ctx) { return ctx ? ctx->warning_count : 0; }

oct_status octi_progress(oct_ctx *ctx, const char *what, int64_t done, int64_t total) {
    const oct_opts *o = &ctx->opts;
    if (!o->progress || !o->progress(o->progress_user, what, done, total)) return OCT_OK;
    return octi_fail(OCT_ESTOPPED, what, "stopped by the caller", NULL,
                     octi_fmt("%lld of %lld", (long long)done, (long long)total), NULL);
}

oct_status oct_ctx_status(const oct_ctx *ctx) {
    return ctx ? ctx->first_failure : octi_fail_null("oct_ctx_status");
}
void oct_ctx_clear(oct_ctx *ctx) {
    if (ctx) ctx->first_failure = OCT_OK, ctx->warning_count = 0;
    oct_clear_error();
}
uint64_t oct_ctx_seed(const oct_ctx *ctx) { return ctx ? ctx->opts.seed : 0; }
int oct_ctx_threads(const oct_ctx *ctx) { return ctx ? ctx->opts.threads : 0; }
uint64_t oct_ctx_memory(const oct_ctx *ctx, oct_memory what) {
    return ctx && (unsigned)what < OCT_MEMORY_COUNT ? ctx->counts[what] : 0;
}
const char *oct_ctx_isa(const oct_ctx *ctx) {
    return ctx ? octi_cpu_word_of(octk_table_features(ctx->kernels)) : NULL;
}
const char *oct_ctx_no_amx(const oct_ctx *ctx) {
    return ctx ? ctx->no_amx : (octi_fail_null("oct_ctx_no_amx"), NULL);
}
const octk_table *octi_ctx_kernels(const oct_ctx *ctx) { return ctx->kernels; }
uint32_t octi_ctx_features(const oct_ctx *ctx) { return ctx->features; }
void octi_ctx_only(oct_ctx *ctx, const char *candidate) { ctx->only = candidate; }
const char *octi_ctx_only_candidate(const oct_ctx *ctx) { return ctx->only; }
void octi_ctx_set_sgemm(oct_ctx *ctx, octi_sgemm_fn fn) { ctx->sgemm = fn; }
octi_sgemm_fn octi_ctx_sgemm(const oct_ctx *ctx) { return ctx->sgemm; }
void octi_ctx_set_sgemm_install(oct_ctx *ctx, octi_sgemm_install_fn fn) { ctx->sgemm_install = fn; }
octi_sgemm_install_fn octi_ctx_sgemm_install(const oct_ctx *ctx) { return ctx->sgemm_install; }
void octi_ctx_set_observers(oct_ctx *ctx, void *list) { ctx->observers = list; }
void *octi_ctx_observers(const oct_ctx *ctx) { return ctx->observers; }
octi_threads *octi_ctx_pool(const oct_ctx *ctx) { return ctx->pool; }

const struct octi_cut *octi_ctx_set_cut(oct_ctx *ctx, const struct octi_cut *cut) {
    const struct octi_cut *before = ctx->cut;
    ctx->cut = cut;
    return before;
}
const struct octi_cut *octi_ctx_cut(const oct_ctx *ctx) { return ctx->cut; }

octi_arena *octi_ctx_scratch(oct_ctx *ctx) {
    if (!ctx->scratch) ctx->scratch = octi_arena_new(ctx);
    return ctx->scratch;
}

void oct_opts_init(oct_opts *opts) {
    if (opts) *opts = (oct_opts){0};
}
