"""Compares the networks of models/ with public implementations: torchvision's, timm's, or those of networks.py.

usage: families.py [--resnetc PATH] [--table FILE] [NAME ...]      compares at the networks' own input sizes
       families.py --bench FILE [--resnetc PATH] [NAME ...]        measures images/s, into the table that is there
       families.py --fixtures DIR [NAME ...]                       writes answers to small inputs for tests/runtime/families.rs

Each reference is given parameters drawn by a rule (`parameters`, below, which tests/runtime/families.rs follows as well), and its
state dict is saved as it is; `resnetc run` must load it by name and compute the same. What counts is the largest difference
over the standard deviation of the reference's output, for each output; more than 1e-3 is a failure.

Needs torch, torchvision, timm, safetensors and numpy.
"""
import argparse
import dataclasses
import json
import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable

import numpy as np
import timm
import torch
import torchvision
from safetensors.torch import save_file

import alive
import networks

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 1e-3

IMAGENET = (3, 224, 224)
CIFAR = (3, 32, 32)


@dataclasses.dataclass
class Family:
    """A network of models/, and what to hold it against."""

    file: str
    name: str
    reference: str
    build: Callable[[], torch.nn.Module]
    shape: tuple[int, ...]
    small: tuple[int, ...] | None = None
    """The input of its fixture; none where weights alone would take too long to draw in a test."""
    outputs: Callable[[torch.nn.Module, torch.Tensor], dict[str, torch.Tensor]] | None = None
    """Its outputs by name; with none, what it returns is the output `output`."""


def torchvision_model(name, **options):
    return lambda: getattr(torchvision.models, name)(weights=None, **options)


def timm_model(name, **options):
    return lambda: timm.create_model(name, **options)


def with_auxiliary(net, x):
    """Its auxiliary classifiers too, which torchvision leaves out in inference."""
    return alive.outputs(net, x, alive.AUXILIARY["inception_v3" if hasattr(net, "Mixed_6e") else "googlenet"])


def fpn_outputs(net, x):
    """torchvision calls the maps 0 to 3 and `pool`; the paper, and models/fpn.resnet, P2 to P5."""
    maps = net(x)
    return {name: maps[key] for name, key in zip(("p2", "p3", "p4", "p5", "pool"), ("0", "1", "2", "3", "pool"))}


