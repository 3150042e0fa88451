"""Kills at random instants, by the hundred: `make check-fault`; test_kills.py is its short form.

A trial fits a store in one file or in shards, in float32 or in 16 bits, grows one, or repairs one, on 2 to 4 ranks; SIGKILL
meets one random rank or all of them at a random instant.  Then h5py must open the file, every row marked fitted must pass its
checksum, and a new start on other ranks must end with the bytes of a run that nothing disturbed."""

import argparse
import random
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "cli"), str(HERE.parent.parent / "analysis")]
from harness import (
    AT_ONCE,
    Process,
    check,
    launch,
    polyview,
    run_tests,
    write_config,
    write_images,
)  # noqa: E402
from polyview._xxh3 import checksums  # noqa: E402

COLUMNS = ("params", "view/status", "view/checksum", "view/psnr", "view/steps", "object/source")
VIEWS, GROWN_VIEWS, OBJECTS, GROWN_OBJECTS = 2, 3, 60, 70
PATIENCE_S = 1200  # hours of trials: the machine may have been stopped meanwhile
SHARDS = "storage.shard_gib=0.00003"  # a few dozen rows each
Rows = dict[str, np.ndarray]


def columns(path: Path) -> Rows:
    with h5py.File(path) as file:
        return {name: file[name][()] for name in COLUMNS}


def fitted(rows: Rows) -> int:
    return int((rows["view/status"] == 1).sum())


def bad_rows(rows: Rows) -> set[tuple[int, int]]:
    """Rows marked fitted that do not match their checksums, by a second implementation of XXH3."""
    views, objects, params = rows["params"].shape
    sums = checksums(rows["params"].reshape(-1, params)).reshape(views, objects)
    wrong = (rows["view/status"] == 1) & (sums != rows["view/checksum"])
    return {(int(view), int(thing)) for view, thing in np.argwhere(wrong)}


@dataclass
class Kind:
    """What a trial does to a copy of `base`, and what must come out."""

    name: str
    base: Path | None
    commands: list[list[object]]  # STORE stands for the victim
    whole: Rows
    seconds: float
    bad: set[tuple[int, int]]
    before: int  # rows marked fitted in `base`


def words_for(command: list[object], store: Path) -> list[object]:
    return [store if word == "STORE" else word for word in command]


def copy(base: Path | None, store: Path) -> None:
    if base:
        shutil.copy(base, store)
    if base and Path(f"{base}.shards").is_dir():
        shutil.copytree(f"{base}.shards", f"{store}.shards")


