"""Makes tests/fixtures: a tiny network's weights in each format that the reader knows, and PyTorch's answers.

usage: fixtures.py [DIR]      (DIR: tests/fixtures)
"""
import os
import pathlib
import pickle
import sys
import zipfile

import numpy as np
import torch
from safetensors.torch import save_file

from fashion import CifarResNet

SEED = 0


def randomize_norms(net):
    """Statistics and affine terms that are not the identity, so that folding them wrongly shows."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.3, 1.0)
            module.bias.data.normal_(0, 0.1)
            module.num_batches_tracked.fill_(7)


class Command:
    """Pickles as a call of `os.system`, under the name of the module that defines it: `posix.system`."""

    def __reduce__(self):
        return os.system, ("true",)


def save_malicious(path):
    """A checkpoint laid out as torch.save does, whose pickle would run a (harmless) command in a trusting reader."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for name, content in (("data.pkl", pickle.dumps({"conv1.weight": Command()}, protocol=2)),
                              ("byteorder", b"little"), ("version", b"3\n")):
            file.writestr(zipfile.ZipInfo(f"malicious/{name}"), content)  # ZipInfo: the date is fixed


@torch.inference_mode()
def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/fixtures")
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    net = CifarResNet(1, filters=4)
    randomize_norms(net)
    net.eval()
    x = torch.randn(3, 3, 16, 16)
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    learned = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}

    np.save(out / "tiny.x.npy", x.numpy())
    np.save(out / "tiny.y.npy", net(x).numpy())
    torch.save(net.state_dict(), out / "tiny.pth")
    wrapped = {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}, "epoch": 3}
    torch.save(wrapped, out / "tiny-module.pth")
    stem = {name: tensor for name, tensor in state.items() if name.startswith(("conv1", "bn1"))}
    torch.save(stem, out / "stem-legacy.pth", _use_new_zipfile_serialization=False)
    save_file(learned, out / "tiny.safetensors")
    for name, kind in (("f16", torch.float16), ("bf16", torch.bfloat16)):
        rounded = {key: tensor.to(kind) for key, tensor in learned.items()}
        save_file(rounded, out / f"tiny-{name}.safetensors")
        net.load_state_dict(rounded, strict=False)  # widened again: the rounded weights, computed in f32
        np.save(out / f"tiny-{name}.y.npy", net(x).numpy())
    save_malicious(out / "malicious.pth")


if __name__ == "__main__":
    main()
