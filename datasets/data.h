/* SPDX-License-Identifier: MIT
 * datasets/data.h - data sets, batches, augmentation.
 *
 * A data set is a list of (image, label) with a description of its pixels and its class names.
 * Images are u8 pixels or f32 values, HWC in memory.
 *
 * Parts: train and test. Of a set with a training part alone about a tenth of each class is held
 * out as its test part: by what each image is, so it is the same for every command, seed and limit,
 * and equal images stay on one side. A test part alone serves as the training part too, with a
 * warning.
 *
 * Pixels and floats: a description (oct_input_desc) says how u8 pixels become a net's input. Float
 * arrays are the net's input already: a set of them describes itself as div 1, mean 0, std 1, and
 * making one with another description is OCT_EUSAGE; where a net's own description is applied to a
 * float set, only its size and colour count. */
#ifndef OCT_DATASETS_DATA_H
#define OCT_DATASETS_DATA_H

#include "../src/net.h"

OCT_BEGIN_DECLS

typedef struct oct_data oct_data;
typedef struct oct_loader oct_loader;

/** OCT_SPLIT_ALL: both halves of a set whose test part would be held out. */
typedef enum oct_split { OCT_SPLIT_TRAIN, OCT_SPLIT_TEST, OCT_SPLIT_ALL } oct_split;
/** "train", "test", "all"; and the reverse (src/words.h). */
OCT_API const char *oct_split_name(oct_split v);
OCT_API OCT_NODISCARD oct_status oct_split_from_name(const char *word, oct_split *v);
enum { OCT_CLASSES_MAX = 65536 };

typedef struct oct_data_opts {
    oct_split split;
    const char *root; /* a second place to look a DIR up; NULL: $OCTET_DATA */
    /* which of all synthetic sets; 0: 1, whatever a training's seed */
    uint64_t synth_seed;
    /* at most so many samples, evenly over the part; of synthetic sets the first ones; 0: all */
    int64_t limit;
    /* resize, crop and colour for folders of images; NULL: the set's own */
    const oct_input_desc *input;
    /* folders match these by id or name; NULL or oct_classes_unnamed: sorted by name */
    const oct_class *classes;
    int32_t class_count;
    size_t max_decoded_bytes; /* 0: 4 GiB */
} oct_data_opts;
OCT_API void oct_data_opts_init(oct_data_opts *opts);

/** Open a set by its SPEC: synth-digits | synth-shapes | idx:DIR | cifar10:DIR | cifar100:DIR (100
 *  fine labels) | cifar100-coarse:DIR (20) | folder:DIR | npz:FILE.
 *  Pixels are normalized as opts->input says; else by the constants of a known set (CIFAR by its
 *  kind; MNIST and Fashion-MNIST by their pixels; folders by CIFAR-10's class names at 32x32, by
 *  ImageNet's class ids); else by mean and std of the training part's own pixels (idx: all of them;
 *  folder: 512 images, evenly), to four digits. synth, npz: constants. The log says which, and why.
 *  NULL on failure: OCT_EUSAGE (unknown kind), OCT_EIO, OCT_EFORMAT (file, offset, field; a class
 *  of a folder's training part without an image), OCT_ELIMIT. Warned of: classes and CIFAR batches
 *  that are missing, links that lead out of a folder. */
OCT_API OCT_NODISCARD oct_data *oct_data_open(oct_ctx *ctx, const char *spec,
                                              const oct_data_opts *opts);
/** The i-th kind of SPEC ("idx:DIR") and how its files lie; NULL behind the last. Valid until the
 *  thread's next failures. */
OCT_API const char *oct_data_spec(int i, const char **layout);
/** The kind of set that lies at a path, by what is in it: "idx", "cifar10", "cifar100", "folder",
 *  "npz"; NULL: none is seen. */
OCT_API const char *oct_data_kind(const char *path);

/** What a set says of each sample: its class, values that a net should give (regression), or
 *  nothing. */
typedef enum oct_truth { OCT_TRUTH_LABELS, OCT_TRUTH_TARGETS, OCT_TRUTH_NONE } oct_truth;
/** *target (may be NULL) gets the targets' shape, [OCT_BATCH, ...] as a net's output has it; rank 0
 *  where there are none. */
OCT_API oct_truth oct_data_truth(const oct_data *d, oct_shape *target);

