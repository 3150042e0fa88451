"""Makes a set of small colour pictures with labels from icon themes of Debian: a tree of PNGs, and CIFAR-10's binary files.

    polyview-tools data icons DIRECTORY [--themes DIR ...] [--get] [--most N]

A class is a category of icons (actions, apps, devices, ...); an object is an icon of 32 x 32 pixels on white.  Of icons that
look the same one is kept, and all icons of one name, whatever their theme, are in the same split, so that no test object
is a train object.  Written are DIRECTORY/png/{train,val,test}/CLASS/THEME-NAME.png and DIRECTORY/cifar/*.bin, the train
split before the val split.  Themes are looked for in /usr/share/icons; --get brings missing ones by `apt-get download`, for
which nobody has to be root.  The last line of stdout is a JSON object.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .._paths import path_of

SIDE = 32
THEMES = {  # directory below share/icons: (Debian's package, where its categories lie)
    "oxygen": ("oxygen-icon-theme", "base/32x32/*"),
    "gnome": ("gnome-icon-theme", "32x32/*"),
    "mate": ("mate-icon-theme", "32x32/*"),
    "Tango": ("tango-icon-theme", "32x32/*"),
    "Faenza": ("faenza-icon-theme", "*/32"),
}
CATEGORIES = (
    "actions",
    "apps",
    "categories",
    "devices",
    "emblems",
    "emotes",
    "mimetypes",
    "places",
    "status",
)
SHARES = {"test": 0.2, "val": 0.1}  # of the names of icons; the rest trains
LEAST = 60  # icons of a class
ALIKE = 12.0  # root mean square difference, of 255, below which two icons look the same
THUMB = 8  # pixels a side that are compared
BLOCK = 1024

Pixels = NDArray[np.uint8]


@dataclass
class Icon:
    category: str
    theme: str
    name: str
    pixels: Pixels  # [SIDE][SIDE][3]

    @property
    def split(self) -> str:
        """The same for all icons of a name."""
        share = int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:4], "big") / 2**32
        if share < SHARES["test"]:
            return "test"
        return "val" if share < SHARES["test"] + SHARES["val"] else "train"


def get(cache: Path, missing: list[str]) -> None:
    """Unpacks the packages of themes below cache, without installing them."""
    cache.mkdir(parents=True, exist_ok=True)
    packages = [THEMES[theme][0] for theme in missing]
    print(f"downloading {', '.join(packages)}", file=sys.stderr)
    subprocess.run(["apt-get", "download", "-q", *packages], cwd=cache, check=True, stdout=sys.stderr)
    for archive in sorted(cache.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", str(archive), str(cache)], check=True)
        archive.unlink()


def on_white(path: Path) -> Pixels | None:
    """None if it is not of the size."""
    with Image.open(path) as picture:
        if picture.size != (SIDE, SIDE):
            return None
        drawn = Image.new("RGBA", picture.size, "white")
        drawn.alpha_composite(picture.convert("RGBA"))
        return np.asarray(drawn.convert("RGB"))


def read(theme: str, directory: Path) -> list[Icon]:
    icons = []
    for folder in sorted(directory.glob(THEMES[theme][1])):
        category = folder.parent.name if folder.name == str(SIDE) else folder.name
        for path in sorted(folder.glob("*.png")) if category in CATEGORIES else ():
            pixels = None if path.is_symlink() else on_white(path)
            if pixels is not None:
                icons.append(Icon(category, theme, path.stem, pixels))
    return icons


def unlike(icons: list[Icon]) -> list[Icon]:
    """The icons without those that look like an earlier one of any theme and category."""
    side = SIDE // THUMB
    pixels = np.stack([icon.pixels for icon in icons]).astype(np.float32)
    thumbs = pixels.reshape(-1, THUMB, side, THUMB, side, 3).mean((2, 4)).reshape(len(icons), -1)
    squares = (thumbs**2).sum(1)
    kept = np.ones(len(icons), bool)
    for first in range(0, len(icons), BLOCK):
        rows = slice(first, first + BLOCK)
        distance = squares[rows, None] + squares[None] - 2 * thumbs[rows] @ thumbs.T
        alike = distance < ALIKE**2 * thumbs.shape[1]
        for row, number in zip(alike, range(first, len(icons))):
            kept[number] = not (row[:number] & kept[:number]).any()
    return [icon for icon, is_kept in zip(icons, kept) if is_kept]


def write(icons: list[Icon], directory: Path) -> None:
    """Both forms."""
    names = sorted({icon.category for icon in icons})
    records: dict[str, list[bytes]] = {"train": [], "val": [], "test": []}
    for icon in icons:
        path = directory / "png" / icon.split / icon.category / f"{icon.theme}-{icon.name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(icon.pixels).save(path)
        planes = icon.pixels.transpose(2, 0, 1).tobytes()
        records[icon.split].append(bytes([names.index(icon.category)]) + planes)
    cifar = directory / "cifar"
    cifar.mkdir(parents=True, exist_ok=True)
    for split, file in (
        ("train", "data_batch_1.bin"),
        ("val", "data_batch_2.bin"),
        ("test", "test_batch.bin"),
    ):
        # In an order that mixes themes and classes, the same every time.
        mixed = sorted(records[split], key=lambda record: hashlib.sha256(record).digest())
        (cifar / file).write_bytes(b"".join(mixed))
    (cifar / "batches.meta.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def choose(icons: list[Icon], most: int) -> list[Icon]:
    """At most so many, evenly from the list, of classes that are large enough."""
    icons = unlike(icons)
    if 0 < most < len(icons):
        icons = [icons[number * len(icons) // most] for number in range(most)]
    sizes = Counter(icon.category for icon in icons)
    return [icon for icon in icons if most or sizes[icon.category] >= LEAST]


def main(program: str, words: list[str]) -> int:
    parser = argparse.ArgumentParser(program, description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=path_of, help="must not exist")
    parser.add_argument(
        "--themes", type=path_of, nargs="+", default=[Path("/usr/share/icons")], metavar="DIR"
    )
    parser.add_argument("--get", action="store_true", help="download the packages of missing themes")
    parser.add_argument("--most", type=int, default=0, help="icons in all (default all)", metavar="N")
    args = parser.parse_args(words)
    directory, cache = args.directory, args.directory.with_name(args.directory.name + ".packages")
    if directory.exists():
        parser.error(f"'{directory}' exists")
    places = [*args.themes, cache / "usr/share/icons"]

    def found() -> dict[str, Path]:
        return {theme: place / theme for place in places for theme in THEMES if (place / theme).is_dir()}

    missing = [theme for theme in THEMES if theme not in found()]
    if args.get and missing:
        get(cache, missing)
    icons = [icon for theme, place in found().items() for icon in read(theme, place)]
    if not icons:
        wanted = " ".join(package for package, _ in THEMES.values())
        raise FileNotFoundError(
            f"no theme with icons of {SIDE} x {SIDE} pixels: install {wanted}, or give --get"
        )
    kept = choose(icons, args.most)
    write(kept, directory)
    classes = dict(sorted(Counter(icon.category for icon in kept).items()))
    splits = dict(sorted(Counter(icon.split for icon in kept).items()))
    print(json.dumps({"found": len(icons), "kept": len(kept), "classes": classes, "splits": splits}))
    return 0
