"""polyview-tools data emoji: a set of pictures from Unicode's list, of which no test picture is a train picture."""

import json
import subprocess
import sys
from pathlib import Path

from harness import ROOT, TOOLS, check, run_tests, skip

sys.path.insert(0, str(ROOT / "analysis"))
try:
    import numpy as np
    from PIL import Image, features

    from polyview.data import _pictures, emoji
except ImportError:
    Image = None

LIST = """\
# group: Smileys & Emotion
# subgroup: face-smiling
1F600 ; fully-qualified     # \U0001f600 E1.0 grinning face
263A  ; unqualified         # \u263a E0.6 smiling face
# group: People & Body
1F469 200D 1F3A4        ; fully-qualified     # x E4.0 woman singer
1F469 1F3FB 200D 1F3A4  ; fully-qualified     # x E4.0 woman singer: light skin tone
# group: Component
1F9B0 ; fully-qualified     # x E11.0 red hair
# group: Symbols
0023 FE0F 20E3 ; fully-qualified     # x E0.6 keycap: #
"""


def a_list_is_read(_: Path) -> None:
    if Image is None:
        return skip("data emoji reads Unicode's list", "Pillow or numpy is not installed")
    expected = [
        ("smileys", "grinning face", "\U0001f600"),
        ("people", "woman singer", "\U0001f469\u200d\U0001f3a4"),
        ("symbols", "keycap: #", "#\ufe0f\u20e3"),
    ]
    found = list(emoji.listed(LIST))
    check(found == expected, "components, unqualified ones and variants of skin are left out", found)
    colours = [(255, 0, 0), (250, 3, 0), (0, 0, 255)]  # the second is nearly the first
    flags = [_pictures.Picture("flags", str(c), str(c), np.full((32, 32, 3), c, np.uint8)) for c in colours]
    kept = [flag.name for flag in _pictures.unlike(flags)]
    check(kept == ["(255, 0, 0)", "(0, 0, 255)"], "of pictures that look the same one is kept", kept)
    names = [emoji.file_name(name) for name in ("keycap: #", "keycap: *", "flag: São Tomé")]
    check(names == ["keycap-hash", "keycap-asterisk", "flag-s-o-tom"], "names are those of files", names)


def a_set_is_made_of_a_font(work: Path) -> None:
    if Image is None or not features.check("raqm"):
        return skip("data emoji makes a set of pictures", "Pillow is not installed, or has no Raqm")
    root = Path("/")
    if not (root / emoji.FONT).exists() or not (root / emoji.LIST).exists():
        run = subprocess.run(
            [*TOOLS, "data", "emoji", str(work / "set")], capture_output=True, text=True, check=False
        )
        told = run.returncode == 1 and all(name in run.stderr for name in (*emoji.PACKAGES, "--get"))
        check(told and not (work / "set").exists(), "without the packages it names them", run)
        return skip("data emoji makes a set of pictures", f"{' and '.join(emoji.PACKAGES)} are not installed")
    run = subprocess.run(
        [*TOOLS, "data", "emoji", str(work / "set")], capture_output=True, text=True, check=False
    )
    result = json.loads(run.stdout.splitlines()[-1]) if run.returncode == 0 else {}
    files = sorted((work / "set/png").glob("*/*/*.png"))
    check(0 < result.get("kept", 0) == len(files), "every emoji has a file of its own", run, len(files))
    splits: dict[str, set[str]] = {}
    for path in files:
        splits.setdefault(path.stem.split("-", 1)[-1], set()).add(path.parts[-3])
    singers = splits.get("singer", set())
    check(len(singers) == 1, "a man, a woman and a person are in one split", singers)
    pictures = [Image.open(path) for path in files]
    check(
        all(picture.size == (32, 32) and picture.mode == "RGB" for picture in pictures),
        "all are 32 x 32 pixels in colour",
    )
    different = {picture.tobytes() for picture in pictures}
    check(len(different) == len(files), "no two are the same picture", len(different))
    blank = [path.name for path, picture in zip(files, pictures) if len(picture.getcolors(1024) or ()) == 1]
    check(not blank, "and none is empty", blank)


if __name__ == "__main__":
    sys.exit(run_tests(a_list_is_read, a_set_is_made_of_a_font))
