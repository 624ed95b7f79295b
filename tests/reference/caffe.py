"""Networks of Caffe, computed by PyTorch in float64 from their `.prototxt`: what `resnetc import` must agree with.

usage: caffe.py fixtures                     writes tests/fixtures/caffe/*.caffemodel, *.x.npy and *.y.npy
       caffe.py check RESNETC FILE.prototxt  imports the file with random weights, and compares the outputs on random inputs

The text is read by `google.protobuf`, and the weights are written by it, both from a part of BVLC's caffe.proto that this script
declares. What the layers compute follows src/caffe/layers/*.cpp; a pool is the loop of pooling_layer.cpp.
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "fixtures/caffe"

# message: field, number, type; a star repeats, a plus packs. From caffe.proto.
PROTO = """
BlobShape: dim 1 int64+
BlobProto: num 1 int32, channels 2 int32, height 3 int32, width 4 int32, data 5 float+, diff 6 float+, shape 7 BlobShape,
    double_data 8 double+
FillerParameter: type 1 string, value 2 float, std 6 float
ParamSpec: name 1 string, lr_mult 3 float, decay_mult 4 float
NetStateRule: phase 1 string
TransformationParameter: scale 1 float, mirror 2 bool, crop_size 3 uint32, mean_file 4 string, mean_value 5 float*
BatchNormParameter: use_global_stats 1 bool, moving_average_fraction 2 float, eps 3 float
ConcatParameter: axis 2 int32, concat_dim 1 uint32
ConvolutionParameter: num_output 1 uint32, bias_term 2 bool, pad 3 uint32*, kernel_size 4 uint32*, stride 6 uint32*,
    dilation 18 uint32*, pad_h 9 uint32, pad_w 10 uint32, kernel_h 11 uint32, kernel_w 12 uint32, stride_h 13 uint32,
    stride_w 14 uint32, group 5 uint32, weight_filler 7 FillerParameter, bias_filler 8 FillerParameter, axis 16 int32
DropoutParameter: dropout_ratio 1 float
EltwiseParameter: operation 1 string, coeff 2 float*
InnerProductParameter: num_output 1 uint32, bias_term 2 bool, weight_filler 3 FillerParameter, bias_filler 4 FillerParameter
InputParameter: shape 1 BlobShape*
LRNParameter: local_size 1 uint32, alpha 2 float, beta 3 float, norm_region 4 string, k 5 float
PoolingParameter: pool 1 string, kernel_size 2 uint32, stride 3 uint32, pad 4 uint32, kernel_h 5 uint32, kernel_w 6 uint32,
    stride_h 7 uint32, stride_w 8 uint32, pad_h 9 uint32, pad_w 10 uint32, global_pooling 12 bool
PowerParameter: power 1 float, scale 2 float, shift 3 float
PReLUParameter: channel_shared 2 bool
ReLUParameter: negative_slope 1 float
ScaleParameter: axis 1 int32, num_axes 2 int32, filler 3 FillerParameter, bias_term 4 bool, bias_filler 5 FillerParameter
SliceParameter: slice_dim 1 uint32, slice_point 2 uint32*, axis 3 int32
LayerParameter: name 1 string, type 2 string, bottom 3 string*, top 4 string*, loss_weight 5 float*, param 6 ParamSpec*,
    blobs 7 BlobProto*, include 8 NetStateRule*, exclude 9 NetStateRule*, transform_param 100 TransformationParameter,
    batch_norm_param 139 BatchNormParameter, concat_param 104 ConcatParameter, convolution_param 106 ConvolutionParameter,
    dropout_param 108 DropoutParameter, eltwise_param 110 EltwiseParameter, inner_product_param 117 InnerProductParameter,
    input_param 143 InputParameter, lrn_param 118 LRNParameter, pooling_param 121 PoolingParameter, power_param 122 PowerParameter,
    relu_param 123 ReLUParameter, prelu_param 131 PReLUParameter, scale_param 142 ScaleParameter, slice_param 126 SliceParameter
