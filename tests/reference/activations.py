"""Values and gradients of PyTorch's activations in float64, which `tests/training/activations.rs` compares with `std.activations`.

python tests/reference/activations.py > tests/fixtures/activations.txt
"""

import math

import torch
import torch.nn.functional as F

# A statement of ours, and PyTorch's function. Learned slopes have their initial value.
FUNCTIONS = [
    ("relu", F.relu),
    ("relu6", F.relu6),
    ("leaky_relu", F.leaky_relu),
    ("leaky_relu negative_slope: 0.25", lambda x: F.leaky_relu(x, 0.25)),
    ("prelu", lambda x: F.prelu(x, torch.tensor([0.25], dtype=x.dtype))),
    ("prelu_shared", lambda x: F.prelu(x, torch.tensor([0.25], dtype=x.dtype))),
    ("elu", F.elu),
    ("elu alpha: 0.5", lambda x: F.elu(x, 0.5)),
    ("celu", F.celu),
    ("celu alpha: 0.5", lambda x: F.celu(x, 0.5)),
    ("selu", F.selu),
    ("gelu", F.gelu),
    ("gelu_tanh", lambda x: F.gelu(x, approximate="tanh")),
    ("quick_gelu", lambda x: x * torch.sigmoid(1.702 * x)),
    ("silu", F.silu),
    ("mish", F.mish),
    ("sigmoid", torch.sigmoid),
    ("hardsigmoid", F.hardsigmoid),
    ("hardswish", F.hardswish),
    ("tanh", torch.tanh),
    ("hardtanh", F.hardtanh),
    ("hardtanh min_val: -0.5, max_val: 6", lambda x: F.hardtanh(x, -0.5, 6)),
    ("softplus", F.softplus),
    ("softplus beta: 2, threshold: 6", lambda x: F.softplus(x, 2, 6)),
    ("logsigmoid", F.logsigmoid),
    ("softsign", F.softsign),
    ("tanhshrink", F.tanhshrink),
    ("hardshrink", F.hardshrink),
    ("hardshrink lambd: 1", lambda x: F.hardshrink(x, 1)),
    ("softshrink", F.softshrink),
    ("softshrink lambd: 1", lambda x: F.softshrink(x, 1)),
    ("clamp min: 0, max: 6", lambda x: torch.clamp(x, 0, 6)),
    ("clamp max: 1", lambda x: torch.clamp(x, max=1)),
    # the primitives
    ("apply -x", lambda x: -x),
    ("apply abs(x)", torch.abs),
    ("apply square(x)", torch.square),
    ("apply sqrt(x)", torch.sqrt),
    ("apply exp(x)", torch.exp),
    ("apply expm1(x)", torch.expm1),
    ("apply log(x)", torch.log),
    ("apply log1p(x)", torch.log1p),
    ("apply tanh(x)", torch.tanh),
    ("apply sigmoid(x)", torch.sigmoid),
    ("apply erf(x)", torch.erf),
    ("apply softplus(x)", lambda x: F.softplus(x, 1.0, 1000.0)),
    ("apply floor(x)", torch.floor),
    ("apply x + 1.5", lambda x: x + 1.5),
    ("apply 1.5 - x", lambda x: 1.5 - x),
    ("apply x * -2", lambda x: x * -2),
    ("apply 3 / x", lambda x: 3 / x),
    ("apply x / 4", lambda x: x / 4),
    ("apply min(x, 0.5)", lambda x: torch.minimum(x, torch.full_like(x, 0.5))),
    ("apply max(x, 0.5)", lambda x: torch.maximum(x, torch.full_like(x, 0.5))),
    ("apply clamp(x, -1, 3)", lambda x: torch.clamp(x, -1.0, 3.0)),
    ("apply if x < 0.5 then 2 * x else 3 * x", lambda x: torch.where(x < 0.5, 2 * x, 3 * x)),
    ("apply if x <= 0.5 then 2 * x else 3 * x", lambda x: torch.where(x <= 0.5, 2 * x, 3 * x)),
    ("apply if x > 0.5 then 2 * x else 3 * x", lambda x: torch.where(x > 0.5, 2 * x, 3 * x)),
    ("apply if x >= 0.5 then 2 * x else 3 * x", lambda x: torch.where(x >= 0.5, 2 * x, 3 * x)),
    ("apply if x == 0.5 then 2 * x else 3 * x", lambda x: torch.where(x == 0.5, 2 * x, 3 * x)),
    ("apply if x != 0.5 then 2 * x else 3 * x", lambda x: torch.where(x != 0.5, 2 * x, 3 * x)),
]

TIES = [0.0, 0.5, 1.0, 3.0, 6.0, 20.0]


def points():
    """Ties and their neighbors in float32, and what else float32 can be."""
    around = [torch.nextafter(torch.tensor(t), torch.tensor(to)).item() for t in TIES for to in (-math.inf, math.inf)]
    positive = sorted({abs(x) for x in TIES + around} | {1e-40, 1e-20, 1e-3, 0.3, 2.0, 4.5, 11.0, 50.0, 120.0, 1e10, math.inf})
    return [-x for x in reversed(positive)] + positive + [math.nan]


def main():
    print("# made by tests/reference/activations.py with PyTorch", torch.__version__.split("+")[0])
    for statement, function in FUNCTIONS:
        print(statement)
        for point in points():
            x = torch.tensor([point], dtype=torch.float64, requires_grad=True)
            y = function(x)
            (gradient,) = torch.autograd.grad(y.sum(), x)
            print(" ", *(repr(v) for v in (point, y.item(), gradient.item())))


main()
