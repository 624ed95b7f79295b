"""Small images and what Pillow makes of them, for tests/formats/preprocess.rs.

usage: images.py [DIR]          makes tests/fixtures/images (Pillow 13)

JPEG_*.jpg with a PNG of the same name as Pillow decodes it; without one, Pillow refuses it or resnetc does. PNG_*.png, and png.txt with the bytes
of each as RGB. resize.txt: sizes, and the CRC-32 of the resized bytes.
"""
import pathlib
import random
import struct
import sys
import zlib

import numpy as np
from PIL import Image

from jpegenc import encode
from jpprog import encode_prog


def planes(height, width, count):
    """Smooth, so that decoders differ by their rounding alone."""
    y, x = np.mgrid[:height, :width]
    return [np.clip(128 + 90 * np.sin((x * (1 + .3 * k) + y * (1.2 - .2 * k)) / 40 + k), 0, 255) for k in range(count)]


def jpegs():
    yuv420, yuv444, finer = ((2, 2), (1, 1), (1, 1)), ((1, 1),) * 3, ((1, 1), (1, 1), (2, 1))
    size = (21, 37)
    three, four = planes(*size, 3), planes(*size, 4)
    yield "scans_420", encode(three, yuv420, size, False)
    yield "scans_420_restart", encode(three, yuv420, size, False, 5)
    yield "scans_440", encode(three, ((1, 2), (1, 1), (1, 1)), size, False)
    yield "scans_422_restart", encode(three, ((2, 1), (1, 1), (1, 1)), size, False, 7)
    yield "scans_444_restart", encode(three, yuv444, size, False, 4)
    yield "scans_410", encode(three, ((4, 2), (1, 1), (1, 1)), size, False)
    yield "scans_in_pairs", encode(three, yuv420, size, scans=[[0], [1, 2]])
    yield "scans_backwards", encode(three, yuv444, size, scans=[[2], [1], [0]])
    yield "finer", encode(three, finer, size)
    yield "finer_scans", encode(three, finer, size, False)
    yield "finer_down", encode(three, ((1, 1), (1, 2), (1, 1)), size, False)
    yield "finer_both", encode(three, ((1, 1), (1, 2), (2, 1)), size, restart=2)
    yield "finer_progressive", encode_prog(three, ((1, 1), (2, 2), (1, 1)), size)
    yield "rgb_adobe", encode(three, yuv444, size, adobe=0)
    yield "rgb_ids", encode(three, yuv444, size, ids=[82, 71, 66])
    yield "jfif_before_adobe", encode(three, yuv444, size, adobe=0, jfif=True)
    yield "jfif_before_ids", encode(three, yuv444, size, jfif=True, ids=[82, 71, 66])
    yield "rgb_adobe_420_progressive", encode_prog(three, yuv420, size, adobe=0)
    yield "cmyk", encode(four, ((1, 1),) * 4, size, adobe=0)
    yield "cmyk_scans", encode(four, ((1, 1),) * 4, size, False, 3)
    yield "ycck_scans_420", encode(four, ((2, 2), (1, 1), (1, 1), (2, 2)), size, False, adobe=2)
    yield "ycck_of_another_name", encode(four, ((1, 1),) * 4, size, adobe=1)
    yield "grey_420", encode(three[:1], ((2, 2),), size, restart=3)
    yield "usual_420", encode(three, yuv420, size, restart=2)
    yield "usual_progressive", encode_prog(three, yuv420, size, 3)
    # refused
    yield "two_components", encode_prog(three[:2], ((1, 1),) * 2, size, adobe=2)
    yield "two_components_baseline", encode(three[:2], ((2, 1), (1, 1)), size)
    yield "two_to_four_scans", encode(planes(21, 41, 3), ((4, 1), (2, 1), (1, 1)), (21, 41), False)
    yield "a_scan_is_missing", encode(three, yuv420, size, scans=[[0], [1]])


