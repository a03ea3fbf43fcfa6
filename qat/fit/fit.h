/* SPDX-License-Identifier: MIT
 * qat/fit/fit.h - the training loop, evaluation, calibration and runs on disk, written over public
 * calls.
 *
 *     oct_fit(net, train, &(oct_fit_opts){.epochs = 5, .test = test, .run = "runs/lenet"});
 *     oct_eval r;
 *     oct_evaluate(net, test, NULL, &r);
 *     oct_net *again = oct_run_load(ctx, "runs/lenet", NULL); */
#ifndef OCT_QAT_FIT_FIT_H
#define OCT_QAT_FIT_FIT_H

#include "../../autograd/autograd.h"
#include "../../autograd/optim/optim.h"
#include "../../datasets/data.h"
#include "../qat.h"

OCT_BEGIN_DECLS

/* ---- running any net ---- */

/** One forward function for nets of every stage: float (a tape in OCT_EVAL, or a plan), prepared
 *  (oct_sim: the codes), int8 (a plan's session). One user at a time. The net must outlive it. */
typedef struct oct_runner oct_runner;
typedef struct oct_runner_opts {
    int64_t batch; /* most images per run; 0: 64 */
    bool values;   /* keep every node's value (the unfused plan of an int8 net) */
    bool profile;  /* int8: count the time of each node */
    /* a float net does not change while the runner lives: batch norm is folded and weights are
     * transformed once (oct_fold), so that one image is as fast as one of many */
    bool fixed;
} oct_runner_opts;
OCT_API void oct_runner_opts_init(oct_runner_opts *opts);
OCT_API OCT_NODISCARD oct_runner *oct_runner_new(oct_net *net, const oct_runner_opts *opts);
OCT_API void oct_runner_free(oct_runner *r);
/** y f32 [n, ...] from x f32 [n,H,W,C], n <= batch; borrowed until the next run. NULL on
 *  failure. */
OCT_API const oct_tensor *oct_runner_run(oct_runner *r, const oct_tensor *x);
/** Value of a node in the last run: f32 of float nodes, u8 codes of quantized ones; NULL (recorded)
 *  where unknown. *scale and *zero_point (may be NULL) get the qparams of codes, else 0. Needs
 *  opts.values for int8 nets. Borrowed. */
OCT_API const oct_tensor *oct_runner_value(oct_runner *r, const char *node, float *scale,
                                           int32_t *zero_point);
/** Mean nanoseconds per image of a node, over all runs; -1 where not counted. */
OCT_API double oct_runner_node_ns(const oct_runner *r, const char *node);
/** Name of the kernel that runs a node of an int8 net (oct_step_time; "fused": it runs in
 *  the layer before); NULL where the runner does not profile one. */
OCT_API const char *oct_runner_node_kernel(const oct_runner *r, const char *node);
/** Share of the core's peak that a convolution or linear layer reaches: its products a second, by
 *  the layer's definition, over those of its kernel's instruction on registers, measured by this
 *  call. Above 1 where Winograd needs fewer products than the definition has. -1 where the runner
 *  does not profile, has not run, or the node multiplies no weights. */
OCT_API double oct_runner_node_share(const oct_runner *r, const char *node);
/** Why that kernel (oct_step_time); of a node that is "fused", the one in whose step it runs. The
 *  runner's. NULL where the runner does not profile. */
OCT_API const char *oct_runner_node_why(const oct_runner *r, const char *node);

/* ---- evaluation ---- */

/** A loss of the caller's own: a scalar recorded on y's tape, the batch's mean; NULL fails. y: the
 *  net's output for the batch, whose labels or targets the batch has where its set does. Called in
 *  training and, without gradients, in evaluation. */
typedef oct_var *(*oct_loss_fn)(void *user, oct_var *y, const oct_batch *batch);

/** What a net can be held against on a set. One rule, for every command: CLASSES, [N, K] logits of
 *  a set with labels: accuracy and cross entropy; VALUES, a set with targets: their mean squared
 *  error, and no accuracy; NONE: neither (oct_loss_fn may know). */
typedef enum oct_score { OCT_SCORE_NONE, OCT_SCORE_CLASSES, OCT_SCORE_VALUES } oct_score;
OCT_API oct_score oct_score_of(const oct_net *net, const oct_data *data);

/** What a classifier said of one image: the i-th of the set, k logits, its label. */
typedef void (*oct_answer_fn)(void *user, int64_t i, const float *logits, int64_t k, int32_t label);

