"""Sets of small colour pictures with labels, from what Debian's packages hold: a tree of PNGs, and CIFAR-10's binary files."""

import hashlib
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 32
SHARES = {"test": 0.2, "val": 0.1}  # of the keys; the rest trains
ALIKE = 12.0  # root mean square difference, of 255, below which two pictures look the same
THUMB = 8  # pixels a side that are compared
BLOCK = 1024
FILES = {"train": "data_batch_1.bin", "val": "data_batch_2.bin", "test": "test_batch.bin"}

Pixels = NDArray[np.uint8]


@dataclass
class Picture:
    category: str
    name: str  # of its file
    key: str  # pictures of one key are in the same split
    pixels: Pixels  # [SIDE][SIDE][3]

    @property
    def split(self) -> str:
        share = int.from_bytes(hashlib.sha256(self.key.encode()).digest()[:4], "big") / 2**32
        if share < SHARES["test"]:
            return "test"
        return "val" if share < SHARES["test"] + SHARES["val"] else "train"


def on_white(picture: Image.Image) -> Pixels:
    """Any mode; transparent parts are white."""
    drawn = Image.new("RGBA", picture.size, "white")
    drawn.alpha_composite(picture.convert("RGBA"))
    return np.asarray(drawn.convert("RGB"))


def unlike(pictures: list[Picture]) -> list[Picture]:
    """The pictures without those that look like an earlier one, of whatever category."""
    side = SIDE // THUMB
    pixels = np.stack([picture.pixels for picture in pictures]).astype(np.float32)
    thumbs = pixels.reshape(-1, THUMB, side, THUMB, side, 3).mean((2, 4)).reshape(len(pictures), -1)
    squares = (thumbs**2).sum(1)
    kept = np.ones(len(pictures), bool)
    for first in range(0, len(pictures), BLOCK):
        rows = slice(first, first + BLOCK)
        distance = squares[rows, None] + squares[None] - 2 * thumbs[rows] @ thumbs.T
        alike = distance < ALIKE**2 * thumbs.shape[1]
        for row, number in zip(alike, range(first, len(pictures))):
            kept[number] = not (row[:number] & kept[:number]).any()
    return [picture for picture, is_kept in zip(pictures, kept) if is_kept]


def get(cache: Path, packages: list[str]) -> None:
    """Unpacks Debian packages below cache, without installing them."""
    cache.mkdir(parents=True, exist_ok=True)
    print(f"downloading {', '.join(packages)}", file=sys.stderr)
    subprocess.run(["apt-get", "download", "-q", *packages], cwd=cache, check=True, stdout=sys.stderr)
    for archive in sorted(cache.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", str(archive), str(cache)], check=True)
        archive.unlink()


def write(pictures: list[Picture], directory: Path) -> dict[str, dict[str, int]]:
    """Both forms: directory/png/SPLIT/CATEGORY/NAME.png and directory/cifar.  How many there are of each class and split."""
    names = sorted({picture.category for picture in pictures})
    records: dict[str, list[bytes]] = {split: [] for split in FILES}
    for picture in pictures:
        path = directory / "png" / picture.split / picture.category / f"{picture.name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.pixels).save(path)
        planes = picture.pixels.transpose(2, 0, 1).tobytes()
        records[picture.split].append(bytes([names.index(picture.category)]) + planes)
    cifar = directory / "cifar"
    cifar.mkdir(parents=True, exist_ok=True)
    for split, file in FILES.items():
        # In an order that mixes sources and classes, the same every time.
        mixed = sorted(records[split], key=lambda record: hashlib.sha256(record).digest())
        (cifar / file).write_bytes(b"".join(mixed))
    (cifar / "batches.meta.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return {
        "classes": dict(sorted(Counter(picture.category for picture in pictures).items())),
        "splits": dict(sorted(Counter(picture.split for picture in pictures).items())),
    }
