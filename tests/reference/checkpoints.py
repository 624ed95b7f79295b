"""Makes tests/fixtures/checkpoints: what the usual training scripts save, in their layout and with their classes.

usage: checkpoints.py [DIR]      (DIR: tests/fixtures/checkpoints)

Classes of other libraries (omegaconf, MMEngine, Lightning) are defined here under the same names: a pickle has only the names.
"""
import argparse
import collections
import enum
import pathlib
import sys
import types

import numpy as np
import torch

SEED = 0


def module(name, **contents):
    """A module of this name with these classes, which pickles as if they were defined there."""
    made = types.ModuleType(name)
    for key, value in contents.items():
        value.__module__ = name
        value.__qualname__ = key
        setattr(made, key, value)
    parts = name.split(".")
    for end in range(1, len(parts)):
        sys.modules.setdefault(".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
    sys.modules[name] = made
    return made


class AttributeDict(dict):
    pass


class DictConfig:
    def __init__(self, content):
        self._content = content
        self._metadata = ContainerMetadata()

    def __getstate__(self):
        return {"_metadata": self._metadata, "_parent": self, "_content": self._content}


class ContainerMetadata:
    def __init__(self):
        self.key_type = str
        self.optional = True


class HistoryBuffer:
    def __init__(self):
        self._log_history = np.arange(3.0)
        self._count_history = np.arange(3)


class State(collections.OrderedDict):
    """A state dict of a class of its own."""


class Phase(enum.Enum):
    TRAIN = 1


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(4)
        self.fc = torch.nn.Linear(4, 3)
        self.register_buffer("scratch", torch.zeros(2), persistent=False)
        self.callback = None

    def forward(self, x):
        return self.fc(torch.relu(self.bn1(self.conv1(x))).mean((2, 3)))


module("lightning.fabric.utilities.data", AttributeDict=AttributeDict)
module("omegaconf.dictconfig", DictConfig=DictConfig)
module("omegaconf.base", ContainerMetadata=ContainerMetadata)
module("mmengine.logging.history_buffer", HistoryBuffer=HistoryBuffer)
module("project.states", State=State, Phase=Phase)
module("project.nets", Net=Net)


def prefixed(state, prefix):
    return collections.OrderedDict((prefix + name, tensor) for name, tensor in state.items())


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/fixtures/checkpoints")
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    net, average = Net().eval(), Net().eval()
    state, ema = net.state_dict(), average.state_dict()
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.randn(1, 3, 4, 4)).sum().backward()
    optimizer.step()
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    optimizer = optimizer.state_dict()
    args = argparse.Namespace(lr=0.1, output=pathlib.PurePosixPath("runs/1"), mean=np.float64(0.5), size=np.int64(3), mixup={1, 2},
                              dtype=np.dtype("float32"), groups=collections.defaultdict(list, a=[1]), phase=Phase.TRAIN,
                              crop=np.array([1, 2]), torch_dtype=torch.float16, scale=slice(1, 2), kernel=range(3))

    torch.save({"epoch": 3, "arch": "net", "state_dict": state, "optimizer": optimizer, "version": 2, "args": args,
                "amp_scaler": {"scale": 65536.0}, "state_dict_ema": ema, "metric": np.float64(71.5)}, out / "timm.pth.tar")
    torch.save({"model": state, "optimizer": optimizer, "lr_scheduler": {"last_epoch": 3}, "epoch": 3, "args": args,
                "model_ema": {"n_averaged": torch.tensor(7), **prefixed(ema, "module.")}}, out / "torchvision.pth")
    config = DictConfig({"optimizer": DictConfig({"lr": 0.1})})
    callbacks = {"ModelCheckpoint{'monitor': 'loss'}": {"best_model_score": torch.tensor(0.5), "dirpath": pathlib.PurePosixPath("a")}}
    torch.save({"epoch": 3, "global_step": 40, "pytorch-lightning_version": "2.4.0",
                "state_dict": {**prefixed(state, "model."), "criterion.weight": torch.ones(3)}, "loops": {"fit_loop": {"state_dict": {}}},
                "callbacks": callbacks, "optimizer_states": [optimizer], "lr_schedulers": [], "hparams_name": "kwargs",
                "hyper_parameters": AttributeDict(config=config)}, out / "lightning.ckpt")
    torch.save({"meta": {"cfg": "model = dict()", "seed": np.random.get_state(legacy=True)[1][:2], "hook": HistoryBuffer()},
                "state_dict": {**prefixed({k: v for k, v in state.items() if not k.startswith("fc")}, "backbone."),
                               **{k: v for k, v in state.items() if k.startswith("fc")}},
                "message_hub": {"log_scalars": collections.OrderedDict(loss=HistoryBuffer()), "runtime_info": collections.OrderedDict()},
                "ema_state_dict": prefixed(ema, "module.")}, out / "mmengine.pth")
    torch.save({"module": state, "buffer_names": ["bn1.running_mean"], "optimizer": None, "param_shapes": [
        collections.OrderedDict(weight=torch.Size([4, 3, 3, 3]))], "ds_config": config, "ds_version": "0.15", "global_steps": 40},
        out / "mp_rank_00_model_states.pt")
    torch.save({"state": {"model": prefixed(state, "module."), "optimizers": {"AdamW": optimizer}, "run_name": "1",
                          "callbacks": [("Monitor", {})], "metadata": {"versions": {}}},
                "rng": [{"python": (3, (1, 2), None), "numpy": np.random.get_state(legacy=True)[:2], "torch": torch.zeros(4, dtype=torch.uint8)}]},
               out / "composer.pt")
    momentum = {f"module.encoder_{side}.{name}": tensor for side, of in (("q", state), ("k", ema)) for name, tensor in of.items()}
    torch.save({"state_dict": {**momentum, "module.queue": torch.zeros(4, 8)}, "arch": "net"}, out / "moco.pth.tar")
    torch.save({"student": State(state), "teacher": State(ema), "epoch": 1}, out / "dino.pth")
    torch.save(net, out / "module.pt")
    torch.save({"epoch": -1, "model": None, "ema": net.half(), "date": "today"}, out / "yolo.pt")


if __name__ == "__main__":
    main()