typedef struct oct_eval_opts {
    int64_t batch;    /* 0: 64 */
    int64_t limit;    /* at most so many images; 0: all */
    oct_loss_fn loss; /* in place of the rule's loss; NULL: the rule's */
    void *loss_user;
    oct_answer_fn answer; /* told each image's, in the set's order; NULL: nobody */
    void *answer_user;
    /* no word to oct_opts.progress ("evaluate", images): inside a call that has its own */
    bool no_progress;
} oct_eval_opts;
OCT_API void oct_eval_opts_init(oct_eval_opts *opts);

/** Fractions 0 to 1. Arrays belong to the context (oct_eval_free). Of a net that is no classifier
 *  on this set (score): accuracy and top5 are -1, classes 0, the arrays NULL. */
typedef struct oct_eval {
    double accuracy, top5, loss; /* loss: means of the images */
    int64_t n;
    int32_t classes;
    int64_t *class_n, *class_correct; /* [classes] */
    int64_t *confusion;               /* [classes][classes]: true, predicted */
    double img_per_s;
    oct_score score;
} oct_eval;

/** Score a net of any stage. The lowest index wins ties. opts may be NULL. OCT_ESHAPE where data
 *  and net do not fit (nothing to score without opts->loss: OCT_SCORE_NONE), OCT_EFORMAT for a
 *  label that the net has no class for. */
OCT_API OCT_NODISCARD oct_status oct_evaluate(oct_net *net, oct_data *data,
                                              const oct_eval_opts *opts, oct_eval *result);
OCT_API void oct_eval_free(oct_ctx *ctx, oct_eval *result);
/** What the choice of n images alone may move an accuracy by: one and a half standard errors of a
 *  share. octet doctor and the warnings of layers call no smaller drop a loss. NAN where accuracy
 *  is none of 0 to 1 or n is below 1. */
OCT_API double oct_accuracy_chance(double accuracy, int64_t n);

/** What a net scores, holds and takes: a row of octet compare. */
typedef struct oct_measured {
    oct_score score;
    double accuracy, loss; /* as score says; accuracy -1: none; loss NAN: none */
    int64_t n;             /* images that were scored */
    int64_t bytes;         /* of all tensors that a file of it would hold */
    double us; /* per image, batch 1: the best of five blocks, each of 50 runs or a tenth of a s;
                  NAN: the machine's clock does not go forward */
} oct_measured;
/** Score a net on data (NULL: not scored) and time it; a prepared net as the int8 one that it
 *  becomes. opts may be NULL. */
OCT_API OCT_NODISCARD oct_status oct_measure(oct_net *net, oct_data *data,
                                             const oct_eval_opts *opts, oct_measured *result);
/** What a net is by its stage, and of what a file holds by its weights. */
typedef enum oct_net_form {
    OCT_FORM_FLOAT,
    OCT_FORM_FUSED,
    OCT_FORM_PREPARED,
    OCT_FORM_INT8,
    OCT_FORM_DYNAMIC,
    OCT_FORM_WEIGHT_ONLY,
    OCT_FORM_HALF,
    OCT_FORM_COUNT
} oct_net_form;
OCT_API oct_net_form oct_net_form_of(const oct_net *net);
/** "float", "fused", "prepared", "int8", "dynamic", "weight-only", "half"; and the reverse. */
OCT_API const char *oct_net_form_name(oct_net_form v);
OCT_API OCT_NODISCARD oct_status oct_net_form_from_name(const char *word, oct_net_form *v);
/** Bytes of a net's weights, biases, multipliers and tables as a file holds them: weights of 4 bits
 *  and fewer packed. */
OCT_API int64_t oct_net_bytes(const oct_net *net);

/** Run n images (at most the set's) of `data`, in an order keyed by the seed, in OCT_CALIBRATE
 *  mode; how far it is goes to oct_opts.progress (OCT_ESTOPPED where that stops it: observers have
 *  seen a part, ranges stay unsettled). */
OCT_API OCT_NODISCARD oct_status oct_calibrate(oct_net *net, oct_data *data, int64_t n);

/** Estimate batch norm's running statistics anew: the mean over batches of 64 (nearly as many,
 *  where the whole set is taken) of n images (at most the set's, in the order of oct_calibrate, not
 *  augmented) of each batch's own mean and unbiased variance. Weights and ranges do not move; a
 *  prepared net's weights are fake-quantized meanwhile. Any float, fused or prepared net; one
 *  without batch norm is left alone. */
