"""ONNX files of resnetc in ONNX Runtime and OpenVINO, and of PyTorch in resnetc.

usage: onnx_peers.py export [RESNETC [MODELS...]]   for each network of models/*.resnet and of onnx_operators.resnet (or the files
                                                    named; FILE:NETWORK,NETWORK for some of one): `resnetc export onnx`, folded and
                                                    not, opset 17 and the newest; onnx.checker, then ONNX Runtime and OpenVINO against
                                                    `resnetc run`
       onnx_peers.py import [RESNETC [NAMES...]]    torchvision's networks by torch.onnx.export, dynamo=False and True: `resnetc import`,
                                                    then `resnetc run` against PyTorch

RESNETC is target/release/resnetc where it is not named. Differences are shown over the standard deviation of the outputs; 1e-3 and more
is an error. Weights are random; those of torchvision's networks with norms that have run (`fixtures.randomize_norms`).
"""
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import onnx
import onnxruntime
import openvino
from safetensors.numpy import save_file

warnings.filterwarnings("ignore")
ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 1e-3
NEWEST = 28
TORCHVISION = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "vgg19_bn", "googlenet", "densenet121", "resnext50_32x4d"]


def resnetc(command, *arguments):
    done = subprocess.run([command, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, arguments))}: {done.stderr}")
    return done.stdout


def far(found, expected):
    return float(np.abs(found - expected).max() / expected.std())


def peers(path, x):
    """The first output by ONNX Runtime and by OpenVINO, both with one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    yield "onnxruntime", session.run(None, {"input": x})[0]
    config = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(path), "CPU", config)
    yield "openvino", next(iter(compiled([x]).values()))


def networks(command, source):
    """Names of a file's networks that can be compiled as they are."""
    return re.findall(r"^  (\w+): \d+ layers", resnetc(command, "check", source), re.M)


def sizes(model):
    dims = model.graph.input[0].type.tensor_type.shape.dim
    return [d.dim_value or default for d, default in zip(dims, [1, 3, 67, 75])]


def draw(command, common, folder):
    """Weights as PyTorch draws them, within 1 / sqrt(fan-in), and norms that have run. He's would let a network without shortcuts magnify each
    rounding by a fifth a layer: ONNX Runtime and OpenVINO then differ by 6 % at the end of plain110."""
    path = folder / "init.onnx"
    resnetc(command, "export", "onnx", *common, "--weights", "init:1", "-o", path)
    random, tensors = np.random.default_rng(1), {}
    model = onnx.load(path)
    used = {name for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose", "Gemm", "BatchNormalization") for name in node.input[1:]}
    for tensor in model.graph.initializer:
        if tensor.name not in used:
            continue
        shape, kind = tuple(tensor.dims), tensor.name.rsplit(".", 1)[-1]
        bound = 1 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.1
        low, high = (0.5, 1.5) if kind == "running_var" or (kind == "weight" and len(shape) == 1) else (-bound, bound)
        tensors[tensor.name] = random.uniform(low, high, shape).astype(np.float32)
    path.unlink()
    save_file(tensors, folder / "w.safetensors")
    return folder / "w.safetensors"


def export(command, sources):
    worst, count = 0.0, 0
    for source in sources or [ROOT / "tests/reference/onnx_operators.resnet", *sorted((ROOT / "models").glob("*.resnet"))]:
        source, _, chosen = str(source).partition(":")
        for number, name in enumerate(chosen.split(",") if chosen else networks(command, source)):
            with tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                common = [source, "--network", name]
                common += ["--weights", draw(command, common, folder)]
                answer = None
                forms = [["--opset", 17], ["--opset", 17, "--fold"], ["--opset", NEWEST]]
                # once a file
                forms += [["--opset", 17, "--external-data"]] if number == 0 else []
                for form in forms:
                    path = folder / "net.onnx"
                    resnetc(command, "export", "onnx", *common, *form, "-o", path)
                    onnx.checker.check_model(str(path), full_check=True)
                    if form == ["--opset", NEWEST]:
                        continue
                    model = onnx.load(path, load_external_data=False)
                    x = np.random.default_rng(0).standard_normal(sizes(model), dtype=np.float32)
                    if answer is None:
                        np.save(folder / "x.npy", x)
                        resnetc(command, "run", *common, "--input", folder / "x.npy", "--output", folder / "y.npy", "--threads", 1)
                        answer = np.load(folder / "y.npy")
                    for peer, found in peers(path, x):
                        difference = far(found, answer)
                        worst, count = max(worst, difference), count + 1
                        flag = "" if difference < LIMIT else "  FAR"
                        if flag or "--fold" in form:
                            print(f"{name:24} {' '.join(map(str, form)):24} {peer:12} {difference:.1e}{flag}", flush=True)
    print(f"{count} comparisons, the largest difference {worst:.1e} of the outputs' deviation")
    return worst


def imported(command, names):
    import torch
    import torchvision
    from fixtures import randomize_norms

    torch.set_num_threads(1)
    worst = 0.0
    for name in names or TORCHVISION:
        torch.manual_seed(1)
        extra = {"init_weights": True} if name == "googlenet" else {}
        model = getattr(torchvision.models, name)(**extra).eval()
        randomize_norms(model)
        x = torch.randn(1, 3, 224, 224)
        with torch.no_grad():
            expected = model(x).numpy()
        for dynamo in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                path = folder / f"{name}.onnx"
                named = {} if dynamo else {"input_names": ["input"], "dynamic_axes": {"input": {0: "n"}}}
                torch.onnx.export(model, (x,), str(path), dynamo=dynamo, **named, **({"verbose": False} if dynamo else {}))
                source, weights = folder / f"{name}.resnet", folder / "w.safetensors"
                said = resnetc(command, "import", path, "-o", source, "--weights-out", weights)
                np.save(folder / "x.npy", x.numpy())
                resnetc(command, "run", source, "--weights", weights, "--input", folder / "x.npy", "--output", folder / "y.npy", "--threads", 1)
                difference = far(np.load(folder / "y.npy"), expected)
                worst = max(worst, difference)
                text = source.read_text()
                stages = len(re.findall(r"^ *(?:stage|repeat) ", text, re.M))
                flag = "" if difference < LIMIT else "  FAR"
                print(f"{name:16} dynamo={dynamo!s:5} {difference:.1e}{flag}  {len(text.splitlines())} lines, {stages} stages", flush=True)
    print(f"the largest difference {worst:.1e} of the outputs' deviation")
    return worst


def main():
    if len(sys.argv) < 2 or sys.argv[1] not in ("export", "import"):
        raise SystemExit(__doc__)
    command = sys.argv[2] if len(sys.argv) > 2 else str(ROOT / "target/release/resnetc")
    run = export if sys.argv[1] == "export" else imported
    if run(command, sys.argv[3:]) >= LIMIT:
        raise SystemExit("differences are too large")


if __name__ == "__main__":
    main()
