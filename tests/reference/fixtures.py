"""Makes tests/fixtures: a tiny network's weights in each format that the reader knows, and PyTorch's answers.

usage: fixtures.py [DIR]      (DIR: tests/fixtures)
"""
import collections
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


def save_views(path):
    """Views as PyTorch keeps them, tensors whose values are not read, and beside them what optimizers and schedulers keep."""
    count = torch.arange(24.0)
    state = {
        "expanded": torch.tensor([2.0]).expand(4),
        "broadcast": count[:3].reshape(3, 1).expand(3, 4),
        "transposed": count[:6].reshape(2, 3).t(),
        "sliced": count.reshape(4, 6)[1:3, 2:5],
        "strided": count[1:10:3],
        "windows": count[:8].unfold(0, 4, 2),
        "diagonal": count[:9].reshape(3, 3).diagonal(),
        "channels_last": count.reshape(1, 2, 3, 4).to(memory_format=torch.channels_last),
        "complex": torch.tensor([1 + 2j]),
        "negated": torch._neg_view(count[:3]),
        "float8": torch.zeros(3).to(torch.float8_e4m3fn),
        "sparse": torch.eye(2).to_sparse(),
    }
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [30, 60, 60])
    values = {"set": {1, 2}, "bytes": b"a\xff", "none": b"", "dtype": torch.float32, "complex": 1 + 2j, "size": torch.Size([1, 2]),
              "device": torch.device("cpu"), "default": collections.defaultdict(list, a=[1]), "frozen": frozenset([1])}
    torch.save({"state_dict": state, "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict(), "args": values}, path)


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
    torch.save({"conv1.weight": learned["conv1.weight"]}, out / "checkpoint_best_model.pth")
    save_views(out / "views.pth")


if __name__ == "__main__":
    main()
