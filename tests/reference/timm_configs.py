"""How timm prepares images for the published weights of its convolutional networks, for `resnetc import --preprocess timm:NAME`.

usage: timm_configs.py table [FILE]          writes src/data/timm.txt
       timm_configs.py sizes                 checks the sizes that resnetc computes against timm's transforms (tests/fixtures/preprocess/timm.txt)

Networks with attention over patches are left out, as resnetc has no layers for them.
"""
import collections
import pathlib
import sys

import timm
from timm.data import create_transform, resolve_data_config
from timm.models import _registry

MODULES = """byobnet convmixer convnext cspnet cspnext densenet dla dpn edgenext efficientnet fasternet ghostnet hardcorenas hgnet hrnet
inception_next inception_resnet_v2 inception_v3 inception_v4 lcnetv2 metaformer mobilenetv3 nasnet nfnet pnasnet rdnet regnet repghost
repvit res2net resnest resnet resnetv2 rexnet selecsls senet shvit sknet starnet tresnet vgg vovnet xception xception_aligned""".split()


def numbers(values):
    return ",".join(f"{value:g}" if len(f"{value:g}") < 6 else repr(value) for value in values)


def row(name):
    config = timm.get_pretrained_cfg(name)
    test = config.test_input_size or config.input_size
    sizes = [config.input_size[1], test[1]]
    assert config.input_size[1] == config.input_size[2] and test[1] == test[2], name
    pct = config.crop_pct or 0.875
    return (*sizes, pct, config.test_crop_pct or pct, config.crop_mode or "center", config.interpolation, numbers(config.mean), numbers(config.std))


def networks():
    """Names of weights, and each network's own name for its default ones."""
    for name in timm.list_models(pretrained=True):
        network = name.split(".")[0]
        if _registry._model_to_module[network] not in MODULES or timm.get_pretrained_cfg(name).input_size[0] != 3:
            continue
        yield name, row(name)
        if timm.get_pretrained_cfg(network) is not None and timm.get_pretrained_cfg(network).tag == name.partition(".")[2] and "." in name:
            yield network, row(network)


def table():
    groups = collections.defaultdict(list)
    for name, config in networks():
        if config[4] != "border":
            groups[config].append(name)
    lines = [f"# timm {timm.__version__} (Apache-2.0), by tests/reference/timm_configs.py: input size, that of evaluation, the crop's share of the\n"
             "# resized image at either, crop mode, interpolation, mean, std: the weights that are prepared so\n"]
    for config in sorted(groups, key=lambda config: [str(part) for part in config]):
        lines.append(f"{' '.join(map(str, config))}: {' '.join(sorted(groups[config]))}\n")
    return "".join(lines)


def sizes():
    """Weights, the size of the input, and the size that timm resizes to; every 20th, at its size in training and in evaluation."""
    out = []
    for name, config in list(networks())[::20]:
        for size, is_test in {config[0]: False, config[1]: True}.items():
            resolved = resolve_data_config({}, pretrained_cfg=timm.get_pretrained_cfg(name).to_dict(), use_test_size=is_test)
            if resolved["crop_mode"] == "center":
                out.append(f"{name} {size} {create_transform(**resolved).transforms[0].size}\n")
    return "".join(dict.fromkeys(out))


if __name__ == "__main__":
    what, *rest = sys.argv[1:] or [""]
    if what == "table":
        pathlib.Path(rest[0] if rest else "src/data/timm.txt").write_text(table())
    elif what == "sizes":
        pathlib.Path(rest[0] if rest else "tests/fixtures/preprocess/timm.txt").write_text(sizes())
    else:
        sys.exit(__doc__)
