"""Holds a network of models/ against its public implementation, with weights as alive as trained ones: outputs, and gradients.

usage: alive.py FILE NETWORK REFERENCE [--size 3x96x64] [--gradients] [--fuse] [--batch 6] [--batches 3] [--rounding N] [--resnetc PATH] [--example PATH] [--set NAME=VALUE ...]

REFERENCE is `torchvision:mobilenet_v2`, `timm:dla34`, or a class or function of networks.py, `networks:Signal`; FILE is the name of a file in models/ or
a path. What the reference's constructor takes can follow: `timm:repvgg_a0,num_classes=10`.

A fresh network is hardly alive: layer scales of 1e-6 and norms that are the identity hide mistakes. So norms get random weights, and the
statistics of a batch; whatever else begins constant (biases, gains, layer scales) is drawn. The state dict is saved as it is, and `resnetc run`
must load it: it refuses a tensor that is missing or left over. Printed is the largest difference of each output over its deviation; more
than 1e-3 is a failure.

With --gradients, a training step of a cross-entropy on a random batch, without dropout: each parameter's relative L2 error from the gradients
of PyTorch in float64 may be three times that of PyTorch in float32, or 1e-6 if that is more. A gradient that is zero by construction (of a
bias before a batch norm) is rounding noise: its L2 norm may be three times PyTorch's in float32, or 1e-6 of that of all gradients together.
Where a value is within rounding of a ReLU's kink, its gradient is there or not by chance, in PyTorch as in resnetc. So a network is
judged twice: with SiLU in place of its ReLUs, on one batch; and as it is, by the smallest or the largest errors of several batches.
With --rounding N, the network as it is may also be three times as far off as PyTorch in float64 is from itself when float32's rounding (2^-23 of a
map's root mean square, normally distributed) is added after every layer, the largest of N draws: that far a kink throws exact arithmetic.
`--example` is the built examples/gradients.rs.

Needs torch, torchvision, timm, safetensors and numpy.
"""
import argparse
import contextlib
import copy
import dataclasses
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
import timm
import torch
import torch.nn.functional as F
import torchvision
from safetensors.numpy import load_file

import networks

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 1e-3
FACTOR, FLOOR = 3, 1e-6
SMOOTH = {"relu": "silu", "relu6": "silu", "hardtanh": "silu", "leaky_relu": "silu", "hardswish": "silu", "hardsigmoid": "sigmoid"}
"""What takes the place of a function with a kink."""
KINKS = re.compile(rf"(?<![\w.])({'|'.join(SMOOTH)})(?!\w)")
ROUNDING = 2 ** -23
ZERO = 1e-9
"""A gradient with less than this share of the L2 norm of all is zero by construction: in float64 rounding is far below."""

AUXILIARY = {"googlenet": {"inception4a": "aux1", "inception4d": "aux2"}, "inception_v3": {"Mixed_6e": "AuxLogits"}}
"""Auxiliary classifiers, which torchvision leaves out in inference, by the layers whose maps they read."""


def build(reference):
    """The network that `timm:dla34,num_classes=10` names."""
    source, _, rest = reference.partition(":")
    name, *options = rest.split(",")
    options = {key: eval(value) for key, value in (option.split("=") for option in options)}
    torch.manual_seed(0)
    if source == "torchvision":
        more = {"init_weights": True, "transform_input": False, "aux_logits": True} if name in AUXILIARY else {}
        return torchvision.models.get_model(name, weights=None, **more, **options)
    if source == "timm":
        return timm.create_model(name, pretrained=False, **options)
    return getattr(networks, name)(**options)


def is_norm(module):
    return "norm" in type(module).__name__.lower()


