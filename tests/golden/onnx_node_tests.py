#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ONNX's own backend node tests of the ops in qat/io/onnx_ops.def, by hand: onnx_node_tests.py PATH-OF-octet [NAME...]
Each is a net of one node: all inputs but the first become initializers, opsets beyond 21 are called 21. Prints how many are taken
and right, refused (with the words) or wrong. Exit code 1 for a wrong one, 77 where Python has no onnx."""
import collections, os, re, shutil, subprocess, sys, tempfile
try:
    import numpy as np, onnx
    from onnx import numpy_helper
except ImportError:
    print("skipped: Python has no onnx"); sys.exit(77)
octet = sys.argv[1]; only = sys.argv[2:]
table = set(re.findall(r'OCT_ONNX_OP\("(\w+)", (?!none,)', open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../qat/io/onnx_ops.def")).read()))
tmp = tempfile.mkdtemp(); count = collections.Counter(); why = collections.Counter(); wrong = []; refused = []
from onnx.backend.test.case.node import collect_testcases
for case in sorted(collect_testcases(None), key=lambda c: c.name):
    name = case.name; m = case.model
    if only and name not in only: continue
    if m is None or not case.data_sets: continue
    if not all(n.op_type in table for n in m.graph.node) or len(m.graph.node) != 1: continue
    try:
        ins, outs = case.data_sets[0]; y = outs[0]
        ins = [numpy_helper.to_array(a) if isinstance(a, onnx.TensorProto) else np.asarray(a) for a in ins]
        y = numpy_helper.to_array(y) if isinstance(y, onnx.TensorProto) else np.asarray(y)
    except Exception: continue
    # a node test feeds its weights as inputs: all but the first become initializers, as a net has them
    first = m.graph.input[0]
    for v, a in list(zip(m.graph.input, ins))[1:]:
        m.graph.initializer.append(numpy_helper.from_array(np.asarray(a), v.name)); m.graph.input.remove(v)
    for o in m.opset_import:
        if o.domain in ("", "ai.onnx"): o.version = min(o.version, 21) if o.version > 21 else o.version
    onnx.save(m, tmp + "/m.onnx")
    run = tmp + "/run"; shutil.rmtree(run, ignore_errors=True)
    r = subprocess.run([octet, "import", tmp + "/m.onnx", "-o", run, "--quiet"], capture_output=True, text=True)
    if r.returncode:
        count["refused"] += 1; refused.append((name, r.returncode, r.stderr.strip().split("m.onnx: ")[-1][:200])); continue
    x = np.asarray(ins[0], np.float32)
    np.savez(tmp + "/x.npz", x=x)
    r = subprocess.run([octet, "run", run, "--input", tmp + "/x.npz", "--output", tmp + "/y.npz", "--quiet"], capture_output=True, text=True)
    if r.returncode: count["run failed"] += 1; wrong.append((name, r.stderr.strip()[:200])); continue
    got = np.load(tmp + "/y.npz")["y"]
    y = np.asarray(y, np.float32)
    ok = got.size == y.size and np.allclose(got.reshape(y.shape), y, rtol=1e-3, atol=1e-5)
    count["right" if ok else "wrong"] += 1
    if not ok: wrong.append((name, got.shape, y.shape))
print(dict(count))
for w in wrong: print("WRONG", *w)
for w in refused: print("refused", *w)
shutil.rmtree(tmp)
sys.exit(1 if wrong else 0)
