/* SPDX-License-Identifier: MIT
 * qat/scales/histogram.h - the state that histogram, mse, mae, entropy and percentile share, and
 * its searches.
 *
 * Bins are 2^e wide and aligned: x has the code floor(x / 2^e). Zero is always inside, and e is the
 * least for which the codes of all that was seen fit the 2048 bins. When the range outgrows them,
 * neighbours merge, exactly. So the state is a function of the values seen: their order, their cut
 * into batches, and threads change no byte. (PyTorch's observer smears mass when it re-bins, so its
 * result depends on the order.) */
#ifndef OCT_QAT_SCALES_HISTOGRAM_H
#define OCT_QAT_SCALES_HISTOGRAM_H

#include "qat/scales/observer.h"

enum { OCTI_BINS = 2048, OCTI_EXPONENT_MIN = -149 };

/** Tensors: "histogram" s64 [OCTI_BINS], "grid" s64 [OCTI_GRID_FIELDS], "seen" f32 [2]: least and
 *  largest value. */
enum octi_grid_field {
    OCTI_GRID_EXPONENT,
    OCTI_GRID_FIRST,
    OCTI_GRID_COUNT,
    OCTI_GRID_ZEROS,
    OCTI_GRID_DROPPED,
    OCTI_GRID_FIELDS
};
#define OCTI_HISTOGRAM_TENSORS                                                                     \
    {"histogram", OCT_S64, OCTI_BINS}, {"grid", OCT_S64, OCTI_GRID_FIELDS}, { "seen", OCT_F32, 2 }

oct_status octi_histogram_observe(const oct_observing *o, const float *x, int64_t n);

/** What searches read of a state: zeros left out, since every grid holds zero exactly. In units of
 *  the bin width: bin k spans
 *  [edge[k], edge[k + 1]], the outermost ones end where the data do; mass is spread evenly
 *  inside. */
typedef struct octi_density {
    int32_t bins, first; /* used ones; code of the first */
    double width;
    float min, max; /* exact, of the data */
    int64_t total;  /* zeros too */
    const int64_t *count;
    double *edge;                 /* [bins + 1] */
    double *mass, *mean, *square; /* [bins + 1] sums below the bin of 1, x, x^2 */
} octi_density;
/** From a state; memory of the context's scratch arena, which the caller rewinds. *empty: nothing
 *  was seen. OCT_EFORMAT for a state that no data can give. */
oct_status octi_density_of(const oct_observing *o, octi_density *d, bool *empty);
/** Squared error, expected over the mass and summed, of quantizing to the grid that [lo, hi] gives
 *  (oct_qparams_from_range);
 *  in squared bin widths. */
double octi_density_error(const octi_density *d, const oct_qspec *spec, float lo, float hi);
/** The same of the size of errors, in bin widths. */
double octi_density_absolute_error(const octi_density *d, const oct_qspec *spec, float lo,
                                   float hi);

/** *level: d with spikes brought down: no bin counts for more than the larger of its neighbours
 *  that are not empty (one alone stays). For searches that judge a shape: how often one value comes
 *  says nothing of where the range should end. */
oct_status octi_density_level(const octi_density *d, struct octi_arena *scratch,
                              octi_density *level);

enum { OCTI_ENTROPY_START = 8 };
/** The best candidate with `around` neighbours on each side, narrowest first, and the whole range
 *  last: at most
 *  2 * around + 2 points. *count is 0 where nothing was seen. */
oct_status octi_entropy_search(const oct_observing *o, int32_t around, oct_divergence *point,
                               int32_t *count, int32_t *chosen);
/** The published search alone over all that d holds: bins of |x| inside; -1 where memory ends. */
int32_t octi_entropy_published(const octi_density *d, int32_t levels, struct octi_arena *scratch);

oct_status octi_histogram_range(const oct_observing *o, float *min, float *max);
oct_status octi_mse_range(const oct_observing *o, float *min, float *max);
oct_status octi_mae_range(const oct_observing *o, float *min, float *max);
oct_status octi_entropy_range(const oct_observing *o, float *min, float *max);
oct_status octi_percentile_range(const oct_observing *o, float *min, float *max);

#endif
