# SPDX-License-Identifier: MIT
"""The zoo's nets as .tflite files, for tools/bench_peers: float, or int8 with s8 weights per output channel. Weights are random and
activations' scales nominal, since time depends on neither; padding is TFLite's SAME, which gives the zoo's shapes. Needs
ai-edge-litert, whose schema writes the file.

net_of(name, shape, batch, int8) -> bytes"""
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as tfl

# net: (kernel and stride of the stem, its pool, widths of the stages, blocks of each, classes)
RESNETS = {"resnet8": (3, 1, False, (16, 32, 64), 1, 10), "resnet20": (3, 1, False, (16, 32, 64), 3, 10),
           "resnet18": (7, 2, True, (64, 128, 256, 512), 2, 1000)}
# version of each operator: float, int8
VERSIONS = {"CONV_2D": (1, 3), "MAX_POOL_2D": (1, 2), "ADD": (1, 2), "MEAN": (1, 2), "RESHAPE": (1, 1), "FULLY_CONNECTED": (1, 4),
            "QUANTIZE": (1, 1), "DEQUANTIZE": (2, 2)}


def filled(cls, **fields):
    o = cls()
    for k, v in fields.items():
        setattr(o, k, v)
    return o


class Graph:
    def __init__(self, int8):
        self.int8, self.random = int8, np.random.default_rng(3)
        self.buffers, self.tensors, self.operators, self.codes = [tfl.BufferT()], [], [], []

    def value(self, shape, kind, scale=None, zero=0, data=None):
        at = 0
        if data is not None:
            at = len(self.buffers)
            self.buffers.append(filled(tfl.BufferT, data=np.frombuffer(data.tobytes(), np.uint8)))
        scales = None if scale is None else np.atleast_1d(np.asarray(scale, np.float32))
        grid = None if scales is None else filled(tfl.QuantizationParametersT, scale=scales, quantizedDimension=0,
                                                  zeroPoint=np.full(len(scales), zero, np.int64))
        self.tensors.append(filled(tfl.TensorT, shape=list(shape), type=kind, buffer=at, quantization=grid,
                                   name=f"v{len(self.tensors)}".encode()))
        return len(self.tensors) - 1

    def floats(self, shape):
        return self.value(shape, tfl.TensorType.FLOAT32)

    def codes_of(self, shape, relu):
        return self.value(shape, tfl.TensorType.INT8, 6 / 255 if relu else 8 / 255, -128 if relu else 0)

    def run(self, name, inputs, shape, relu=False, to_float=False, **options):
        """An operator; its output's number."""
        out = self.floats(shape) if to_float or not self.int8 else self.codes_of(shape, relu)
        if name not in self.codes:
            self.codes.append(name)
        o = filled(tfl.OperatorT, opcodeIndex=self.codes.index(name), inputs=list(inputs), outputs=[out])
        if options:
            kind = options.pop("kind")
            o.builtinOptionsType = getattr(tfl.BuiltinOptions, kind)
            if name in ("CONV_2D", "ADD", "FULLY_CONNECTED"):
                options["fusedActivationFunction"] = tfl.ActivationFunctionType.RELU if relu else tfl.ActivationFunctionType.NONE
            o.builtinOptions = filled(getattr(tfl, kind + "T"), **options)
        self.operators.append(o)
        return out

    def shape(self, v):
        return self.tensors[v].shape

    def weights(self, shape, x):
        w = self.random.normal(0, 0.1, shape).astype(np.float32)
        if not self.int8:
            return [self.value(shape, tfl.TensorType.FLOAT32, data=w),
                    self.value(shape[:1], tfl.TensorType.FLOAT32, data=np.zeros(shape[0], np.float32))]
        scale = np.abs(w).reshape(shape[0], -1).max(1) / 127
        codes = np.rint(w / scale.reshape(-1, *[1] * (len(shape) - 1))).astype(np.int8)
        return [self.value(shape, tfl.TensorType.INT8, scale, data=codes),
                self.value(shape[:1], tfl.TensorType.INT32, scale * self.tensors[x].quantization.scale[0],
                           data=np.zeros(shape[0], np.int32))]

    def conv(self, x, o, kernel, stride=1, relu=True, same=True):
        n, h, w, c = self.shape(x)
        h, w = (-(-h // stride), -(-w // stride)) if same else (h - kernel + 1, w - kernel + 1)
        return self.run("CONV_2D", [x, *self.weights((o, kernel, kernel, c), x)], (n, h, w, o), relu, kind="Conv2DOptions",
                        padding=tfl.Padding.SAME if same else tfl.Padding.VALID, strideH=stride, strideW=stride,
                        dilationHFactor=1, dilationWFactor=1)

    def pool(self, x, kernel):
        n, h, w, c = self.shape(x)
        return self.run("MAX_POOL_2D", [x], (n, h // 2, w // 2, c), True, kind="Pool2DOptions", padding=tfl.Padding.SAME,
                        strideH=2, strideW=2, filterHeight=kernel, filterWidth=kernel)

    def add(self, x, y):
        return self.run("ADD", [x, y], self.shape(x), True, kind="AddOptions")

    def whole(self, numbers):
        return self.value((len(numbers),), tfl.TensorType.INT32, data=np.array(numbers, np.int32))

    def mean(self, x):
        n, _, _, c = self.shape(x)
        return self.run("MEAN", [x, self.whole((1, 2))], (n, 1, 1, c), True, kind="ReducerOptions", keepDims=True)

    def flat(self, x):
        shape = [self.shape(x)[0], int(np.prod(self.shape(x)[1:]))]
        return self.run("RESHAPE", [x, self.whole(shape)], shape, True, kind="ReshapeOptions", newShape=shape)

    def linear(self, x, o, relu=False):
        n, k = self.shape(x)
        return self.run("FULLY_CONNECTED", [x, *self.weights((o, k), x)], (n, o), relu, kind="FullyConnectedOptions")

    def file(self, first, last):
        graph = filled(tfl.SubGraphT, tensors=self.tensors, inputs=[first], outputs=[last], operators=self.operators, name=b"main")
        kinds = []
        for name in self.codes:
            code = getattr(tfl.BuiltinOperator, name)
            kinds.append(filled(tfl.OperatorCodeT, builtinCode=code, deprecatedBuiltinCode=code, version=VERSIONS[name][self.int8]))
        model = filled(tfl.ModelT, version=3, subgraphs=[graph], buffers=self.buffers, operatorCodes=kinds)
        out = flatbuffers.Builder(1 << 20)
        out.Finish(model.Pack(out), b"TFL3")
        return bytes(out.Output())


def lenet(g, x):
    x = g.pool(g.conv(g.pool(g.conv(x, 6, 5), 2), 16, 5, same=False), 2)
    return g.linear(g.linear(g.linear(g.flat(x), 120, True), 84, True), 10)


def resnet(g, x, name):
    kernel, stride, pool, widths, blocks, classes = RESNETS[name]
    x = g.conv(x, widths[0], kernel, stride)
    x = g.pool(x, 3) if pool else x
    for stage, width in enumerate(widths):
        for block in range(blocks):
            step = 2 if stage and not block else 1
            y = g.conv(g.conv(x, width, 3, step), width, 3, relu=False)
            x = g.add(y, x if step == 1 else g.conv(x, width, 1, step, relu=False))
    return g.linear(g.flat(g.mean(x)), classes)


def net_of(name, shape, batch, int8):
    c, h, w = shape
    g = Graph(int8)
    first = x = g.floats((batch, h, w, c))
    if int8:
        x = g.run("QUANTIZE", [x], (batch, h, w, c))
    x = lenet(g, x) if name == "lenet" else resnet(g, x, name)
    if int8:
        x = g.run("DEQUANTIZE", [x], g.shape(x), to_float=True)
    return g.file(first, x)
