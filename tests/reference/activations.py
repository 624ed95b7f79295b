"""PyTorch's values and gradients of elementwise functions, at ordinary and at special arguments.

usage: activations.py FILE      writes tests/fixtures/activations.json, which tests/training/activations.rs holds the compiler to

Computed in float64 from arguments that float32 has. Numbers are strings, since JSON has no NaN or infinity. Needs torch.
"""
import json
import sys

import torch
import torch.nn.functional as F

SPECIAL = [0.0, -0.0, float("inf"), float("-inf"), float("nan"), 1e-40, -1e-40, 1e-30, -1e-30]
TIES = [-6.0, -3.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0, 6.0]
ORDINARY = [-100.0, -30.0, -20.5, -10.0, -4.25, -2.0, -0.75, -0.1, -1e-3, 1e-3, 0.1, 0.25, 0.75, 1.5, 4.25, 10.0, 19.5, 20.5, 30.0, 85.0]
X = SPECIAL + TIES + ORDINARY

FUNCTIONS = {
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "leaky_relu negative_slope: 0.2": lambda x: F.leaky_relu(x, 0.20000000298023224),
    "prelu": lambda x: F.prelu(x, torch.full([1], 0.25, dtype=x.dtype)),
    "elu": F.elu,
    "elu alpha: 0.5": lambda x: F.elu(x, 0.5),
    "celu": F.celu,
    "celu alpha: 2": lambda x: F.celu(x, 2.0),
    "selu": F.selu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "mish": F.mish,
    "sigmoid": torch.sigmoid,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "tanh": torch.tanh,
    "hardtanh": F.hardtanh,
    "hardtanh min_val: -0.5, max_val: 2": lambda x: F.hardtanh(x, -0.5, 2.0),
    "softplus": F.softplus,
    "softplus beta: 2, threshold: 1": lambda x: F.softplus(x, 2.0, 1.0),
    "logsigmoid": F.logsigmoid,
    "softsign": F.softsign,
    "tanhshrink": F.tanhshrink,
    "hardshrink": F.hardshrink,
    "softshrink": F.softshrink,
    "clamp min: -0.5, max: 3": lambda x: torch.clamp(x, -0.5, 3.0),
    "clamp min: 0": lambda x: torch.clamp(x, min=0.0),
    # the primitives
    "apply -x": lambda x: -x,
    "apply abs(x)": torch.abs,
    "apply square(x)": torch.square,
    "apply sqrt(x)": torch.sqrt,
    "apply exp(x)": torch.exp,
    "apply expm1(x)": torch.expm1,
    "apply log(x)": torch.log,
    "apply log1p(x)": torch.log1p,
    "apply tanh(x)": torch.tanh,
    "apply sigmoid(x)": torch.sigmoid,
    "apply erf(x)": torch.erf,
    "apply softplus(x)": lambda x: F.softplus(x, 1.0, 1000.0),
    "apply floor(x)": torch.floor,
    "apply x + 1.5": lambda x: x + 1.5,
    "apply 1.5 - x": lambda x: 1.5 - x,
    "apply x * -2": lambda x: x * -2,
    "apply 3 / x": lambda x: 3 / x,
    "apply x / 4": lambda x: x / 4,
    "apply min(x, 0.5)": lambda x: torch.minimum(x, torch.full_like(x, 0.5)),
    "apply max(x, 0.5)": lambda x: torch.maximum(x, torch.full_like(x, 0.5)),
    "apply clamp(x, -1, 3)": lambda x: torch.clamp(x, -1.0, 3.0),
    "apply if x < 0.5 then 2 * x else 3 * x": lambda x: torch.where(x < 0.5, 2 * x, 3 * x),
    "apply if x <= 0.5 then 2 * x else 3 * x": lambda x: torch.where(x <= 0.5, 2 * x, 3 * x),
    "apply if x > 0.5 then 2 * x else 3 * x": lambda x: torch.where(x > 0.5, 2 * x, 3 * x),
    "apply if x >= 0.5 then 2 * x else 3 * x": lambda x: torch.where(x >= 0.5, 2 * x, 3 * x),
    "apply if x == 0.5 then 2 * x else 3 * x": lambda x: torch.where(x == 0.5, 2 * x, 3 * x),
    "apply if x != 0.5 then 2 * x else 3 * x": lambda x: torch.where(x != 0.5, 2 * x, 3 * x),
}


def text(values):
    return [repr(v) for v in values.tolist()]


def main(path):
    x = torch.tensor(X, dtype=torch.float32).double()
    out = {"torch": torch.__version__, "x": text(x), "functions": {}}
    for name, function in FUNCTIONS.items():
        argument = x.clone().requires_grad_()
        y = function(argument)
        (dx,) = torch.autograd.grad(y, argument, torch.full_like(y, 0.5))
        out["functions"][name] = {"y": text(y), "dx": text(dx)}
    with open(path, "w") as file:
        json.dump(out, file, indent=0)
        file.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
