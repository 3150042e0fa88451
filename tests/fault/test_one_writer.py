"""One run at a time writes a store; the lock of a dead run holds nobody up."""

import ctypes
import ctypes.util
import os
import signal
import sys
from pathlib import Path

import h5py

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "cli"))
from harness import (
    Process,
    check,
    launch,
    one_error,
    polyview,
    run_tests,
    write_config,
    write_images,
)  # noqa: E402


def fit_words(config: Path, store: Path) -> list[object]:
    return ["fit", "--config", config, "--store", store]


def start_long_fit(work: Path) -> tuple[Path, Path, Process]:
    """A fit of some seconds on two ranks, well under way."""
    write_images(work / "images", train=200, test=12, side=16)
    splits = {"train": 150, "val": 10, "test": 10}
    config = write_config(work, signal=splits, inr={"hidden": [16, 16]}, fit={"steps": 1500})
    store = work / "store.h5"
    running = Process(launch(fit_words(config, store), 2))
    running.wait_for(store.exists)
    return config, store, running


def a_second_writer_is_refused(work: Path) -> None:
    config, store, running = start_long_fit(work)
    lock = Path(f"{store}.lock")
    holder = running.ranks()[0]
    for ranks in (1, 3):
        second = polyview(*fit_words(config, store), ranks=ranks)
        check(
            one_error(second, 1, "is being written by another run", f"process {holder} on ")
            and second.seconds < 10,
            f"a second fit on {ranks} ranks is refused at once and told who holds the store",
            second,
        )
    check(polyview("info", store).status == 0, "a store that is being written can be read")
    first = running.finish()
    check(
        first.status == 0 and first.json["fitted"] == first.json["rows"],
        "the first run is not disturbed",
        first,
    )
    check(not lock.exists(), "a run that ends gives the lock back")


def a_dead_writer_is_taken_over(work: Path) -> None:
    config, store, running = start_long_fit(work)
    running.wait_for(lambda: has_rows(store))
    running.signal(signal.SIGKILL)
    running.finish()
    check(Path(f"{store}.lock").exists(), "a killed run leaves its lock")
    again = polyview(*fit_words(config, store), ranks=2)
    check(
        again.status == 0 and "taking over" in again.stderr and again.json["present"] > 0,
        "the next run takes the lock over at once, says so, and continues",
        again,
    )
    left = sorted(path.name for path in work.glob("store.h5*"))
    check(left == ["store.h5", "store.h5.runs.jsonl"], "no lock is left behind", left)


def has_rows(store: Path) -> bool:
    with h5py.File(store) as file:
        return bool((file["view/status"][()] == 1).any())


def a_killed_open_holds_nobody_up(work: Path) -> None:
    """Open MPI's semaphore of a file's name, as a run leaves it that is killed while it opens the file."""
    write_images(work / "images")
    name = f"{work.name}.h5"
    library = ctypes.CDLL(ctypes.util.find_library("pthread") or "libc.so.6", use_errno=True)
    library.sem_open.restype = ctypes.c_void_p
    library.sem_open(f"/OMPIO_{name}".encode(), os.O_CREAT, ctypes.c_uint(0o600), ctypes.c_uint(0))
    try:
        for ranks in (1, 3):
            run = polyview(*fit_words(write_config(work), work / name), ranks=ranks, timeout=30)
            check(run.status == 0, f"{ranks} rank(s) open the file all the same", run)
        left = sorted(path.name for path in work.iterdir() if path.name.startswith((name, f".{name}")))
        check(
            all(entry == name or entry.endswith((".shards", ".runs.jsonl")) for entry in left),
            "nothing of Open MPI's lies beside it",
            left,
        )
    finally:
        library.sem_unlink(f"/OMPIO_{name}".encode())


if __name__ == "__main__":
    sys.exit(
        run_tests(a_killed_open_holds_nobody_up, a_second_writer_is_refused, a_dead_writer_is_taken_over)
    )