OCT_API OCT_NODISCARD oct_status oct_reestimate_batch_norm(oct_net *net, oct_data *data, int64_t n);

/** n images (at most the set's) as the net sees them, in the order of oct_calibrate: f32 [n,H,W,C],
 *  owned by the caller; for oct_correct_bias and oct_adaround. NULL on failure. */
OCT_API OCT_NODISCARD oct_tensor *oct_calibration_inputs(oct_net *net, oct_data *data, int64_t n);

/** oct_compare over a data set, in whole batches until `limit` images were seen (0: all of it). */
OCT_API OCT_NODISCARD oct_status oct_compare_data(oct_net *prepared, const oct_net *int8,
                                                  oct_data *data, int64_t limit, oct_mismatch *m);

/* ---- training ---- */

/** What the progress callback sees: after each step, and at each epoch's end. Accuracies are -1
 *  where not measured. */
typedef struct oct_fit_report {
    int32_t epoch, epochs; /* epoch counts from 1 */
    int64_t step, steps;   /* of the whole training; step counts from 1 */
    int64_t step_in_epoch, steps_per_epoch;
    bool epoch_end, final;
    double lr, train_loss, train_accuracy; /* means of the epoch so far */
    double test_accuracy, int8_accuracy, val_accuracy;
    double img_per_s;
    bool resumed; /* the first report behind a checkpoint */
    /* at an epoch's end: share of the tracked weights; -1: not tracked */
    double oscillating, frozen;
    /* at an epoch's end, of prepared nets the int8 net's; NAN where not measured */
    double test_loss, val_loss;
    oct_score score; /* VALUES and NONE: the accuracies are -1 */
} oct_fit_report;
/** Non-zero stops cleanly: the step is finished, the state saved, oct_fit returns OCT_ESTOPPED. */
typedef int (*oct_fit_fn)(void *user, const oct_fit_report *report);

/** Zero is the default everywhere and works. */
typedef struct oct_fit_opts {
    int epochs; /* 0: 10 for float nets, 3 for prepared ones */
    /* 0: 64; at most so many: an epoch is cut into batches of nearly equal size, so that no image
     * is left out */
    int64_t batch;
    oct_optim_kind optimizer; /* 0: SGD */
    float lr;                 /* 0: sgd 0.05, the others 0.001; prepared nets a tenth of it */
    float momentum;           /* sgd: 0: 0.9 (nesterov), OCT_NONE: none; rmsprop: 0: none */
    float weight_decay;       /* 0: sgd 5e-4, adam and rmsprop none, adamw 0.01; OCT_NONE: none */
    float clip_norm;          /* 0: none */
    float smoothing;          /* of labels */
    /* 0: COSINE; CONSTANT, STEP (x0.1 at a half and three quarters), ONE_CYCLE */
    oct_schedule_kind schedule;
    /* epochs of linear warm-up; 0: of float nets with cosine and step the first epoch, at most
     * three tenths of the training, else none; OCT_NONE: none */
    float warmup;
    uint32_t augment; /* OCT_AUGMENT_ bits; 0: the data set's default */
    /* prepared: observers are frozen behind this share of all steps; 0: 0.5; 1: never */
    float observe_until;
    float batch_norm_until; /* prepared: batch norm is frozen behind this share; 0: 2/3; 1: never */
    /* prepared: images, augmented as in training, from which its statistics are estimated anew
     * where it is frozen (never: at the end); 0: 2048; OCT_NONE: the moving averages stay */
    int64_t bn_images;
    /* prepared, below 8 bits (qat/improve/oscillation.h) */
    oct_oscillation_mode oscillation;
    /* damp: strength at the end, from 0 (0: 0.1); freeze: rate at the end, from 0.1 (0: 0.01) */
    float oscillation_end;
    oct_data *test; /* scored after each epoch, never used to choose; NULL: none */
    /* a validation set of its own; best is the highest val_accuracy, without classes the lowest
     * val_loss */
    oct_data *val;
    float val_share; /* or a share of the training set, by seed */
    int patience;    /* epochs without a better one before training stops; 0: off */
    uint64_t seed;   /* 0: the context's */
    const char *run; /* folder to save to; NULL: none */
    bool resume;     /* go on from the run's checkpoint, or from 0 where it has none */
    bool force;      /* replace an existing run */
    /* a JSON object of the caller's options: stored in config.json, compared on resume */
    const char *config;
    int64_t save_steps;  /* also save every so many steps; 0: no */
    double save_seconds; /* also save so many seconds behind the last save; 0: no */
    oct_fit_fn progress;
    void *progress_user;
    /* of any stage, same input and classes: the loss becomes weight * oct_distill_loss + (1 -
     * weight) * cross entropy; not trained, not stored, its weights are fingerprinted for resume */
    oct_net *teacher;
    float temperature;    /* of the teacher; 0: 4 */
    float distill_weight; /* 0: 0.5; OCT_NONE: 0 */
    /* NULL: cross entropy of labels, mean squared error of targets (oct_score) */
    oct_loss_fn loss;
    void *loss_user;
} oct_fit_opts;
OCT_API void oct_fit_opts_init(oct_fit_opts *opts);

