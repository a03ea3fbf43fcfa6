/* SPDX-License-Identifier: MIT
 * ops/qconv.h - int8 convolution and linear: geometry, proven bounds, and the candidates that may
 * run it. A linear layer is a convolution of images of one pixel. */
#ifndef OCT_OPS_QCONV_H
#define OCT_OPS_QCONV_H

#include "ops/qrun.h"

/** A layer, judged. H W C P Q O R S g as in ops.h. */
struct octi_qconv {
    int32_t h, w, c, p, q, o, r, s, groups;
    int32_t stride[2], pads[4], dilation[2];
    int32_t pool; /* 2: the plan's 2x2 max pool of stride 2 behind it is part of it; else 1 */
    int32_t zx, zy, lo, hi;
    int32_t qmax;           /* the largest code of the input */
    const int8_t *weight;   /* [O,R,S,C/g] */
    const int32_t *bias;    /* [O] */
    octq_multipliers by;    /* [O] */
    int64_t largest_sum;    /* over channels: |b| + sum|w| * max|q - z| */
    int64_t largest_weight; /* over channels: sum|w| */
    int64_t largest_output; /* over channels: the largest |sum|, by the weights' signs */
    double largest_value;   /* fp32, over channels: the same bound times the multiplier; else 0 */
    float least_m;          /* fp32: smallest multiplier; else 1 */
    int64_t beside;         /* bytes of the weights of the net's other layers */
    const octk_table *kernels; /* that would run it: what it costs depends on them */
};

/** One way to run it. */
typedef struct octi_candidate {
    const char *name;
    /** Whether a context's kernels are fast enough for it to be asked; NULL: any are. */
    bool (*offered)(const octk_table *kernels);
    /** NULL where it can run this layer; else why not. */
    const char *(*unfit)(const octi_qconv *c);
    /** Cycles of an image, by a model with measured constants. */
    double (*cycles)(const octi_qconv *c);
    /** Cells around the input that it would like to find. */
    octi_halo (*halo)(const octi_qconv *c);
    int32_t (*units)(const octi_qconv *c);
    /** Panels of output channels that it can be cut into; NULL: it cannot. */
    int32_t (*panels)(const octi_qconv *c);
    octi_qbind_fn *bind;
    bool pools;        /* it can take such a pool into itself */
    int32_t unit_rows; /* of the output that a unit stores; 0: one */
    int32_t band;      /* bytes of codes that it would make at a time where ops follow; 0: few */
} octi_candidate;

#define OCT_CANDIDATE(name) extern const octi_candidate octi_qconv_##name;
#include "ops/qconv.def"
extern const octi_candidate *const octi_candidates[];
extern const int octi_candidate_count;

/* ---- for the candidates ---- */

/** The layer that q binds. */
const octi_qconv *octi_qconv_of(const octi_qargs *q);
octi_halo octi_no_halo(const octi_qconv *c);
/** Bytes of its weights as s16; beyond OCTI_CACHED_WEIGHTS they do not stay in the second-level
 *  cache, so that each band of rows reads them from memory. */
enum { OCTI_CACHED_WEIGHTS = 256 << 10 };
static inline int64_t octi_weight_bytes(const octi_qconv *c) {
    return (int64_t)c->r * c->s * (c->c / c->groups) * c->o * 2;
}
/** Cycles that packed weights of so many bytes cost by coming from memory, `rate` bytes in each:
 *  products wait for them. */
static inline double octi_weight_cycles(int64_t bytes, double rate) {
    return bytes > OCTI_CACHED_WEIGHTS ? (double)bytes / rate : 0;
}
/** The transform of a kernel's row of exact integer Winograd along a row: of fewer taps the first
 *  ones; the last point has the last tap. */
extern const int16_t octi_wino1_weights[OCTK_WINO1_POINTS][5];
/** Whether a candidate that would like such a halo does without the layer instead. */
static inline bool octi_borders_too_wide(octi_halo need) {
    enum { WIDEST = 64 };
    return need.top > WIDEST || need.left > WIDEST || need.bottom > WIDEST || need.right > WIDEST;
}
/** What a kernel of convolutions over rows (octk_conv_rows) costs, in cycles of a core that was
 *  measured. Of a table the last one counts whose features the kernel needs, or the core has as a
 *  property. */
typedef struct octi_row_cost {
    uint32_t needs;
    double step, ends; /* a pixel by a panel of 16 channels: a step, and beginning and end */
    double slim;       /* so much of it by a panel of 8 */
    double byte;       /* of weights that come from memory */
    double near, call; /* of others, from a nearer cache; beginning and end; of few outputs most */
} octi_row_cost;
double octi_row_cycles(const octi_qconv *c, const octi_row_cost *costs, int count, uint32_t kernel,
                       double steps, int64_t weight_bytes);
