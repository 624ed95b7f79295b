"""Small PyTorch definitions of the families that torchvision and timm do not have, to compare `resnetc` with.

They are written from the papers, plainly, and share nothing with models/*.resnet but the tensors' names.
"""
import torch
from torch import nn


class PreActBasic(nn.Module):
    """He et al. 2016, "Identity Mappings in Deep Residual Networks", Figure 1 (b) with two 3x3 convolutions.

    The network's first unit has its first norm and ReLU in front of the fork (appendix), which is the stem's here: `first`.
    Where the map is halved, the shortcut takes every other pixel and appends zero channels (option A).
    """

    def __init__(self, channels, filters, stride, first):
        super().__init__()
        if not first:
            self.norm1 = nn.BatchNorm2d(channels)
        self.first, self.stride, self.extra = first, stride, filters - channels
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)

    def forward(self, x):
        y = x if self.first else self.norm1(x).relu()
        y = self.conv2(self.norm2(self.conv1(y)).relu())
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        return nn.functional.pad(x, (0, 0, 0, 0, 0, self.extra)) + y


class Downsample(nn.Module):
    """A 1x1 convolution, under the name that timm gives it."""

    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, 1, stride, bias=False)

    def forward(self, x):
        return self.conv(x)


class PreActBottleneck(nn.Module):
    """The same of 1x1, 3x3 and 1x1; a projection reads what the first norm and ReLU made (KaimingHe/resnet-1k-layers).

    The stride stands on the 3x3, as in timm's.
    """

    def __init__(self, channels, filters, stride):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, filters, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, stride, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(filters)
        self.conv3 = nn.Conv2d(filters, 4 * filters, 1, bias=False)
        changes = stride > 1 or channels != 4 * filters
        self.downsample = Downsample(channels, 4 * filters, stride) if changes else None

    def forward(self, x):
        pre = self.norm1(x).relu()
        y = self.norm2(self.conv1(pre)).relu()
        y = self.norm3(self.conv2(y)).relu()
        return (x if self.downsample is None else self.downsample(pre)) + self.conv3(y)


class PreAct(nn.Module):
    """The CIFAR networks of the same paper: 110 layers of basic units, 164 and 1001 of bottlenecks."""

    def __init__(self, n, bottleneck, filters=16, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, filters, 3, 1, 1, bias=False)
        self.bn1 = None if bottleneck else nn.BatchNorm2d(filters)
        channels = filters
        for stage in range(3):
            units, width = [], filters << stage
            for i in range(n):
                stride = 2 if stage > 0 and i == 0 else 1
                if bottleneck:
                    units.append(PreActBottleneck(channels, width, stride))
                else:
                    units.append(PreActBasic(channels, width, stride, first=stage == 0 and i == 0))
                channels = 4 * width if bottleneck else width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*units))
        self.norm = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = self.conv1(x)
        if self.bn1 is not None:
            x = self.bn1(x).relu()
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(self.norm(x).relu().mean((2, 3)))


