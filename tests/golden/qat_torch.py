#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""PyTorch's own eager-mode QAT of octet's lenet and resnet8, from the same weights, on the same data and schedule.

Beside `tools/accuracy`: its mean over seeds is what octet's int8 accuracies are held against (docs/results.md). Not a test: minutes to hours.

    qat_torch.py lenet   WEIGHTS.safetensors MNIST-DIR     --seeds 1 2 3 --epochs 2
    qat_torch.py resnet8 WEIGHTS.safetensors CIFAR10-JPG   --seeds 1 2 3 --epochs 3 --lr 0.005 --batch 128

MNIST-DIR holds IDX files (plain or .gz), CIFAR10-JPG folders train/CLASS/*.jpg and test/CLASS/*.jpg. Weights as PyTorch lays them out (OIHW), octet
runs' model.safetensors included. Schedule as `octet qat`'s defaults: SGD, momentum 0.9 Nesterov, weight decay 5e-4, cosine to zero by step, crop by 4 and
flip for CIFAR; observers stop at half of the steps, batch norm's statistics at two thirds (octet's --observe-until, --bn-until).
Quantization: per-channel symmetric s8 weights, per-tensor u8 activations, moving average 0.01. --engine: "x86" and "fbgemm" use
7-bit activations there, "qnnpack" (default) all 8. Prints the accuracy of fake quantization and of the converted int8 model for each seed.
"""
import argparse
import gzip
import pathlib
import statistics
import time

import numpy as np
import torch
import torch.ao.quantization as tq
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file


class LeNet(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.quant, self.dequant = tq.QuantStub(), tq.DeQuantStub()
        self.conv1, self.relu1 = nn.Conv2d(1, 6, 5, padding=2), nn.ReLU()
        self.conv2, self.relu2 = nn.Conv2d(6, 16, 5), nn.ReLU()
        self.fc1, self.relu3 = nn.Linear(400, 120), nn.ReLU()
        self.fc2, self.relu4 = nn.Linear(120, 84), nn.ReLU()
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x):
        x = F.max_pool2d(self.relu1(self.conv1(self.quant(x))), 2)
        x = F.max_pool2d(self.relu2(self.conv2(x)), 2)
        x = self.relu3(self.fc1(torch.flatten(x, 1)))
        return self.dequant(self.fc3(self.relu4(self.fc2(x))))

    def fuse(self):
        tq.fuse_modules_qat(self, [["conv1", "relu1"], ["conv2", "relu2"], ["fc1", "relu3"], ["fc2", "relu4"]], inplace=True)


class Block(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.conv1, self.bn1, self.relu = nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU()
        self.conv2, self.bn2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        self.downsample = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o)) if stride != 1 or i != o else None
        self.add = torch.ao.nn.quantized.FloatFunctional()

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.add.add_relu(y, self.downsample(x) if self.downsample is not None else x)

    def fuse(self):
        tq.fuse_modules_qat(self, [["conv1", "bn1", "relu"], ["conv2", "bn2"]], inplace=True)
        if self.downsample is not None:
            tq.fuse_modules_qat(self.downsample, [["0", "1"]], inplace=True)


class ResNet8(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.quant, self.dequant = tq.QuantStub(), tq.DeQuantStub()
        self.conv1, self.bn1, self.relu = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        self.layer1 = nn.Sequential(Block(16, 16, 1))
        self.layer2 = nn.Sequential(Block(16, 32, 2))
        self.layer3 = nn.Sequential(Block(32, 64, 2))
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(64, classes)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(self.quant(x))))
        x = self.pool(self.layer3(self.layer2(self.layer1(x))))
        return self.dequant(self.fc(torch.flatten(x, 1)))

    def fuse(self):
        tq.fuse_modules_qat(self, [["conv1", "bn1", "relu"]], inplace=True)
        for m in self.modules():
            if isinstance(m, Block):
                m.fuse()


def idx(folder, stem):
    path = next(p for p in sorted(pathlib.Path(folder).iterdir()) if p.name.startswith(stem))
    raw = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
    dims = [int.from_bytes(raw[4 + 4 * i:8 + 4 * i], "big") for i in range(raw[3])]
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=4 + 4 * len(dims)).reshape(dims).copy())


def mnist(folder, split):
    prefix = {"train": "train", "test": "t10k"}[split]
    x = idx(folder, prefix + "-images").float()[:, None]
    return (x / 255 - 0.1307) / 0.3081, idx(folder, prefix + "-labels").long()


def cifar(folder, split):
    from PIL import Image
    kept = pathlib.Path(folder) / f"{split}.npz"
    if not kept.exists():
        images, labels = [], []
        for k, c in enumerate(sorted(p for p in (pathlib.Path(folder) / split).iterdir() if p.is_dir())):
            for p in sorted(c.iterdir()):
                images.append(np.asarray(Image.open(p).convert("RGB")))
                labels.append(k)
        kept = {"x": np.stack(images), "y": np.array(labels)}
    else:
        kept = np.load(kept)
    x = torch.from_numpy(kept["x"].copy()).permute(0, 3, 1, 2).float() / 255
    mean, std = torch.tensor([0.4914, 0.4822, 0.4465]), torch.tensor([0.2470, 0.2435, 0.2616])
    return ((x - mean[:, None, None]) / std[:, None, None]).contiguous(), torch.from_numpy(kept["y"].copy()).long()


def crop_flip(x, g):
    n, c, h, w = x.shape
    padded = F.pad(x, (4, 4, 4, 4))
    out = torch.empty_like(x)
    dy, dx, flip = torch.randint(0, 9, (n,), generator=g), torch.randint(0, 9, (n,), generator=g), torch.rand(n, generator=g) < 0.5
    for i in range(n):
        v = padded[i, :, dy[i]:dy[i] + h, dx[i]:dx[i] + w]
        out[i] = v.flip(2) if flip[i] else v
    return out


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        return sum((model(a).argmax(1) == b).sum().item() for a, b in zip(x.split(500), y.split(500))) / len(y)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", choices=["lenet", "resnet8"])
    p.add_argument("weights", help="one file, or one for each seed, separated by commas")
    p.add_argument("data")
    p.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    p.add_argument("--epochs", type=int, default=2)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--lr", type=float, default=0.005)
    p.add_argument("--engine", default="qnnpack")
    p.add_argument("--threads", type=int, default=1)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.backends.quantized.engine = a.engine
    load = mnist if a.model == "lenet" else cifar
    (x, y), (tx, ty) = load(a.data, "train"), load(a.data, "test")
    print(f"torch {torch.__version__}, {a.model}, engine {a.engine}, {len(y)} + {len(ty)} images", flush=True)
    files = a.weights.split(",")
    fakes, ints = [], []
    for k, seed in enumerate(a.seeds):
        torch.manual_seed(seed)
        g = torch.Generator().manual_seed(seed)
        state = load_file(files[k % len(files)])
        model = (LeNet if a.model == "lenet" else ResNet8)(len(state["fc3.bias" if a.model == "lenet" else "fc.bias"]))
        missing, extra = model.load_state_dict(state, strict=False)
        if [m for m in missing if "num_batches_tracked" not in m] or extra:
            raise SystemExit(f"weights: missing {missing}, not expected {extra}")
        fp32 = accuracy(model, tx, ty)
        model.train()
        model.fuse()
        model.qconfig = tq.get_default_qat_qconfig(a.engine)
        if a.engine == "qnnpack":  # per tensor there: octet's weights are per channel
            model.qconfig = tq.QConfig(activation=model.qconfig.activation,
                                       weight=tq.FakeQuantize.with_args(observer=tq.MovingAveragePerChannelMinMaxObserver, quant_min=-128, quant_max=127,
                                                                        dtype=torch.qint8, qscheme=torch.per_channel_symmetric, ch_axis=0))
        tq.prepare_qat(model, inplace=True)
        steps = (len(y) // a.batch) * a.epochs
        optim = torch.optim.SGD(model.parameters(), lr=a.lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optim, steps)
        step, start = 0, time.time()
        for epoch in range(a.epochs):
            model.train()
            if step >= steps * 2 // 3:
                model.apply(torch.ao.nn.intrinsic.qat.freeze_bn_stats)
            order = torch.randperm(len(y), generator=g)
            for i in range(len(y) // a.batch):
                if step == steps // 2:
                    model.apply(tq.disable_observer)
                if step == steps * 2 // 3:
                    model.apply(torch.ao.nn.intrinsic.qat.freeze_bn_stats)
                take = order[i * a.batch:(i + 1) * a.batch]
                batch = crop_flip(x[take], g) if a.model == "resnet8" else x[take]
                loss = F.cross_entropy(model(batch), y[take])
                optim.zero_grad()
                loss.backward()
                optim.step()
                schedule.step()
                step += 1
        fake = accuracy(model, tx, ty)
        converted = tq.convert(model.eval(), inplace=False)
        fakes.append(fake)
        ints.append(accuracy(converted, tx, ty))
        print(f"seed {seed}: fp32 {fp32:.4f}, fake-quant {fake:.4f}, int8 {ints[-1]:.4f}, {time.time() - start:.0f} s", flush=True)
    spread = statistics.pstdev(ints)
    print(f"int8 mean {statistics.mean(ints):.4f} spread {spread:.4f} over {len(ints)} seeds; fake-quant mean {statistics.mean(fakes):.4f}")


if __name__ == "__main__":
    main()
