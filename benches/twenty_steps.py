"""Compares 20 training steps of ResNet-20 (CIFAR, option A) with PyTorch in double and single precision.

    python benches/twenty_steps.py make DIR --images train.tar [--weights resnet20.safetensors]
    resnetc train models/cifar.resnet --network resnet20 --weights DIR/init.safetensors --data DIR/X.npy,DIR/Y.npy \
        --set train.shuffle=false --set train.augment=none --set train.steps=20 -o DIR/run
    resnetc train models/cifar.resnet --network resnet20 --weights DIR/init.safetensors --data DIR/X.npy,DIR/Y.npy \
        --set train.shuffle=false --set train.augment=none --set train.steps=1 --set train.schedule=constant \
        --set train.optimizer.lr=1000 --set train.optimizer.momentum=0 --set train.optimizer.weight_decay=0 -o DIR/first
    python benches/twenty_steps.py compare DIR

`make` takes 20 batches of 128 images from a tar of class folders. The step with learning rate 1000, without momentum and weight decay,
gives the gradient of the first step from the change of the weights. Needs torch, numpy, pillow and safetensors.
"""
import argparse
import io
import json
import tarfile

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.stride, self.more = stride, outputs - inputs

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.more:
            half = self.more // 2
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, half, half))
        return F.relu(x + y)


class Cifar(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        for index, (inputs, outputs) in enumerate(((16, 16), (16, 32), (32, 64))):
            first = [Block(inputs, outputs, 1 if index == 0 else 2)]
            setattr(self, f"layer{index + 1}", nn.Sequential(*first, *[Block(outputs, outputs, 1) for _ in range(n - 1)]))
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))


def load_images(path):
    from PIL import Image

    archive = tarfile.open(path)
    names = sorted(name for name in archive.getnames() if name.endswith(".jpg"))
    classes = sorted({name.split("/")[-2] for name in names})
    images, labels = [], []
    for index in np.random.RandomState(1).choice(len(names), 20 * 128, replace=False):
        image = Image.open(io.BytesIO(archive.extractfile(names[index]).read())).convert("RGB")
        values = (np.asarray(image, dtype=np.float32) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        images.append(values.transpose(2, 0, 1))
        labels.append(classes.index(names[index].split("/")[-2]))
    return np.array(images, dtype=np.float32), np.array(labels, dtype=np.int64)


def make(args):
    from safetensors.torch import load_file, save_file

    torch.manual_seed(0)
    images, labels = load_images(args.images)
    np.save(f"{args.dir}/X.npy", images)
    np.save(f"{args.dir}/Y.npy", labels)
    net = Cifar(3)
    if args.weights:
        loaded = {name.removeprefix("module."): value for name, value in load_file(args.weights).items()}
        net.load_state_dict(net.state_dict() | loaded)
    else:
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
    initial = {name: value.clone() for name, value in net.state_dict().items()}
    save_file({name: value for name, value in initial.items() if "num_batches" not in name}, f"{args.dir}/init.safetensors")
    runs = [("float64", torch.float64, False), ("float32", torch.float32, False), ("channels_last", torch.float32, True)]
    for name, dtype, channels_last in runs:
        layout = torch.channels_last if channels_last else torch.contiguous_format
        net.load_state_dict(initial)
        net.to(dtype).to(memory_format=layout).train()
        sgd = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
        losses, first = [], {}
        for step in range(20):
            batch = slice(step * 128, step * 128 + 128)
            x = torch.from_numpy(images[batch]).to(dtype).contiguous(memory_format=layout)
            loss = F.cross_entropy(net(x), torch.from_numpy(labels[batch]))
            sgd.zero_grad()
            loss.backward()
            first = first or {name: value.grad.numpy().copy() for name, value in net.named_parameters()}
            sgd.step()
            losses.append(loss.item())
        final = {name: value.numpy() for name, value in net.state_dict().items() if "num_batches" not in name}
        np.savez(f"{args.dir}/{name}.npz", losses=losses, **{"first." + k: v for k, v in first.items()}, **final)


def compare(args):
    from safetensors.numpy import load_file

    exact, single = np.load(f"{args.dir}/float64.npz"), np.load(f"{args.dir}/float32.npz")
    other = np.load(f"{args.dir}/channels_last.npz")
    initial, moved = load_file(f"{args.dir}/init.safetensors"), load_file(f"{args.dir}/first/weights.safetensors")
    final = load_file(f"{args.dir}/run/weights.safetensors")

    def distance(value, name):
        return np.linalg.norm(value.astype(np.float64) - exact[name]) / np.linalg.norm(exact[name])

    firsts = [name for name in exact.files if name.startswith("first.")]
    gradient = {name: (initial[name[6:]].astype(np.float64) - moved[name[6:]]) / 1000 for name in firsts}
    worst = max(firsts, key=lambda name: distance(gradient[name], name))
    theirs = max(distance(single[name], name) for name in firsts)
    print(f"gradient of the first step, from float64: {distance(gradient[worst], worst):.1e} ({worst[6:]}); PyTorch's float32 {theirs:.1e}")
    lines = [json.loads(line) for line in open(f"{args.dir}/run/train.jsonl")]
    losses = np.array([line["loss"] for line in lines if line["event"] == "step"])
    names = [name for name in exact.files if name in final]

    def total_distance(values):
        return np.sqrt(sum(np.sum((values[name].astype(np.float64) - exact[name]) ** 2) for name in names))

    # PyTorch's float32 in its other memory format is an equally good run: its ratios show how much these numbers scatter
    for who, found, tensors in (("resnetc", losses, final), ("PyTorch, channels last", other["losses"], other)):
        ours, theirs = (np.abs(each - exact["losses"]).max() for each in (found, single["losses"]))
        ratios = {name: distance(tensors[name], name) / distance(single[name], name) for name in names}
        worst = max(ratios, key=ratios.get)
        print(f"{who}, distance from float64 over that of PyTorch's float32: losses {ours / theirs:.2f} ({ours:.1e} of {theirs:.1e}); "
              f"all final tensors together {total_distance(tensors) / total_distance(single):.2f}, median {np.median(list(ratios.values())):.2f}, "
              f"worst {ratios[worst]:.2f} ({worst})")


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
commands = parser.add_subparsers(required=True)
command = commands.add_parser("make")
command.add_argument("dir")
command.add_argument("--images", required=True)
command.add_argument("--weights")
command.set_defaults(run=make)
command = commands.add_parser("compare")
command.add_argument("dir")
command.set_defaults(run=compare)
arguments = parser.parse_args()
arguments.run(arguments)
