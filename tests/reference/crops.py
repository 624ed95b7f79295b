"""Ten crops and several scales, computed plainly with PyTorch and torchvision, held against `resnetc eval`.

usage: crops.py fixtures [DIR]               makes tests/fixtures/views.npy: a tiny network's answers to a made-up image
       crops.py measure [RESNETC [DATA]]     compares resnetc (target/release/resnetc) on photographs, with a random ResNet-18, and,
                                             where DATA holds cifar-resnet/ and cifar10-jpeg/, a trained ResNet-20 on CIFAR's images

The average is that of the softmax's outputs, unless another is named.
"""
import io
import pathlib
import subprocess
import sys
import tarfile
import tempfile

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision import transforms as T

from fashion import CifarResNet
from fixtures import randomize_norms
from preprocess import MEAN, STD, made_up, photos

TO_INPUT = T.Compose([T.ToTensor(), T.Normalize(MEAN, STD)])
# what is compared: arguments of `resnetc eval`, and the same as scales (None: the network's own), crops, mirrored, average
LARGE = [
    ("--crops 10", (None, 10, False, "probabilities")),
    ("--crops 10 --average logits", (None, 10, False, "logits")),
    ("--scales 224,256,384,480,640", ([224, 256, 384, 480, 640], None, False, "probabilities")),
    ("--scales 224,256,384,480,640 --flip", ([224, 256, 384, 480, 640], None, True, "probabilities")),
    ("--scales 256,384 --crops 10", ([256, 384], 10, False, "probabilities")),
]
SMALL = [
    ("--scales 40 --crops 10", ([40], 10, False, "probabilities")),
    ("--scales 28,32,40", ([28, 32, 40], None, False, "probabilities")),
    ("--scales 32 --crops 1 --flip", ([32], 1, True, "probabilities")),
]


def load(net, path):
    """Fills a network with a file's tensors, in evaluation mode."""
    state = {name.removeprefix("module."): tensor for name, tensor in load_file(path).items()}
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing), (missing, unexpected)
    return net.eval()


def views(image, scales, crops, mirrored, crop):
    """The images that the network is shown."""
    for scale in scales:
        sized = T.Resize(scale)(image)
        if crops == 10:
            yield from T.TenCrop(crop)(sized)
            continue
        for side in [sized, T.functional.hflip(sized)] if mirrored else [sized]:
            yield T.CenterCrop(crop)(side) if crops == 1 else side


@torch.inference_mode()
def answer(net, image, how, own_scale, crop):
    """The average over views of the scores: probabilities."""
    scales, crops, mirrored, average = how
    logits = [net(TO_INPUT(view)[None])[0].double() for view in views(image, scales or [own_scale], crops, mirrored, crop)]
    if average == "logits":
        return torch.stack(logits).mean(0).softmax(0).numpy()
    return torch.stack([row.softmax(0) for row in logits]).mean(0).numpy()


def compare(resnetc, network, weights, folder, images, net, cases, own_scale, crop):
    """Prints the largest difference of a probability, for each case."""
    for arguments, how in cases:
        expected = np.stack([answer(net, Image.open(path), how, own_scale, crop) for path in images])
        out = folder / "scores.npy"
        subprocess.run([resnetc, "eval", network, "--weights", weights, "--data", folder / "data", "--scores", out, *arguments.split()],
                       check=True, stdout=subprocess.DEVNULL)
        got = np.load(out)
        # how much there is to be got wrong: the same for the center alone
        plain = np.stack([answer(net, Image.open(path), (None, 1, False, "probabilities"), own_scale, crop) for path in images])
        print(f"{network.split(':')[1]:9} {arguments:38} {len(images):4} images   from PyTorch {np.abs(got - expected).max():.1e}   "
              f"from the center alone {np.abs(plain - expected).max():.1e}", flush=True)


def measure(resnetc, data):
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        net = torchvision.models.resnet18()
        randomize_norms(net)
        # so that the answers are not all alike
        torch.nn.init.normal_(net.fc.weight, 0, 0.3)
        net.eval()
        save_file({k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}, folder / "resnet18.safetensors")
        images = []
        for i, path in enumerate(photos()):
            # PNG: the decoders of JPEG differ
            target = folder / "data" / f"{i}" / f"{path.stem}.png"
            target.parent.mkdir(parents=True)
            Image.open(path).convert("RGB").save(target)
            pictures.append(target)
        compare(resnetc, "models/resnet.resnet:resnet18", folder / "resnet18.safetensors", folder, images, net, LARGE, 256, 224)
    if data is None:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        net = load(CifarResNet(3), data / "cifar-resnet/resnet20.safetensors")
        images = []
        with tarfile.open(data / "cifar10-jpeg/test.tar") as tar:
            members = sorted((m for m in tar if m.isfile() and m.name.endswith(".jpg")), key=lambda m: m.name)
            for member in members[::50]:
                target = folder / "data" / pathlib.Path(member.name).parent.name / f"{pathlib.Path(member.name).stem}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB").save(target)
                pictures.append(target)
        pictures.sort(key=lambda path: (path.parent.name, path.name))
        compare(resnetc, "models/cifar.resnet:resnet20", data / "cifar-resnet/resnet20.safetensors", folder, images, net, SMALL, 32, 32)


# in the order of the rows of the fixture; tests/cli/eval.rs has the same arguments
TINY = [
    ([20], 10, False, "probabilities"),
    ([20], 10, False, "logits"),
    ([16, 24, 40], None, False, "probabilities"),
    ([16, 24, 40], None, True, "probabilities"),
    ([20, 24], 1, True, "probabilities"),
]


def fixtures(out):
    net = load(CifarResNet(1, filters=4), out / "tiny.safetensors")
    np.save(out / "views.npy", np.stack([answer(net, made_up(), how, None, 16) for how in TINY]).astype(np.float32))


if __name__ == "__main__":
    torch.set_num_threads(1)
    what, *rest = sys.argv[1:] or [""]
    if what == "fixtures":
        fixtures(pathlib.Path(rest[0] if rest else "tests/fixtures"))
    elif what == "measure":
        measure(rest[0] if rest else "target/release/resnetc", pathlib.Path(rest[1]) if len(rest) > 1 else None)
    else:
        sys.exit(__doc__)
