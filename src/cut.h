/* SPDX-License-Identifier: MIT
 * src/cut.h - how a batch is cut: into slots, whatever the threads; slots into the subtrees that
 * processes have. Whoever sums over the images of a batch asks this one object which images are
 * here, and folds through it: partial results of slots along one binary tree, the subtrees of
 * other processes behind it. So sums have the same bits for any number of threads and
 * processes. */
#ifndef OCT_SRC_CUT_H
#define OCT_SRC_CUT_H

#include "arena.h"
#include "threads.h"

enum { OCTI_MAX_SLOTS = 16 };

typedef struct octi_cut octi_cut;

/** Partial results of two neighbouring subtrees; what both have goes to a. */
typedef struct octi_join {
    void *a;
    const void *b;
    int64_t from, to; /* elements of a partial result that this call joins */
    /* a has images [first, first + images_a) of the batch, b the images_b behind them */
    int64_t first, images_a, images_b;
    const void *arg; /* the sum's */
} octi_join;

/** What is summed over images: how large a partial result is and how two become one. */
typedef struct octi_sum {
    void (*join)(const octi_join *j);
    const void *arg;
    int64_t count; /* elements of a partial result; none meets another */
    size_t bytes;  /* of a partial result */
} octi_sum;

/** partial: what the slots of this process have. Becomes what all slots of the batch have, the same
 *  bits in every process, along the tree that goes on above the cut's subtree (octi_cut_join).
 *  Every process makes the same calls in the same order. */
typedef oct_status (*octi_reduce_fn)(void *user, const octi_cut *cut, const octi_sum *sum,
                                     void *partial);

struct octi_cut {
    int64_t images; /* of the batch, over all processes */
    int slots;      /* of the batch: 8 below 128 images, 16 from there, at most the largest power of
                       two <= images */
    int first, count;      /* slots that are here: a subtree, count a power of two */
    octi_reduce_fn reduce; /* NULL: the whole batch is here */
    void *user;
};

/** All of a batch of n images is here. */
octi_cut octi_cut_whole(int64_t n);
/** All images that are here in one piece: for work whose images do not meet. */
octi_cut octi_cut_in_one(int64_t n);
/** What process `rank` of `processes` (a power of two) has of a batch of n images. Where a batch
 *  has fewer slots than there are processes, several have the same slot: each ends a step with the
 *  same bits. */
octi_cut octi_cut_share(int64_t n, int rank, int processes, octi_reduce_fn reduce, void *user);
/** The cut of a value of n images in this context: the one in force where n images of it are here,
 *  else that of a batch of its own; which several processes cannot sum over, and folding says
 *  so. */
octi_cut octi_cut_of(oct_ctx *ctx, int64_t n);
/** In force while work is done that is no image's, beside a batch that several processes share. */
extern const octi_cut octi_cut_of_others;

/** First image of slot i of the whole batch. */
static inline int64_t octi_cut_begin(const octi_cut *c, int i) { return c->images * i / c->slots; }
/** The slots here are numbered from 0: images [at(i), at(i + 1)) of those that are here. */
static inline int64_t octi_cut_at(const octi_cut *c, int64_t i) {
    return octi_cut_begin(c, c->first + (int)i) - octi_cut_begin(c, c->first);
}
/** Images that are here. */
static inline int64_t octi_cut_here(const octi_cut *c) { return octi_cut_at(c, c->count); }
/** Images of the largest slot, wherever it is. */
static inline int64_t octi_cut_most(const octi_cut *c) {
    return (c->images + c->slots - 1) / c->slots;
}

/** Fold `count` partial results, laid one after the other (one for each slot here): children
 *  (0,1), (2,3), ... then their sums; then what other processes have. The result lands in the
 *  first. pool may be NULL. */
oct_status octi_cut_fold(const octi_cut *c, octi_threads *pool, const octi_sum *sum, void *partial);
/** Sums of `count` floats, or doubles, each. */
oct_status octi_cut_fold_f32(const octi_cut *c, octi_threads *pool, float *partial, int64_t count);
oct_status octi_cut_fold_f64(const octi_cut *c, double *partial, int64_t count);
/** One level of the tree, for who reduces: slots [slot, slot + width) have a, the `width` behind
 *  them b; a gets what both have. */
void octi_cut_join(const octi_cut *c, const octi_sum *sum, int slot, int width, void *a,
                   const void *b);

/** A number that this process has counted becomes that of all. */
oct_status octi_cut_total(const octi_cut *c, double *number);
/** The range of what is here becomes that of all. */
oct_status octi_cut_range(const octi_cut *c, float *min, float *max);
/** x: `each` floats for each image here. *whole: those of all images in their order; x itself where
 *  all are here, else in the arena. For what has no tree, and for few values or first steps: it
 *  moves the whole batch. */
oct_status octi_cut_gather(const octi_cut *c, octi_arena *arena, const float *x, int64_t each,
                           const float **whole);

#endif
