/* SPDX-License-Identifier: MIT
 * datasets/set.h - what the kinds of data sets share. Room: datasets.
 *
 * A kind fills an oct_data and gives it `get`. Sets that lie in memory as one array need no get of
 * their own. get must be callable from several threads at once. */
#ifndef OCT_DATASETS_SET_H
#define OCT_DATASETS_SET_H

#include "datasets/data.h"
#include "src/arena.h"
#include "src/format/bytes.h"

struct oct_data {
    oct_ctx *ctx;
    octi_arena *arena; /* names, classes, the kind's own records */
    const char *where; /* the SPEC's path or kind, for errors */
    int64_t count;
    oct_dtype dtype;
    oct_input_desc input;
    oct_class *classes;
    int32_t class_count;
    uint32_t augment; /* default augmentation: OCT_AUGMENT_ bits */
    const char *norm; /* why it is normalized so; NULL: the kind has constants */
    bool slow;        /* get decodes: worth several threads */
    bool only;        /* the set has this one part: a share of it, held out, is its test part */
    uint32_t *origin; /* where sample i stands in its files, in `owned` memory; NULL: at i */
    /* order of the channels that get gives; the loader turns it into input.color */
    oct_color stored;
    oct_status (*get)(oct_data *d, int64_t i, void *image, int32_t *label);
    /* without the image; NULL: from `labels`, or by get */
    int32_t (*label)(const oct_data *d, int64_t i);
    /* what a sample is known by, wherever it stands; NULL: its pixels */
    uint32_t (*key)(const oct_data *d, int64_t i);
    /* drop all others; NULL: of an array */
    void (*keep)(oct_data *d, const uint32_t *index, int64_t n);
    /* of a sample, for errors; NULL: its number */
    const char *(*name)(const oct_data *d, int64_t i);
    /* of a sample's file, before resizing; NULL: the set's */
    oct_status (*size)(oct_data *d, int64_t i, int32_t *width, int32_t *height);
    void (*release)(oct_data *d); /* NULL: nothing beyond `owned` and the arena */
    void *self;                   /* the kind's own record */
    /* sets in memory */
    const uint8_t *pixels; /* images one behind the other */
    const int32_t *labels; /* NULL: all 0 */
    bool nchw;
    /* regression */
    oct_truth truth;
    oct_shape target_shape; /* dim[0] is OCT_BATCH */
    int64_t target_count;   /* values of one sample */
    const float *targets;   /* one sample's behind the other's; NULL: by `target` */
    oct_status (*target)(oct_data *d, int64_t i, float *y);
    int32_t like_labels; /* a file's targets are whole numbers 0 to this, [N]; 0: they are not */
    void *owned[3];      /* freed with octi_free: pixels, labels or targets, origin */
};

/** Empty set; `where` is copied. */
oct_data *octi_set_new(oct_ctx *ctx, const char *where);
/** NULL for one-line failure paths: frees d, remembers the failure in the context. */
oct_data *octi_set_fail(oct_data *d);
/** get of sets in memory: copies from d->pixels, HWC or CHW. */
oct_status octi_set_get_array(oct_data *d, int64_t i, void *image, int32_t *label);
size_t octi_set_image_bytes(const oct_data *d);

/** Classes "0".."n-1", named by `names` (n lines of text; NULL: the number) or by opts->classes. */
oct_status octi_set_number_classes(oct_data *d, int32_t n, const char *const *names,
                                   const oct_data_opts *opts);
/** Make it a set with targets of this shape (dim[0] samples, which is not looked at), of `values`
 *  where they lie in memory. */
oct_status octi_set_targets(oct_data *d, oct_shape shape, const float *values);
/** Values of sample i. */
oct_status octi_set_target(oct_data *d, int64_t i, float *y);
/** All labels in 0..class_count-1, else OCT_EFORMAT naming the sample. */
oct_status octi_set_check_labels(const oct_data *d);

/** Warns of classes that no sample has, in either part: seen[class_count]. */
void octi_set_warn_unseen(const oct_data *d, const uint8_t *seen);
/** What to call sample i in an error. */
const char *octi_set_sample(const oct_data *d, int64_t i);

/** The set's description with what opts->input says in its place: size, unless the images fix it
 *  (then OCT_ESHAPE where they differ), div, mean, std, colour. Fields of opts->input that are 0
 *  keep the set's. Then octi_set_select. */
oct_status octi_set_finish(oct_data *d, const oct_data_opts *opts, bool fixed_size);

/** What is called nearly as a path that is not there and lies beside it (root: below that), as a
 *  path like it; NULL: nothing. */
const char *octi_near_path(const char *path, const char *root);

/* ---- parts (part.c) ---- */

/** Of the only part of a set: which samples are held out to test, about a tenth of each class, by
 *  what they are known by (key): the same for every seed, order, limit and command, and for a set
 *  that has grown. held[count], 1: test. */
oct_status octi_hold_out(const oct_data *d, uint8_t *held);
/** Keep the part that opts ask for (of an `only` set: hold out, and say so), then at most
 *  opts->limit samples of it. */
oct_status octi_set_select(oct_data *d, const oct_data_opts *opts);
/** Says that a set's test part serves as the training part too. */
void octi_set_test_alone(const oct_data *d);