def png(depth, color, rows, palette=None, transparent=None, interlaced=False):
    """A PNG of samples, height x width x channels."""
    height, width, _ = rows.shape

    def packed(part):
        out = b""
        for row in part:
            values = row.reshape(-1)
            if depth == 16:
                line = values.astype(">u2").tobytes()
            elif depth == 8:
                line = values.astype(np.uint8).tobytes()
            else:
                bits = "".join(format(int(v), f"0{depth}b") for v in values)
                bits += "0" * (-len(bits) % 8)
                line = bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
            out += b"\0" + line
        return out

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [rows[y::dy, x::dx] for y, x, dy, dx in passes] if interlaced else [rows]
    data = b"".join(packed(part) for part in parts if part.size)
    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlaced)))
    if palette is not None:
        out += chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    if transparent is not None:
        out += chunk(b"tRNS", transparent)
    return out + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")


def pngs():
    rng = np.random.default_rng(3)
    height, width = 5, 9
    for color, channels, depths, name in ((0, 1, (1, 2, 4, 8, 16), "grey"), (2, 3, (8, 16), "rgb"), (3, 1, (1, 2, 4, 8), "palette"),
                                           (4, 2, (8, 16), "grey_alpha"), (6, 4, (8, 16), "rgba")):
        for depth in depths:
            samples = rng.integers(0, 1 << depth, (height, width, channels))
            entries = min(1 << depth, 64)
            palette = rng.integers(0, 256, (entries, 3)) if color == 3 else None
            if color == 3:
                samples %= entries
            marks = {0: struct.pack(">H", int(samples[1, 1, 0])), 2: struct.pack(">HHH", *map(int, samples[1, 1, :3])) if channels > 2 else b"",
                     3: bytes([0, 128])}
            yield f"{name}_{depth}", png(depth, color, samples, palette)
            yield f"{name}_{depth}_interlaced", png(depth, color, samples, palette, interlaced=True)
            if color in marks:
                yield f"{name}_{depth}_transparent", png(depth, color, samples, palette, marks[color])


def as_rgb(path):
    """Pillow's, but of gray of 16 bits the upper 8: Pillow clips these at 255 (python-pillow/Pillow#3011)."""
    image = Image.open(path)
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return np.asarray(image.convert("RGB"))


def noise(height, width, channels):
    """As tests/formats/preprocess.rs makes it."""
    state, out = (height * 65536 + width) * 4 + channels, bytearray()
    for _ in range(height * width * channels):
        state = (state * 1664525 + 1013904223) % (1 << 32)
        out.append(state >> 24)
    return np.frombuffer(bytes(out), np.uint8).reshape(height, width, channels)


def resizes():
    """Channels, height and width; top, left, height and width of what is cut out; height and width that it is resized to; the CRC-32."""
    draw = random.Random(9)
    for number in range(400):
        height, width, to_height, to_width = (draw.randint(1, 48) for _ in range(4))
        if number % 4 == 1:  # around the bound between the orders
            to_width = max(1, width - draw.randint(-6, 10))
            to_height = draw.randint(1, 20)
            height = max(1, to_height + 2 * (width - to_width) + draw.randint(-1, 2))
        elif number % 4 == 2:  # portraits, to squares and by the shorter side
            width = draw.randint(4, 24)
            height = width + draw.randint(0, 72)
            to_width = draw.randint(2, 20)
            to_height = draw.choice([to_width, to_width * height // width])
        box = (0, 0, height, width)
        if number % 4 == 3:
            h, w = draw.randint(1, height), draw.randint(1, width)
            box = (draw.randint(0, height - h), draw.randint(0, width - w), h, w)
        channels = draw.choice([1, 3])
        image = noise(height, width, channels)
        image = Image.fromarray(image[:, :, 0] if channels == 1 else image)
        top, left, h, w = box
        image = image.crop((left, top, left + w, top + h)).resize((to_width, to_height), Image.BILINEAR)
        yield [channels, height, width, *box, to_height, to_width, zlib.crc32(image.tobytes())]


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    for name, data in jpegs():
        path = out / f"jpeg_{name}.jpg"
        path.write_bytes(data)
        if name == "a_scan_is_missing" or name.startswith("two_"):
            continue
        image = Image.open(path)
        (image if image.mode == "L" else image.convert("RGB")).save(path.with_suffix(".png"), optimize=True)
    lines = []
    for name, data in pngs():
        path = out / f"png_{name}.png"
        path.write_bytes(data)
        lines.append(f"{path.name} {as_rgb(path).tobytes().hex()}\n")
    (out / "png.txt").write_text("".join(lines))
    (out / "resize.txt").write_text("".join(" ".join(map(str, line)) + "\n" for line in resizes()))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "tests/fixtures/images"))