def families():
    """All of them, in the order of the table."""
    def imagenet(file, name, reference, build, shape=IMAGENET, **more):
        return Family(file, name, reference, build, shape, small=more.pop("small", (3, 64, 64)), **more)

    def cifar(file, name, build, small):
        return Family(file, name, "networks.py", build, CIFAR, small)

    def tv(file, name, **more):
        return imagenet(file, name, "torchvision", torchvision_model(name), **more)

    def ti(file, name, **more):
        return imagenet(file, name, "timm", timm_model(name), **more)

    def dilated(name, stages):
        build = torchvision_model("resnet50", replace_stride_with_dilation=stages)
        return imagenet("dilated", name, "torchvision `resnet50`", build)

    return [
        *(tv("resnet", f"resnet{depth}", small=None) for depth in (18, 34, 50, 101, 152)),
        *(tv("vgg", name, small=None) for name in ("vgg16", "vgg19", "vgg16_bn", "vgg19_bn")),
        ti("preact", "resnetv2_50"),
        cifar("preact", "preact110", lambda: networks.PreAct(18, bottleneck=False), (3, 16, 16)),
        cifar("preact", "preact164", lambda: networks.PreAct(18, bottleneck=True), (3, 16, 16)),
        ti("resnet_d", "resnet50c", small=None),
        ti("resnet_d", "resnet50d"),
        ti("resnet_d", "resnetrs50", shape=(3, 160, 160)),
        ti("antialias", "resnetaa50"),
        ti("antialias", "resnetblur50"),
        tv("resnext", "resnext50_32x4d"),
        tv("resnext", "resnext101_32x8d", small=None),
        tv("resnext", "resnext101_64x4d", small=None),
        tv("wide", "wide_resnet50_2", small=None),
        cifar("wide", "wrn_16_8", lambda: networks.Wide(16, 8), (3, 16, 16)),
        cifar("wide", "wrn_28_10", lambda: networks.Wide(28, 10), None),
        ti("senet", "seresnet50"),
        ti("ecanet", "ecaresnet50d", small=None),
        ti("bit", "resnetv2_50x1_bit", small=None),
        ti("nfnet", "nf_resnet50", shape=(3, 256, 256), small=None),
        ti("groupnorm", "resnet50_gn"),
        tv("convnext", "convnext_tiny"),
        tv("densenet", "densenet121"),
        imagenet("googlenet", "googlenet", "torchvision",
                 torchvision_model("googlenet", transform_input=False, aux_logits=True, init_weights=False),
                 outputs=with_auxiliary),
        dilated("resnet50_os16", [False, False, True]),
        dilated("resnet50_os8", [False, True, True]),
        imagenet("fpn", "resnet50_fpn_224", "torchvision `resnet_fpn_backbone`",
                 lambda: torchvision.models.detection.backbone_utils.resnet_fpn_backbone(
                     backbone_name="resnet50", weights=None, trainable_layers=5),
                 outputs=fpn_outputs),
        *(Family("highway", f"highway{depth}", "networks.py", lambda depth=depth: networks.Highway(depth), (1, 28, 28), small)
          for depth, small in ((10, (1, 28, 28)), (100, None))),
        Family("signal", "signal18", "networks.py", networks.Signal, (1, 1000), (1, 250)),
        tv("mobilenetv2", "mobilenet_v2"),
        tv("mobilenetv3", "mobilenet_v3_small"),
        tv("efficientnet", "efficientnet_b0"),
        tv("efficientnetv2", "efficientnet_v2_s", shape=(3, 384, 384), small=None),
        tv("mnasnet", "mnasnet1_0"),
        tv("squeezenet", "squeezenet1_1"),
        tv("shufflenet", "shufflenet_v2_x0_5", small=None),
        tv("shufflenet", "shufflenet_v2_x1_0"),
        tv("regnet", "regnet_y_400mf"),
        ti("repvgg", "repvgg_a0"),
        imagenet("repvgg", "repvgg_a0_fused", "timm", lambda: timm.utils.model.reparameterize_model(timm.create_model("repvgg_a0"))),
        ti("darknet", "darknet53", shape=(3, 256, 256), small=None),
        ti("cspnet", "cspresnet50", shape=(3, 256, 256)),
        ti("res2net", "res2net50_26w_4s"),
        ti("resnest", "resnest14d"),
        ti("sknet", "skresnet18"),
        ti("dla", "dla34"),
        ti("hrnet", "hrnet_w18_small"),
        imagenet("inception", "inception_v3", "torchvision",
                 torchvision_model("inception_v3", transform_input=False, aux_logits=True, init_weights=False),
                 shape=(3, 299, 299), small=None, outputs=with_auxiliary),
        Family("crepe", "crepe_tiny", "networks.py", networks.Crepe, (1, 1024, 1), (1, 1024, 1)),
        Family("unet", "unet_256", "networks.py", networks.UNet, (3, 256, 256)),
    ]


def draw(name, shape):
    """Numbers from -1 to 1, the same on every machine: SplitMix64, begun with the FNV-1a hash of a tensor's name."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return ((z >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - np.float32(1)).reshape(shape)


@torch.no_grad()
def parameters(net):
    """Draws all of a reference's parameters: weights within sqrt(6 / inputs), which keeps the size of what passes through a ReLU;
    norms with statistics and affine terms that are not the identity, so that folding them wrongly shows."""
    state = net.state_dict()
    for name, tensor in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        layer, _, role = name.rpartition(".")
        values = draw(name, tuple(tensor.shape))
        if role in ("running_var", "gain"):
            values = np.float32(1) + np.float32(0.5) * values
        elif role == "weight" and f"{layer}.running_var" in state:
            values = np.float32(0.65) + np.float32(0.35) * values
        elif role == "weight":
            values *= np.float32(np.sqrt(6 / np.prod(tensor.shape[1:])))
        else:
            # or a learned operand of an elementwise function
            assert tensor.numel() == tensor.shape[0], name
            values *= np.float32(0.17)
        tensor.copy_(torch.from_numpy(values))


@torch.no_grad()
def answers(family, shape):
    """The reference's input and its outputs by name, and its state dict."""
    net = family.build().eval()
    parameters(net)
    x = torch.from_numpy(draw("input", shape) * np.float32(np.sqrt(3)))
    outputs = family.outputs(net, x) if family.outputs else {"output": net(x)}
    return x, outputs, net.state_dict()


