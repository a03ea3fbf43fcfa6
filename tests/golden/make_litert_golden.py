# SPDX-License-Identifier: MIT
# What LiteRT makes of the same codes: its interpreter's reference kernels (BUILTIN_REF: no XNNPACK, which rounds as law 7 does, and no
# ruy, which rounds otherwise again), one op at a time. Writes tests/golden/litert.txt in the form of make_qops_golden.py: per case the operands as
# octet has them (codes as bytes: signed codes + 128), scales and zero points, and LiteRT's codes; tests/test_litert_golden.c
# computes the same by octet's ops under law 16. Head lines say how many codes LiteRT's other kernels give otherwise.
# With arguments, a whole net: every node of an int8 file of target litert, held against LiteRT on the codes before it.
# usage: python make_litert_golden.py > litert.txt      python make_litert_golden.py MODEL.oct8 X.npz
# needs: ai-edge-litert (its schema_py_generated.py writes the models), numpy
import pathlib
import sys

import flatbuffers
import numpy as np
from ai_edge_litert import interpreter as litert, schema_py_generated as tfl

f32, f64 = np.float32, np.float64
rng = np.random.default_rng(5)
Kind = tfl.BuiltinOperator
REF, BUILTIN, AUTO = (getattr(litert.OpResolverType, k) for k in ("BUILTIN_REF", "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "AUTO"))
ACT = {None: 0, "relu": tfl.ActivationFunctionType.RELU, "relu6": tfl.ActivationFunctionType.RELU6}


# ---- a model of one op ----

class T:
    """A tensor: signed codes, or constants, with scales and zero points of the file."""

    def __init__(self, shape, dtype=np.int8, scale=(), zero=0, data=None, axis=0):
        self.shape, self.dtype, self.scale, self.zero, self.data, self.axis = list(shape), np.dtype(dtype), np.atleast_1d(np.array(scale, f32)), zero, data, axis


def model(kind, opts, opts_type, inputs, output, version):
    m = tfl.ModelT()
    m.version, m.description = 3, "one op"
    m.buffers = [tfl.BufferT()]
    code = tfl.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = kind, min(kind, 127), version
    m.operatorCodes = [code]
    g = tfl.SubGraphT()
    g.tensors = []
    for i, t in enumerate(inputs + [output]):
        x = tfl.TensorT()
        x.name, x.shape, x.hasRank = "t%d" % i, t.shape, True
        x.type = {"int8": tfl.TensorType.INT8, "int32": tfl.TensorType.INT32}[t.dtype.name]
        x.buffer = 0
        if t.data is not None:
            b = tfl.BufferT()
            b.data = np.frombuffer(np.ascontiguousarray(t.data, t.dtype).tobytes(), np.uint8)
            m.buffers.append(b)
            x.buffer = len(m.buffers) - 1
        if len(t.scale):
            q = tfl.QuantizationParametersT()
            q.scale, q.zeroPoint, q.quantizedDimension = t.scale, np.full(len(t.scale), t.zero, np.int64), t.axis
            x.quantization = q
        g.tensors.append(x)
    op = tfl.OperatorT()
    op.opcodeIndex, op.inputs, op.outputs = 0, list(range(len(inputs))), [len(inputs)]
    op.builtinOptionsType, op.builtinOptions = opts_type, opts
    g.operators = [op]
    g.inputs, g.outputs = [i for i, t in enumerate(inputs) if t.data is None], [len(inputs)]
    m.subgraphs = [g]
    b = flatbuffers.Builder(1024)
    b.Finish(m.Pack(b), b"TFL3")
    return bytes(b.Output())


def run(made, xs, resolver):
    i = litert.Interpreter(model_content=made, experimental_op_resolver_type=resolver, num_threads=1)
    i.allocate_tensors()
    for d, x in zip(i.get_input_details(), xs):
        i.set_tensor(d["index"], x)
    i.invoke()
    return i.get_tensor(i.get_output_details()[0]["index"])


otherwise = {}  # kind -> [codes, differing with optimized kernels, with XNNPACK]


def codes(kind, opts, inputs, output, xs, version=1):
    """LiteRT's codes as bytes. opts: the options' object, by its class's name."""
    made = model(kind, opts, getattr(tfl.BuiltinOptions, type(opts).__name__[:-1]), inputs, output, version)
    y = run(made, xs, REF)
    name = next(k for k, v in vars(Kind).items() if v == kind)
    note = otherwise.setdefault(name, [0, 0, 0])
    note[0] += y.size
    for k, r in ((1, BUILTIN), (2, AUTO)):
        try:
            note[k] += int((run(made, xs, r) != y).sum())
        except (RuntimeError, ValueError) as e:
            print(name, e, file=sys.stderr)
    return (y.astype(np.int16) + 128).astype(np.uint8)


def signed(u8):
    return (u8.astype(np.int16) - 128).astype(np.int8)


def windowed(o, kernel, stride, padding, act):
    o.strideH, o.strideW, o.fusedActivationFunction = stride, stride, ACT[act]
    o.padding = {"valid": tfl.Padding.VALID, "same": tfl.Padding.SAME}[padding]
    if kernel:
        o.filterHeight, o.filterWidth = kernel
    return o


# ---- ops, on operands as octet has them (bytes, zero points of bytes) ----

def conv(x, sx, zx, w, sw, b, sy, zy, stride, padding, dilation=1, groups=1, act=None):
    """w [O,R,S,C/g]; groups == C: depthwise."""
    c, (o, r, s, _) = x.shape[3], w.shape
    size = [(-(-n // stride)) if padding == "same" else (n - (k - 1) * dilation - 1) // stride + 1 for n, k in zip(x.shape[1:3], (r, s))]
    dw = groups == c and groups > 1
    opts = windowed(tfl.DepthwiseConv2DOptionsT() if dw else tfl.Conv2DOptionsT(), None, stride, padding, act)
    opts.dilationHFactor = opts.dilationWFactor = dilation
    if dw:
        opts.depthMultiplier, w = o // c, np.ascontiguousarray(w.reshape(o, r, s).transpose(1, 2, 0))[None]
    return codes(Kind.DEPTHWISE_CONV_2D if dw else Kind.CONV_2D, opts,
                 [T(x.shape, np.int8, sx, zx - 128), T(w.shape, np.int8, sw, 0, w, 3 if dw else 0), T([o], np.int32, f32(sx) * sw, 0, b)],
                 T([x.shape[0], *size, o], np.int8, sy, zy - 128), [signed(x)], 3)


def linear(x, sx, zx, w, sw, b, sy, zy, act=None):
    opts = tfl.FullyConnectedOptionsT()
    opts.fusedActivationFunction = ACT[act]
    return codes(Kind.FULLY_CONNECTED, opts, [T(x.shape, np.int8, sx, zx - 128), T(w.shape, np.int8, sw, 0, w), T([len(w)], np.int32, f32(sx) * sw, 0, b)],
                 T([len(x), len(w)], np.int8, sy, zy - 128), [signed(x)], 12 if len(sw) > 1 else 4)


def pair(mul, a, sa, za, b, sb, zb, sy, zy, act=None):
    opts = tfl.MulOptionsT() if mul else tfl.AddOptionsT()
    opts.fusedActivationFunction = ACT[act]
    return codes(Kind.MUL if mul else Kind.ADD, opts, [T(a.shape, np.int8, sa, za - 128), T(b.shape, np.int8, sb, zb - 128)],
                 T(np.broadcast_shapes(a.shape, b.shape), np.int8, sy, zy - 128), [signed(a), signed(b)], 2)


def pool(largest, x, s, z, kernel, stride, padding):
    size = [-(-n // stride) if padding == "same" else (n - k) // stride + 1 for n, k in zip(x.shape[1:3], kernel)]
    return codes(Kind.MAX_POOL_2D if largest else Kind.AVERAGE_POOL_2D, windowed(tfl.Pool2DOptionsT(), kernel, stride, padding, None),
                 [T(x.shape, np.int8, s, z - 128)], T([x.shape[0], *size, x.shape[3]], np.int8, s, z - 128), [signed(x)], 2)


def mean(x, sx, zx, sy, zy):
    opts = tfl.ReducerOptionsT()
    opts.keepDims = True
    return codes(Kind.MEAN, opts, [T(x.shape, np.int8, sx, zx - 128), T([2], np.int32, data=np.array([1, 2], np.int32))],
                 T([x.shape[0], 1, 1, x.shape[3]], np.int8, sy, zy - 128), [signed(x)], 2)


def requantize(x, sx, zx, sy, zy):
    return codes(Kind.QUANTIZE, tfl.QuantizeOptionsT(), [T(x.shape, np.int8, sx, zx - 128)], T(x.shape, np.int8, sy, zy - 128), [signed(x)], 2)


def function(name, sx, zx, sy, zy, **attr):
    """All 256 codes."""
    x = np.arange(256, dtype=np.uint8).reshape(1, 256)
    opts = {"LEAKY_RELU": tfl.LeakyReluOptionsT, "HARD_SWISH": tfl.HardSwishOptionsT}.get(name, tfl.ReshapeOptionsT)()
    for k, v in attr.items():
        setattr(opts, k, v)
    if type(opts) is tfl.ReshapeOptionsT:
        return codes_without(name, x, sx, zx, sy, zy)
    return codes(getattr(Kind, name), opts, [T(x.shape, np.int8, sx, zx - 128)], T(x.shape, np.int8, sy, zy - 128), [signed(x)], 1 if name == "HARD_SWISH" else 2)


def codes_without(name, x, sx, zx, sy, zy):
    """A kind that has no options."""
    made = model(getattr(Kind, name), None, tfl.BuiltinOptions.NONE, [T(x.shape, np.int8, sx, zx - 128)], T(x.shape, np.int8, sy, zy - 128), 2)
    return (run(made, [signed(x)], REF).astype(np.int16) + 128).astype(np.uint8)


# ---- the cases ----

out = []


def put(name, a):
    a = np.asarray(a)
    out.append(" ".join(map(str, ("tensor", name, a.ndim, *a.shape))))
    flat = a.reshape(-1)
    for i in range(0, len(flat), 32):
        out.append(" ".join("%.9g" % v for v in flat[i:i + 32]))


def some(*shape):
    return rng.integers(0, 256, shape, dtype=np.uint8)


def product(name, x, w, sx, zx, sw, sy, zy, act=None, most=9000, **geometry):
    b = rng.integers(-most, most, len(w)).astype(np.int32)
    y = conv(x, sx, zx, w, sw, b, sy, zy, act=act, **geometry) if geometry else linear(x, sx, zx, w, sw, b, sy, zy, act)
    if not geometry:  # LiteRT's reference kernel of FULLY_CONNECTED rounds in double; the same as a 1x1 convolution is law 16
        put(name + ".dense", y)
        y = conv(x[:, None, None], sx, zx, w[:, None, None], sw, b, sy, zy, 1, "valid", act=act).reshape(y.shape)
    for k, v in (("x", x), ("w", w), ("b", b), ("sw", sw), ("y", y)):
        put(name + "." + k, v)
    g = {"dilation": 1, "groups": 1, **geometry} if geometry else {}
    put(name + ".p", [sx, zx, sy, zy, [None, "relu", "relu6"].index(act), g.get("stride", 1), g.get("padding") == "same", g.get("dilation", 1), g.get("groups", 1)])


def weights(*shape):
    return rng.integers(-127, 128, shape).astype(np.int8)


def scales(n, around):
    return (around * rng.uniform(0.3, 1.7, n)).astype(f32)


def cases():
    pow2 = np.full(8, 2.0**-7, f32)
    product("conv0", some(1, 7, 6, 5), weights(8, 3, 3, 5), f32(0.031), 121, scales(8, 0.011), f32(0.47), 140, stride=1, padding="valid")
    product("conv1", some(1, 8, 7, 6), weights(8, 3, 3, 6), f32(2.0**-5), 128, pow2, f32(0.5), 100, "relu", stride=2, padding="same")
    product("conv2", some(2, 4, 4, 3), weights(7, 1, 1, 3), f32(0.11), 30, scales(7, 0.2), f32(0.013), 128, stride=1, padding="valid")  # beyond 1
    product("conv3", some(1, 9, 8, 6), weights(8, 3, 3, 3), f32(0.02), 0, scales(8, 0.01), f32(0.12), 5, "relu6", stride=1, padding="same", dilation=2, groups=2)
    product("conv4", some(1, 10, 10, 4), rng.integers(-3, 4, (6, 1, 1, 4)).astype(np.int8), f32(2.0**-5), 128, pow2[:6], f32(2.0**-8), 128, most=99, stride=1, padding="valid")  # ties
    product("dw0", some(1, 8, 7, 8), weights(8, 3, 3, 1), f32(2.0**-6), 128, pow2, f32(2.0**-4), 128, stride=1, padding="same", groups=8)
    product("dw1", some(1, 9, 9, 5), weights(10, 5, 5, 1), f32(0.05), 255, scales(10, 0.02), f32(0.6), 90, "relu", stride=2, padding="valid", groups=5)
    product("linear0", some(16, 40), weights(12, 40), f32(0.04), 128, scales(12, 0.01), f32(0.9), 117)
    product("linear1", some(40, 33), weights(1, 33), f32(0.0371), 128, scales(1, 0.0113), f32(0.7), 128)
    product("linear2", some(40, 4), rng.integers(-9, 10, (8, 4)).astype(np.int8), f32(2.0**-5), 128, pow2, f32(2.0**-7), 128, most=99)
    for i, (shape, sa, za, sb, zb, sy, zy, act) in enumerate((((1, 6, 6, 8), 0.03, 128, 0.03, 128, 0.05, 128, None), ((1, 6, 6, 8), 0.5, 3, 0.0041, 250, 0.47, 77, None),
                                                              ((1, 6, 6, 8), 2.0**-4, 128, 2.0**-6, 100, 2.0**-3, 128, "relu"), ((1, 1, 1, 8), 0.02, 0, 0.07, 255, 0.04, 128, None))):
        a, b = some(1, 6, 6, 8), some(*shape)
        for mul in (False, True):
            name, y = ("mul%d" if mul else "add%d") % i, f32(sy * 30 if mul and i else sy)
            put(name + ".y", pair(mul, a, f32(sa), za, b, f32(sb), zb, y, zy, act))
            put(name + ".a", a), put(name + ".b", b)
            put(name + ".p", [f32(sa), za, f32(sb), zb, y, zy, act == "relu"])
    for i, (shape, kernel, stride, padding) in enumerate((((1, 7, 8, 6), (3, 3), 1, "valid"), ((1, 7, 7, 6), (2, 2), 2, "same"), ((1, 5, 6, 4), (3, 2), 1, "same"))):
        x = some(*shape) if i else (128 + rng.integers(-4, 5, shape)).astype(np.uint8)
        put("pool%d.x" % i, x), put("pool%d.p" % i, [f32(0.04), 117, *kernel, stride, padding == "same"])
        put("pool%d.average" % i, pool(False, x, f32(0.04), 117, kernel, stride, padding))
        put("pool%d.largest" % i, pool(True, x, f32(0.04), 117, kernel, stride, padding))
    for i, (shape, sx, zx, sy, zy) in enumerate((((2, 7, 5, 40), 0.04, 117, 0.013, 130), ((2, 8, 8, 40), 0.03, 128, 0.03, 128), ((1, 1, 3, 64), 0.02, 9, 0.0021, 200))):
        x = some(*shape[:3], shape[3])
        put("mean%d.x" % i, x), put("mean%d.y" % i, mean(x, f32(sx), zx, f32(sy), zy)), put("mean%d.p" % i, [f32(sx), zx, f32(sy), zy])
    every = np.arange(256, dtype=np.uint8).reshape(1, 256)
    for i, (sx, zx, sy, zy) in enumerate(((0.04, 117, 0.047, 130), (0.25, 128, 0.5, 128), (0.03, 7, 0.011, 100))):
        put("requantize%d.y" % i, requantize(every, f32(sx), zx, f32(sy), zy)), put("requantize%d.p" % i, [f32(sx), zx, f32(sy), zy])
    for i, (sx, zx, sy, zy) in enumerate(((0.05, 117, 0.047, 60), (0.0625, 128, 0.03125, 100), (0.9, 200, 0.31, 9),
                                            (0.000731, 73, 0.000393278, 19), (0.002207, 142, 0.00128006, 87), # hardswish's gate is rounded: it tells here
                                            (0.44, 248, 0.196, 161))): # and here that the slope's multiplier is made in fp32
        put("function%d.p" % i, [f32(sx), zx, f32(sy), zy])
        put("function%d.leaky_relu" % i, function("LEAKY_RELU", f32(sx), zx, f32(sy), zy, alpha=float(f32((0.1, 0.25, -0.3, 0.01, 1.5, 0.525)[i]))))
        put("function%d.hardswish" % i, function("HARD_SWISH", f32(sx), zx, f32(sy), zy))
        put("function%d.sigmoid" % i, function("LOGISTIC", f32(sx), zx, f32(1 / 256), 0))
        put("function%d.tanh" % i, function("TANH", f32(sx), zx, f32(1 / 128), 128))


# ---- a whole net of octet's ----

def explicit(x, pads, z):
    return np.pad(x, ((0, 0), (pads[0], pads[2]), (pads[1], pads[3]), (0, 0)), constant_values=z)


def whole(path, arrays):
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    import run_int8
    graph, t, _ = run_int8.load(pathlib.Path(path))
    at, quantizers = {v["name"]: v for v in graph["values"]}, graph["quantizers"]
    x = np.load(arrays)["x"]
    x = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x  # NCHW
    total = {}

    def grid(name):
        q = quantizers[at[name]["quantizer"]]
        return t[q["scale"]][0] if t[q["scale"]].size == 1 else t[q["scale"]], int(t[q["zero_point"]].flat[0])

    def hold(n, ours, theirs):
        done = total.setdefault(n["kind"], [0, 0])
        done[0] += ours.size
        done[1] += int((ours != theirs.reshape(ours.shape)).sum())

    ours = {n["name"]: out for _, n, _, out in run_int8.run(pathlib.Path(path), x.astype(f32), lambda i: None)}
    for n in graph["nodes"]:
        a, i = n.get("attr", {}), n["in"]
        if n["kind"] not in ("qconv2d", "qlinear", "qadd", "qmul", "qavg_pool2d", "qadaptive_avg_pool2d", "max_pool2d"):
            continue
        v, y = [ours.get(k) if k in ours else t[at[k]["tensor"]] for k in i], grid(n["name"])
        (sx, zx), (sy, zy) = grid(i[0]), y
        lo, hi = a.get("lo", 0), a.get("hi", 0)
        if n["kind"] in ("qconv2d", "qlinear"):
            sw, w, b = np.atleast_1d(grid(i[1])[0]), v[1], v[2]
            got = (conv(v[0][:, None, None], sx, zx, w[:, None, None], sw, b, sy, zy, 1, "valid") if n["kind"] == "qlinear" else
                   conv(explicit(v[0], a.get("pads", [0] * 4), zx), sx, zx, w, sw, b, sy, zy, a["stride"][0], "valid", a["dilation"][0], a["groups"]))
            got = np.clip(got, lo, hi)
        elif n["kind"] in ("qadd", "qmul"):
            got = np.clip(pair(n["kind"] == "qmul", v[0], sx, zx, v[1], *grid(i[1]), sy, zy), lo, hi)
        elif n["kind"] == "qadaptive_avg_pool2d":
            if a["out_size"] != [1, 1]:
                continue
            got = mean(v[0], sx, zx, sy, zy)
        else:
            got = pool(n["kind"] == "max_pool2d", v[0], sx, zx, a["kernel"], a["stride"][0], "valid")
        hold(n, ours[n["name"]], got)
    for k, (n, d) in sorted(total.items()):
        print("%-22s %9d codes, %d differ" % (k, n, d))
    return any(d for _, d in total.values())


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(whole(*sys.argv[1:]))
    cases()
    import importlib.metadata
    print("# ai-edge-litert", importlib.metadata.version("ai-edge-litert"), "reference kernels; codes, differing with its optimized kernels, with XNNPACK:")
    for k, v in sorted(otherwise.items()):
        print("#", k, *v)
    print("\n".join(out))