/** Train a float or prepared net in place. Same seed, data and options give the same bits for any
 *  number of threads, and for a run that was interrupted at any moment and resumed. The last
 *  weights are the result. OCT_EDIVERGED: loss or gradient not finite; the last saved state stays
 *  (a run that has saved nothing but its start goes, whatever failed, unless it replaced another).
 *  OCT_ESTOPPED: the callback asked. OCT_EUSAGE: bad option, existing run, or (resume) an option
 *  that differs, naming it. */
OCT_API OCT_NODISCARD oct_status oct_fit(oct_net *net, oct_data *train, const oct_fit_opts *opts);
/** Judge the options, and whether data and net fit, without training or writing. */
OCT_API OCT_NODISCARD oct_status oct_fit_check(oct_net *net, oct_data *train,
                                               const oct_fit_opts *opts);

/* ---- nets ---- */

/** Give a net the set's description of the input and its classes: what oct_fit does for a net that
 *  has no classes yet. */
OCT_API OCT_NODISCARD oct_status oct_net_describe(oct_net *net, const oct_data *data);
/** A zoo model for a data set: captured, with the set's shape, classes and input description. NULL
 *  on failure. */
OCT_API OCT_NODISCARD oct_net *oct_zoo_net(oct_ctx *ctx, const char *name, oct_data *data);
/** Give a float net other classes: the last layer with weights gets `count` outputs, first values
 *  drawn by the context's seed and its name, a bias of them where it had one; *layer (may be NULL)
 *  gets its name, borrowed. A net's own module, if any, keeps the old layer. OCT_EUNSUPPORTED,
 *  OCT_ESHAPE (nothing is changed) where that layer does not make the output alone. */
OCT_API OCT_NODISCARD oct_status oct_net_renew_head(oct_net *net, const oct_class *classes,
                                                    int32_t count, const char **layer);
/** A net from a path: a run's folder, or an int8 file. NULL on failure. */
OCT_API OCT_NODISCARD oct_net *oct_model_load(oct_ctx *ctx, const char *path);

/* ---- layer by layer ---- */

/** One row per node. NAN and -1 where a figure does not exist or was not measured. */
typedef struct oct_layer {
    const char *name, *kind; /* borrowed from the net */
    oct_shape shape;         /* of the output */
    bool int8;
    int32_t bits;                     /* of the output's codes; 32 for float */
    int32_t weight_bits;              /* 0: no weights */
    oct_scheme scheme, weight_scheme; /* of its output; of its weights, NONE: it has none */
    float scale;
    int32_t zero_point;
    double sqnr_local; /* dB: this output's rounding and clipping alone */
    double sqnr_cum;   /* dB: the codes of the whole quantized net against the float net */
    double clip;       /* share of float values outside the codes' range */
    double us;         /* per image, in the int8 plan */
    /* that runs it in the int8 plan: "octk_dot_s16u8_avx2", "copy", "float", "fused" (in the
     * layer before); NULL where not measured */
    const char *kernel;
    double cosine_local; /* between the float values and, as for sqnr_local, their own rounding */
    double cosine_cum;   /* and the codes of the whole quantized net */
    int64_t channels;    /* of the output: its last axis */
    /* channels whose codes are one and the same everywhere; -1: not measured */
    int64_t dead;
    int64_t dead_float; /* of those, the ones whose float values do not move either */
    /* dB at the net's output, of this layer quantized and all others float: oct_layers_sweep */
    double sqnr_alone;
    double accuracy_alone; /* of such a net */
    /* sum of what clipping takes from each value's size, over the sum of sizes */
    double clip_loss;
    double round_loss; /* the same of rounding */
    char why[96];      /* why that kernel (oct_step_time); "" where there was no choice */
    int64_t params;    /* elements of its parameters; of an int8 net's layer: of its constants */
    int64_t macs;      /* multiplications with weights, per image */
    /* of its parameters as a file of the net holds them; of a prepared net's layer those of the
     * int8 net: -1 where not measured */
    int64_t bytes;
    float lo, hi; /* what the codes reach; NAN of a float layer */
} oct_layer;
/** Rows of a prepared net on n images of data (NULL: structure only), or of an int8 net (no float
 *  to compare with).
 *  *rows belongs to the context: oct_layers_free. */
