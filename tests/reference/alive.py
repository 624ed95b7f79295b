"""Holds a network of models/ against its public implementation, with weights as alive as trained ones: outputs, and gradients.

usage: alive.py FILE NETWORK REFERENCE [--size 3x96x64] [--gradients] [--resnetc PATH] [--example PATH] [--set NAME=VALUE ...]

REFERENCE is `torchvision:mobilenet_v2`, `timm:dla34`, or a class or function of networks.py, `networks:Signal`; FILE is the name of a file in models/ or
a path. What the reference's constructor takes can follow: `timm:repvgg_a0,num_classes=10`.

A fresh network is hardly alive: layer scales of 1e-6 and norms that are the identity hide mistakes. So norms get random weights, and the
statistics of a batch; whatever else begins constant (biases, gains, layer scales) is drawn. The state dict is saved as it is, and `resnetc run`
must load it: it refuses a tensor that is missing or left over. Printed is the largest difference of each output over its deviation; more
than 1e-3 is a failure.

With --gradients, a training step of a cross-entropy on a random batch, without dropout: each parameter's relative L2 error from the gradients
of PyTorch in float64 may be three times that of PyTorch in float32, or 1e-6 if that is more. A gradient that is zero by construction (of a
bias before a batch norm) is rounding noise: its L2 norm may be three times PyTorch's in float32, or 1e-6 of that of all gradients together.
`--example` is the built examples/gradients.rs.

Needs torch, torchvision, timm, safetensors and numpy.
"""
import argparse
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
import torchvision
from safetensors.numpy import load_file

import networks

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 1e-3
FACTOR, FLOOR = 3, 1e-6
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

    def outputs(self, x, names):
        np.save(self.folder / "x.npy", x.numpy())
        sets = [part for pair in self.args.set for part in ("--set", pair)]
        command = [self.args.resnetc, "run", self.args.file, "--network", self.args.network, "--threads", 2, *sets,
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
        run(self.args.example, self.args.file, self.args.network, self.folder / "w.pth", self.folder / "x.npy", self.folder / "labels.npy",
            out, auxiliary, *self.args.set)
        return load_file(out)


def prepare(subject, shape):
    """Copies the source and its neighbors, without dropout, and derives a network with a smaller input than the paper's."""
    args = subject.args
    for path in args.file.resolve().parent.glob("*.resnet"):
        (subject.folder / path.name).write_text(re.sub(r"^(\s*dropout\b).*", r"\1 0", path.read_text(), flags=re.M))
    small = subject.folder / "small.resnet"
    small.write_text(f'resnet 1\nuse "{args.file.name}": {args.network}\nnetwork small = {args.network} {{\n'
                     f"  input {' x '.join(map(str, shape))}\n}}\n")
    args.file, args.network = small, "small"


def step(net, x, labels, auxiliary):
    """Gradients and running statistics of a training step, in float64, by name; auxiliary outputs follow the first."""
    net = net.train()
    scores = net(x)
    scores, *further = scores if isinstance(scores, tuple) else (scores,)
    loss = torch.nn.functional.cross_entropy(scores, labels)
    for other in further:
        loss = loss + auxiliary * torch.nn.functional.cross_entropy(other, labels)
    loss.backward()
    found = {name: parameter.grad for name, parameter in net.named_parameters()}
    found |= {name: buffer for name, buffer in net.named_buffers() if "running" in name}
    return {name: tensor.double().numpy() for name, tensor in found.items()}


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


def compare_gradients(subject, net, shape, weight, batch):
    """Whether each parameter's gradient and each statistic is near enough."""
    torch.manual_seed(2)
    x = torch.randn(batch, *shape)
    labels = torch.arange(batch) * 37 % net(x[:2]).shape[1]
    exact = step(copy.deepcopy(net).double(), x.double(), labels, weight)
    peer = step(copy.deepcopy(net), x, labels, weight)
    ours = subject.step(x, labels, weight)
    assert ours.keys() == exact.keys(), ours.keys() ^ exact.keys()
    whole = float(np.sqrt(sum(np.square(value).sum() for name, value in exact.items() if "running" not in name)))
    zero, rows = [], []
    for name, want in exact.items():
        norm, own, found = (float(np.linalg.norm(value.ravel())) for value in (want, peer[name] - want, ours[name] - want))
        if norm < ZERO * whole:
            zero.append(name)
            rows.append((found / max(FACTOR * own, FLOOR * whole), found / whole, own / whole, name))
        else:
            rows.append((found / max(FACTOR * own, FLOOR * norm), found / norm, own / norm, name))
    rows.sort(reverse=True)
    good = rows[0][0] <= 1
    trained = [row for row in rows if row[3] not in zero]
    middle = sorted(row[1] for row in trained)[len(trained) // 2], sorted(row[2] for row in trained)[len(trained) // 2]
    print(f"gradients and statistics of {len(rows)} tensors: relative errors up to {max(row[1] for row in trained):.1e}"
          f" (PyTorch's {max(row[2] for row in trained):.1e}), in the middle {middle[0]:.1e} ({middle[1]:.1e});"
          f" at most {rows[0][0]:.2f} of what is allowed")
    for share, found, own, name in rows[:5]:
        print(f"  {name}: {found:.1e}, PyTorch {own:.1e}, {share:.2f} of what is allowed")
    if zero:
        worst = max(row[1] for row in rows if row[3] in zero)
        print(f"zero by construction, at most {worst:.1e} of all gradients: {len(zero)}, {', '.join(zero[:4])}{', …' if len(zero) > 4 else ''}")
    return good


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].removeprefix("usage: "))
    parser.add_argument("file")
    parser.add_argument("network")
    parser.add_argument("reference")
    parser.add_argument("--size", default="3x96x64", help="of the input: 96x64, 1x1024")
    parser.add_argument("--batch", type=int, default=6)
    parser.add_argument("--gradients", action="store_true")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--resnetc", default=ROOT / "target/release/resnetc")
    parser.add_argument("--example", default=ROOT / "target/release/examples/gradients")
    args = parser.parse_args()
    torch.set_num_threads(2)
    path = pathlib.Path(args.file)
    args.file = path if path.exists() else ROOT / "models" / f"{args.file}.resnet"
    shape = tuple(map(int, args.size.split("x")))
    torch.manual_seed(0)
    net = make_alive(build(args.reference), torch.randn(6, *shape))
    auxiliary = AUXILIARY.get(args.reference.partition(":")[2].split(",")[0], {})
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject(args, pathlib.Path(folder))
        torch.save(net.state_dict(), subject.folder / "w.pth")
        prepare(subject, shape)
        good = compare_outputs(subject, net, shape, auxiliary)
        if args.gradients:
            good &= compare_gradients(subject, net, shape, 0.3 if auxiliary else 0.0, args.batch)
    if not good:
        sys.exit("that is too far")


if __name__ == "__main__":
    main()
