"""Pictures prepared by torchvision, held against resnetc.

usage: preprocess.py fixtures [DIR]          makes tests/fixtures/preprocess (a small made-up image, and what is made of it)
       preprocess.py measure [RESNETC]       compares with resnetc on photographs (target/release/resnetc), and prints a table

The photographs are sample images of scikit-image and scikit-learn (pip install --no-deps scikit-image scikit-learn).
"""
import importlib.util
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image
from torchvision import transforms as T

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
# (size of the shorter side, crop): the usual one, that of torchvision's newer weights, the paper's scales, one that enlarges
SIZES = [(256, 224), (232, 224), (224, 224), (384, 384), (480, 480), (640, 640)]
PHOTOS = ["skimage/data/astronaut.png", "skimage/data/chelsea.png", "skimage/data/coffee.png", "skimage/data/rocket.jpg",
          "sklearn/datasets/images/china.jpg", "sklearn/datasets/images/flower.jpg"]


def photos():
    """The sample images, found without importing what they come with."""
    for name in PHOTOS:
        package, rest = name.split("/", 1)
        spec = importlib.util.find_spec(package)
        if spec is None:
            sys.exit(f"{package} is not installed")
        yield pathlib.Path(spec.origin).parent / rest


def transform(resize, crop, by=T.InterpolationMode.BILINEAR):
    """What torchvision's models are evaluated with; timm's with bicubic interpolation."""
    return T.Compose([T.Resize(resize, by), T.CenterCrop(crop), T.ToTensor(), T.Normalize(MEAN, STD)])


def prepared(resnetc, source, image):
    """What resnetc gives the network."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "x.npy"
        subprocess.run([resnetc, "run", source, image, "--prepared", out], check=True, stdout=subprocess.DEVNULL)
        return np.load(out)[0]


def network(folder, resize, crop):
    """A source that says how to prepare an image."""
    path = pathlib.Path(folder) / f"net-{resize}-{crop}.resnet"
    path.write_text(f"resnet 1\nnetwork net {{\n  input 3 x {crop} x {crop}\n"
                    f"  preprocess {{ resize: {resize}, crop: {crop}, mean: {MEAN}, std: {STD} }}\n"
                    "  avgpool global\n  linear 2\n}\n")
    return path


def levels(ours, theirs):
    """Differences in levels of 0 to 255."""
    return np.abs(ours - theirs) * np.array(STD, np.float32)[:, None, None] * 255


def measure(resnetc):
    print(f"{'image':16} {'pixels':>11} {'resize':>6} {'crop':>4}   largest difference, of 255   values that differ")
    with tempfile.TemporaryDirectory() as folder:
        jpegs = []
        for path in photos():
            image = Image.open(path).convert("RGB")
            png = pathlib.Path(folder) / f"{path.stem}.png"
            image.save(png)
            for resize, crop in SIZES:
                theirs = transform(resize, crop)(image).numpy()
                source = network(folder, resize, crop)
                difference = levels(prepared(resnetc, source, png), theirs)
                print(f"{path.name:16} {image.width:5} x {image.height:3} {resize:6} {crop:4} {difference.max():25.6f} {(difference > 0.5).sum():20}")
                if path.suffix == ".jpg" and (resize, crop) == SIZES[0]:
                    jpegs.append((path, levels(prepared(resnetc, source, path), theirs)))
    print("\nthe JPEG files themselves, each decoded by its own decoder")
    for path, difference in jpegs:
        print(f"{path.name:16} largest {difference.max():.2f} of 255, mean {difference.mean():.3f}, "
              f"{100 * (difference > 0.5).mean():.1f} % of values differ")


def made_up():
    """An image of 45 x 31 pixels: slopes, an edge and noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:31, :45]
    planes = [x * 255 // 44, y * 255 // 30, np.where(x + 2 * y > 50, 230, 20)]
    image = np.stack(planes, -1) + rng.integers(-20, 21, (31, 45, 3))
    return Image.fromarray(image.clip(0, 255).astype(np.uint8))


def fixtures(out):
    out.mkdir(parents=True, exist_ok=True)
    image = made_up()
    image.save(out / "picture.png", optimize=True)
    for size in (12, 24, 50):
        T.Resize(size)(image).save(out / f"resize-{size}.png", optimize=True)
        T.Resize(size, T.InterpolationMode.BICUBIC)(image).save(out / f"resize-{size}-bicubic.png", optimize=True)
    for resize, crop in ((24, 15), (18, 18), (20, 26)):
        np.save(out / f"resize-{resize}-crop-{crop}.npy", transform(resize, crop)(image).numpy())
    np.save(out / "resize-24-crop-15-bicubic.npy", transform(24, 15, T.InterpolationMode.BICUBIC)(image).numpy())


if __name__ == "__main__":
    what, *rest = sys.argv[1:] or [""]
    if what == "fixtures":
        fixtures(pathlib.Path(rest[0] if rest else "tests/fixtures/preprocess"))
    elif what == "measure":
        measure(rest[0] if rest else "target/release/resnetc")
    else:
        sys.exit(__doc__)
