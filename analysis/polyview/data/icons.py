"""Makes a set of small colour pictures with labels from icon themes of Debian: a tree of PNGs, and CIFAR-10's binary files.

    polyview-tools data icons DIRECTORY [--themes DIR ...] [--get] [--most N]

A class is a category of icons (actions, apps, devices, ...); an object is an icon of 32 x 32 pixels on white.  Of icons that
look the same one is kept, and all icons of one name, whatever their theme, are in the same split, so that no test object
is a train object.  Written are DIRECTORY/png/{train,val,test}/CLASS/THEME-NAME.png and DIRECTORY/cifar/*.bin, the train
split before the val split.  Themes are looked for in /usr/share/icons; --get brings missing ones by `apt-get download`, for
which nobody has to be root.  The last line of stdout is a JSON object.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from PIL import Image

from .._paths import path_of
from ._pictures import SIDE, Picture, Pixels, get, on_white, unlike, write

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
LEAST = 60  # icons of a class


def pixels_of(path: Path) -> Pixels | None:
    """None if it is not of the size."""
    with Image.open(path) as picture:
        return on_white(picture) if picture.size == (SIDE, SIDE) else None


def read(theme: str, directory: Path) -> list[Picture]:
    icons = []
    for folder in sorted(directory.glob(THEMES[theme][1])):
        category = folder.parent.name if folder.name == str(SIDE) else folder.name
        for path in sorted(folder.glob("*.png")) if category in CATEGORIES else ():
            pixels = None if path.is_symlink() else pixels_of(path)
            if pixels is not None:
                icons.append(Picture(category, f"{theme}-{path.stem}", path.stem, pixels))
    return icons


def choose(icons: list[Picture], most: int) -> list[Picture]:
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
        get(cache, [THEMES[theme][0] for theme in missing])
    icons = [icon for theme, place in found().items() for icon in read(theme, place)]
    if not icons:
        wanted = " ".join(package for package, _ in THEMES.values())
        raise FileNotFoundError(
            f"no theme with icons of {SIDE} x {SIDE} pixels: install {wanted}, or give --get"
        )
    kept = choose(icons, args.most)
    print(json.dumps({"found": len(icons), "kept": len(kept), **write(kept, directory)}))
    return 0
