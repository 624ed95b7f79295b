"""Networks of Darknet, computed by PyTorch in float64 from their `.cfg`: what `resnetc import` must agree with.

usage: darknet.py fixtures                writes tests/fixtures/darknet/*.weights, *.x.npy and *.y.npy
       darknet.py check RESNETC FILE.cfg  imports the file with random weights, and compares the outputs on random inputs

The `.weights` are written as `save_weights_upto` of pjreddie/darknet's src/parser.c does, and the layers computed as their
`forward_` functions do; batch norms as `normalize_kernel` of blas_kernels.cu does, which the published weights were trained with.
`check` also says how far the results of `normalize_cpu` of blas.c are, whose epsilon differs.
"""
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torch.nn.functional as F

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "fixtures/darknet"


def sections(text):
    """As `read_cfg` and `read_option`: spaces do not count, and lines that begin with `#` or `;` are comments."""
    result = []
    for line in text.splitlines():
        line = line.replace(" ", "").replace("\t", "")
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            result.append((line[1:-1], {}))
        else:
            key, value = line.split("=", 1)
            result[-1][1].setdefault(key, value)
    return result


def activate(x, name):
    return {
        "linear": lambda: x,
        "leaky": lambda: torch.where(x > 0, x, 0.1 * x),
        "relu": lambda: x * (x > 0),
        "logistic": lambda: 1 / (1 + torch.exp(-x)),
        "tanh": lambda: torch.tanh(x),
        "elu": lambda: torch.where(x >= 0, x, torch.exp(x) - 1),
    }[name]()


def maxpool(x, size, stride, padding):
    """The loops of forward_maxpool_layer."""
    n, c, h, w = x.shape
    rows, columns, offset = (h + padding - size) // stride + 1, (w + padding - size) // stride + 1, padding // 2
    y = torch.zeros(n, c, rows, columns, dtype=x.dtype)
    for i in range(rows):
        for j in range(columns):
            top, left = i * stride - offset, j * stride - offset
            y[:, :, i, j] = x[:, :, max(top, 0):top + size, max(left, 0):left + size].amax((2, 3))
    return y