OCT_API OCT_NODISCARD oct_status oct_layers(oct_net *net, oct_data *data, int64_t n,
                                            oct_layer **rows, int32_t *count);
/** Fill sqnr_alone and accuracy_alone of a prepared net's rows: for each node that has a grid of
 *  its own, the net runs with the quantizers of its input, weights and output on (also where others
 *  share these grids) and all others off. *float_accuracy (may be NULL) gets the net's with all of
 *  them off. The net's switches are put back. Calibrated nets alone (OCT_EQPARAMS). */
OCT_API OCT_NODISCARD oct_status oct_layers_sweep(oct_net *net, oct_data *data, int64_t n,
                                                  oct_layer *rows, int32_t count,
                                                  double *float_accuracy);
OCT_API void oct_layers_free(oct_ctx *ctx, oct_layer *rows);

/** By which field of oct_layer a layer is named; DEAD: the first layer that says the same whatever
 *  the image; those behind it are dead by it. */
typedef enum oct_layer_measure {
    OCT_MEASURE_CLIP_LOSS,
    OCT_MEASURE_ROUND_LOSS,
    OCT_MEASURE_SQNR_ALONE,
    OCT_MEASURE_DEAD,
    OCT_MEASURE_COUNT
} oct_layer_measure;
/** "clip_loss", "round_loss", "sqnr_alone", "dead"; and the reverse. */
OCT_API const char *oct_layer_measure_name(oct_layer_measure v);
OCT_API OCT_NODISCARD oct_status oct_layer_measure_from_name(const char *word,
                                                             oct_layer_measure *v);
/** What a layer loses that may explain a drop, and what helps. */
typedef struct oct_layer_warning {
    const char *layer; /* as rules name it; borrowed from the net */
    oct_layer_measure measure;
    double value, bound; /* beyond it the layer is named */
    char text[160], hint[160];
} oct_layer_warning;
/** Look at n images of data (0: 128), drawn from all over it by the context's seed, for a layer of
 *  a prepared net that is dead (data NULL: by its weights and range alone, and nothing else), and
 *  for layers that lose too much: by clipping more than 2 % of the sum of sizes, by rounding more
 *  than 10 % (8 bits; twice as much for each bit less, 25 % and 50 % at most; learned steps only
 *  where accuracy fell). drop: float accuracy less the quantized net's, NAN where unknown: above
 *  half a point (0.005) the layer that costs most by itself is named where none was
 *  (oct_layers_sweep). *rows belong to the context: oct_layer_warnings_free; NULL where *count is
 *  0. Nets of other stages have none. */
OCT_API OCT_NODISCARD oct_status oct_layer_warnings(oct_net *net, oct_data *data, int64_t n,
                                                    double drop, oct_layer_warning **rows,
                                                    int32_t *count);
OCT_API void oct_layer_warnings_free(oct_ctx *ctx, oct_layer_warning *rows);

/* ---- runs on disk ---- */

typedef struct oct_run_info {
    int32_t epoch; /* finished epochs; 0 for a run without training */
    int64_t step;  /* finished steps */
    uint64_t seed;
    bool has_state; /* it can be resumed */
    char isa[16];   /* instruction set that made it */
} oct_run_info;

/** Write a net without a training state (what ptq makes): config.json, graph.json,
 *  model.safetensors. config: JSON object or NULL. OCT_EUSAGE for a folder that is not empty,
 *  unless force. */
OCT_API OCT_NODISCARD oct_status oct_run_save(oct_net *net, const char *dir, const char *config,
                                              bool force);
/** OCT_EUSAGE where `dir` could not become a run (exists and is not empty; resume or force allow
 *  it). Writes nothing. */
OCT_API OCT_NODISCARD oct_status oct_run_check(oct_ctx *ctx, const char *dir, bool resume,
                                               bool force);
