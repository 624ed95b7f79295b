"""What PyTorch computes, in float64, for statements that resample and convolve: `tests/fixtures/convolutions.txt`.

    python tests/reference/convolutions.py > tests/fixtures/convolutions.txt

Each case has three lines: the statement; the sizes of the input; the sizes and the values of the result. The values of the input and
of parameters follow from their positions (`fill`), so that `tests/runtime/convolutions.rs` makes the same ones.
"""

import torch
import torch.nn.functional as F
from timm.layers import ScaledStdConv2d, StdConv2d

torch.set_default_dtype(torch.float64)


def fill(sizes, seed):
    """Multiples of 1/8 from -2 to 2."""
    count = torch.Size(sizes).numel()
    return (((torch.arange(count) * 7919 + seed * 104729) % 33 - 16) / 8).reshape(sizes)


def case(statement, sizes, compute):
    x = fill([1, *sizes], 1)
    y = compute(x)
    print(statement)
    print(" x ".join(map(str, sizes)))
    print(" x ".join(map(str, y.shape[1:])) + ":", " ".join(f"{v:.9g}" for v in y.flatten().tolist()))


def parameter(sizes, number=0):
    """The values of the network's parameter of this number."""
    return fill(sizes, number + 2)


def channel_conv(kernel, sizes):
    def compute(x):
        y = F.conv1d(x.flatten(1).unsqueeze(1), parameter([1, 1, kernel]), padding=kernel // 2)
        return y.reshape(x.shape)

    case(f"channel_conv {kernel}", sizes, compute)


def standardized(gain, layer):
    """A convolution of timm with standardized weights."""
    layer = layer.double()
    for number, (_, values) in enumerate(sorted(layer.named_parameters(), key=lambda p: ["weight", "bias", "gain"].index(p[0]))):
        values.data = parameter(values.shape, number)
    arguments = "3x3, filters: 6, stride: 2, groups: 2, bias: true, standardize: 1e-3"
    case(f"conv {arguments}{gain}", (4, 7, 6), lambda x: layer(x).detach())


def upsample(arguments, sizes=(2, 3, 4), **options):
    case(f"upsample {arguments}", sizes, lambda x: F.interpolate(x, **options))


upsample("bilinear, scale_factor: 2", mode="bilinear", scale_factor=2)
upsample("bilinear, scale_factor: 1.7", mode="bilinear", scale_factor=1.7)
upsample("bilinear, scale_factor: [1.7, 2.6], align_corners: true", mode="bilinear", scale_factor=(1.7, 2.6), align_corners=True)
upsample("bilinear, scale_factor: 0.6", mode="bilinear", scale_factor=0.6)
upsample("bilinear, size: 5x6", mode="bilinear", size=(5, 6))
upsample("bilinear, size: 5x6, align_corners: true", mode="bilinear", size=(5, 6), align_corners=True)
upsample("bilinear, size: 2x1", mode="bilinear", size=(2, 1))
upsample("bilinear, size: 2x1, align_corners: true", mode="bilinear", size=(2, 1), align_corners=True)
upsample("bicubic, scale_factor: 1.7", mode="bicubic", scale_factor=1.7)
upsample("bicubic, size: 5x3", mode="bicubic", size=(5, 3))
upsample("bicubic, size: 5x3, align_corners: true", mode="bicubic", size=(5, 3), align_corners=True)
upsample("nearest, scale_factor: 1.7", mode="nearest", scale_factor=1.7)
upsample("nearest, scale_factor: [0.6, 2.6]", mode="nearest", scale_factor=(0.6, 2.6))
upsample("nearest, size: 5x6", mode="nearest", size=(5, 6))
upsample("bilinear, scale_factor: 1.5", sizes=(2, 5), mode="linear", scale_factor=1.5)
upsample("bilinear, size: 7, align_corners: true", sizes=(2, 5), mode="linear", size=7, align_corners=True)

def conv_transpose(arguments, sizes, filters, kernel, bias=False, groups=1, **options):
    compute = F.conv_transpose1d if len(sizes) == 2 else F.conv_transpose2d
    weight = parameter([sizes[0], filters // groups, *kernel])
    bias = parameter([filters], 1) if bias else None
    statement = f"conv_transpose {arguments}"
    case(statement, sizes, lambda x: compute(x, weight, bias, groups=groups, **options))


channel_conv(3, (8, 1, 1))
channel_conv(5, (7, 1, 1))
channel_conv(7, (19,))
channel_conv(9, (2, 1))
channel_conv(1, (5,))

how = dict(stride=2, padding=1, groups=2, bias=True, eps=1e-3)
standardized("", StdConv2d(4, 6, 3, **how))
standardized(", gain: 1.7", ScaledStdConv2d(4, 6, 3, gamma=1.7, **how))

for number, options in [(5, {}), (3, dict(alpha=0.5, beta=0.6, k=2.0)), (4, dict(alpha=0.9)), (1, dict(alpha=0.3))]:
    arguments = "".join(f", {name}: {value}" for name, value in options.items())
    case(f"local_response_norm {number}{arguments}", (6, 3, 4), torch.nn.LocalResponseNorm(number, **options))

conv_transpose("2x2, filters: 3, stride: 2", (4, 3, 5), 3, [2, 2], stride=2)
conv_transpose("3x3, filters: 6, stride: 2, padding: 1, output_padding: 1, bias: true", (4, 3, 4), 6, [3, 3], True, stride=2, padding=1, output_padding=1)
conv_transpose("3x2, filters: 6, stride: 2x3, groups: 2, bias: true", (4, 3, 2), 6, [3, 2], True, 2, stride=(2, 3))
conv_transpose("3x3, filters: 4, padding: 1, groups: 4", (4, 4, 4), 4, [3, 3], groups=4, padding=1)
conv_transpose("1x1, filters: 3, stride: 2, output_padding: 1, bias: true", (2, 3, 2), 3, [1, 1], True, stride=2, output_padding=1)
conv_transpose("1x1, filters: 3, stride: 3", (2, 3, 2), 3, [1, 1], stride=3)
conv_transpose("2x3, filters: 3, stride: 2, padding: 2x3", (2, 4, 5), 3, [2, 3], stride=2, padding=(2, 3))
conv_transpose("2x3, filters: 2, stride: 1x2, dilation: 3, output_padding: 2", (3, 3, 2), 2, [2, 3], stride=(1, 2), dilation=3, output_padding=2)
conv_transpose("2, filters: 3, stride: 2, bias: true", (4, 5), 3, [2], True, stride=2)
conv_transpose("1x1, filters: 3, stride: 2, dilation: 3, output_padding: 2", (3, 4, 4), 3, [1, 1], stride=2, dilation=3, output_padding=2)
