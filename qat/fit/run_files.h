/* SPDX-License-Identifier: MIT
 * qat/fit/run_files.h - what a run's folder holds, and the order in which it is written.
 *
 * state.safetensors is the truth of a run that trains: weights (model.*), the optimizer (optim.*) and the position (fit.*)
 * of one moment in one file, so that they cannot disagree whenever the process dies. model.safetensors is written right
 * behind it, with the same generation number in its metadata; a reader that finds a smaller number there takes the weights
 * from the state. A run without training has no state. config.json and graph.json are written before the first state. */
#ifndef OCT_QAT_FIT_RUN_FILES_H
#define OCT_QAT_FIT_RUN_FILES_H

#include "qat/fit/fit.h"

enum { OCTI_PATH = 4096 };

/** Position of a training: every field is a tensor "fit.<name>" of the state. */
typedef struct octi_position {
#define OCT_FIT_S64(name) int64_t name;
#define OCT_FIT_F64(name) double name;
#include "qat/fit/position.def"
} octi_position;

/** "dir/name" into buf of OCTI_PATH bytes; OCT_EUSAGE where too long. */
oct_status octi_run_path(char *buf, const char *dir, const char *name);
/** Make the folder (force: without what an older run left) and write config.json and graph.json. */
oct_status octi_run_create(const oct_net *net, const char *dir, const char *config_json, bool force);
oct_status octi_run_write_config(oct_ctx *ctx, const char *dir, const char *config_json);
/** Whole config.json, NUL-terminated, free with octi_free; *text NULL where absent. */
oct_status octi_run_read_config(oct_ctx *ctx, const char *dir, char **text);
/** Save a moment: the state, then the model. Sets position->generation. */
oct_status octi_run_commit(const oct_net *net, const char *dir, const oct_named_tensor *optim, int32_t optim_count, octi_position *p);
/** Remove temporary files of saves whose process is gone. */
void octi_run_sweep(const char *dir);
/** Take a saved moment back into net, optimizer and position, and bring a lagging model.safetensors up to it; *found false
 *  (and nothing touched) where there is none. */
oct_status octi_run_restore(oct_net *net, const char *dir, const oct_named_tensor *optim, int32_t optim_count, octi_position *p, bool *found);
/** Write the net's tensors to dir/name with generation g. */
oct_status octi_run_write_model(const oct_net *net, const char *dir, const char *name, int64_t g);

/** Files of a run, for checks and for force. */
extern const char *const octi_run_names[];

#endif
