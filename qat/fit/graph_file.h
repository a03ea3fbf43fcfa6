/* SPDX-License-Identifier: MIT
 * qat/fit/graph_file.h - graph.json of a run: meta, the registry (names, roles, dtypes, shapes) and
 * the graph. */
#ifndef OCT_QAT_FIT_GRAPH_FILE_H
#define OCT_QAT_FIT_GRAPH_FILE_H

#include "src/format/files.h"
#include "src/format/safetensors.h"
#include "src/net.h"

oct_status octi_graph_file_write(const oct_net *net, const octi_folder *f);
/** A net whose tensors are zero: the caller fills them from "<prefix><name>" of `weights`, against
 *  which declared shapes are held before memory is taken for them: the graph's word alone is worth
 *  none. NULL on failure. */
oct_net *octi_graph_file_read(oct_ctx *ctx, const octi_folder *f, const octi_safetensors *weights,
                              const char *prefix);

#endif