/** Whether that one counts for a kernel that needs `kernel`. */
bool octi_cost_counts(const octi_qconv *c, uint32_t needs, uint32_t kernel);
/** Rows of what it stores: the output's, or the pool's. */
int32_t octi_row_units(const octi_qconv *c);
/** All of the output's channels, where one group has them. */
int32_t octi_panels_of(const octi_qconv *c);
/** The channels that a call asks for: the first one, and the one behind them. */
typedef struct octi_span {
    int32_t from, to;
} octi_span;
octi_span octi_channels(const octi_qconv *c, const octi_qcall *call);
/** Biases and records by lanes, `lanes` to a group, groups one behind the other. */
oct_status octi_pack_lanes(const octi_qargs *q, const octi_qconv *c, int32_t lanes,
                           const int32_t **b, octq_multipliers *by);
/** Whether floats may undo that sums are `factor` times too large, `over` of it a power of two. */
bool octi_small_sums(const octi_qconv *c, int32_t factor, int32_t over);
/** Records in memory of their own, [count], all zero; record i of one goes to place j of them, its
 *  fp32 multiplier divided by `over`, a power of two. */
oct_status octi_new_records(octi_arena *arena, octq_law law, size_t count, octq_multipliers *by);
void octi_put_record(const octq_multipliers *from, int64_t i, const octq_multipliers *to, int64_t j,
                     float over);
/** Lanes of all groups before group g. */
static inline int64_t octi_lane_begin(const octi_qconv *c, int32_t g) {
    return (int64_t)g * octk_lanes(c->o / c->groups);
}
/* Of candidates over codes as they lie in memory (qconv_codes.c, qconv_bytes.c). */
octi_halo octi_codes_halo(const octi_qconv *c);
const char *octi_codes_unfit(const octi_qconv *c);
/** A window's contiguous runs: whole kernel rows where pixels follow each other, else taps. */
typedef struct octi_runs {
    int32_t count, taps, length; /* in all; of a kernel row; codes */
} octi_runs;
octi_runs octi_runs_of(const octi_qconv *c);
/** at[count]: bytes from a window's beginning to each. */
void octi_place_runs(const octi_qconv *c, const octk_image *x, int64_t *at);
/** Weights in steps of four codes, `bytes` of a group: [panel][run][step][lane][4]; of each lane
 *  its record, its weights' sum, and its bias less the zero point's share. */
typedef struct octi_panels {
    const int8_t *w;
    const int32_t *b, *sums;
    octk_lift lift;
    octq_multipliers by;
    int64_t bytes;
    int32_t lanes;
} octi_panels;
/** Runs padded to `steps` steps, groups to `lanes` lanes (octk_lanes, or more). */
oct_status octi_pack_codes(const octi_qargs *q, const octi_qconv *c, int32_t lanes, int32_t steps,
                           octi_panels *p);
/** Where it is proven to give the law's codes, sums of the panels become codes with fewer
 *  instructions, as floats by their bits: p->lift. OCT_ENOMEM. */
oct_status octi_lift_panels(const octi_qargs *q, const octi_qconv *c, octi_panels *p);
/** How one channel's sums, none beyond +-largest, are lifted (octk_lift: d, by): whether one that
 *  gives the law's codes was found. */
bool octi_lift_of(float m, int32_t zy, int64_t largest, int32_t *d, float *by);
/** Lanes from the i-th on. */
static inline octk_lift octi_lift_at(const octk_lift *l, int64_t i) {
    return l->b ? (octk_lift){l->b + i, l->by + i} : *l;
}
/** `bytes`, and what holds its weights in another order: a layer, ready to run. */
typedef struct octi_bytes {
    octk_conv_rows kernel; /* x, w, b, by, y, np filled per call */
    octk_conv_rows_fn *conv;
    octi_layout in, out;
    octi_halo need;
    int32_t images, band;  /* of a block: images, or units of one */
    const int64_t *single; /* of one row of outputs: their pixels' places, their own */
    int64_t pair;          /* of two pixels that follow each other in it */
    int64_t group_w;       /* bytes */
    int64_t panel_run;     /* places from a panel's runs to the next one's; 0: all have the same */
    size_t frame;
} octi_bytes;
/** Places and packed weights; the caller says which kernel. OCT_ENOMEM. */
oct_status octi_bind_bytes(const octi_qargs *q, octi_bytes **made);
/** Where an image of the input may be read with `need` around it: in place where its layout has
 *  that, else copied into `frame` (octi_frame_bytes), whose cells beyond the image hold zx. */
size_t octi_frame_bytes(const octi_qconv *c, const octi_layout *in, const octi_halo *need);
/** Its pitches, known when binding. */
octk_image octi_frame_pitches(const octi_qconv *c, const octi_layout *in, const octi_halo *need);
octk_image octi_framed(const octi_qconv *c, const octi_layout *in, const octi_halo *need,
                       const void *x, void *frame);

#endif