def reorg(x, stride):
    """The loops of reorg_cpu, backwards as forward_reorg_layer calls it."""
    n, c, h, w = x.shape
    flat, few = x.reshape(n, -1), c // (stride * stride)
    out = torch.empty_like(flat)
    k, j, i = np.meshgrid(range(c), range(h), range(w), indexing="ij")
    offset = k // few
    wide, high = i * stride + offset % stride, j * stride + offset // stride
    out[:, (i + w * (j + h * k)).ravel()] = flat[:, (wide + w * stride * (high + h * stride * (k % few))).ravel()]
    return out.reshape(n, c * stride * stride, h // stride, w // stride)


def shortcut(x, other):
    """The loops of shortcut_cpu."""
    y, (_, c1, h1, w1), (_, c2, h2, w2) = x.clone(), other.shape, x.shape
    stride, sample = max(w1 // w2, 1), max(w2 // w1, 1)
    channels, rows, columns = min(c1, c2), min(h1, h2), min(w1, w2)
    for j in range(rows):
        for i in range(columns):
            y[:, :channels, j * sample, i * sample] += other[:, :channels, j * stride, i * stride]
    return y


class Run:
    """Computes a network, with weights that are drawn where they are needed, and written in that order."""

    def __init__(self, text, seed):
        self.sections = sections(text)
        self.seed, self.file, self.norms = seed, [], []

    def weight(self, *shape, low=None, high=None):
        fan = int(np.prod(shape[1:])) or 1
        values = self.random.uniform(low, high, shape) if low is not None else self.random.normal(0, (2 / fan) ** 0.5, shape)
        return torch.from_numpy(values.astype(np.float32)).double()

    def near(self, x):
        """Scales, and means and variances near those of the data, so that values neither grow nor vanish in a deep network."""
        if self.drawn:
            self.random.uniform(size=3 * x.shape[1])
            return self.drawn.pop(0)
        axes = [axis for axis in range(x.dim()) if axis != 1]
        vary = lambda value: (value * self.weight(len(value), low=0.8, high=1.2)).float().double()
        self.norms.append([self.weight(x.shape[1], low=0.5, high=1.5), vary(x.mean(axes)), vary(x.var(axes))])
        return self.norms[-1]

    def parameters(self, kind, shape, normalized, linear):
        """Biases, scales, means, variances, weights, with those of the norm for the result of `linear`; their order in the file."""
        bias, weight = self.weight(shape[0], low=-0.3, high=0.3), self.weight(*shape)
        norm = self.near(linear(weight)) if normalized else []
        self.file += [bias, weight, *norm] if kind == "connected" else [bias, *norm, weight]
        return bias, weight, norm

    def norm(self, x, bias, norm, cpu):
        view = lambda v: v.view(1, -1, *[1] * (x.dim() - 2))
        scale, mean, variance = map(view, norm)
        deviation = torch.sqrt(variance) + 1e-6 if cpu else torch.sqrt(variance + 1e-5)
        return (x - mean) / deviation * scale + view(bias)

    def run(self, x, cpu=False):
        # the same weights again, if they were drawn before
        self.file, self.random, self.drawn = [], np.random.default_rng(self.seed), list(self.norms)
        results, outputs = [], []
        for index, (kind, o) in enumerate(self.sections[1:]):
            get = lambda key, default: int(o.get(key, default))
            at = lambda text: [(n if n >= 0 else index + n) for n in map(int, text.split(","))]
            normalized = get("batch_normalize", 0)
            if kind == "convolutional":
                size, groups = get("size", 1), get("groups", 1)
                padding = size // 2 if get("pad", 0) else get("padding", 0)
                conv = lambda weight: F.conv2d(x, weight, None, get("stride", 1), padding, 1, groups)
                bias, weight, norm = self.parameters(kind, (get("filters", 1), x.shape[1] // groups, size, size), normalized, conv)
                x = conv(weight) if normalized else conv(weight) + bias.view(1, -1, 1, 1)
                x = activate(self.norm(x, bias, norm, cpu) if normalized else x, o.get("activation", "logistic"))
            elif kind == "connected":
                x = x.flatten(1)
                linear = lambda weight: F.linear(x, weight)
                bias, weight, norm = self.parameters(kind, (get("output", 1), x.shape[1]), normalized, linear)
                x = linear(weight) if normalized else linear(weight) + bias
                x = activate(self.norm(x, bias, norm, cpu) if normalized else x, o.get("activation", "logistic"))
            elif kind == "batchnorm":
                norm = self.near(x)
                self.file += norm
                x = self.norm(x, torch.zeros(x.shape[1]), norm, cpu)
            elif kind == "shortcut":
                x = activate(shortcut(x, results[at(o["from"])[0]]), o.get("activation", "linear"))
            elif kind == "route":
                x = torch.cat([results[n] for n in at(o["layers"])], 1)
            elif kind == "maxpool":
                stride = get("stride", 1)
                size = get("size", stride)
                x = maxpool(x, size, stride, get("padding", size - 1))
            elif kind == "activation":
                x = activate(x, o.get("activation", "linear"))
            elif kind == "avgpool":
                x = x.mean((2, 3), keepdim=True)
            elif kind == "upsample":
                x = x.repeat_interleave(get("stride", 2), 2).repeat_interleave(get("stride", 2), 3) * float(o.get("scale", 1))
            elif kind == "reorg":
                x = reorg(x, get("stride", 1))
            elif kind == "softmax":
                x = F.softmax(x.flatten(1), 1)
            elif kind in ("yolo", "region"):
                outputs.append(x)
            elif kind not in ("dropout", "cost"):
                raise SystemExit(f"[{kind}]")
            results.append(x)
        return outputs or [x]

    def input(self, seed):
        net = self.sections[0][1]
        shape = [2] + [int(net[key]) for key in ("channels", "height", "width")]
        return torch.from_numpy(np.random.default_rng(seed).uniform(0, 1, shape).astype(np.float32))

    def weights(self, version):
        """Before version 0.2, the number of images seen had 32 bits."""
        header = struct.pack("<3i", *version) + struct.pack("<q" if version >= (0, 2, 0) else "<i", 32013312)
        return header + b"".join(tensor.numpy().astype("<f4").tobytes() for tensor in self.file)


def fixtures():
    for seed, path in enumerate(sorted(FOLDER.glob("*.cfg"))):
        run = Run(path.read_text(), seed)
        x = run.input(seed + 1)
        ys = run.run(x.double())
        path.with_suffix(".weights").write_bytes(run.weights((0, 1, 0) if seed % 2 else (0, 2, 0)))
        np.save(path.with_suffix(".x.npy"), x.numpy())
        np.save(path.with_suffix(".y.npy"), ys[0].float().numpy())
        print(path.name, [tuple(y.shape) for y in ys], f"standard deviation of the output {ys[0].std():.3g}")


def check(resnetc, path):
    run = Run(pathlib.Path(path).read_text(), 7)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        at = lambda name: f"{folder}/{name}"
        x = run.input(8)
        ys = [y.numpy() for y in run.run(x.double())]
        cpu = [y.numpy() for y in run.run(x.double(), cpu=True)]
        pathlib.Path(at("net.weights")).write_bytes(run.weights((0, 2, 0)))
        np.save(at("x.npy"), x.numpy())
        call = lambda *args: subprocess.run([resnetc, *args], check=True)
        call("import", path, "--weights", at("net.weights"), "-o", at("net.resnet"), "--weights-out", at("net.safetensors"))
        call("check", at("net.resnet"))
        call("run", at("net.resnet"), "--input", at("x.npy"), "--output", at("y.npy"))
        ours = np.load(at("y.npy")).reshape(ys[0].shape)
        source = pathlib.Path(at("net.resnet")).read_text()
    far = lambda a: f"{np.abs(a - ys[0]).max() / ys[0].std():.2e}"
    print(f"{source.count(chr(10))} lines, {source.count(' stage ')} stages; largest difference {far(ours)} of the outputs' "
          f"standard deviation (Darknet's own on CPUs: {far(cpu[0])})")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["fixtures"]:
            with torch.no_grad():
                fixtures()
        case ["check", resnetc, path]:
            check(resnetc, path)
        case _:
            sys.exit(__doc__)
