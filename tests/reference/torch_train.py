"""Training scripts of `resnetc export torch --train-script`, run in PyTorch, against `resnetc train`.

usage: torch_train.py [--resnetc PATH] [--processes N]

A small network for signals whose recipe has a warm-up, a one-cycle schedule, clipping, accumulation, label smoothing, a frozen stage
and norms without decay is trained for six steps, from the same weights and on the same samples in the same order: by the script, and
by `resnetc train`. The largest difference of any final tensor is shown; more than 1e-5 is an error. With several processes (`torchrun`,
gloo) each has norms of its own, so that nothing is compared: the weights that they write must load in `resnetc run`.

Needs torch, safetensors and numpy.
"""
import argparse
import importlib.util
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import load_file, save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 1e-5
SOURCE = """resnet 1
use "%s/models/signal.resnet": signal

network small = signal([1, 1, 1, 1], filters: 8) {
  train {
    steps 6
    batch 16
    accumulate 2
    clip_grad_norm 1.0
    schedule one_cycle { pct_start: 0.5 }
    warmup 2 steps { start_lr: 0.01 }
    freeze: [layer1]
    optimizer sgd { lr: 0.05, decay_norm: false, decay_bias: false }
    loss cross_entropy { label_smoothing: 0.1 }
    shuffle false
  }
}
"""


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].removeprefix("usage: "))
    parser.add_argument("--resnetc", default=ROOT / "target/release/resnetc")
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.resnetc = pathlib.Path(args.resnetc).resolve()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)

        def run(*command):
            subprocess.run(list(map(str, command)), check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        (folder / "small.resnet").write_text(SOURCE % ROOT)
        run(args.resnetc, "export", "torch", "small.resnet", "-o", "net.py", "--train-script", "train.py")
        spec = importlib.util.spec_from_file_location("net", folder / "net.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        torch.manual_seed(0)
        save_file(module.Small().state_dict(), folder / "begin.safetensors")
        random = np.random.default_rng(0)
        np.save(folder / "x.npy", random.standard_normal((192, 1, 1000), dtype=np.float32))
        np.save(folder / "y.npy", random.integers(0, 5, 192))

        data = ["--data", "x.npy,y.npy", "--weights", "begin.safetensors"]
        if args.processes > 1:
            torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", args.processes]
            run(*torchrun, "train.py", *data, "--workers", 0, "-o", "theirs")
            run(args.resnetc, "run", "small.resnet", "--weights", "theirs/weights.safetensors", "--input", "x.npy", "--output", "z.npy")
            assert np.isfinite(np.load(folder / "z.npy")).all()
            print(f"{args.processes} processes: their weights load")
            return
        run(sys.executable, "train.py", *data, "--workers", 0, "-o", "theirs")
        run(args.resnetc, "train", "small.resnet", *data, "-o", "ours")
        theirs, ours = load_file(folder / "theirs/weights.safetensors"), load_file(folder / "ours/weights.safetensors")
        begin = load_file(folder / "begin.safetensors")
        assert torch.equal(ours["layer1.0.conv1.weight"], begin["layer1.0.conv1.weight"])
        assert not torch.equal(ours["conv1.weight"], begin["conv1.weight"])
        worst = max(float((theirs[name] - tensor).abs().max()) for name, tensor in ours.items())
        print(f"the largest difference of {len(ours)} final tensors: {worst:.1e}")
        if not worst <= LIMIT:
            sys.exit("that is too large")


if __name__ == "__main__":
    main()