def compare(family, resnetc):
    """The largest difference of any output over that output's deviation."""
    x, outputs, state = answers(family, (1, *family.shape))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "w.safetensors")
        np.save(folder / "x.npy", x.numpy())
        command = [resnetc, "run", ROOT / "models" / f"{family.file}.resnet", "--network", family.name, "--threads", "2",
                   "--weights", folder / "w.safetensors", "--input", folder / "x.npy"]
        for name in outputs:
            path = folder / f"{name}.npy"
            command += ["--output", path if len(outputs) == 1 else f"{name}={path}"]
        subprocess.run(command, check=True)
        worst = 0.0
        for name, expected in outputs.items():
            expected, got = expected.numpy(), np.load(folder / f"{name}.npy")
            assert got.shape == expected.shape, (name, got.shape, expected.shape)
            deviation = float(expected.std())
            assert 1e-3 < deviation < 1e9, (name, deviation)
            worst = max(worst, float(np.abs(got - expected).max()) / deviation)
    return worst


def fixture(family, folder):
    """Its outputs for a small input, one behind the other: of a large one about a thousand values, evenly spread."""
    _, outputs, _ = answers(family, (1, *family.small))
    flat = np.concatenate([output.numpy().ravel()[:: -(-output.numel() // 1000)] for output in outputs.values()])
    np.save(folder / f"{family.name}.y.npy", flat)
    print(f"{family.name}: {flat.size} numbers, deviation {flat.std():.3g}", flush=True)


HEAD = ["network", "file", "compared with", "parameters", "multiply-adds", "agreement", "images/s"]
BEGIN, END = "<!-- families: generated by `tests/reference/families.py` -->", "<!-- end of families -->"


def read_table(path):
    """The table's rows by network, and the text around it."""
    before, rest = path.read_text().split(BEGIN)
    table, after = rest.split(END)
    rows = {}
    for line in table.strip().splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        rows[cells[0].strip("`")] = dict(zip(HEAD, cells))
    return before, rows, after


def write_table(path, before, rows, after):
    lines = ["| " + " | ".join(HEAD) + " |", "| --- | --- | --- | ---: | ---: | ---: | ---: |"]
    lines += ["| " + " | ".join(row[column] for column in HEAD) + " |" for row in rows.values()]
    path.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n" + END + after)


def grouped(number):
    """1234567 as 1 234 567."""
    return f"{number:,}".replace(",", " ")


def row(family, worst, resnetc, old):
    command = [resnetc, "summary", ROOT / "models" / f"{family.file}.resnet", "--network", family.name, "--format", "json"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    totals = json.loads(text.splitlines()[-1])
    link = f"[{family.file}.resnet](../models/{family.file}.resnet)"
    cells = [f"`{family.name}`", link, family.reference, grouped(totals["params"]), grouped(totals["macs"]), f"{worst:.1e}",
             old.get("images/s", "–")]
    return dict(zip(HEAD, cells))


def images_a_second(family, resnetc):
    command = [resnetc, "bench", ROOT / "models" / f"{family.file}.resnet", "--network", family.name, "--weights", "init",
               "--batch", "1", "--threads", "2", "--format", "json"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(text.splitlines()[-1])["images_per_s"]


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].removeprefix("usage: "))
    parser.add_argument("--resnetc", default=ROOT / "target/release/resnetc")
    parser.add_argument("--table", type=pathlib.Path)
    parser.add_argument("--bench", type=pathlib.Path)
    parser.add_argument("--fixtures", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    torch.set_num_threads(1)
    known = families()
    unknown = set(args.names) - {family.name for family in known}
    if unknown:
        sys.exit(f"not known: {', '.join(sorted(unknown))}")
    chosen = [family for family in known if not args.names or family.name in args.names]

    if args.fixtures:
        args.fixtures.mkdir(parents=True, exist_ok=True)
        for family in chosen:
            if family.small:
                fixture(family, args.fixtures)
        return
    if args.bench:
        for family in chosen:
            speed = images_a_second(family, args.resnetc)
            before, rows, after = read_table(args.bench)
            rows[family.name]["images/s"] = f"{speed:.3g}"
            write_table(args.bench, before, rows, after)
            print(f"{family.name}: {speed:.3g} images/s", flush=True)
        return
    failed = []
    for family in chosen:
        worst = compare(family, args.resnetc)
        print(f"{family.name}: largest difference {worst:.1e} of the deviation", flush=True)
        if not worst <= LIMIT:
            failed.append(family.name)
        if args.table:
            before, rows, after = read_table(args.table)
            rows[family.name] = row(family, worst, args.resnetc, rows.get(family.name, {}))
            order = [f.name for f in known if f.name in rows]
            write_table(args.table, before, {name: rows[name] for name in order}, after)
    if failed:
        sys.exit(f"beyond {LIMIT}: {', '.join(failed)}")


if __name__ == "__main__":
    main()