V1LayerParameter: bottom 2 string*, top 3 string*, name 4 string, type 5 string, blobs 6 BlobProto*, blobs_lr 7 float*,
    weight_decay 8 float*, concat_param 9 ConcatParameter, convolution_param 10 ConvolutionParameter,
    dropout_param 12 DropoutParameter, inner_product_param 17 InnerProductParameter, lrn_param 18 LRNParameter, pooling_param 19 PoolingParameter,
    relu_param 30 ReLUParameter
NetParameter: name 1 string, layers 2 V1LayerParameter*, input 3 string*, input_dim 4 int32*, input_shape 8 BlobShape*,
    layer 100 LayerParameter*
"""
# enumerations are texts here: only their numbers differ on the wire, and weights have none
ENUMERATIONS = ("phase", "pool", "operation", "norm_region")
FORMER = {"CONVOLUTION": "Convolution", "RELU": "ReLU", "POOLING": "Pooling", "INNER_PRODUCT": "InnerProduct", "SOFTMAX": "Softmax",
          "DROPOUT": "Dropout", "CONCAT": "Concat", "LRN": "LRN"}


def messages():
    """The classes of the messages above."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    kinds = descriptor_pb2.FieldDescriptorProto
    for line in PROTO.replace("\n    ", " ").strip().splitlines():
        name, fields = line.split(": ", 1)
        message = file.message_type.add(name=name)
        for field in fields.split(","):
            key, number, kind = field.split()
            repeats = kind[-1] in "*+"
            new = message.field.add(name=key, number=int(number))
            new.label = kinds.LABEL_REPEATED if repeats else kinds.LABEL_OPTIONAL
            new.options.packed = kind.endswith("+")
            kind = kind.rstrip("*+")
            if kind[0].isupper():
                new.type, new.type_name = kinds.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                new.type = getattr(kinds, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}"))


NEW = messages()


def network(text):
    """A text as a NetParameter, with enumerations as texts."""
    import re
    for word in (*ENUMERATIONS, "type"):
        text = re.sub(rf"\b{word}\s*:\s*([A-Z_0-9]+)\b", rf'{word}: "\1"', text)
    net = NEW("NetParameter")()
    text_format.Parse(text, net)
    return net


def size(param, key, short, default):
    """Height and width."""
    value = getattr(param, key)
    value = list(value) if not isinstance(value, int) else [value] if param.HasField(key) else []
    if not value:
        get = lambda end: getattr(param, short + end) if param.HasField(short + end) else default
        return get("_h"), get("_w")
    return (value[0], value[-1])


