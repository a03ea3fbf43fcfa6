/* SPDX-License-Identifier: MIT
 * tests/kernel_cases.h - a case for every slot of kernels.def: check_<slot>(kernel, its name) holds
 * one kernel against the law, or against sums in double, over sizes, pitches and extremes.
 * test_kernels.c runs it for every row that the machine has; a slot without a case is NULL there (a
 * weak symbol), and named. */
#ifndef OCT_TESTS_KERNEL_CASES_H
#define OCT_TESTS_KERNEL_CASES_H

#include "ops/kernels/kernels.h"
#include "ops/qconv.h"
#include "src/qround.h"
#include "src/rng.h"
#include "tests/oct_test.h"

#define OCT_KERNEL_SLOT(slot)                                                                      \
    void check_##slot(octk_##slot##_fn *kernel, const char *name) __attribute__((weak));
#include "ops/kernels/kernels.def"

/** Rounds of a case are divided by this where each costs ten times as much. */
#if defined(__SANITIZE_ADDRESS__) || defined(OCT_EMULATED)
enum { SANITIZED_PART = 24 };
#else
enum { SANITIZED_PART = 1 };
#endif
static inline int below(octi_rng *r, int n) { return (int)octi_rng_below(r, (uint32_t)n); }
/** A block of bytes that nobody wrote: what a kernel leaves beside its output must still be
 *  there. */
static inline void *untouched(size_t bytes) {
    void *p = malloc(bytes ? bytes : 1);
    memset(p, 0xa5, bytes);
    return p;
}
/** Records of `count` channels. Of fp32 m, which the caller draws; or of q31, drawn here into
 *  numbers [2 * count]: usual ones, and every multiplier and shift that a file may hold. */
static inline octq_multipliers draw_records(octi_rng *r, const float *m, int32_t *numbers,
                                            int count) {
    static const int32_t odd[] = {0, 1, 1 << 30, (1 << 30) + 1, INT32_MAX - 1, INT32_MAX};
    if (below(r, 2)) return (octq_multipliers){.law = OCTQ_FP32, .m = m};
    for (int i = 0; i < count; i++) {
        const bool usual = below(r, 3);
        if (usual && m[i] < 0x1p30f)
            octq_q31_of((double)m[i], &numbers[i], &numbers[count + i]);
        else {
            numbers[i] = below(r, 2) ? odd[below(r, 6)] : (int32_t)(octi_rng_u32(r) >> 1);
            numbers[count + i] = below(r, 62) - 31;
        }
    }
    return (octq_multipliers){.law = OCTQ_Q31, .q31 = numbers, .shift = numbers + count};
}
/** Zero point and clamp of an output. */
typedef struct ends {
    int zy, lo, hi;
} ends;

static inline ends draw_ends(octi_rng *r) {
    ends e = {below(r, 256), 0, 255};
    if (below(r, 5) == 0) e.zy = 255 * below(r, 2);
    if (below(r, 2)) e.lo = below(r, e.zy + 1), e.hi = e.zy + below(r, 256 - e.zy);
    return e;
}
/** Biases b of all lanes, lifted, where each lane's are with sums of at most `most`; the caller
 *  frees both. */
static inline octk_lift draw_lift(const int32_t *b, const float *m, int lanes, int zy,
                                  int64_t most) {
    int32_t *high = untouched((size_t)(lanes + 16) * 4), d;
    float *by = untouched((size_t)(lanes + 16) * 4);
    for (int l = 0; l < lanes; l++) {
        if (!octi_lift_of(m[l], zy, most, &d, &by[l])) {
            free(high), free(by);
            return (octk_lift){NULL, NULL};
        }
        high[l] = (int32_t)((uint32_t)b[l] + OCTK_LIFT + (uint32_t)d);
    }
    return (octk_lift){high, by};
}
static inline void free_lift(const octk_lift *l) {
    free((void *)(uintptr_t)l->b), free((void *)(uintptr_t)l->by);
}

/** A sum by record i. */
static inline int32_t law_of_sum(const octq_multipliers *by, int64_t i, int32_t sum, int32_t zy,
                                 int32_t lo, int32_t hi) {
    return by->law == OCTQ_FP32 ? octq_requant(sum, by->m[i], zy, lo, hi)
                                : octq_q31_code(sum, by->q31[i], by->shift[i], zy, lo, hi);
}
/** Failures alone call Check: these loops are long. */
#define same_bytes(name, got, want, bytes)                                                         \
    do {                                                                                           \
        if (memcmp((got), (want), (bytes))) ck_abort_msg("%s: not the law's bytes", (name));       \
    } while (0)

#endif
