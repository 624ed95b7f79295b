"""Checkpoints that training frameworks write, each loaded by resnetc and compared with PyTorch.

usage: frameworks.py [RESNETC [NAME...]]      (target/debug/resnetc; all frameworks that are installed)

pip install torch torchvision timm lightning omegaconf mmengine opencv-python-headless accelerate transformers fastai mosaicml
DS_BUILD_OPS=0 pip install --no-build-isolation deepspeed ninja      (its CPU communication is compiled when it is first used)

A framework trains a small network for an epoch and saves it as its users do. `resnetc run` must compute what the network does that the
framework saved, or refuse the file with the words given here.
"""
import argparse
import collections
import copy
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
from torch import nn

SOURCE = """resnet 1
network tiny {
  input 3 x 8 x 8
  conv 3x3, filters: 16 as conv1
  batchnorm as bn1
  relu
  avgpool global
  linear 3 as fc
}
"""
X = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
TOLERANCE = 1e-5


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.fc = nn.Linear(16, 3)

    def forward(self, x):
        return self.fc(torch.relu(self.bn1(self.conv1(x))).mean((2, 3)))


def net():
    torch.manual_seed(0)
    made = Net()
    made.bn1.running_mean.normal_()
    made.bn1.running_var.uniform_(0.5, 2)
    return made


def other(model, by=1.0):
    """Another network, such as an average of the first."""
    made = copy.deepcopy(model)
    with torch.no_grad():
        made.fc.bias.add_(by)
    return made


def loader():
    data = torch.utils.data.TensorDataset(torch.from_numpy(np.repeat(X, 4, 0)), torch.arange(8) % 3)
    return torch.utils.data.DataLoader(data, 4)


def loss(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def lightning(out):
    import lightning as L
    from lightning.pytorch.callbacks import EMAWeightAveraging, LearningRateMonitor, ModelCheckpoint
    from lightning.pytorch.loggers import CSVLogger

    class Module(L.LightningModule):
        def __init__(self, lr=0.1, args=None, config=None):
            super().__init__()
            self.save_hyperparameters()
            self.model = net()

        def training_step(self, batch, _):
            return loss(self.model, batch)

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), self.hparams.lr, momentum=0.9)
            return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 2)]

    args = argparse.Namespace(path=pathlib.Path("x"), size=(8, 8), kind=np.float32(2))
    config = {"a": 1}
    try:
        from omegaconf import OmegaConf
        config = OmegaConf.create({"a": {"b": [1, 2]}})
    except ImportError:
        pass
    for name, more in ("plain", []), ("average", [EMAWeightAveraging(decay=0.5)]):
        module = Module(args=args, config=config)
        saver = ModelCheckpoint(out / name, save_last=True)
        trainer = L.Trainer(max_epochs=1, accelerator="cpu", logger=CSVLogger(out / name), enable_progress_bar=False, log_every_n_steps=1,
                            enable_model_summary=False, default_root_dir=out, callbacks=[saver, LearningRateMonitor(), *more])
        trainer.fit(module, loader())
        # with the callback, the state dict is the average, which the module has after training
        yield out / name / "last.ckpt", module.model
    fabric = L.Fabric(accelerator="cpu", devices=1)
    model = fabric.setup(net())
    fabric.save(out / "fabric.ckpt", {"model": model, "step": 3})
    yield out / "fabric.ckpt", model


def mmengine(out):
    from mmengine.model import BaseModel
    from mmengine.runner import Runner

    class Model(BaseModel):
        def __init__(self):
            super().__init__()
            self.backbone = net()

        def forward(self, images, labels, mode):
            return {"loss": loss(self.backbone, (images, labels))}

    for name, hooks in ("plain", []), ("average", [dict(type="EMAHook", momentum=0.5)]):
        model = Model()
        runner = Runner(model, str(out / name), train_dataloader=loader(), train_cfg=dict(by_epoch=True, max_epochs=1),
                        optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1)),
                        param_scheduler=dict(type="CosineAnnealingLR", T_max=2, by_epoch=True),
                        default_hooks=dict(checkpoint=dict(type="CheckpointHook", interval=1)), log_level="ERROR", experiment_name=name,
                        custom_hooks=hooks)
        runner.train()
        if not hooks:
            yield out / name / "epoch_1.pth", model.backbone
            continue
        # MMEngine saves the average as the state dict, and the trained weights beside it
        average = runner._hooks[[type(hook).__name__ for hook in runner._hooks].index("EMAHook")].ema_model.module.backbone
        yield out / name / "epoch_1.pth", average
        yield f"{out / name / 'epoch_1.pth'}#ema_state_dict", model.backbone


def timm(out):
    import timm.utils

    model = net()
    ema = timm.utils.ModelEmaV3(model)
    ema.module = other(model)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    args = argparse.Namespace(model="tiny", lr=0.1, mean=(0.5,), amp_dtype=torch.float16)
    saver = timm.utils.CheckpointSaver(model, optimizer, args=args, model_ema=ema, amp_scaler=None,
                                       checkpoint_dir=str(out), recovery_dir=str(out))
    saver.save_checkpoint(0, np.float64(50.0))
    yield out / "last.pth.tar", model
    yield f"{out / 'last.pth.tar'}#state_dict_ema", ema.module