typedef struct oct_array_opts {
    bool nchw;       /* x is [N,C,H,W]; default NHWC */
    int32_t classes; /* 0: largest label + 1 */
    /* NULL: u8 pixels div 255, f32 as it is; f32 takes no other div, mean, std */
    const oct_input_desc *input;
    /* in place of labels, for regression: finite, [N, ...], of more than one axis NHWC */
    const float *targets;
    oct_shape target_shape; /* its shape: as the net's output, dim[0] = N */
} oct_array_opts;
OCT_API void oct_array_opts_init(oct_array_opts *opts);
/** A set around arrays in memory: x u8 or f32 [N,H,W,C], labels [N] (NULL: opts->targets, or none).
 *  Borrowed: they must outlive the set. */
OCT_API OCT_NODISCARD oct_data *oct_data_from_memory(oct_ctx *ctx, oct_dtype dtype, oct_shape shape,
                                                     const void *x, const int32_t *labels,
                                                     const oct_array_opts *opts);
/** A set behind functions: get writes one HWC image (dtype and side lengths by `input`) and its
 *  label. It may be called from the loader's thread. */
typedef struct oct_data_source {
    int64_t count;
    oct_dtype dtype; /* OCT_U8 or OCT_F32 */
    oct_status (*get)(void *user, int64_t i, void *image, int32_t *label);
    void *user;
    /* regression: writes one sample's values; labels are not looked at */
    oct_status (*target)(void *user, int64_t i, float *y);
    oct_shape target_shape; /* their shape, dim[0] any */
} oct_data_source;
OCT_API OCT_NODISCARD oct_data *oct_data_from_source(oct_ctx *ctx, const oct_data_source *source,
                                                     const oct_input_desc *input, int32_t classes);

OCT_API void oct_data_free(oct_data *d);
OCT_API int64_t oct_data_count(const oct_data *d);
/** Where sample i stands in the part as its files have it: a limit, and a part that is held out,
 *  leave samples out. -1 where there is no such sample. */
OCT_API int64_t oct_data_origin(const oct_data *d, int64_t i);
OCT_API oct_dtype oct_data_dtype(const oct_data *d);
OCT_API const oct_input_desc *oct_data_input(const oct_data *d);
/** Why its pixels are normalized as they are: "CIFAR-10's, by the kind of set", "of its training
 *  images", "as the caller says". The set's. */
OCT_API const char *oct_data_norm(const oct_data *d);
/** Can div, mean and std of `input` (0: not said) be asked of the set? OCT_EUSAGE where it holds
 *  floats. */
OCT_API OCT_NODISCARD oct_status oct_data_takes(const oct_data *d, const oct_input_desc *input);
/** Classes out of text, a line each: NAME, ID<tab>NAME or INDEX<tab>ID<tab>NAME; of lines whose id
 *  is one of `known` (may be NULL, 0) also "ID NAME" and "INDEX ID NAME". *count gets their number.
 *  OCT_EFORMAT for bytes that are no text. Free with oct_classes_free; NULL on failure. */
OCT_API OCT_NODISCARD oct_class *oct_classes_parse(oct_ctx *ctx, const char *text, size_t size,
                                                   const oct_class *known, int32_t known_count,
                                                   int32_t *count);
/** The same of a file. */
OCT_API OCT_NODISCARD oct_class *oct_classes_read(oct_ctx *ctx, const char *path,
                                                  const oct_class *known, int32_t known_count,
                                                  int32_t *count);
OCT_API void oct_classes_free(oct_ctx *ctx, oct_class *list);
/** Borrowed; *count gets their number. */
OCT_API const oct_class *oct_data_classes(const oct_data *d, int32_t *count);
/** Samples of each class, without decoding an image where the set can tell: counts[classes]. */
OCT_API OCT_NODISCARD oct_status oct_data_class_counts(oct_data *d, int64_t *counts);
/** The part that is left (`first` false) or taken (`first` true) when a share f of the set, drawn
 *  by seed, is split off:
 *  --val F. A view: d must outlive it. */
OCT_API OCT_NODISCARD oct_data *oct_data_share(oct_data *d, double f, uint64_t seed, bool first);
/** One image as the set stores it (HWC, dtype of the set) and its label. */
OCT_API OCT_NODISCARD oct_status oct_data_get(oct_data *d, int64_t i, void *image, int32_t *label);
/** What is done to training images, as bits: NONE alone; or one of CROP4 and CROP8 (a crop of the
 *  image padded by so many zeros), and FLIP (left and right, of every other one). DEFAULT: what the
 *  kind of set has (oct_data_default_augment). */
