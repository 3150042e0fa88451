"""polyview-tools data icons: a set of pictures from icon themes, in both forms, of which no test picture is a train picture."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from harness import TOOLS, check, run_tests, skip

try:
    from PIL import Image
except ImportError:
    Image = None

CATEGORIES, NAMES = ("actions", "apps"), 90


def write_theme(root: Path, seed: int, layout: str) -> None:
    """Icons in noise of their own; every tenth is drawn as the one before it, and one is of another size."""
    rng = np.random.default_rng(seed)
    for category in CATEGORIES:
        folder = root / layout.format(category)
        folder.mkdir(parents=True)
        for number in range(NAMES):
            if number % 10 != 9:
                pixels = rng.integers(0, 256, (8, 8, 4)).repeat(4, 0).repeat(4, 1).astype("u1")
            Image.fromarray(pixels if number else pixels[:16]).save(folder / f"icon-{number}.png")
        (folder / "link.png").symlink_to("icon-1.png")


def icons(*words: object) -> subprocess.CompletedProcess[str]:
    command = [*TOOLS, "data", "icons", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def a_set_is_made_of_themes(work: Path) -> None:
    if Image is None:
        return skip("data icons makes a set of pictures", "Pillow is not installed")
    write_theme(work / "themes/gnome", 1, "32x32/{}")
    write_theme(work / "themes/Faenza", 2, "{}/32")
    run = icons(work / "set", "--themes", work / "themes")
    result = json.loads(run.stdout.splitlines()[-1]) if run.returncode == 0 else {}
    kept = 2 * len(CATEGORIES) * (NAMES - 1 - NAMES // 10)
    check(
        result.get("kept") == kept and set(result["classes"]) == set(CATEGORIES),
        "icons that look alike, links and icons of another size are left out",
        run.stdout,
        run.stderr,
    )
    files = sorted((work / "set/png").glob("*/*/*.png"))
    names: dict[str, set[str]] = {}
    for path in files:
        names.setdefault(path.stem.split("-", 1)[1], set()).add(path.parts[-3])
    check(
        len(files) == kept and all(len(splits) == 1 for splits in names.values()),
        "icons of one name are in one split, whatever their theme",
        names,
    )
    classes = (work / "set/cifar/batches.meta.txt").read_text().split()
    for split, file in (
        ("train", "data_batch_1.bin"),
        ("val", "data_batch_2.bin"),
        ("test", "test_batch.bin"),
    ):
        records = np.frombuffer((work / "set/cifar" / file).read_bytes(), "u1").reshape(-1, 3073)
        drawn = {
            bytes([classes.index(path.parent.name)])
            + np.asarray(Image.open(path)).transpose(2, 0, 1).tobytes()
            for path in files
            if path.parts[-3] == split
        }
        check(
            {record.tobytes() for record in records} == drawn and len(records) == len(drawn) > 0,
            f"{file} holds the labels and pixels of the {split} split, colour by colour",
        )
    run = icons(work / "none", "--themes", work)
    check(
        run.returncode == 1 and "oxygen-icon-theme" in run.stderr and "Traceback" not in run.stderr,
        "without a theme it says which packages have some",
        run.stderr,
    )


if __name__ == "__main__":
    sys.exit(run_tests(a_set_is_made_of_themes))
