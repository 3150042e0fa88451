"""Killed and stopped runs: what was fitted or trained is kept and sound, and the next run ends as if nothing had been."""

import json
import signal
import sys
import time
from pathlib import Path
from typing import Callable

import h5py

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "cli"))
from harness import (  # noqa: E402
    HUNG,
    Process,
    Run,
    check,
    launch,
    make_store,
    polyview,
    run_tests,
    skip,
    write_config,
    write_images,
)

OBJECTS, VIEWS = 150 + 10 + 10, 2
ROWS = OBJECTS * VIEWS
STOPPED, STOP_S = 75, 10


def contents(path: Path) -> dict[str, bytes]:
    with h5py.File(path) as file:
        names = ["params"] + [f"view/{name}" for name in ("status", "checksum", "psnr", "steps")]
        return {name: file[name][()].tobytes() for name in names}


def fitted(path: Path) -> int:
    """Rows marked fitted, 0 as long as there is no store."""
    if not path.exists():
        return 0
    with h5py.File(path) as file:
        return int((file["view/status"][()] == 1).sum())


def prepare_fit(work: Path, steps: int) -> Path:
    """Work for a second or more, on one core."""
    write_images(work / "images", train=200, test=12, side=16)
    signals = {"train": 150, "val": 10, "test": 10}
    return write_config(work, signal=signals, inr={"hidden": [16, 16]}, fit={"steps": steps})


def fit_words(config: Path, store: Path) -> list[object]:
    return ["fit", "--config", config, "--store", store, "--quiet"]


def interrupted(config: Path, store: Path, ranks: int, share: float, act: Callable[[Process], object]) -> Run:
    """Starts a fit, acts once that share of the rows is fitted, and waits for the end."""
    process = Process(launch(fit_words(config, store), ranks))
    process.wait_for(lambda: fitted(store) > share * ROWS)
    act(process)
    start = time.monotonic()
    run = process.finish()
    run.seconds = time.monotonic() - start
    return run


def nothing_is_lost(
    run: Run, config: Path, store: Path, whole: dict[str, bytes], ranks: int, how: str
) -> None:
    """The store is sound as it is, and a new start completes it with the same bytes."""
    before = fitted(store)
    sound = polyview("verify", store, ranks=2)
    check(
        run.status not in (0, HUNG) and sound.status == 0 and sound.json["fitted"] == before < ROWS,
        f"{how}: the job ends, h5py opens the store, and every row marked fitted verifies",
        run,
        sound,
    )
    again = polyview(*fit_words(config, store), ranks=ranks)
    check(
        again.status == 0 and (again.json["present"], again.json["fitted"]) == (before, ROWS - before),
        f"{how}: the next run on {ranks} ranks fits the rest only",
        again,
    )
    check(contents(store) == whole, f"{how}: the store is the same bytes as an uninterrupted run's")


def kill_all(process: Process) -> None:
    process.signal(signal.SIGKILL)


def killed_fits_resume(work: Path) -> None:
    config = prepare_fit(work, 700)
    polyview(*fit_words(config, work / "whole.h5"), ranks=2)
    whole = contents(work / "whole.h5")
    check(fitted(work / "whole.h5") == ROWS, "an uninterrupted run fits every row")
    cases: list[tuple[str, int, float, Callable[[Process], object], int]] = [
        ("kill -9 of all ranks at the start", 3, 0, kill_all, 3),
        ("kill -9 of all ranks midway", 3, 0.4, kill_all, 1),
        ("kill -9 of all ranks near the end", 2, 0.7, kill_all, 4),
        ("kill -9 of the only rank", 1, 0.3, kill_all, 2),
        ("kill -9 of rank 0", 3, 0.3, lambda process: process.signal(signal.SIGKILL, 0), 2),
        ("kill -9 of the last rank", 3, 0.3, lambda process: process.signal(signal.SIGKILL, 2), 3),
    ]
    for number, (how, ranks, share, act, later) in enumerate(cases):
        store = work / f"{number}.h5"
        nothing_is_lost(interrupted(config, store, ranks, share, act), config, store, whole, later, how)


def signalled_fits_stop(work: Path) -> None:
    config = prepare_fit(work, 700)
    polyview(*fit_words(config, work / "whole.h5"), ranks=2)
    whole = contents(work / "whole.h5")
    cases: list[tuple[str, int, Callable[[Process], object]]] = [
        ("SIGTERM to all ranks", 3, lambda process: process.signal(signal.SIGTERM)),
        ("SIGUSR1 to all ranks", 2, lambda process: process.signal(signal.SIGUSR1)),
        ("SIGTERM to one rank", 3, lambda process: process.signal(signal.SIGTERM, 2)),
        ("SIGTERM to the only rank", 1, lambda process: process.signal(signal.SIGTERM)),
        ("SIGUSR1 to mpirun", 2, lambda process: process.process.send_signal(signal.SIGUSR1)),
    ]
    for number, (how, ranks, act) in enumerate(cases):
        store = work / f"{number}.h5"
        run = interrupted(config, store, ranks, 0.3, act)
        check(
            run.status == STOPPED and run.seconds < STOP_S and "polyview: stopped" in run.stderr,
            f"{how} ends a fit with status 75 within {STOP_S} s",
            run,
        )
        check(
            run.json.get("status") == "stopped early" and 0 < run.json["fitted"] == fitted(store) < ROWS,
            f"{how}: the result tells how many views were fitted",
            run,
            fitted(store),
        )
        nothing_is_lost(run, config, store, whole, 3, how)


