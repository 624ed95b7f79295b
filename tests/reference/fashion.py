"""What the scripts about Fashion-MNIST share: the data set, and the CIFAR-style ResNet in PyTorch that
`models/cifar.resnet` describes, with the same tensor names."""
import gzip
import pathlib

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

DATA = pathlib.Path("/usr/share/datasets/fashion-mnist")  # apt-get install dataset-fashion-mnist
CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
MEAN, STD = 0.286, 0.353  # of pixel / 255


def load(part, data=DATA):
    """The images [n, 28, 28] as bytes and their labels [n]; part is `train` or `t10k`."""
    def idx(name, header):
        return np.frombuffer(gzip.decompress((data / name).read_bytes()), np.uint8, offset=header)
    return idx(f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28), idx(f"{part}-labels-idx1-ubyte.gz", 8)


def normalize(images):
    """Bytes [n, h, w] to the network's input [n, 1, h, w]."""
    return ((torch.tensor(images)[:, None].float() / 255 - MEAN) / STD).contiguous(memory_format=torch.channels_last)


class Basic(nn.Module):
    """Two 3x3 convolutions; where dimensions change, shortcut option A with half of the zero channels on each side."""

    def __init__(self, inputs, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.stride, self.zeros = stride, (filters - inputs) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1:
            x = F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, self.zeros, self.zeros))
        return F.relu(x + y)


class CifarResNet(nn.Module):
    """He et al. 2016, section 4.2: 6n + 2 layers in three stages of n blocks."""

    def __init__(self, n, inputs=3, filters=16, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, filters, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.layer1 = self.stage(n, filters, filters)
        self.layer2 = self.stage(n, filters, 2 * filters)
        self.layer3 = self.stage(n, 2 * filters, 4 * filters)
        self.linear = nn.Linear(4 * filters, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    @staticmethod
    def stage(n, inputs, filters):
        first = Basic(inputs, filters, 1 if inputs == filters else 2)
        return nn.Sequential(first, *(Basic(filters, filters, 1) for _ in range(n - 1)))

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


@torch.inference_mode()
def logits(net, images, batch=500):
    """The evaluated network's logits for images given as bytes."""
    net.eval()
    return torch.cat([net(x) for x in normalize(images).split(batch)])
