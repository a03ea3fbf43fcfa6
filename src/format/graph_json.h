/* SPDX-License-Identifier: MIT
 * src/format/graph_json.h - the graph's own form: JSON, the same in runs (graph.json) and in int8
 * files.
 *
 * Values are named by their names, tensors by the names of the net's registry. Attributes come from
 * attr_fields.def; one that is all zero is not written. Floats are printed with 9 digits and read
 * back bit-equal; infinities and NaN are the strings "inf", "-inf", "nan". The same graph gives the
 * same bytes. */
#ifndef OCT_SRC_FORMAT_GRAPH_JSON_H
#define OCT_SRC_FORMAT_GRAPH_JSON_H

#include "../net.h"
#include "bytes.h"

OCT_BEGIN_DECLS

/** Append net->graph as JSON. OCT_EINTERNAL where a value's or quantizer's tensor is not in the
 *  registry. */
oct_status octi_graph_to_json(const oct_net *net, octi_text *out);
/** Fill the empty graph of `net` from JSON text (size bytes, needs no NUL); its registry must hold
 * the tensors already. OCT_EFORMAT names the node or value: unknown kind, role, dtype, attribute or
 * tensor, an input that is not made before, counts of inputs, ranks, a name that stands twice. A
 * tensor's dtype and shape must be its value's. Numbers are range- checked; shapes of node outputs
 * are not judged here (oct_infer_shape does). */
oct_status octi_graph_from_json(oct_net *net, const char *text, size_t size, const char *where);
/** Append input description, classes, model, target and stage as JSON. */
oct_status octi_meta_to_json(const oct_net *net, octi_text *out);
/** Read them back into `net`; its stage is set too. */
oct_status octi_meta_from_json(oct_net *net, const char *text, size_t size, const char *where);
/** The description of the input alone, of the same text; left alone where there is none. */
oct_status octi_desc_from_json(oct_ctx *ctx, const char *text, size_t size, const char *where,
                               oct_input_desc *to);

OCT_END_DECLS
#endif
