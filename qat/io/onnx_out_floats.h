/* SPDX-License-Identifier: MIT
 * qat/io/onnx_out_floats.h - writers of float layers, and the parts of them that layers of codes
 * use. */
#ifndef OCT_QAT_IO_ONNX_OUT_FLOATS_H
#define OCT_QAT_IO_ONNX_OUT_FLOATS_H

#include "qat/io/onnx_out.h"

#define OCTI_ONNX_KIND(kind, writer) void octi_onnxw_write_##writer(octi_onnx_out *w);
#define OCTI_ONNX_REFUSED(kind, why)
#include "qat/io/onnx_out_kinds.def"

/** The layer's fused activation, if it has one, behind x: its last node has the layer's value. */
void octi_onnxw_activated(octi_onnx_out *w, const char *x);
/** kernel_shape, strides, pads, dilations of the last node, from the layer's attributes. */
void octi_onnxw_window(octi_onnx_out *w, bool pools);
/** What a Conv or Gemm of the layer's codes has beside its inputs. */
void octi_onnxw_product_form(octi_onnx_out *w);
/** x with the layer's border of `value`. */
const char *octi_onnxw_padded(octi_onnx_out *w, const char *x, float value, const char *suffix);
/** The mean of the windows of an adaptive pool. */
const char *octi_onnxw_mean(octi_onnx_out *w, const char *x, const char *suffix);
/** Windows of any sizes as two products: their mean, or their sum. */
const char *octi_onnxw_adaptive(octi_onnx_out *w, const char *x, bool mean, const char *suffix);

#endif
