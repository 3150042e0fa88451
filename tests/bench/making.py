"""How long a store of very many objects takes to make, to look at, and to open for the last few of its fits, beside a plain
pwrite of the bytes that making it writes.

    making.py [--objects 1e6,1e8,1e9] [--ranks 1] [--place /var/tmp]

The objects are sines, their INRs tiny, and no space is set aside for rows: what is written is what a store says of its
objects, 33 bytes each.  Everything is made in a directory below --place, which is removed.  Prints the rows of a table,
the peak memory of the largest rank with them.  A disk that others use gives other figures: the plain write tells.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "cli"))
from harness import POLYVIEW, Process, environment, launch  # noqa: E402

OBJECT_BYTES = 33  # label, split, source, digest, two targets
PIECE = 8 << 20
HOURS_S = 7200.0


def plain(place: Path, count: int) -> float:
    """Writes as many bytes and brings them to disk."""
    path, piece = place / "plain", os.urandom(PIECE)
    start = time.monotonic()
    with open(path, "wb", buffering=0) as file:
        for at in range(0, count, PIECE):
            os.pwrite(file.fileno(), piece[: count - at], at)
        os.fsync(file.fileno())
    seconds = time.monotonic() - start
    path.unlink()
    return seconds


def peak(process: Process, until: Callable[[], bool]) -> tuple[float, float]:
    """Seconds until the event, and the MiB that the largest rank has taken by then."""
    most = 0.0

    def look() -> bool:
        nonlocal most
        for pid in process.ranks():
            try:
                words = Path(f"/proc/{pid}/status").read_text().split()
                most = max(most, int(words[words.index("VmHWM:") + 1]) / 1024)
            except (OSError, ValueError):
                continue  # it has ended
        time.sleep(0.05)
        return until()

    process.wait_for(look, HOURS_S)
    return time.monotonic() - process.start, most


def make(config: Path, store: Path, ranks: int) -> tuple[float, float]:
    """A fit is ended when the store is there."""
    process = Process(launch(["fit", "--config", config, "--quiet"], ranks))
    found = peak(process, store.exists)
    process.signal(signal.SIGTERM)
    process.finish()
    return found


def fill(store: Path) -> None:
    """Says of all rows but four that they are fitted."""
    with h5py.File(store, "r+") as file:
        status = file["view/status"]
        count, block = status.shape[1], 1 << 24
        for first in range(0, count, block):
            status[0, first : first + block] = np.ones(min(block, count - first), "u1")
        for place in (0, count // 3, count // 2, count - 1):
            status[0, place] = 0


def run(words: list[object], ranks: int) -> tuple[float, float, dict]:
    process = Process(launch([*words, "--quiet"], ranks))
    seconds, most = peak(process, lambda: False)
    done = process.finish()
    if done.status != 0:
        raise SystemExit(f"making: {done}")
    return seconds, most, done.json


def measure(place: Path, objects: int, ranks: int) -> None:
    config, store = place / "config.yaml", place / "store.h5"
    signals = {"source": "sine", "train": objects, "val": 0, "test": 0, "samples": 8}
    config.write_text(
        json.dumps(
            {
                "store": str(store),
                "signal": signals,
                "inr": {"hidden": [2]},
                "fit": {"views": 1, "steps": 1},
                "storage": {"reserve": False},
            }
        )
    )
    written = plain(place, objects * OBJECT_BYTES)
    making, made = make(config, store, ranks)
    looking, looked, told = run(["info", store, "--json"], ranks)
    if told["objects"] != objects:
        raise SystemExit(f"making: {told}")
    fill(store)
    opening, opened, told = run(["fit", "--store", store], ranks)
    if told["fitted"] != 4:
        raise SystemExit(f"making: {told}")
    store.unlink()
    print(
        f"| {objects:.0e} | {objects * OBJECT_BYTES / 1e9:.2f} | {written:.1f} | {making:.1f} | {looking:.1f} | "
        f"{opening:.1f} | {max(made, looked, opened):.0f} |",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--objects", default="1e6,1e8,1e9")
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--place", type=Path, default=Path("/var/tmp"))
    words = parser.parse_args()
    subprocess.run([POLYVIEW, "--version"], env=environment(), stdout=subprocess.DEVNULL, check=True)
    print(
        "| objects | GB | plain pwrite s | made s | info s | opened, four rows fitted s | peak MiB a rank |"
    )
    print("|---|---|---|---|---|---|---|")
    for objects in words.objects.split(","):
        place = Path(tempfile.mkdtemp(prefix="polyview-making-", dir=words.place))
        try:
            measure(place, int(float(objects)), words.ranks)
        finally:
            shutil.rmtree(place)
    return 0


if __name__ == "__main__":
    sys.exit(main())
