/* SPDX-License-Identifier: MIT
 * tools/onnx_runtime.h - an ONNX file run by ONNX Runtime: through its library ($OCT_ORT, the path
 * of libonnxruntime.so), or its Python package ($OCT_PYTHON, a Python that has onnxruntime).
 *
 * Sessions optimize graphs as they do by default, so that integer kernels run where the file lets
 * them; of what saturates they are asked for the exact one (session.x64quantprecision). */
#ifndef OCT_TOOLS_ONNX_RUNTIME_H
#define OCT_TOOLS_ONNX_RUNTIME_H

#include "tools/cli.h"

enum { ONNX_RANK = 8 };

typedef struct onnx_value {
    int type; /* ONNX's: 1 float32, 2 uint8, 3 int8; others have no data */
    int rank;
    int64_t dim[ONNX_RANK];
    void *data; /* malloc'd; the caller's to free */
    size_t bytes;
} onnx_value;

typedef struct onnx_runtime onnx_runtime;

/** One of the two. Functions that return int: 0, or the exit code behind a message. */
typedef struct onnx_backend {
    const char *variable; /* "OCT_ORT" */
    int (*open)(onnx_runtime *r, const char *where, const char *model);
    int (*run)(onnx_runtime *r, const float *x, int rank, const int64_t *dim, onnx_value *out);
    void (*close)(onnx_runtime *r);
} onnx_backend;

struct onnx_runtime {
    const onnx_backend *backend;
    const char *path;           /* of the user's file, for messages */
    const char *input;          /* names in the file */
    const char *const *outputs; /* count of them */
    int32_t count;
    void *state;
};

extern const onnx_backend onnx_library, onnx_python;

/** Open `model`, a file that is the user's own or made of it. 3 behind a message that names both
 *  variables where neither is set. */
int onnx_open(onnx_runtime *r, const char *model);
/** Values of all outputs for one input. */
static inline int onnx_run(onnx_runtime *r, const float *x, int rank, const int64_t *dim,
                           onnx_value *out) {
    return r->backend->run(r, x, rank, dim, out);
}
void onnx_close(onnx_runtime *r);
/** Of elements of a type that values may have; 0 for others. */
size_t onnx_element_size(int type);

#endif
