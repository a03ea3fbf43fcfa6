/* SPDX-License-Identifier: MIT
 * qat/io/onnx_windows.h - ONNX in: windows of convolutions and pools. */
#ifndef OCT_QAT_IO_ONNX_WINDOWS_H
#define OCT_QAT_IO_ONNX_WINDOWS_H

#include "qat/io/onnx_in.h"

typedef struct octi_onnx_window {
    int64_t kernel[2], stride[2], dilation[2];
    int64_t pads[4]; /* top, left, bottom, right */
    bool kernel_given, same_upper, same_lower;
} octi_onnx_window;

/** kernel_shape, strides, dilations, pads and auto_pad of a node, two axes each. */
oct_status octi_onnx_window_of(const octi_onnx_node *n, octi_onnx_window *w);
/** The same as attributes, for an input of that place. */
oct_status octi_onnx_window_attrs(const octi_onnx_node *n, octi_onnx_window *w,
                                  const octi_onnx_place *x, oct_attrs *a);

#endif
