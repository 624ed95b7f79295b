"""Activations as PyTorch's exporters write them: the fixtures of `tests/formats/onnx_functions.rs`.

usage: onnx_functions.py        writes tests/fixtures/onnx/activations.{legacy,dynamo}.onnx, activations.x.npy, activations.y.npy and lrn.*

A network without weights has one output for each activation, in the order of ACTIVATIONS; PReLU has weights. What the exporters say
about themselves (stack traces, shapes of intermediate values) is removed, which leaves a few kilobytes.
"""
import logging
import math
import pathlib
import warnings

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import nn

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
FOLDER = pathlib.Path(__file__).resolve().parents[1] / "fixtures/onnx"

ACTIVATIONS = {
    "silu": nn.SiLU(),
    "silu as a product": lambda x: x * torch.sigmoid(x),
    "gelu": nn.GELU(),
    "gelu halved first": lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))),
    "gelu halved last": lambda x: x * (1 + torch.erf(x * 0.7071067811865476)) * 0.5,
    "gelu_tanh": nn.GELU(approximate="tanh"),
    "gelu_tanh by a power": lambda x: 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3)))),
    "hardswish": nn.Hardswish(),
    "hardswish by relu6": lambda x: x * F.relu6(x + 3) / 6,
    "hardswish by hardsigmoid": lambda x: x * F.hardsigmoid(x),
    "mish": nn.Mish(),
    "elu": nn.ELU(0.7),
    "selu": nn.SELU(),
    "celu": nn.CELU(0.8),
    "prelu": nn.PReLU(4),
    "prelu_shared": nn.PReLU(),
    "leaky_relu": nn.LeakyReLU(0.2),
    "softplus": nn.Softplus(),
    "softplus beta": nn.Softplus(2.0),
    "hardsigmoid": nn.Hardsigmoid(),
    "relu6": nn.ReLU6(),
    "tanh": nn.Tanh(),
    "softsign": nn.Softsign(),
    "logsigmoid": nn.LogSigmoid(),
    "tanhshrink": nn.Tanhshrink(),
    "quick gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "where": lambda x: torch.where(x > 0.5, x, 0.1 * x),
    "affine": lambda x: ((x * 2 + 1) * 3 - 4) / 5,
    "difference": lambda x: x - x.abs().mean((2, 3), keepdim=True),
    "quotient": lambda x: x / (x.square().mean((2, 3), keepdim=True) + 1e-5).sqrt(),
}


class All(nn.Module):
    def __init__(self):
        super().__init__()
        self.all = nn.ModuleList([one if isinstance(one, nn.Module) else nn.Identity() for one in ACTIVATIONS.values()])
        with torch.no_grad():
            for i, (name, one) in enumerate(ACTIVATIONS.items()):
                if name == "prelu":
                    one.weight.copy_(torch.tensor([0.1, -0.2, 0.3, 0.5]))

    def forward(self, x):
        return tuple(module(x) if isinstance(one, nn.Module) else one(x) for module, one in zip(self.all, ACTIVATIONS.values()))


def strip(model):
    del model.metadata_props[:]
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    model.graph.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for info in [*model.graph.input, *model.graph.output]:
        info.doc_string = ""
        del info.metadata_props[:]
    for tensor in model.graph.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]
    return model


@torch.no_grad()
def main():
    FOLDER.mkdir(exist_ok=True)
    net = All().eval()
    x = torch.linspace(-6.5, 7.1, 4 * 3 * 5).roll(7).reshape(1, 4, 3, 5)
    for name, dynamo in [("legacy", False), ("dynamo", True)]:
        path = FOLDER / f"activations.{name}.onnx"
        torch.onnx.export(net, (x,), str(path), dynamo=dynamo, **({"external_data": False} if dynamo else {}))
        onnx.save(strip(onnx.load(path)), path)
        print(path.name, path.stat().st_size)
    np.save(FOLDER / "activations.x.npy", x.numpy())
    np.save(FOLDER / "activations.y.npy", torch.stack(net(x)).numpy())
    lrn()


def lrn():
    """`LRN` with its defaults and with an even number of channels, by ONNX's definition. ONNX Runtime takes odd numbers only, and
    `onnx.reference` normalizes as many channels as there are samples."""
    def normalized(x, size, alpha=1e-4, beta=0.75, bias=1.0):
        windows = [slice(max(0, c - (size - 1) // 2), c + size // 2 + 1) for c in range(x.shape[1])]
        sums = np.stack([(x[:, window] ** 2).sum(1) for window in windows], 1)
        return x / (bias + alpha / size * sums) ** beta

    info = lambda name: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2, 7, 3, 4])
    nodes = [onnx.helper.make_node("LRN", ["input"], ["h"], size=3), onnx.helper.make_node("LRN", ["h"], ["y"], size=4, alpha=0.9, beta=0.6, bias=2.0)]
    graph = onnx.helper.make_graph(nodes, "lrn", [info("input")], [info("y")])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, FOLDER / "lrn.onnx")
    x = np.linspace(-3, 3, 2 * 7 * 3 * 4, dtype=np.float32).reshape(2, 7, 3, 4)
    np.save(FOLDER / "lrn.x.npy", x)
    np.save(FOLDER / "lrn.y.npy", normalized(normalized(x.astype(np.float64), 3), 4, 0.9, 0.6, 2.0).astype(np.float32))


if __name__ == "__main__":
    main()