def torchvision(out):
    """As `references/classification/train.py` saves: an average by AveragedModel, the options, the optimizer, the schedule, the scaler."""
    model = net()
    average = torch.optim.swa_utils.AveragedModel(other(model), use_buffers=True)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    loss(model, next(iter(loader()))).backward()
    optimizer.step()
    schedules = [torch.optim.lr_scheduler.LinearLR(optimizer), torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 2)]
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, schedules, milestones=[1])
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "lr_scheduler": schedule.state_dict(), "epoch": 1,
                "args": argparse.Namespace(model="tiny", device="cpu"), "scaler": torch.amp.GradScaler("cpu").state_dict(),
                "model_ema": average.state_dict()}, out / "checkpoint.pth")
    yield out / "checkpoint.pth", model
    yield f"{out / 'checkpoint.pth'}#model_ema", average.module


def imagenet(out):
    """As `imagenet/main.py` of PyTorch's examples saves: DataParallel, tensors beside the state dict."""
    model = nn.DataParallel(net())
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    torch.save({"epoch": 3, "arch": "resnet18", "state_dict": model.state_dict(), "best_acc1": torch.tensor(70.5),
                "optimizer": optimizer.state_dict(), "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 30).state_dict()},
               out / "model_best.pth.tar")
    yield out / "model_best.pth.tar", model


def deepspeed(out):
    os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", MASTER_ADDR="127.0.0.1", MASTER_PORT="29533", DS_ACCELERATOR="cpu")
    import deepspeed

    for stage in 0, 1, 2, 3:
        model = net()
        folder = out / f"zero{stage}"
        config = {"train_batch_size": 4, "optimizer": {"type": "Adam", "params": {"lr": 1e-3, "torch_adam": True}},
                  "zero_optimization": {"stage": stage}, "zero_allow_untested_optimizer": True}
        engine, *_ = deepspeed.initialize(model=model, model_parameters=model.parameters(), dist_init_required=True, config=config)
        for batch in loader():
            engine.backward(loss(engine, batch))
            engine.step()
        engine.save_checkpoint(str(folder), client_state={"best": np.float32(1)})
        tag = (folder / "latest").read_text().strip()
        if stage == 3:
            # each process saves a part of each parameter
            yield folder, "zero_to_fp32.py"
            yield folder / tag / "zero_pp_rank_0_mp_rank_00_model_states.pt", "zero_to_fp32.py"
            subprocess.run([sys.executable, str(folder / "zero_to_fp32.py"), str(folder), str(folder / "merged")], check=True,
                           capture_output=True)
            with deepspeed.zero.GatheredParameters(list(model.parameters())):
                whole = net()
                whole.load_state_dict({name: value.detach().clone() for name, value in model.state_dict().items()})
            yield folder / "merged", whole
            continue
        yield folder / tag / "mp_rank_00_model_states.pt", model
        yield folder, model


def composer(out):
    import composer
    from composer.algorithms import EMA
    from composer.models import ComposerClassifier

    for name, algorithms in ("plain", []), ("average", [EMA(half_life="1ba")]):
        model = ComposerClassifier(net(), num_classes=3)
        trainer = composer.Trainer(model=model, train_dataloader=loader(), max_duration="1ep", algorithms=algorithms, progress_bar=False,
                                   optimizers=torch.optim.SGD(model.parameters(), 0.1), save_folder=str(out / name), device="cpu")
        trainer.fit()
        trained = model.module
        if algorithms:
            # Composer saves the average as the model, which it exchanges for the trained one to do so
            trained = net()
            saved = torch.load(out / name / "latest-rank0.pt", weights_only=False)["state"]["model"]
            trained.load_state_dict({key.removeprefix("module."): value for key, value in saved.items() if key.startswith("module.")})
        yield out / name / "latest-rank0.pt", trained


def accelerate(out):
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    first = net()
    model, optimizer = accelerator.prepare(first, torch.optim.SGD(first.parameters(), 0.1))
    accelerator.save_state(str(out / "state"))
    yield out / "state", model
    accelerator.save_state(str(out / "pickled"), safe_serialization=False)
    yield out / "pickled", model
    accelerator.save_model(model, str(out / "sharded"), max_shard_size="1KB")
    yield out / "sharded", model


def transformers(out):
    from transformers import PretrainedConfig, PreTrainedModel, Trainer, TrainingArguments

    class Model(PreTrainedModel):
        config_class = PretrainedConfig

        def __init__(self, config):
            super().__init__(config)
            self.resnet = net()
            self.post_init()

        def _init_weights(self, module):
            pass

        def forward(self, x, labels=None):
            logits = self.resnet(x)
            return (nn.functional.cross_entropy(logits, labels), logits)

    model = Model(PretrainedConfig())
    model.save_pretrained(str(out / "one"))
    yield out / "one", model.resnet
    model.save_pretrained(str(out / "shards"), max_shard_size="1KB")
    yield out / "shards", model.resnet
    args = TrainingArguments(str(out / "run"), num_train_epochs=1, use_cpu=True, report_to=[], save_strategy="epoch", disable_tqdm=True,
                             remove_unused_columns=False)
    data = [{"x": torch.from_numpy(x), "labels": torch.tensor(i % 3)} for i, x in enumerate(np.repeat(X, 4, 0))]
    Trainer(model, args, train_dataset=data).train()
    [folder] = (out / "run").glob("checkpoint-*")
    yield folder, model.resnet


def image(index):
    return torch.from_numpy(X[index % 2])


def label(index):
    return index % 3


def fastai(out):
    from fastai.vision.all import Datasets, Learner

    data = Datasets(range(8), [[image], [label]], splits=[range(4), range(4, 8)]).dataloaders(bs=4)
    learner = Learner(data, net(), loss_func=nn.CrossEntropyLoss(), path=out)
    with learner.no_bar(), learner.no_logging():
        learner.fit(1, 0.1)
    learner.save("with-optimizer")
    yield out / "models" / "with-optimizer.pth", learner.model
    learner.save("plain", with_opt=False)
    yield out / "models" / "plain.pth", learner.model


def pytorch(out):
    """PyTorch's own ways: torch.compile, averages, whole modules, TorchScript, torch.export, distributed checkpoints, FSDP's flat ones."""
    model = net()
    torch.save(torch.compile(model).state_dict(), out / "compiled.pth")
    yield out / "compiled.pth", model
    torch.save(model, out / "module.pth")
    yield out / "module.pth", model
    torch.save(nn.DataParallel(model), out / "parallel.pth")
    yield out / "parallel.pth", model
    torch.save(torch.compile(nn.DataParallel(model)).state_dict(), out / "both.pth")
    yield out / "both.pth", model
    torch.save(torch.optim.swa_utils.AveragedModel(model).state_dict(), out / "average.pth")
    yield out / "average.pth", model
    torch.save(model.state_dict(), out / "legacy.pth", _use_new_zipfile_serialization=False)
    yield out / "legacy.pth", model
    torch.save(collections.OrderedDict((name, nn.Parameter(value, False)) for name, value in model.state_dict().items()), out / "parameters.pth")
    yield out / "parameters.pth", model
    half = copy.deepcopy(model).to(torch.bfloat16).to(torch.float32)
    torch.save(copy.deepcopy(model).to(torch.bfloat16).state_dict(), out / "bfloat16.pth")
    yield out / "bfloat16.pth", half
    channels_last = copy.deepcopy(model).to(memory_format=torch.channels_last)
    torch.save(channels_last.state_dict(), out / "channels_last.pth")
    yield out / "channels_last.pth", model
    torch.jit.script(model).save(str(out / "script.pt"))
    yield out / "script.pt", "TorchScript"
    torch.export.save(torch.export.export(model.eval(), (torch.from_numpy(X),)), out / "exported.pt2")
    yield out / "exported.pt2", "torch.export"
    import torch.distributed.checkpoint as dcp
    dcp.save({"model": model.state_dict()}, checkpoint_id=str(out / "dcp"))
    yield out / "dcp", "dcp_to_torch"
    yield out / "dcp" / "__0_0.distcp", "dcp_to_torch"
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
    dcp_to_torch_save(out / "dcp", out / "from_dcp.pt")
    yield out / "from_dcp.pt", model


FRAMEWORKS = (pytorch, imagenet, torchvision, timm, lightning, mmengine, accelerate, transformers, fastai, composer, deepspeed)


def tried(resnetc, root, file, expected):
    """Whether a file is read as expected, and what to print about it."""
    y = root / "y.npy"
    y.unlink(missing_ok=True)
    ran = subprocess.run([resnetc, "run", root / "tiny.resnet", "--weights", str(file), "--input", root / "x.npy", "--output", y],
                         capture_output=True, text=True, check=False)
    said = " | ".join(ran.stderr.replace(f"{root}/", "").strip().splitlines())
    if isinstance(expected, str):
        is_right = ran.returncode == 1 and expected in said
        return is_right, f"{'refused' if is_right else 'NOT REFUSED AS EXPECTED'}: {said}"
    if ran.returncode:
        return False, f"REFUSED: {said}"
    expected.eval()
    with torch.no_grad():
        worst = float(np.abs(expected(torch.from_numpy(X)).cpu().numpy() - np.load(y)).max())
    return worst < TOLERANCE, f"{'equal' if worst < TOLERANCE else f'DIFFERS BY {worst:.1e}'} {said}"


def main(resnetc, names):
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "tiny.resnet").write_text(SOURCE)
        np.save(root / "x.npy", X)
        for make in FRAMEWORKS:
            if names and make.__name__ not in names:
                continue
            out = root / make.__name__
            out.mkdir()
            try:
                for file, expected in make(out):
                    is_right, text = tried(resnetc, root, file, expected)
                    wrong += not is_right
                    print(f"{str(file).replace(folder + '/', ''):58} {text}", flush=True)
            except ImportError as error:
                print(f"{make.__name__}: not tried: {error}", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main((sys.argv[1:] or ["target/debug/resnetc"])[0], sys.argv[2:]) > 0)