class WideBlock(nn.Module):
    """Zagoruyko and Komodakis 2016, "Wide Residual Networks", Figure 1 (d), without its dropout (the identity in inference)."""

    def __init__(self, channels, filters, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        changes = stride > 1 or channels != filters
        self.convShortcut = nn.Conv2d(channels, filters, 1, stride, bias=False) if changes else None

    def forward(self, x):
        pre = self.bn1(x).relu()
        y = self.conv2(self.bn2(self.conv1(pre)).relu())
        return (x if self.convShortcut is None else self.convShortcut(pre)) + y


class WideGroup(nn.Module):
    """One of the three groups."""

    def __init__(self, blocks):
        super().__init__()
        self.layer = nn.Sequential(*blocks)

    def forward(self, x):
        return self.layer(x)


class Wide(nn.Module):
    """WRN-depth-k for CIFAR (Table 1)."""

    def __init__(self, depth, k, classes=10):
        super().__init__()
        n, rest = divmod(depth - 4, 6)
        assert rest == 0, depth
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        channels = 16
        for group in range(3):
            blocks, filters = [], 16 * k << group
            for i in range(n):
                blocks.append(WideBlock(channels, filters, 2 if group > 0 and i == 0 else 1))
                channels = filters
            setattr(self, f"block{group + 1}", WideGroup(blocks))
        self.bn1 = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(self.bn1(x).relu().mean((2, 3)))


class HighwayLayer(nn.Module):
    """Srivastava et al. 2015, "Highway Networks", equation 3: y = H(x) T(x) + x (1 - T(x))."""

    def __init__(self, features):
        super().__init__()
        self.plain = nn.Sequential(nn.Linear(features, features), nn.ReLU())
        self.gate = nn.Sequential(nn.Linear(features, features), nn.Sigmoid())

    def forward(self, x):
        gate = self.gate(x)
        return self.plain(x) * gate + x * (1 - gate)


class Highway(nn.Module):
    """The thin networks of section 3.1: a plain layer of 50 on MNIST's images, then highway layers of 50."""

    def __init__(self, depth, features=50, size=28, classes=10):
        super().__init__()
        self.fc = nn.Linear(size * size, features)
        self.layers = nn.ModuleList(HighwayLayer(features) for _ in range(depth - 1))
        self.classify = nn.Linear(features, classes)

    def forward(self, x):
        x = self.fc(x.flatten(1)).relu()
        for layer in self.layers:
            x = layer(x)
        return self.classify(x)


class SignalBlock(nn.Module):
    """The basic block of He et al. 2016 on a signal: two convolutions along the one axis."""

    def __init__(self, channels, filters, stride, kernel):
        super().__init__()
        self.conv1 = nn.Conv1d(channels, filters, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm1d(filters)
        self.conv2 = nn.Conv1d(filters, filters, kernel, 1, kernel // 2, bias=False)
        self.bn2 = nn.BatchNorm1d(filters)
        self.downsample = None
        if stride > 1 or channels != filters:
            self.downsample = nn.Sequential(nn.Conv1d(channels, filters, 1, stride, bias=False), nn.BatchNorm1d(filters))

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return ((x if self.downsample is None else self.downsample(x)) + y).relu()


class Signal(nn.Module):
    """ResNet-18 on signals."""

    def __init__(self, depths=(2, 2, 2, 2), filters=64, channels=1, kernel=7, classes=5):
        super().__init__()
        self.conv1 = nn.Conv1d(channels, filters, 15, 2, 7, bias=False)
        self.bn1 = nn.BatchNorm1d(filters)
        self.maxpool = nn.MaxPool1d(3, 2, 1)
        width = filters
        for stage, depth in enumerate(depths):
            blocks = []
            for i in range(depth):
                blocks.append(SignalBlock(width, filters << stage, 2 if stage > 0 and i == 0 else 1, kernel))
                width = filters << stage
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(width, classes)

    def forward(self, x):
        x = self.maxpool(self.bn1(self.conv1(x)).relu())
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean(2))


class Crepe(nn.Module):
    """Kim et al. 2018, "CREPE": six convolutions along a signal that is a map of width 1, with torchcrepe's names and order of layers."""

    def __init__(self, width=64, pitches=360):
        super().__init__()
        channels = 1
        for n, filters in enumerate((2 * width, width // 4, width // 4, width // 4, width // 2, width), 1):
            kernel, stride = ((512, 1), (4, 1)) if n == 1 else ((64, 1), (1, 1))
            setattr(self, f"conv{n}", nn.Conv2d(channels, filters, kernel, stride))
            setattr(self, f"conv{n}_BN", nn.BatchNorm2d(filters, eps=0.001, momentum=0.0))
            channels = filters
        self.classifier = nn.Linear(4 * width, pitches)

    def forward(self, x):
        for n in range(1, 7):
            x = nn.functional.pad(x, (0, 0, 254, 254) if n == 1 else (0, 0, 31, 32))
            x = getattr(self, f"conv{n}_BN")(getattr(self, f"conv{n}")(x).relu())
            x = nn.functional.max_pool2d(x, (2, 1))
        return self.classifier(x.transpose(1, 2).flatten(1)).sigmoid()


class DoubleConv(nn.Module):
    """Two 3x3 convolutions with their norms."""

    def __init__(self, channels, filters, middle=None):
        super().__init__()
        middle = middle or filters
        self.double_conv = nn.Sequential(
            nn.Conv2d(channels, middle, 3, padding=1, bias=False), nn.BatchNorm2d(middle), nn.ReLU(inplace=True),
            nn.Conv2d(middle, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU(inplace=True),
        )

    def forward(self, x):
        return self.double_conv(x)


class UNet(nn.Module):
    """Ronneberger et al. 2015, "U-Net", with the names of `milesial/Pytorch-UNet` (`bilinear=True`)."""

    def __init__(self, classes=2, filters=64):
        super().__init__()
        widths = [filters, filters * 2, filters * 4, filters * 8, filters * 8]
        self.inc = DoubleConv(3, filters)
        for n in range(1, 5):
            level = nn.Module()
            level.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(widths[n - 1], widths[n]))
            setattr(self, f"down{n}", level)
        for n, result in enumerate((filters * 4, filters * 2, filters, filters), 1):
            level = nn.Module()
            channels = widths[4 - n] * 2
            level.conv = DoubleConv(channels, result, channels // 2)
            setattr(self, f"up{n}", level)
        self.outc = nn.Module()
        self.outc.conv = nn.Conv2d(filters, classes, 1)

    def forward(self, x):
        levels = [self.inc(x)]
        for n in range(1, 5):
            levels.append(getattr(self, f"down{n}").maxpool_conv(levels[-1]))
        y = levels.pop()
        for n in range(1, 5):
            skip = levels.pop()
            y = nn.functional.interpolate(y, size=skip.shape[2:], mode="bilinear", align_corners=True)
            y = getattr(self, f"up{n}").conv(torch.cat([skip, y], 1))
        return self.outc.conv(y)
