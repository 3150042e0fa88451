"""Makes a set of small colour pictures with labels from Unicode's emoji: a tree of PNGs, and CIFAR-10's binary files.

    polyview-tools data emoji DIRECTORY [--get]

A class is a group of Unicode's list (flags, people, food, ...), an object an emoji of it as Noto draws it, 32 x 32 pixels
on white.  Variants of skin are left out, those of a man, a woman and a person are in one split, and of emoji that look the
same (the flags of Norway and Bouvet Island) one is kept, so that no test object is a train object.  Written are
DIRECTORY/png/{train,val,test}/CLASS/NAME.png and DIRECTORY/cifar/*.bin, the train split before the val split.  --get
brings the packages by `apt-get download`, for which nobody has to be root.
The last line of stdout is a JSON object.
"""

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, features

from .._paths import path_of
from ._pictures import SIDE, Picture, get, on_white, unlike, write

PACKAGES = ("fonts-noto-color-emoji", "unicode-data")
FONT = "usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
LIST = "usr/share/unicode/emoji/emoji-test.txt"
SIZE = 109  # the only one the font has, in which an emoji is this many pixels wide and high:
DRAWN = (136, 128)
GROUPS = {  # of Unicode: class
    "Smileys & Emotion": "smileys",
    "People & Body": "people",
    "Animals & Nature": "nature",
    "Food & Drink": "food",
    "Travel & Places": "places",
    "Activities": "objects",
    "Objects": "objects",
    "Symbols": "symbols",
    "Flags": "flags",
}
LINE = re.compile(r"(?P<codes>[0-9A-F ]+?) *; fully-qualified +# \S+ E[\d.]+ (?P<name>.+)")
WHO = re.compile(r"^(man|woman|person|men|women|people) ")


def listed(text: str) -> Iterator[tuple[str, str, str]]:
    """(class, name, characters) of every emoji but those of a skin."""
    kind = None
    for line in text.splitlines():
        if line.startswith("# group: "):
            kind = GROUPS.get(line.removeprefix("# group: "))
        found = LINE.match(line)
        if kind and found and "skin tone" not in found["name"]:
            yield kind, found["name"], "".join(chr(int(code, 16)) for code in found["codes"].split())


def file_name(name: str) -> str:
    """Another one for every emoji: two keycaps differ in a sign alone."""
    return re.sub("[^a-z0-9]+", "-", name.lower().replace("#", "hash").replace("*", "asterisk")).strip("-")


def draw(root: Path) -> tuple[int, list[Picture]]:
    """How many the list below root has, and those that the font below it knows."""
    emoji = list(listed((root / LIST).read_text(encoding="utf-8")))
    font = ImageFont.truetype(str(root / FONT), SIZE)
    pictures = []
    for kind, name, characters in emoji:
        if font.getlength(characters) <= DRAWN[0]:  # what the font does not know as one comes out as several
            drawn = Image.new("RGBA", DRAWN)
            ImageDraw.Draw(drawn).text((0, 0), characters, font=font, embedded_color=True)
            small = Image.fromarray(on_white(drawn)).resize((SIDE, SIDE), Image.Resampling.BOX)
            pictures.append(Picture(kind, file_name(name), WHO.sub("", name), on_white(small)))
    return len(emoji), pictures


def main(program: str, words: list[str]) -> int:
    parser = argparse.ArgumentParser(program, description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("directory", type=path_of, help="must not exist")
    parser.add_argument("--get", action="store_true", help="download the packages where they are missing")
    args = parser.parse_args(words)
    directory, cache = args.directory, args.directory.with_name(args.directory.name + ".packages")
    if directory.exists():
        parser.error(f"'{directory}' exists")
    if not features.check("raqm"):
        raise RuntimeError(
            "Pillow was built without Raqm, which puts emoji together; Debian's python3-pil has it"
        )

    def roots() -> list[Path]:
        return [root for root in (Path("/"), cache) if (root / FONT).exists() and (root / LIST).exists()]

    if args.get and not roots():
        get(cache, list(PACKAGES))
    if not roots():
        raise FileNotFoundError(f"no emoji: install {' '.join(PACKAGES)}, or give --get")
    found, drawn = draw(roots()[0])
    kept = unlike(drawn)
    print(json.dumps({"found": found, "kept": len(kept), **write(kept, directory)}))
    return 0