@torch.no_grad()
def make_alive(net, x):
    """Draws what begins constant, and gives batch norms the statistics of `x`."""
    for module in net.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.numel() > 1 and parameter.min() != parameter.max():
                continue
            begin = float(parameter.flatten()[0])
            if name == "bias":
                torch.nn.init.normal_(parameter, begin, 0.1)
            elif is_norm(module) or abs(begin) > 1e-3:
                torch.nn.init.uniform_(parameter, 0.5 * (begin or 1), 1.5 * (begin or 1))
            else:
                torch.nn.init.normal_(parameter, 0, 0.3)
    for module in net.modules():
        if isinstance(module, (torch.nn.Dropout, timm.layers.DropPath, torchvision.ops.StochasticDepth)):
            for rate in ("p", "drop_prob"):
                if hasattr(module, rate):
                    setattr(module, rate, 0.0)
    norms = [module for module in net.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
    net.train()(x)
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    return net


@torch.no_grad()
def outputs(net, x, auxiliary):
    """What the network computes in inference, by the names of models/."""
    net.eval()
    maps = {}
    hooks = [net.get_submodule(layer).register_forward_hook(lambda module, inputs, output, name=name: maps.update({name: output}))
             for layer, name in auxiliary.items()]
    answers = {"output": net(x)}
    for hook in hooks:
        hook.remove()
    return answers | {name: net.get_submodule(name)(values) for name, values in maps.items()}


def run(*command):
    """What a command prints; its errors are shown and end the script."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout


@dataclasses.dataclass
class Subject:
    """A network of models/, with the weights that a folder holds."""

    args: argparse.Namespace
    folder: pathlib.Path
    file: pathlib.Path | None = None

    def outputs(self, x, names):
        np.save(self.folder / "x.npy", x.numpy())
        sets = [part for pair in self.args.set for part in ("--set", pair)]
        command = [self.args.resnetc, "run", self.file, "--network", "small", "--threads", 1, *sets,
                   "--weights", self.folder / "w.pth", "--input", self.folder / "x.npy"]
        for name in names:
            command += ["--output", self.folder / "output.npy" if len(names) == 1 else f"{name}={self.folder / name}.npy"]
        run(*command)
        return {name: np.load(self.folder / f"{name}.npy") for name in names}

    def step(self, x, labels, auxiliary):
        """Gradients and running statistics of a training step, by name."""
        np.save(self.folder / "x.npy", x.numpy())
        np.save(self.folder / "labels.npy", labels.numpy().astype("f4"))
        out = self.folder / "gradients.safetensors"
        run(self.args.example, self.file, "small", self.folder / "w.pth", self.folder / "x.npy", self.folder / "labels.npy",
            out, auxiliary, *self.args.set)
        return load_file(out)


def prepare(subject, shape, smooth=False):
    """Copies the source and its neighbors, without dropout, and derives a network with a smaller input than the paper's."""
    args = subject.args
    for path in [*args.source.resolve().parent.glob("*.resnet"), *(ROOT / "models/std").glob("*.resnet")]:
        text = re.sub(r"^(\s*dropout\b).*", r"\1 0", path.read_text(), flags=re.M)
        text = re.sub(r"use std\.(\w+)", r'use "\1.resnet"', text)
        (subject.folder / path.name).write_text(KINKS.sub(lambda found: SMOOTH[found[1]], text) if smooth else text)
    subject.file = subject.folder / "small.resnet"
    subject.file.write_text(f'resnet 1\nuse "{args.source.name}": {args.network}\nnetwork small = {args.network} {{\n'
                            f"  input {' x '.join(map(str, shape))}\n}}\n")


@contextlib.contextmanager
def smoothed():
    """PyTorch with SiLU in place of ReLU and its like."""
    functions = {name: getattr(F, name) for name in SMOOTH}
    method = torch.Tensor.relu
    try:
        for name, smooth in SMOOTH.items():
            setattr(F, name, lambda x, *args, smooth=getattr(F, smooth), **more: smooth(x))
        torch.Tensor.relu = F.silu
        yield
    finally:
        for name, function in functions.items():
            setattr(F, name, function)
        torch.Tensor.relu = method


def step(net, x, labels, auxiliary):
    """Gradients and running statistics of a training step, in float64, by name; auxiliary outputs follow the first."""
    net = net.train()
    scores = net(x)
    scores, *further = scores if isinstance(scores, tuple) else (scores,)
    loss = F.cross_entropy(scores, labels)
    for other in further:
        loss = loss + auxiliary * F.cross_entropy(other, labels)
    loss.backward()
    found = {name: parameter.grad for name, parameter in net.named_parameters()}
    found |= {name: buffer for name, buffer in net.named_buffers() if "running" in name}
    return {name: tensor.double().numpy() for name, tensor in found.items()}


@contextlib.contextmanager
def rounded(net, draw):
    """The network with noise of the size of float32's rounding after every layer."""
    generator = torch.Generator().manual_seed(draw)

    def add_noise(module, inputs, output):
        noise = torch.randn(output.shape, generator=generator, dtype=output.dtype)
        return output + ROUNDING * output.detach().square().mean().sqrt() * noise

    layers = [module for module in net.modules() if isinstance(module, (torch.nn.Conv2d, torch.nn.Conv1d, torch.nn.Linear)) or is_norm(module)]
    hooks = [layer.register_forward_hook(add_noise) for layer in layers]
    yield net
    for hook in hooks:
        hook.remove()


def compare_outputs(subject, net, shape, auxiliary):
    """Whether each output is near enough."""
    torch.manual_seed(1)
    x = torch.randn(2, *shape)
    expected = outputs(net, x, auxiliary)
    good = True
    for name, got in subject.outputs(x, list(expected)).items():
        want = expected[name].numpy()
        assert got.shape == want.shape, (name, got.shape, want.shape)
        off = float(np.abs(got - want).max() / want.std())
        good &= off <= LIMIT
        print(f"{name}: largest difference {off:.1e} of the deviation, {want.std():.2g}")
    return good


def errors(subject, net, x, weight, draws=0):
    """Of one batch, by tensor: the L2 norms of the exact gradient, of PyTorch's and our distance from it, and of what rounding does to it."""
    labels = torch.arange(len(x)) * 37 % net.eval()(x[:2]).shape[1]
    exact = step(copy.deepcopy(net).double(), x.double(), labels, weight)
    peer = step(copy.deepcopy(net), x, labels, weight)
    ours = subject.step(x, labels, weight)
    assert ours.keys() == exact.keys(), ours.keys() ^ exact.keys()
    found = {name: [float(np.linalg.norm(value.ravel())) for value in (want, peer[name] - want, ours[name].reshape(want.shape) - want)]
             for name, want in exact.items()}
    thrown = dict.fromkeys(exact, 0.0)
    for draw in range(draws):
        with rounded(copy.deepcopy(net).double(), draw) as noisy:
            for name, value in step(noisy, x.double(), labels, weight).items():
                thrown[name] = max(thrown[name], float(np.linalg.norm((value - exact[name]).ravel())))
    return {name: [*norms, thrown[name]] for name, norms in found.items()}


def compare_gradients(what, found):
    """Whether each parameter's gradient and each statistic is near enough, by the smallest or the largest errors of some batches."""
    zero, rows = [], []
    for name in found[0]:
        norm, own, off, thrown = np.array([errors[name] for errors in found]).T
        whole = np.sqrt(sum(np.square(norms[0]) for other, norms in found[0].items() if "running" not in other))
        if norm[0] < ZERO * whole:
            zero.append(name)
            norm = np.full_like(norm, whole)
        own, off, thrown = own / norm, off / norm, thrown / norm
        share = min(pick(off) / max(FACTOR * pick(own), FACTOR * pick(thrown), FLOOR) for pick in (np.min, np.max))
        rows.append((share, off.min(), own.min(), name))
    rows.sort(reverse=True)
    trained = [row for row in rows if row[3] not in zero]
    highest, middle = (np.max([row[1:3] for row in trained], axis=0), np.median([row[1:3] for row in trained], axis=0))
    print(f"{what}, gradients and statistics of {len(rows)} tensors: relative errors up to {highest[0]:.1e} (PyTorch's {highest[1]:.1e}),"
          f" in the middle {middle[0]:.1e} ({middle[1]:.1e}); at most {rows[0][0]:.2f} of what is allowed")
    for share, off, own, name in rows[:3]:
        print(f"  {name}: {off:.1e}, PyTorch {own:.1e}, {share:.2f} of what is allowed")
    if zero:
        worst = max(row[1] for row in rows if row[3] in zero)
        print(f"  zero by construction, at most {worst:.1e} of all gradients: {len(zero)}, {', '.join(zero[:4])}{', …' if len(zero) > 4 else ''}")
    return rows[0][0] <= 1


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].removeprefix("usage: "))
    parser.add_argument("file")
    parser.add_argument("network")
    parser.add_argument("reference")
    parser.add_argument("--size", default="3x96x64", help="of the input: 96x64, 1x1024")
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--gradients", action="store_true")
    parser.add_argument("--rounding", type=int, default=0, metavar="N", help="draws of float32's rounding in float64")
    parser.add_argument("--fuse", action="store_true", help="compare with what timm's reparameterize_model makes of the network")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--resnetc", default=ROOT / "target/release/resnetc")
    parser.add_argument("--example", default=ROOT / "target/release/examples/gradients")
    args = parser.parse_args()
    torch.set_num_threads(1)
    path = pathlib.Path(args.file)
    args.source = path if path.exists() else ROOT / "models" / f"{args.file}.resnet"
    shape = tuple(map(int, args.size.split("x")))
    torch.manual_seed(0)
    net = make_alive(build(args.reference), torch.randn(6, *shape))
    if args.fuse:
        net = timm.utils.model.reparameterize_model(net)
    auxiliary = AUXILIARY.get(args.reference.partition(":")[2].split(",")[0], {})
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject(args, pathlib.Path(folder))
        torch.save(net.state_dict(), subject.folder / "w.pth")
        prepare(subject, shape)
        good = compare_outputs(subject, net, shape, auxiliary)
        if args.gradients:
            weight = 0.3 if auxiliary else 0.0
            torch.manual_seed(2)
            batches = [torch.randn(args.batch, *shape) for _ in range(args.batches)]
            good &= compare_gradients("as it is", [errors(subject, net, x, weight, args.rounding) for x in batches])
            prepare(subject, shape, smooth=True)
            with smoothed():
                good &= compare_gradients("smooth", [errors(subject, net, batches[0], weight)])
    if not good:
        sys.exit("that is too far")


if __name__ == "__main__":
    main()
