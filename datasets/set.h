/* SPDX-License-Identifier: MIT
 * datasets/set.h - what the kinds of data sets share. Room: datasets.
 *
 * A kind fills an oct_data and gives it `get`. Sets that lie in memory as one array need no get of their own. get must be
 * callable from several threads at once. */
#ifndef OCT_DATASETS_SET_H
#define OCT_DATASETS_SET_H

#include "datasets/data.h"
#include "src/arena.h"

struct oct_data {
    oct_ctx *ctx;
    octi_arena *arena; /* names, classes, the kind's own records */
    const char *where; /* the SPEC's path or kind, for errors */
    int64_t count;
    oct_dtype dtype;
    oct_input_desc input;
    oct_class *classes;
    int32_t class_count;
    const char *augment; /* default augmentation */
    bool slow;           /* get decodes: worth several threads */
    oct_color stored;    /* order of the channels that get gives; the loader turns it into input.color */
    oct_status (*get)(oct_data *d, int64_t i, void *image, int32_t *label);
    int32_t (*label)(const oct_data *d, int64_t i); /* without the image; NULL: from `labels`, or by get */
    void (*release)(oct_data *d); /* NULL: nothing beyond `owned` and the arena */
    void *self;                   /* the kind's own record */
    /* sets in memory */
    const uint8_t *pixels; /* images one behind the other */
    const int32_t *labels; /* NULL: all 0 */
    bool nchw;
    void *owned[2]; /* freed with octi_free */
};

/** Empty set; `where` is copied. */
oct_data *octi_set_new(oct_ctx *ctx, const char *where);
/** NULL for one-line failure paths: frees d, remembers the failure in the context. */
oct_data *octi_set_fail(oct_data *d);
/** get of sets in memory: copies from d->pixels, HWC or CHW. */
oct_status octi_set_get_array(oct_data *d, int64_t i, void *image, int32_t *label);
size_t octi_set_image_bytes(const oct_data *d);

/** Classes "0".."n-1", named by `names` (n lines of text; NULL: the number) or by opts->classes. */
oct_status octi_set_number_classes(oct_data *d, int32_t n, const char *const *names, const oct_data_opts *opts);
/** All labels in 0..class_count-1, else OCT_EFORMAT naming the sample. */
oct_status octi_set_check_labels(const oct_data *d);

/** The set's description with what opts->input says in its place: size, unless the images fix it (then OCT_ESHAPE where
 *  they differ), div, mean, std, colour. Fields of opts->input that are 0 keep the set's. Also applies opts->limit. */
oct_status octi_set_finish(oct_data *d, const oct_data_opts *opts, bool fixed_size);

/** Default descriptions, all in one place (set.c): u8 pixels div 255 and
 *    idx      mean 0.1307 std 0.3081
 *    cifar    mean 0.4914 0.4822 0.4465, std 0.2470 0.2435 0.2616; folders too whose input is at most 64 pixels a side
 *    folder   mean 0.485 0.456 0.406, std 0.229 0.224 0.225 (ImageNet); one grey channel: their averages
 *    plain    mean 0.5 std 0.25: synthetic sets
 *    pixels   mean 0 std 1: u8 arrays of which nothing is known */
typedef enum octi_norm { OCTI_NORM_IDX, OCTI_NORM_CIFAR, OCTI_NORM_IMAGENET, OCTI_NORM_PLAIN, OCTI_NORM_PIXELS } octi_norm;
oct_input_desc octi_input_desc(octi_norm norm, int32_t channels, int32_t height, int32_t width);

/** folder/name in memory of the set's arena; NULL on failure. */
const char *octi_set_path(oct_data *d, const char *folder, const char *name);
/** Next line of text, without its end and trailing blanks, copied to the arena; NULL at the end (or out of memory). */
const char *octi_set_line(oct_data *d, const uint8_t *text, size_t size, size_t *at);
/** Bytes of folder/name or of folder/name.gz, unpacked; *found false (and OCT_OK) where neither is there. *path names what
 *  was read. Free *bytes with octi_free. */
oct_status octi_set_read(oct_data *d, const char *folder, const char *name, size_t max_bytes, const char **path, uint8_t **bytes,
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
oct_status octi_idx_parse(const void *bytes, size_t size, const char *where, int rank, octi_idx *out);
/** CIFAR records: `head` bytes, of which byte `label` is the label, 3 planes of 32x32. Appends HWC pixels and labels; classes bounds the label. */
oct_status octi_cifar_parse(const void *bytes, size_t size, const char *where, int head, int label, int32_t classes, uint8_t *pixels,
                            int32_t *labels);
enum { OCTI_CIFAR_PIXELS = 3072 };

#endif
