"""PyTorch sources of `resnetc export torch`, run in PyTorch, against `resnetc run`.

usage: torch_out.py [--resnetc PATH] [SOURCE[:NETWORK,...] ...]

For each network of models/*.resnet, of onnx_operators.resnet and of functions.resnet (or those named): the source is imported, its parameters are drawn
by the rule of families.py, and saved under the names that PyTorch gives them; `resnetc run` must load them by name and compute the
same. Differences are shown over the standard deviation of the outputs; 1e-3 and more is an error. Needs torch, torchvision, timm,
safetensors and numpy.
"""
import argparse
import importlib.util
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import save_file

from families import LIMIT, ROOT, draw, parameters

FREE = {"H": 64, "W": 96}


def networks(resnetc, source):
    """The names of a file's networks that leave no parameter open."""
    text = pathlib.Path(source).read_text()
    names = re.findall(r"^network (\w+)(\([^)]*\))?", text, re.M)
    return [name for name, params in names if all("=" in p for p in params.strip("()").split(",") if p.strip())]


def shape(resnetc, source, name):
    """The sizes of the input, as the graph's first line states them; free ones are chosen."""
    command = [resnetc, "compile", source, "--network", name, "--emit", "graph"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    words = re.search(r"^ +input +input +(.*)$", text, re.M).group(1).split(" x ")
    return [FREE[word.strip()] if word.strip() in FREE else int(word) for word in words]


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answers(net, x):
    outputs = net(x)
    return outputs if isinstance(outputs, dict) else {"output": outputs}


@torch.no_grad()
def compare(resnetc, source, name):
    """The largest difference of any output over that output's deviation, and the source's lines."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        path = folder / f"{name}_net.py"
        told = subprocess.run([resnetc, "export", "torch", source, "--network", name, "-o", path], check=True, capture_output=True, text=True)
        net = getattr(load(path), told.stdout.split()[-1])().eval()
        parameters(net)
        x = torch.from_numpy(draw("input", (2, *shape(resnetc, source, name))) * np.float32(np.sqrt(3)))
        outputs = answers(net, x)
        if not all(bool(y.isfinite().all()) for y in outputs.values()):
            # a thousand layers: what each adds is made smaller
            for key, tensor in net.state_dict().items():
                if key.endswith("weight") and tensor.dim() == 1:
                    tensor.mul_(0.1)
            outputs = answers(net, x)
        save_file({key: tensor.contiguous() for key, tensor in net.state_dict().items()}, folder / "w.safetensors")
        np.save(folder / "x.npy", x.numpy())
        command = [resnetc, "run", source, "--network", name, "--threads", "1", "--weights", folder / "w.safetensors",
                   "--input", folder / "x.npy"]
        for output in outputs:
            file = folder / f"{output}.npy"
            command += ["--output", file if len(outputs) == 1 else f"{output}={file}"]
        subprocess.run(command, check=True)
        worst = 0.0
        for output, expected in outputs.items():
            expected, got = expected.numpy(), np.load(folder / f"{output}.npy")
            assert got.shape == expected.shape, (output, got.shape, expected.shape)
            assert np.isfinite(expected).all() and np.isfinite(got).all(), output
            worst = max(worst, float(np.abs(got - expected).max()) / max(float(expected.std()), 1e-12))
        return worst, len(path.read_text().splitlines())


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].removeprefix("usage: "))
    parser.add_argument("--resnetc", default=ROOT / "target/release/resnetc")
    parser.add_argument("sources", nargs="*")
    args = parser.parse_args()
    torch.set_num_threads(1)
    sources = args.sources or [*sorted((ROOT / "models").glob("*.resnet")), ROOT / "tests/reference/onnx_operators.resnet",
                               ROOT / "tests/reference/functions.resnet"]
    largest, count = 0.0, 0
    for source in sources:
        source, _, chosen = str(source).partition(":")
        for name in chosen.split(",") if chosen else networks(args.resnetc, source):
            worst, lines = compare(args.resnetc, source, name)
            print(f"{name:24} {worst:.1e}  {lines} lines{'' if worst < LIMIT else '  FAR'}", flush=True)
            largest, count = max(largest, worst), count + 1
    print(f"{count} networks, the largest difference {largest:.1e} of the outputs' deviation")
    if largest >= LIMIT:
        sys.exit("differences are too large")


if __name__ == "__main__":
    main()