/** Load a run's net, of whatever stage, without its module. info may be NULL. NULL on failure. */
OCT_API OCT_NODISCARD oct_net *oct_run_load(oct_ctx *ctx, const char *dir, oct_run_info *info);
/** One option of a run: its name and its value as text. Non-zero ends the tour. */
typedef int (*oct_run_option_fn)(void *user, const char *key, const char *value);
/** The options that a run's maker stored (.config of oct_fit_opts and of oct_run_save), and its
 *  seed and epochs: what --resume goes on with. *stopped (may be NULL) gets what fn returned last.
 *  None where the run has no config.json. */
OCT_API OCT_NODISCARD oct_status oct_run_options(oct_ctx *ctx, const char *dir,
                                                 oct_run_option_fn fn, void *user, int *stopped);
/** Whether a path is a run (a folder with graph.json). */
OCT_API bool oct_run_is(const char *path);
/** Make the first n (at most 64) inputs of data, as the net sees them, the net's probe
 *  (oct_net_set_probe) and the run's probe.npz: x f32 [n,C,H,W]. Runs of prepared nets keep the
 *  net's probe by themselves. */
OCT_API OCT_NODISCARD oct_status oct_run_save_probe(oct_net *net, const char *dir, oct_data *data,
                                                    int32_t n);
/** The probe: f32 [n,H,W,C], owned by the caller; NULL (recorded: OCT_EIO where absent, else
 *  OCT_EFORMAT). */
OCT_API OCT_NODISCARD oct_tensor *oct_run_load_probe(oct_ctx *ctx, const char *dir);

/* ---- what is in a file ---- */

typedef struct oct_file_array {
    const char *name, *dtype; /* as the file has them: "conv1.weight", "F32"; "x", "u1" */
    oct_shape shape;
} oct_file_array;

typedef enum oct_file_kind {
    OCT_FILE_NPY,
    OCT_FILE_NPZ,
    OCT_FILE_IDX,
    OCT_FILE_IMAGE, /* array "pixels" u1 [H,W,C]; metadata "format": JPEG, PNG or BMP */
    OCT_FILE_SAFETENSORS,
    OCT_FILE_ONNX, /* its initializers; metadata input, output, ops, opset, producer */
    OCT_FILE_CIFAR10,
    OCT_FILE_CIFAR100,
    OCT_FILE_KIND_COUNT
} oct_file_kind;
/** "npy", "npz", "idx", "image", "safetensors", "onnx", "cifar10", "cifar100"; and the reverse. */
OCT_API const char *oct_file_kind_name(oct_file_kind v);
OCT_API OCT_NODISCARD oct_status oct_file_kind_from_name(const char *word, oct_file_kind *v);

/** Header of a data file, by its content. gzip around idx and cifar is seen through. */
typedef struct oct_file_info {
    oct_file_kind kind;
    oct_file_array *arrays;
    int32_t array_count;
    struct oct_file_note {
        const char *key, *value;
    } * notes; /* __metadata__ and the like */
    int32_t note_count;
} oct_file_info;
/** NULL on failure: OCT_EIO, OCT_EFORMAT (damage, or a kind that octet does not know). Free with
 *  oct_file_info_free. */
OCT_API OCT_NODISCARD oct_file_info *oct_file_inspect(oct_ctx *ctx, const char *path);
/** The same for a caller that takes a few kinds alone: `wanted` says which, in the message where
 *  the file is of no kind that octet knows. */
OCT_API OCT_NODISCARD oct_file_info *oct_file_inspect_for(oct_ctx *ctx, const char *path,
                                                          const char *wanted);
OCT_API void oct_file_info_free(oct_ctx *ctx, oct_file_info *info);

/* ---- arrays of NumPy ---- */

/** Images for a net, "x" of an .npz or its only array, or an .npy: float32 N,C,H,W (or N,K) taken
 *  as they are, u8 N,C,H,W are pixels and are normalized by the net's input description (law 13).
 *  f32 [N,H,W,C], owned by the caller. NULL on failure; OCT_ESHAPE names the net's. */
OCT_API OCT_NODISCARD oct_tensor *oct_npz_images(oct_net *net, const char *path);
/** Write "y" (images as N,C,H,W) and, for codes (scale > 0), "scale" and "zero_point"; the array
 *  alone where the path ends in .npy. */
OCT_API OCT_NODISCARD oct_status oct_npz_save(oct_ctx *ctx, const char *path, const oct_tensor *y,
                                              float scale, int32_t zero_point);

OCT_END_DECLS
#endif
