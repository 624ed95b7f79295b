"""Writes tests/data: of each Fashion-MNIST class the first test image that the committed network classifies correctly.

usage: fashion_pictures.py [WEIGHTS [DIR]]      (models/weights/fashion.safetensors tests/data)

Prints a line per image for tests/data/README.md: the file, its place in the test set and the network's confidence.
"""
import pathlib
import re
import sys

import torch
from PIL import Image
from safetensors.torch import load_file

from fashion import CLASSES, CifarResNet, load, logits


def main():
    weights, out = (sys.argv[1:] + ["models/weights/fashion.safetensors", "tests/data"][len(sys.argv) - 1:])[:2]
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    net = CifarResNet(3, inputs=1).to(memory_format=torch.channels_last)
    net.load_state_dict(load_file(weights), strict=False)  # without num_batches_tracked
    images, labels = load("t10k")
    chances = logits(net, images[:200]).softmax(1)
    for number, name in enumerate(CLASSES):
        place = next(i for i, chance in enumerate(chances) if labels[i] == number == chance.argmax())
        file = re.sub(r"\W+", "-", name.lower()) + ".png"
        Image.fromarray(images[place]).save(out / file)
        print(f"| `{file}` | {name} | {place} | {chances[place, number]:.4f} |")


if __name__ == "__main__":
    main()