def remove(store: Path) -> None:
    for path in store.parent.glob(f"{store.name}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def damage(store: Path) -> None:
    """Bits that flipped, a checksum that is wrong, rows that are missing."""
    with h5py.File(store, "r+") as file:
        for view, thing in ((0, 3), (1, 17), (1, 59)):
            row = file["params"][view, thing].view("u4")
            row[thing] ^= 1 << 13
            file["params"][view, thing] = row.view("f4")
        file["view/checksum"][0, 30] += 1
        file["view/status"][0, 40:60] = 0
        file["view/status"][1, 20:55] = 0


def undisturbed(work: Path, name: str, base: Path | None, commands: list[list[object]]) -> Kind:
    store = work / f"{name}-whole.h5"
    copy(base, store)
    bad = bad_rows(columns(store)) if base else set()
    before = fitted(columns(store)) if base else 0
    start = time.monotonic()
    for command in commands:
        run = polyview(*words_for(command, store), ranks=3)
        if run.status != 0:
            raise ValueError(f"an undisturbed run failed: {run}")
    seconds = time.monotonic() - start
    return Kind(name, base, commands, columns(store), seconds, bad, before)


def prepare(work: Path, steps: int) -> list[Kind]:
    write_images(work / "images", train=90, test=12)
    splits = {"train": OBJECTS - 14, "val": 5, "test": 9}
    config = write_config(work, signal=splits, inr={"hidden": [16, 16]}, fit={"views": VIEWS, "steps": steps})
    fit = ["fit", "--config", config, "--store", "STORE"]
    base, damaged = work / "base.h5", work / "damaged.h5"
    polyview(*words_for(fit, base), ranks=2)
    shutil.copy(base, damaged)
    damage(damaged)

    def in_precision(name: str) -> list[object]:
        return [*fit, "--set", f"fit.precision={name}", "--set", f"fit.polish={steps // 10}"]

    grow = ["extend", "STORE", "--views", GROWN_VIEWS, "--objects", GROWN_OBJECTS, "--set", SHARDS]
    return [
        undisturbed(work, "fit", None, [fit]),
        undisturbed(work, "shards", None, [[*fit, "--set", SHARDS]]),
        undisturbed(work, "bfloat16_amx", None, [in_precision("bfloat16_amx")]),
        undisturbed(work, "int16 in shards", None, [[*in_precision("int16"), "--set", SHARDS]]),
        undisturbed(work, "grow", base, [grow, ["fit", "--store", "STORE"]]),
        undisturbed(work, "repair", damaged, [["verify", "STORE", "--repair"]]),
    ]


@dataclass
class Instant:
    """When the kill comes: at a time, or a moment after a share of the job's rows is written."""

    share: float | None
    seconds: float

    def __str__(self) -> str:
        return f"after {self.seconds:.3f} s" + (
            f" from {self.share:.0%} of its rows on" if self.share else ""
        )


def any_instant(kind: Kind, rng: random.Random) -> Instant:
    """Mostly within the rows, however fast the machine is; else in making, opening, closing, too."""
    if rng.random() < 0.75:
        return Instant(rng.random(), rng.uniform(0, 0.03))
    return Instant(None, rng.uniform(0.1, 1) * kind.seconds)


def written(kind: Kind, store: Path) -> float:
    """The share of the job's rows that are marked fitted."""
    try:
        with h5py.File(store) as file:
            now = int((file["view/status"][()] == 1).sum())
    except (OSError, KeyError):
        return 0
    return (now - kind.before) / (fitted(kind.whole) - kind.before)


def run_until(kind: Kind, store: Path, ranks: int, victim: int | None, instant: Instant) -> bool:
    """Runs the commands in turn; whether the kill hit a rank of one of them."""
    start = time.monotonic()
    for command in kind.commands:
        process = Process(launch(words_for(command, store), ranks), **AT_ONCE)
        if instant.share is not None and process.wait_for(lambda: written(kind, store) >= instant.share):
            start = time.monotonic()
        process.wait_for(lambda: time.monotonic() - start >= instant.seconds)
        running = process.process.poll() is None
        killed = process.signal(signal.SIGKILL, *(() if victim is None else (victim,))) if running else 0
        process.finish(PATIENCE_S)
        if running:
            return killed > 0
    return False


def start_again(kind: Kind, store: Path, ranks: int) -> str:
    """What went wrong, "" if nothing did."""
    for command in kind.commands:
        if command[0] == "extend" and columns(store)["params"].shape[0] == GROWN_VIEWS:
            continue
        run = polyview(*words_for(command, store), ranks=ranks, timeout=PATIENCE_S)
        if run.status != 0:
            return str(run)
    return ""


def state_of(kind: Kind, store: Path) -> tuple[str, str]:
    """(when the kill came: before, between or after the rows that the job writes; what is wrong, "" if nothing)"""
    if not store.exists():
        return "before the first row", "a store that was there is gone" if kind.base else ""
    try:
        rows = columns(store)
    except (OSError, KeyError) as error:
        return "between rows", f"h5py cannot open it: {error}"
    wrong = bad_rows(rows) - kind.bad
    count = fitted(rows)
    first, last = count <= kind.before, count == fitted(kind.whole)
    state = "before the first row" if first else "after the last row" if last else "between rows"
    return state, f"rows marked fitted fail their checksums: {sorted(wrong)}" if wrong else ""


def same(rows: Rows, whole: Rows) -> bool:
    return all(rows[name].tobytes() == whole[name].tobytes() for name in COLUMNS)


def trial(kind: Kind, store: Path, rng: random.Random, seen: dict[str, int]) -> str:
    ranks, later = rng.randint(2, 4), rng.randint(1, 4)
    victim = rng.choice([None, rng.randrange(ranks)])
    instant = any_instant(kind, rng)
    copy(kind.base, store)
    met = run_until(kind, store, ranks, victim, instant)
    state, wrong = state_of(kind, store)
    how = f"{kind.name}, {ranks} ranks, kill of {'all' if victim is None else victim} {instant}"
    for what in (
        f"{'hit' if met else 'missed'} a running job",
        state,
        f"of {kind.name}",
        "of all ranks" if victim is None else "of one rank",
    ):
        seen[what] = seen.get(what, 0) + 1
    wrong = wrong or start_again(kind, store, later)
    if not wrong and not same(columns(store), kind.whole):
        wrong = "the bytes are not those of an undisturbed run"
    remove(store)
    return f"{how}: {wrong}" if wrong else ""


def kills(work: Path, trials: int, steps: int, seed: int) -> None:
    """More trials than asked where most have met no job between its rows."""
    rng, seen, wrong = random.Random(seed), dict[str, int](), list[str]()
    kinds = prepare(work, steps)
    number = 0
    while number < trials or (number < 3 * trials and seen.get("between rows", 0) <= trials // 3):
        fault = trial(kinds[number % len(kinds)], work / f"victim-{number}.h5", rng, seen)
        wrong += [fault] if fault else []
        number += 1
        if number % 20 == 0 or fault:
            print(f"# {number} trials, {len(wrong)} wrong, so far {seen} {fault}", flush=True)
    told = ", ".join(f"{count} {what}" for what, count in sorted(seen.items()))
    check(
        not wrong,
        f"{number} random kills: the file opens, rows marked fitted are sound, the next start ends with the same bytes ({told})",
        *wrong,
    )
    hit, between = seen.get("hit a running job", 0), seen.get("between rows", 0)
    check(between > trials // 3, f"{hit} kills hit a running job, {between} between its rows", told)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--steps", type=int, default=1000, help="of a fit: how long a run takes")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    sys.argv[1:] = []

    def random_kills(work: Path) -> None:
        kills(work, args.trials, args.steps, args.seed)

    return run_tests(random_kills)


if __name__ == "__main__":
    sys.exit(main())
