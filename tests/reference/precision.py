"""Errors of single layers against f64, of `resnetc run` with and without `--precise` and of PyTorch: largest / root mean square.

python tests/reference/precision.py target/release/resnetc
"""

import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.numpy import save_file

# name, channels, side, filters, kernel (0: linear), stride, groups, bias, deviation of the weights, no negative input
CASES = [
    ("3x3, 256 to 64, bias -4.6", 256, 28, 64, 3, 1, 1, -4.6, 0.001, False),
    ("1x1, 2048 to 64, bias -4.6", 2048, 7, 64, 1, 1, 1, -4.6, 0.001, False),
    ("7x7/2, 3 to 64, bias -4.6", 3, 64, 64, 7, 2, 1, -4.6, 0.001, False),
    ("3x3/2, 128 to 64, bias -4.6", 128, 28, 64, 3, 2, 1, -4.6, 0.001, False),
    ("3x3, 64 depthwise, bias -4.6", 64, 28, 64, 3, 1, 64, -4.6, 0.001, False),
    ("3x3, 256 in 32 groups, bias -4.6", 256, 14, 256, 3, 1, 32, -4.6, 0.001, False),
    ("3x3, 512 to 64, bias 1000", 512, 14, 64, 3, 1, 1, 1000.0, 0.02, True),
    ("3x3, 512 to 64, no bias", 512, 14, 64, 3, 1, 1, 0.0, 0.02, False),
    ("3x3, 512 to 64, no bias, after ReLU", 512, 14, 64, 3, 1, 1, 0.0, 0.02, True),
    ("1x1, 2048 to 64, no bias, after ReLU", 2048, 7, 64, 1, 1, 1, 0.0, 0.02, True),
    ("linear, 4096 to 1000, bias -4.6", 4096, 1, 1000, 0, 1, 1, -4.6, 0.001, True),
]


def errors(found, expected):
    off = found.astype("f8").reshape(expected.shape) - expected
    return f"{np.abs(off).max():.1e} / {np.sqrt((off**2).mean()):.1e}"


def main(binary):
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as folder:
        net, weights, x_path, y_path = (os.path.join(folder, f) for f in ("n.resnet", "w.safetensors", "x.npy", "y.npy"))
        for name, channels, side, filters, kernel, stride, groups, bias, deviation, positive in CASES:
            random = np.random.default_rng(1)
            x = random.standard_normal((1, channels, side, side)).astype("f4")
            x = np.maximum(x, 0) if positive else x
            shape = (filters, channels // groups) + ((kernel, kernel) if kernel else ())
            w = (deviation * random.standard_normal(shape)).astype("f4")
            b = np.full(filters, bias, "f4")
            if kernel:
                layer = torch.nn.Conv2d(channels, filters, kernel, stride, kernel // 2, groups=groups)
                line = f"conv {kernel}x{kernel}, filters: {filters}, stride: {stride}, groups: {groups}, bias: true as layer"
            else:
                layer = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(channels, filters))
                line = f"flatten\n  linear {filters} as layer"
            with torch.no_grad():
                for parameter, value in zip(layer.parameters(), (w, b)):
                    parameter.copy_(torch.tensor(value))
                pytorch = layer(torch.tensor(x)).numpy()
                expected = layer.double()(torch.tensor(x).double()).numpy()
            with open(net, "w") as file:
                file.write(f"resnet 1\nnetwork n {{\n  input {channels} x {side} x {side}\n  {line}\n}}\n")
            save_file({"layer.weight": w, "layer.bias": b}, weights)
            np.save(x_path, x)
            answers = []
            for option in (["--precise"], []):
                command = [binary, "run", net, "--weights", weights, "--threads", "2", "--input", x_path, "--output", y_path]
                subprocess.run(command + option, check=True)
                answers.append(errors(np.load(y_path), expected))
            print(f"| {name} | {answers[0]} | {answers[1]} | {errors(pytorch, expected)} |", flush=True)


main(sys.argv[1])