def pool(x, param):
    """The loops of pooling_layer.cpp."""
    n, c, h, w = x.shape
    maximum = (param.pool or "MAX") == "MAX"
    if param.global_pooling:
        return x.amax((2, 3), keepdim=True) if maximum else x.mean((2, 3), keepdim=True)
    (kh, kw), (sh, sw), (ph, pw) = size(param, "kernel_size", "kernel", 0), size(param, "stride", "stride", 1), size(param, "pad", "pad", 0)
    rows, columns = -(-(h + 2 * ph - kh) // sh) + 1, -(-(w + 2 * pw - kw) // sw) + 1
    if ph or pw:
        rows -= (rows - 1) * sh >= h + ph
        columns -= (columns - 1) * sw >= w + pw
    y = torch.zeros(n, c, rows, columns, dtype=x.dtype)
    for i in range(rows):
        for j in range(columns):
            top, left = i * sh - ph, j * sw - pw
            bottom, right = min(top + kh, h + ph), min(left + kw, w + pw)
            count = (bottom - top) * (right - left)
            window = x[:, :, max(top, 0):min(bottom, h), max(left, 0):min(right, w)]
            y[:, :, i, j] = window.amax((2, 3)) if maximum else window.sum((2, 3)) / count
    return y


class Run:
    """Computes a network, with weights that are drawn where they are first needed."""

    def __init__(self, net, seed, given=None):
        self.net, self.legacy = net, bool(net.layers)
        self.given = {name: list(tensors) for name, tensors in (given or {}).items()}
        self.random = np.random.default_rng(seed)
        self.blobs, self.weights = {}, {}

    def weight(self, name, *shape, low=None, high=None):
        fan = int(np.prod(shape[1:])) or 1
        values = self.random.uniform(low, high, shape) if low is not None else self.random.normal(0, (2 / fan) ** 0.5, shape)
        return self.keep(name, values)

    def keep(self, name, values):
        values = self.given[name].pop(0) if self.given else values.astype(np.float32)
        self.weights.setdefault(name, []).append(values)
        return torch.from_numpy(values).to(self.type)

    def layer(self, layer, kind, x):
        name, first = layer.name, x[0] if x else None
        if kind in ("Convolution", "InnerProduct"):
            param = layer.convolution_param if kind == "Convolution" else layer.inner_product_param
            bias = not param.HasField("bias_term") or param.bias_term
            count = param.num_output
            if kind == "InnerProduct":
                first = first.flatten(1)
                weight = self.weight(name, count, first.shape[1])
                return F.linear(first, weight, self.weight(name, count, low=-0.2, high=0.2) if bias else None)
            groups = param.group or 1
            weight = self.weight(name, count, first.shape[1] // groups, *size(param, "kernel_size", "kernel", 0))
            bias = self.weight(name, count, low=-0.2, high=0.2) if bias else None
            pair = lambda key, default: size(param, key, key, default)
            dilation = (list(param.dilation) or [1])[0]
            return F.conv2d(first, weight, bias, pair("stride", 1), pair("pad", 0), dilation, groups)
        if kind == "BatchNorm":
            c, eps = first.shape[1], layer.batch_norm_param.eps if layer.batch_norm_param.HasField("eps") else 1e-5
            # near those of the data, so that values neither grow nor vanish in a deep network
            axes, factor = [axis for axis in range(first.dim()) if axis != 1], 350
            near = lambda value: self.keep(name, value.numpy() * factor * self.random.uniform(0.8, 1.2, c))
            mean, variance = near(first.mean(axes)), near(first.var(axes))
            factor = self.keep(name, np.array([factor]))
            view = lambda v: (v / factor).view(1, -1, *[1] * (first.dim() - 2))
            return (first - view(mean)) / torch.sqrt(view(variance) + eps)
        if kind == "Scale":
            view = lambda v: v.view(1, -1, *[1] * (first.dim() - 2))
            y = first * view(self.weight(name, first.shape[1], low=0.5, high=1.5))
            return y + view(self.weight(name, first.shape[1], low=-0.3, high=0.3)) if layer.scale_param.bias_term else y
        if kind == "PReLU":
            count = 1 if layer.prelu_param.channel_shared else first.shape[1]
            return F.prelu(first, self.weight(name, count, low=0, high=0.5))
        if kind == "Eltwise":
            operation, coefficients = layer.eltwise_param.operation or "SUM", list(layer.eltwise_param.coeff) or [1] * len(x)
            if operation == "SUM":
                return sum(c * value for c, value in zip(coefficients, x))
            result = x[0]
            for value in x[1:]:
                result = result * value if operation == "PROD" else torch.maximum(result, value)
            return result
        if kind == "LRN":
            p = layer.lrn_param
            get = lambda key, default: getattr(p, key) if p.HasField(key) else default
            count, alpha, beta = get("local_size", 5), get("alpha", 1), get("beta", 0.75)
            if p.norm_region == "WITHIN_CHANNEL":
                return first * (1 + alpha * F.avg_pool2d(first * first, count, 1, count // 2)) ** -beta
            return F.local_response_norm(first, count, alpha, beta, get("k", 1))
        if kind == "Power":
            p = layer.power_param
            get = lambda key, default: getattr(p, key) if p.HasField(key) else default
            return (get("shift", 0) + get("scale", 1) * first) ** get("power", 1)
        return {
            "ReLU": lambda: F.leaky_relu(first, layer.relu_param.negative_slope),
            "Pooling": lambda: pool(first, layer.pooling_param),
            "Softmax": lambda: F.softmax(first, 1),
            "Concat": lambda: torch.cat(x, 1),
            "Dropout": lambda: first,
            "Flatten": lambda: first.flatten(1),
            "Sigmoid": lambda: torch.sigmoid(first),
            "TanH": lambda: torch.tanh(first),
        }[kind]()

    def run(self, x):
        """The main output, for this input and in its precision."""
        self.type = x.dtype
        net = self.net
        layers = list(net.layer) or list(net.layers)
        self.blobs = {net.input[0]: x} if net.input else {}
        for layer in layers:
            kind = FORMER.get(layer.type, layer.type)
            if any(rule.phase == "TRAIN" for rule in getattr(layer, "include", ())) or kind in ("Accuracy", "SoftmaxWithLoss"):
                continue
            if kind == "Input":
                self.blobs[layer.top[0]] = x
                continue
            if kind == "Slice":
                parts = self.blobs[layer.bottom[0]].tensor_split(list(layer.slice_param.slice_point) or len(layer.top), 1)
                self.blobs.update(zip(layer.top, parts))
            else:
                self.blobs[layer.top[0]] = self.layer(layer, kind, [self.blobs[name] for name in layer.bottom])
            last = layer.top[0]
        return self.blobs[last]

    def model(self):
        """The weights as a `.caffemodel`."""
        model = NEW("NetParameter")(name=self.net.name)
        for name, tensors in self.weights.items():
            layer = (model.layers if self.legacy else model.layer).add(name=name)
            for values in tensors:
                blob = layer.blobs.add()
                if self.legacy:
                    blob.num, blob.channels, blob.height, blob.width = (1,) * (4 - values.ndim) + values.shape
                else:
                    blob.shape.dim.extend(values.shape)
                blob.data.extend(values.ravel().tolist())
        return model.SerializeToString()


def input_size(net):
    if net.input:
        return list(net.input_shape[0].dim) if net.input_shape else list(net.input_dim[:4])
    return list(next(layer for layer in net.layer if layer.type == "Input").input_param.shape[0].dim)


def computed(text, seed):
    net = network(text)
    run = Run(net, seed)
    x = torch.from_numpy(np.random.default_rng(seed + 1).normal(0, 1, [2, *input_size(net)[1:]]).astype(np.float32))
    with torch.no_grad():
        y = run.run(x.double())
        single = Run(net, seed, run.weights).run(x)
    return x.numpy(), y.float().numpy(), single.numpy(), run.model()


def fixtures():
    for seed, path in enumerate(sorted(FOLDER.glob("*.prototxt"))):
        x, y, _, model = computed(path.read_text(), seed)
        path.with_suffix(".caffemodel").write_bytes(model)
        np.save(path.with_suffix(".x.npy"), x)
        np.save(path.with_suffix(".y.npy"), y)
        print(path.name, x.shape, y.shape, f"{len(model)} bytes of weights, standard deviation of the output {y.std():.3g}")


def check(resnetc, path):
    x, y, single, model = computed(pathlib.Path(path).read_text(), 7)
    with tempfile.TemporaryDirectory() as folder:
        at = lambda name: f"{folder}/{name}"
        pathlib.Path(at("net.caffemodel")).write_bytes(model)
        np.save(at("x.npy"), x)
        run = lambda *args: subprocess.run([resnetc, *args], check=True)
        run("import", path, "--weights", at("net.caffemodel"), "-o", at("net.resnet"), "--weights-out", at("net.safetensors"))
        run("check", at("net.resnet"))
        run("run", at("net.resnet"), "--input", at("x.npy"), "--output", at("y.npy"))
        ours = np.load(at("y.npy")).reshape(y.shape)
        source = pathlib.Path(at("net.resnet")).read_text()
    far = lambda a: f"{np.abs(a - y).max() / y.std():.2e}"
    print(f"{source.count(chr(10))} lines, {source.count(' stage ')} stages; largest difference {far(ours)} of the outputs' "
          f"standard deviation (PyTorch in float32: {far(single)})")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["fixtures"]:
            fixtures()
        case ["check", resnetc, path]:
            check(resnetc, path)
        case _:
            sys.exit(__doc__)
