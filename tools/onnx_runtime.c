/* SPDX-License-Identifier: MIT
 * Which ONNX Runtime: the library, else the Python package, else what is missing; and the latter,
 * spoken to through pipes. */
#include "tools/onnx_runtime.h"

#include <stdlib.h>
#include <string.h>

#include "tools/child.h"

size_t onnx_element_size(int type) { return type == 1 ? 4 : type == 2 || type == 3; }

int onnx_open(onnx_runtime *r, const char *model) {
    static const onnx_backend *const backends[] = {&onnx_library, &onnx_python};
    for (int i = 0; i < 2; i++) {
        const char *where = getenv(backends[i]->variable);
        if (!where || !*where) continue;
        r->backend = backends[i];
        return r->backend->open(r, where, model);
    }
    return cli_usage(r->path, "needs ONNX Runtime to run it",
                     "OCT_ORT (the path of libonnxruntime.so) or OCT_PYTHON (a Python that has "
                     "onnxruntime) in the environment",
                     "neither", "pip install onnxruntime; OCT_PYTHON=python3 octet verify ...") +
           1;
}

void onnx_close(onnx_runtime *r) {
    if (r->backend) r->backend->close(r);
    r->backend = NULL;
}

/* ---- Python ---- */

/* In: names, then arrays; out: a word, then the outputs of each, as type, rank, sides, bytes. */
static const char script[] =
    "import struct, sys\n"
    "i, f = sys.stdin.buffer, sys.stdout.buffer\n"
    "def words(n): return struct.unpack('<%dq' % n, i.read(8 * n))\n"
    "def name(): return i.read(words(1)[0]).decode()\n"
    "try:\n"
    "    import numpy as np, onnxruntime as ort\n"
    "    model, x, outs = name(), name(), [name() for _ in range(words(1)[0])]\n"
    "    o = ort.SessionOptions()\n"
    "    o.log_severity_level, o.intra_op_num_threads = 3, 1\n"
    "    o.add_session_config_entry('session.x64quantprecision', '1')\n"
    "    s = ort.InferenceSession(model, o, providers=['CPUExecutionProvider'])\n"
    "except Exception as e:\n"
    "    sys.exit('octet: ONNX Runtime: %s' % ' '.join(str(e).split())[:400])\n"
    "f.write(b'octet-ok'), f.flush()\n"
    "while True:\n"
    "    n = i.read(8)\n"
    "    if len(n) < 8: break\n"
    "    d = words(struct.unpack('<q', n)[0])\n"
    "    v = np.frombuffer(i.read(4 * int(np.prod(d))), '<f4').reshape(d)\n"
    "    try: ys = s.run(outs, {x: v})\n"
    "    except Exception as e: sys.exit('octet: ONNX Runtime: %s' % ' "
    "'.join(str(e).split())[:400])\n"
    "    for y in ys:\n"
    "        y = np.ascontiguousarray(y)\n"
    "        t = {'float32': 1, 'uint8': 2, 'int8': 3}.get(y.dtype.name, 0)\n"
    "        f.write(struct.pack('<%dq' % (2 + y.ndim), t, y.ndim, *y.shape))\n"
    "        if t: f.write(y.tobytes())\n"
    "    f.flush()\n";

static int python_ended(const onnx_runtime *r) {
    if (cli_signal()) return 128 + cli_signal();
    return cli_usage(r->path, "ONNX Runtime does not run it", NULL, NULL,
                     "its own words stand above") +
           1;
}

static bool put_number(const child *c, int64_t v) { return child_write(c, &v, sizeof v); }
static bool put_name(const child *c, const char *s) {
    return put_number(c, (int64_t)strlen(s)) && child_write(c, s, strlen(s));
}

static int python_open(onnx_runtime *r, const char *where, const char *model) {
    child *c = r->state = calloc(1, sizeof *c);
    if (!c) return fprintf(stderr, "octet: out of memory\n"), 5;
    char *argv[] = {(char *)(uintptr_t)where, "-c", (char *)(uintptr_t)script, NULL};
    const int failed = child_start(c, argv);
    if (failed)
        return cli_usage("OCT_PYTHON", "cannot be run", "the path of a Python that has onnxruntime",
                         where, strerror(failed)) +
               1;
    bool ok = put_name(c, model) && put_name(c, r->input) && put_number(c, r->count);
    for (int32_t i = 0; ok && i < r->count; i++) ok = put_name(c, r->outputs[i]);
    char word[8];
    if (ok && child_read(c, word, 8) && !memcmp(word, "octet-ok", 8)) return 0;
    return python_ended(r);
}

static bool get_value(const child *c, onnx_value *v) {
    int64_t head[2];
    if (!child_read(c, head, sizeof head) || head[1] < 0 || head[1] > ONNX_RANK) return false;
    v->type = (int)head[0];
    v->rank = (int)head[1];
    v->bytes = onnx_element_size(v->type);
    if (!child_read(c, v->dim, (size_t)v->rank * sizeof *v->dim)) return false;
    for (int i = 0; i < v->rank; i++)
        if (v->dim[i] < 0 || __builtin_mul_overflow(v->bytes, (size_t)v->dim[i], &v->bytes))
            return false;
    if (!v->bytes) return true;
    v->data = malloc(v->bytes);
    return v->data && child_read(c, v->data, v->bytes);
}

static int python_run(onnx_runtime *r, const float *x, int rank, const int64_t *dim,
                      onnx_value *out) {
    const child *c = r->state;
    size_t bytes = sizeof *x;
    for (int i = 0; i < rank; i++) bytes *= (size_t)dim[i];
    bool ok = put_number(c, rank) && child_write(c, dim, (size_t)rank * sizeof *dim) &&
              child_write(c, x, bytes);
    for (int32_t i = 0; ok && i < r->count; i++) ok = get_value(c, &out[i]);
    return ok ? 0 : python_ended(r);
}

static void python_close(onnx_runtime *r) {
    if (r->state) child_end(r->state);
    free(r->state);
    r->state = NULL;
}

const onnx_backend onnx_python = {
    .variable = "OCT_PYTHON",
    .open = python_open,
    .run = python_run,
    .close = python_close,
};