def stop_between_nodes(work: Path) -> None:
    config, store = prepare_fit(work, 1500), work / "store.h5"
    process = Process(launch(fit_words(config, store), 4), POLYVIEW_NODE_RANKS=1)
    process.wait_for(lambda: fitted(store) > 0.1 * ROWS)
    start = time.monotonic()
    process.signal(signal.SIGTERM, 3)
    run = process.finish()
    check(
        run.status == STOPPED and time.monotonic() - start < STOP_S and fitted(store) < ROWS,
        "SIGTERM to a rank of one node stops the ranks of the others",
        run,
    )


MORE_TRIES = 20


def killed_while_making_the_store(work: Path) -> None:
    config = prepare_fit(work, 10)
    polyview(*fit_words(config, work / "whole.h5"), ranks=2)
    whole, met = contents(work / "whole.h5"), []
    delays = (0, 0.001, 0.002, 0.004, 0.008, 0.016)
    # Making a store takes a few milliseconds: more tries, until one kill has landed inside.
    for number, delay in enumerate(delays + (0,) * MORE_TRIES):
        if number >= len(delays) and "part" in met:
            break
        store = work / f"{number}.h5"
        part = Path(f"{store}.part")
        process = Process(launch(fit_words(config, store), 2))
        process.wait_for(lambda: part.exists() or store.exists())
        time.sleep(delay)
        process.signal(signal.SIGKILL)
        process.finish()
        met.append("store" if store.exists() else "part" if part.exists() else "neither")
        sound = polyview("verify", store).status if store.exists() else 0
        again = polyview(*fit_words(config, store), ranks=3)
        check(
            sound == 0 and again.status == 0 and contents(store) == whole and not part.exists(),
            f"kill -9 {1e3 * delay:g} ms into the making of a store leaves none or a whole one, and the next run works",
            met[-1],
            sound,
            again,
        )
    what = "one of the kills met a store in the making"
    if "part" in met:
        check(True, what)
    else:
        skip(what, "it was made too fast")


# ---- training


def curve(path: Path) -> list[dict]:
    """The epochs of a metrics file."""
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    return [line for line in lines if line["event"] == "epoch"]


def same_curve(one: list[dict], other: list[dict]) -> bool:
    """Epoch by epoch the same stream, and train losses that differ by rounding only."""
    return [e["epoch"] for e in one] == [e["epoch"] for e in other] and all(
        a["stream"] == b["stream"] and abs(a["train_loss"] - b["train_loss"]) <= 1e-5 * b["train_loss"]
        for a, b in zip(one, other)
    )


EPOCHS = 8


def train_words(work: Path, name: str) -> list[object]:
    output = f"train.output={work / name}"
    return ["train", "--config", work / "config.yaml", "--set", output, "--quiet"]


def prepare_training(work: Path) -> list[dict]:
    """A store and the curve of an uninterrupted run."""
    make_store(
        work,
        model={"kind": "mlp", "hidden": 384, "layers": 3},
        train={"epochs": EPOCHS, "batch": 2, "lr": 1e-4, "checkpoint_epochs": 3},
    )
    run = polyview(*train_words(work, "whole.h5"), ranks=2)
    check(run.status == 0, "an uninterrupted training ends", run)
    return curve(work / "whole.h5.jsonl")


def cut_short(work: Path, name: str, ranks: int, epochs: int, act: Callable[[Process], object]) -> Run:
    """Starts a training and acts after some epochs."""
    process = Process(launch(train_words(work, name), ranks))
    process.wait_for(lambda: len(curve(work / f"{name}.jsonl")) >= epochs)
    act(process)
    start = time.monotonic()
    run = process.finish()
    run.seconds = time.monotonic() - start
    return run


def stopped_and_killed_training_resumes(work: Path) -> None:
    """A checkpoint every three epochs: a kill after the fifth loses two, one after the second all."""
    whole = prepare_training(work)
    cases: list[tuple[str, str, int, int, Callable[[Process], object], int]] = [
        ("SIGTERM to all ranks", "term.h5", 2, 2, lambda process: process.signal(signal.SIGTERM), STOPPED),
        ("SIGUSR1 to one rank", "usr1.h5", 3, 2, lambda process: process.signal(signal.SIGUSR1, 1), STOPPED),
        ("kill -9 of all ranks", "kill.h5", 2, 5, kill_all, 0),
        ("kill -9 of the last rank", "last.h5", 3, 2, lambda process: process.signal(signal.SIGKILL, 2), 0),
    ]
    for how, name, ranks, epochs, act, status in cases:
        run = cut_short(work, name, ranks, epochs, act)
        done = len(curve(work / f"{name}.jsonl"))
        check(
            (run.status == status if status else run.status not in (0, HUNG)) and run.seconds < STOP_S,
            f"{how} ends a training" + (f" with status {status} within {STOP_S} s" if status else ""),
            run,
        )
        check(epochs <= done < EPOCHS, f"{how}: the training was cut short", done)
        again = polyview(*train_words(work, name), ranks=ranks)
        resumed = curve(work / f"{name}.jsonl")
        check(
            again.status == 0 and same_curve(resumed, whole),
            f"{how}: the resumed run has the curve of an uninterrupted one, every epoch once",
            again,
            resumed,
            whole,
        )


def main() -> int:
    return run_tests(
        killed_fits_resume,
        signalled_fits_stop,
        stop_between_nodes,
        killed_while_making_the_store,
        stopped_and_killed_training_resumes,
    )


if __name__ == "__main__":
    sys.exit(main())
