"""Trains models/fashion.resnet (ResNet-20 on Fashion-MNIST) in PyTorch and writes its weights.

usage: train_fashion.py [--epochs N] [--rate R] [--out FILE]

Needs torch, safetensors and the Debian package dataset-fashion-mnist. The seed is fixed; PyTorch promises the same
numbers again only with the same version, thread count and machine. The last epoch's weights are kept: the test set
is looked at once, after training, and chooses nothing.
"""
import argparse
import time

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from fashion import MEAN, STD, CifarResNet, load, logits, normalise

PAD, BATCH = 2, 128


def augment(x):
    """Pads by 2, crops 28 x 28 at a place drawn for each picture, and mirrors half of the pictures."""
    n, size = len(x), x.shape[-1]
    x = F.pad(x, (PAD,) * 4, value=-MEAN / STD)  # black
    span = torch.arange(size)
    rows = (torch.randint(2 * PAD + 1, (n, 1)) + span)[:, :, None]
    columns = torch.randint(2 * PAD + 1, (n, 1)) + span
    columns = torch.where(torch.rand(n, 1) < 0.5, columns.flip(1), columns)[:, None, :]
    return x[torch.arange(n)[:, None, None], 0, rows, columns][:, None].contiguous(memory_format=torch.channels_last)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--epochs", type=int, default=10)
    options.add_argument("--rate", type=float, default=0.2, help="the schedule's highest learning rate")
    options.add_argument("--out", default="models/weights/fashion.safetensors")
    options.add_argument("--steps", type=int, help="stop early, to measure the step rate; nothing is written")
    options = options.parse_args()

    torch.manual_seed(0)
    pictures, labels = load("train")
    x, y = normalise(pictures), torch.tensor(labels).long()
    net = CifarResNet(3, inputs=1).to(memory_format=torch.channels_last)
    sgd = torch.optim.SGD(net.parameters(), lr=options.rate, momentum=0.9, nesterov=True, weight_decay=5e-4)
    steps = len(x) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        sgd, options.rate, epochs=options.epochs, steps_per_epoch=steps, pct_start=0.25, cycle_momentum=False)
    begin, done = time.time(), 0
    for epoch in range(options.epochs):
        net.train()
        total = 0.0
        for chosen in torch.randperm(len(x)).split(BATCH)[:steps]:
            with torch.autocast("cpu", torch.bfloat16):  # weights and optimiser stay f32
                loss = F.cross_entropy(net(augment(x[chosen])), y[chosen])
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            schedule.step()
            total += loss.item()
            done += 1
            if done == options.steps:
                print(f"{(time.time() - begin) / done * 1e3:.1f} ms a step, loss {total / done:.3f}")
                return
        print(f"epoch {epoch + 1} loss {total / steps:.4f} {time.time() - begin:.0f} s", flush=True)

    save_file({k: v.contiguous() for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}, options.out)
    pictures, labels = load("t10k")
    right = (logits(net, pictures).argmax(1) == torch.tensor(labels)).float().mean()
    print(f"test accuracy {right:.2%} of {len(labels)}")


if __name__ == "__main__":
    main()