/* ---- descriptions (norms.c) ---- */

/** u8 pixels div 255, f32 values as they are (div 1). The known sets, and
 *    plain    mean 0.5 std 0.25: synthetic sets
 *    pixels   mean 0 std 1: arrays of which nothing is known */
typedef enum octi_norm {
    OCTI_NORM_PLAIN,
    OCTI_NORM_PIXELS,
    OCTI_NORM_MNIST,
    OCTI_NORM_FASHION,
    OCTI_NORM_CIFAR10,
    OCTI_NORM_CIFAR100,
    OCTI_NORM_IMAGENET
} octi_norm;
/** One grey channel of a colour set: the averages. */
oct_input_desc octi_input_desc(octi_norm norm, int32_t channels, int32_t height, int32_t width);
/** The caller says how pixels are normalized: nobody has to look. */
bool octi_norm_given(const oct_data_opts *opts);
/** Pixels go into a net that nobody described (net->assumed; NULL: no net): a warning, once a
 *  context. own: the set's description, NULL where there is none; one that says the same is no
 *  reason. */
void octi_norm_warn(oct_ctx *ctx, const char *where, const oct_input_desc *net,
                    const oct_input_desc *own);
/** Take a known set's, and say so: `why` it is that one. */
void octi_norm_take(oct_data *d, octi_norm norm, const char *why);

/** Sums over u8 pixels, exact in any order. */
typedef struct octi_pixel_sums {
    uint64_t pixels, sum[4], square[4];
} octi_pixel_sums;
void octi_sums_add(octi_pixel_sums *s, const uint8_t *hwc, size_t pixels, int32_t channels);
/** Mean and std of what was summed, to four digits (published constants have as many), and say so;
 *  a known set is known by them. `of` says what was summed. */
void octi_norm_measured(oct_data *d, const octi_pixel_sums *s, const char *of);
/** The description says nothing but "as it is": what a float set may be told. Else OCT_EUSAGE. */
oct_status octi_norm_for_floats(const char *where, const oct_input_desc *input);

/** folder/name in memory of the set's arena; NULL on failure. */
const char *octi_set_path(oct_data *d, const char *folder, const char *name);
/** Next line of text, without its end and trailing blanks, copied to the arena; NULL at the end (or
 *  out of memory). */
const char *octi_set_line(oct_data *d, const uint8_t *text, size_t size, size_t *at);
/** Is folder/name or folder/name.gz there, as a file or as a link to anywhere? *path names it. */
oct_status octi_set_find(oct_data *d, const char *folder, const char *name, const char **path,
                         bool *found);
/** Bytes of folder/name or of folder/name.gz, unpacked where they are gzip's, whatever the name,
 *  and no further than `declared` says (octi_gunzip; may be NULL); *found false (and OCT_OK) where
 *  neither is there (octi_set_find). Free *bytes with octi_free. */
oct_status octi_set_read(oct_data *d, const char *folder, const char *name, size_t max_bytes,
                         octi_declared_fn *declared, const char **path, uint8_t **bytes,
                         size_t *size, bool *found);

/* ---- the kinds: dir is where it was found ---- */
oct_data *octi_open_idx(oct_ctx *ctx, const char *dir, const oct_data_opts *opts);
oct_data *octi_open_cifar10(oct_ctx *ctx, const char *dir, const oct_data_opts *opts);
oct_data *octi_open_cifar100(oct_ctx *ctx, const char *dir, const oct_data_opts *opts);
oct_data *octi_open_cifar100_coarse(oct_ctx *ctx, const char *dir, const oct_data_opts *opts);
oct_data *octi_open_folder(oct_ctx *ctx, const char *dir, const oct_data_opts *opts);
oct_data *octi_open_npz(oct_ctx *ctx, const char *file, const oct_data_opts *opts);
oct_data *octi_open_synth_digits(oct_ctx *ctx, const char *none, const oct_data_opts *opts);
oct_data *octi_open_synth_shapes(oct_ctx *ctx, const char *none, const oct_data_opts *opts);

/* ---- parsers of bytes, for the kinds and the fuzzers ---- */
typedef struct octi_idx {
    int32_t rank; /* 1 labels, 3 images */
    uint32_t dim[3];
    const uint8_t *data;
} octi_idx;
/** IDX of unsigned bytes, exactly as long as its header says. */
oct_status octi_idx_parse(const void *bytes, size_t size, const char *where, int rank,
                          octi_idx *out);
/** CIFAR records: `head` bytes, of which byte `label` is the label, 3 planes of 32x32. Appends HWC
 *  pixels and labels; classes bounds the label. */
oct_status octi_cifar_parse(const void *bytes, size_t size, const char *where, int head, int label,
                            int32_t classes, uint8_t *pixels, int32_t *labels);
enum { OCTI_CIFAR_PIXELS = 3072 };

/** Images of a batch where nobody says: of loaders, training, evaluation and runners. */
enum { OCTI_DEFAULT_BATCH = 64 };

/** OCT_EUSAGE for bits that no augmentation has, or that exclude each other; 0 passes. */
oct_status octi_augment_check(uint32_t augment, const char *where);

#endif