enum oct_augment {
    OCT_AUGMENT_DEFAULT,
#define OCT_AUGMENT(value, bit, word) OCT_AUGMENT_##value = bit,
#include "augments.def"
};
/** "crop4,flip": the words of some bits, in one of the thread's rotating buffers; and the reverse,
 *  of words with commas between them (OCT_EUSAGE: a word or a pair that is none). */
OCT_API const char *oct_augment_name(uint32_t augment);
OCT_API OCT_NODISCARD oct_status oct_augment_from_name(const char *words, uint32_t *augment);
/** CROP4 and FLIP of cifar and folder, NONE elsewhere (and of NULL). */
OCT_API uint32_t oct_data_default_augment(const oct_data *d);

/** Decode one image file or buffer (JPEG, PNG, BMP) to the sizes and colour of `input` (resize,
 *  then centre crop; where neither is set the image is resized to H x W as a whole). pixels: u8
 *  [H,W,C]. */
OCT_API OCT_NODISCARD oct_status oct_image_load(oct_ctx *ctx, const char *path,
                                                const oct_input_desc *input, uint8_t *pixels);
OCT_API OCT_NODISCARD oct_status oct_image_decode(oct_ctx *ctx, const void *bytes, size_t size,
                                                  const char *where, const oct_input_desc *input,
                                                  uint8_t *pixels);
/** oct_image_load, then what a net with this description takes: x f32 [H,W,C]. */
OCT_API OCT_NODISCARD oct_status oct_image_input(oct_ctx *ctx, const char *path,
                                                 const oct_input_desc *input, float *x);
/** The same, and what the picture was before its colours became those of `input`: *channels is 1
 *  (grey) or 3. */
OCT_API OCT_NODISCARD oct_status oct_image_input_from(oct_ctx *ctx, const char *path,
                                                      const oct_input_desc *input, float *x,
                                                      int32_t *channels);

/** Write a picture as PNG, whole or not at all: pixels u8 [height,width,channels], 1 channel (grey)
 *  or 3 (RGB), sides 1 to 65535. OCT_EUSAGE, OCT_EIO. */
OCT_API OCT_NODISCARD oct_status oct_image_save(oct_ctx *ctx, const char *path,
                                                const uint8_t *pixels, int32_t width,
                                                int32_t height, int32_t channels);

typedef struct oct_loader_opts {
    int64_t batch;  /* 0: 64 */
    bool shuffle;   /* permutation keyed by (seed, epoch) */
    bool drop_last; /* leave an incomplete last batch out */
    uint64_t seed;  /* 0: the context's */
    /* OCT_AUGMENT_ bits; 0: where samples are shuffled, for training, the set's default; else
     * none */
    uint32_t augment;
    bool no_prefetch; /* default: one thread prepares the next batch */
    /* a net's: how pixels are normalized, and the order of channels; NULL: the set's */
    const oct_input_desc *input;
    /* as many batches as without, of sizes that differ by one at most: no small rest that would
     * weigh its few images more. Excludes drop_last */
    bool even;
} oct_loader_opts;
OCT_API void oct_loader_opts_init(oct_loader_opts *opts);

typedef struct oct_batch {
    /* f32 [n,H,W,C], normalized by the law; borrowed until the next call */
    const oct_tensor *x;
    const oct_tensor *labels;  /* s32 [n] */
    int64_t first;             /* position of its first sample in the epoch's order */
    int64_t step;              /* batch number in the epoch */
    const oct_tensor *targets; /* f32 [n, ...] of sets with targets, else NULL */
} oct_batch;

/** Batches of a set. The set must outlive it. Augmentation is keyed by (seed, epoch, sample). */
OCT_API OCT_NODISCARD oct_loader *oct_loader_new(oct_data *d, const oct_loader_opts *opts);
OCT_API void oct_loader_free(oct_loader *l);
/** Begin an epoch at a batch (0: its start): what a resumed run calls. */
OCT_API OCT_NODISCARD oct_status oct_loader_start(oct_loader *l, int32_t epoch, int64_t step);
/** Next batch; *done is set and the batch untouched at the epoch's end. A failed sample is
 *  OCT_EFORMAT/EIO naming it; so is a float that is not finite, before a net can be spoiled by
 *  it. */
OCT_API OCT_NODISCARD oct_status oct_loader_next(oct_loader *l, oct_batch *batch, bool *done);
/** Batches per epoch. */
OCT_API int64_t oct_loader_steps(const oct_loader *l);

OCT_END_DECLS
#endif
