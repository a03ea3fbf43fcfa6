/* SPDX-License-Identifier: MIT
 * qat/fit/run_files.h - what a run's folder holds, and the order in which it is written.
 *
 * state.safetensors is the truth of a run that trains: weights (model.*), the optimizer (optim.*)
 * and the position (fit.*) of one moment in one file, so that they cannot disagree whenever the
 * process dies. model.safetensors is written right behind it, with the same generation number in
 * its metadata; a reader that finds a smaller number there takes the weights from the state. A run
 * without training has no state. config.json and graph.json are written before the first state. */
#ifndef OCT_QAT_FIT_RUN_FILES_H
#define OCT_QAT_FIT_RUN_FILES_H

#include "qat/fit/fit.h"
#include "qat/fit/run_folder.h"
#include "src/format/safetensors.h"

/** Position of a training: every field is a tensor "fit.<name>" of the state. */
typedef struct octi_position {
#define OCT_FIT_S64(name) int64_t name;
#define OCT_FIT_F64(name) double name;
#define OCT_FIT_MAYBE     OCT_FIT_S64
#include "qat/fit/position.def"
} octi_position;

/** What a position is judged by: options of a run that trains, from its config.json. */
typedef struct octi_fit_extent {
    int64_t epochs, batch, images; /* images 0: the run does not train */
    int64_t patience;
} octi_fit_extent;
oct_status octi_fit_extent_read(oct_ctx *ctx, const char *config_json, const char *where,
                                octi_fit_extent *e);
/** Is it a moment that such a training passes through? OCT_EFORMAT names the field. */
oct_status octi_position_check(const octi_position *p, const octi_fit_extent *e, const char *where);
/** Position of a state file, judged. */
oct_status octi_position_read(const octi_safetensors *state, const octi_fit_extent *e,
                              const char *where, octi_position *p);

/** Write config.json and graph.json. */
oct_status octi_run_create(const oct_net *net, const octi_folder *f, const char *config_json);
oct_status octi_run_write_config(const octi_folder *f, const char *config_json);
/** Whole config.json, NUL-terminated, free with octi_free; *text NULL where absent. */
oct_status octi_run_read_config(oct_ctx *ctx, const octi_folder *f, char **text);
/** Save a moment: the state, then the model. Sets position->generation. */
oct_status octi_run_commit(const oct_net *net, const octi_folder *f, const oct_named_tensor *optim,
                           int32_t optim_count, octi_position *p);
/** Take a saved moment back into net, optimizer and position, judged by the extent, and bring a
 *  lagging model.safetensors up to it and metrics.jsonl down; *found false (and nothing touched)
 *  where there is none. */
oct_status octi_run_restore(oct_net *net, const octi_folder *f, const octi_fit_extent *e,
                            const oct_named_tensor *optim, int32_t optim_count, octi_position *p,
                            bool *found);
/** A file of tensors; NULL where it is absent, or *s says why not (and nothing is read where *s is
 *  a failure already). */
octi_safetensors *octi_run_read_if(oct_ctx *ctx, const octi_folder *f, const char *name,
                                   oct_status *s);
/** Generation of a file of tensors, -1 where it has none: somebody else put it there. */
int64_t octi_run_generation(const octi_safetensors *s);
/** Write the net's tensors to a file with generation g. */
oct_status octi_run_write_model(const oct_net *net, const octi_folder *f, const char *name,
                                int64_t g);
/** arrays.c: the net's probe to probe.npz and back; nothing where there is none. */
oct_status octi_run_write_probe(const oct_net *net, const octi_folder *f);
oct_status octi_run_read_probe(oct_net *net, const octi_folder *f);

#endif
