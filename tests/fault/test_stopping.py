"""A signal is heard in every phase of every command, and a store whose making is cut short leaves nothing behind.

A slow disk holds every phase up: calls on some files wait, as tests/fault/faults.c makes them."""

import json
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import h5py
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))
from harness import (  # noqa: E402
    AT_ONCE,
    ROOT,
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
from test_failing_files import faults  # noqa: E402

STOPPED, HEARD_S, BUSY_S = 75, 10, 10  # a signal is heard within; what a busy machine takes to end
SLOW_MS = 150
MANY, MORE = 700_000, 900_000  # objects: more than rank 0 writes by itself
OBJECT = {"label": "<i4", "split": "|u1", "source": "<u8", "digest": "<u8"}


def slowed(
    work: Path, library: Path, words: list[object], ranks: int, path: str, calls: str, ms: int, after: int = 0
) -> Process:
    """A program some of whose calls take long; returns when the first of these waits."""
    mark = work / f"mark-{Process.started}"
    process = Process(
        launch(words, ranks),
        LD_PRELOAD=library,
        FAULT_PATH=path,
        FAULT_CALLS=calls,
        FAULT_WAIT_MS=ms,
        FAULT_AFTER=after,
        FAULT_MARK=mark,
        **AT_ONCE,
    )
    process.wait_for(mark.exists)
    return process


def ended(process: Process, number: int, *ranks: int) -> tuple[Run, float]:
    start = time.monotonic()
    process.signal(number, *ranks)
    run = process.finish(HEARD_S + BUSY_S + 10)
    return run, time.monotonic() - start


def sine(work: Path, name: str, **sections: dict | str) -> Path:
    """A config of very many tiny objects, of the seed of tests/older/sine.h5."""
    return write_config(
        work,
        f"{name}.yaml",
        store=str(work / f"{name}.h5"),
        signal={"source": "sine", "train": MANY - 8, "val": 4, "test": 4, "samples": 8, "seed": 3},
        inr={"hidden": [2]},
        fit={"views": 1, "steps": 1000},
        **({"storage": {"reserve": False}} | sections),
    )


def left(store: Path) -> set[str]:
    """The names of a store's files."""
    return {path.name for path in store.parent.glob(f"{store.name}*") if not path.name.endswith(".jsonl")} | {
        f"shards/{path.name}" for path in Path(f"{store}.shards").glob("*")
    }


def named(store: Path) -> set[str]:
    """Those that it says it has."""
    with h5py.File(store) as file:
        shards = [name.decode() for name in file["shards"]["file"]] if "shards" in file else []
    return (
        {store.name}
        | {f"shards/{Path(name).name}" for name in shards}
        | {Path(name).parent.name for name in shards}
    )


def whole(store: Path, objects: int) -> bool:
    """Whether its objects are what earlier versions, and one rank alone, said of them."""
    with h5py.File(store) as file, h5py.File(ROOT / "tests" / "older" / "sine.h5") as older:
        own = {name: file[f"object/{name}"][()] for name in (*OBJECT, "target")}
        target, source = older["object/target"][:40], older["object/source"][()]
    grown, pool = objects - MANY, 1 << 40
    train, rest = MANY - 8, (4, 4)
    want = {
        "label": np.zeros(objects),
        "split": np.repeat([0, 1, 2, 0], (train, *rest, grown)),
        "source": np.concatenate(
            [np.arange(train), source[40:44], source[44:], np.arange(train, train + grown)]
        ),
        "digest": np.zeros(objects),
    }
    return (
        all(own[name].tobytes() == want[name].astype(kind).tobytes() for name, kind in OBJECT.items())
        and own["target"][:40].tobytes() == target.tobytes()
        and len(np.unique(own["target"][:, 0])) > 0.9 * objects
        and source[44] == pool
    )


def made(process: Process, store: Path) -> Run:
    """Ends a fit when the store is there: its fits would take long."""
    process.wait_for(store.exists)
    return ended(process, signal.SIGTERM)[0]


def a_making_is_whole_or_nothing(work: Path) -> None:
    library = faults(work)
    if not library:
        skip("a making that is cut short", "there is no C compiler")
        return
    targets = []
    for ranks, size in ((1, 0.0), (2, 0.01), (3, 0.0)):
        config = sine(work, f"made{ranks}", storage={"reserve": False, "shard_gib": size})
        store, fit = work / f"made{ranks}.h5", ["fit", "--config", config]
        form = "shards" if size else "one file"
        process = slowed(work, library, fit, ranks, f"{store.name}", "write", SLOW_MS, 4)
        run, seconds = ended(process, signal.SIGTERM, ranks - 1)
        check(
            run.status == STOPPED and seconds < HEARD_S and left(store) == set(),
            f"a signal to rank {ranks - 1} of {ranks} ends the making of {form}, and nothing stays behind",
            seconds,
            left(store),
            run,
        )
        process = slowed(work, library, fit, ranks, f"{store.name}", "write", SLOW_MS, 4)
        ended(process, signal.SIGKILL)
        remains = left(store)
        run = made(Process(launch(fit, ranks)), store)
        check(
            remains and run.status == STOPPED and left(store) == named(store) and whole(store, MANY),
            f"killed on {ranks} rank(s), {len(remains)} file(s) stay: the next start makes {form} whole, and no more",
            remains,
            left(store),
            run,
        )
        with h5py.File(store) as file:
            targets.append(file["object/target"][()].tobytes())
    check(len(set(targets)) == 1, "on any number of ranks the objects are the same bytes")


def a_growth_is_whole_or_nothing(work: Path) -> None:
    library, store = faults(work), work / "grown.h5"
    if not library:
        skip("a growth that is cut short", "there is no C compiler")
        return
    made(Process(launch(["fit", "--config", sine(work, "grown")], 2)), store)
    for ranks in (1, 2, 3):
        count = MORE + ranks
        extend = ["extend", store, "--objects", count]
        before = named(store)
        run, seconds = ended(
            slowed(work, library, extend, ranks, store.name, "write", SLOW_MS, 4), signal.SIGUSR1
        )
        check(
            run.status == STOPPED and seconds < HEARD_S and left(store) == before,
            f"a signal ends a growth on {ranks} rank(s), and the store is as it was",
            seconds,
            left(store),
            run,
        )
        ended(slowed(work, library, extend, ranks, store.name, "write", SLOW_MS, 4), signal.SIGKILL)
        remains = left(store)
        run = polyview(*extend, ranks=ranks)
        check(
            remains != before and run.status == 0 and left(store) == named(store) and whole(store, count),
            f"killed on {ranks} rank(s), a growth leaves files that the next one takes away",
            remains,
            left(store),
            run,
        )


LIMIT_S = 2
LIMIT = ["--max-hours", LIMIT_S / 3600]


def slow_phases(work: Path, store: Path) -> dict[str, tuple[list[object], str, str, int]]:
    """Command, and the calls that hold it up: part of a file's name, kind, milliseconds."""
    config, model, place = work / "config.yaml", work / "model.h5", work / "place"
    fit, repair = ["fit", "--config", config, "--store"], ["verify", "--repair"]
    images, timed = str(work / "images"), place / "polyview-bench"
    place.mkdir()
    for name in ("filled", "grown", "missing", "limited", "mended", "bad"):
        shutil.copy(store, work / f"{name}.h5")
    for name in ("grown", "missing", "mended", "bad"):
        with h5py.File(work / f"{name}.h5", "r+") as file:
            file["view/status"][0, :3] = 0
    data, slow, slower = (images, "read", 3000), ("store.h5", "read", 250), 1000
    return {
        "fit, reading the images": ([*fit, work / "new.h5"], *data),
        "fit, bringing the store to disk": ([*fit, work / "other.h5"], "other.h5.part", "sync", 20000),
        "fit, opening a store that is filled": (
            ["fit", "--store", work / "filled.h5"],
            "filled.h5",
            "read",
            250,
        ),
        "extend, opening": (["extend", work / "grown.h5", "--views", 5], "grown.h5", "read", 250),
        "info": (["info", store], *slow),
        "verify": (["verify", store], *slow),
        "align": (["align", store], *slow),
        "render": (["render", store, "--object", 3, "--view", 0, "-o", work / "3.png"], *slow),
        "train, loading": (["train", "--config", config, "--set", f"train.output={work / 'm.h5'}"], *slow),
        "eval, loading": (["eval", "--model", model, "--store", store], *slow),
        "probe, loading": (["probe", "--model", model, "--store", store, "--method", "knn"], *slow),
        "plan, reading the images": (["plan", "--config", config, "--dir", place], *data),
        "plan, filling a store": (["plan", "--config", config, "--dir", place], str(timed), "write", 250),
        "bench comm": (["bench", "comm", "--config", config, "--dir", place], str(timed), "write", 250),
        "bench store": (["bench", "store", "--config", config, "--dir", place], str(timed), "write", 250),
        "fit, reading, and a limit": ([*fit, work / "a.h5", *LIMIT], *data),
        "fit, making a store, and a limit": ([*fit, work / "made.h5", *LIMIT], "made.h5", "write", slower),
        "fit, bringing it to disk, and a limit": ([*fit, work / "b.h5", *LIMIT], "b.h5.part", "sync", 20000),
        "train, loading, and a limit": (
            ["train", "--config", config, "--set", f"train.output={work / 'n.h5'}", *LIMIT],
            "store.h5",
            "read",
            slower,
        ),
        "fit, opening, and a limit": ([*fit, work / "limited.h5", *LIMIT], "limited.h5", "read", slower),
        "fit, writing rows, and a limit": (
            [*fit, work / "missing.h5", *LIMIT],
            "missing.h5",
            "write",
            slower,
        ),
        "repair, verifying, and a limit": (
            [*repair, work / "mended.h5", *LIMIT],
            "mended.h5",
            "read",
            slower,
        ),
        "repair, writing rows, and a limit": ([*repair, work / "bad.h5", *LIMIT], "bad.h5", "write", slower),
    }


class Ends:
    """When programs that are asked to end do so."""

    def __init__(self) -> None:
        self.asked: dict[str, tuple[Process, float]] = {}
        self.seconds: dict[str, float] = {}
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.all_asked = threading.Event()
        self.watcher.start()

    def ask(self, what: str, process: Process, when: float) -> None:
        self.asked[what] = process, when

    def watch(self) -> None:
        last = time.monotonic()
        while time.monotonic() - last < HEARD_S + BUSY_S:
            for what, (process, when) in list(self.asked.items()):
                if what not in self.seconds and process.process.poll() is not None:
                    self.seconds[what] = max(0, time.monotonic() - when)
            if not self.all_asked.is_set():
                last = time.monotonic()
            elif len(self.seconds) == len(self.asked):
                return
            time.sleep(0.05)

    def wait(self) -> None:
        self.all_asked.set()
        self.watcher.join()


def every_phase_hears_a_signal_or_a_limit(work: Path) -> None:
    library = faults(work)
    if not library:
        skip("every phase hears a signal", "there is no C compiler")
        return
    store, config = make_store(work), work / "config.yaml"
    trained = polyview("train", "--config", config)
    check(trained.status == 0 and store.exists(), "there is a store and a model", trained)
    long = ["--seconds", 6000, "--set", "train.batch=8"]
    benches = {
        f"bench {name}": Process(launch(["bench", name, *long], 2), **AT_ONCE)
        for name in ("fit", "train", "align")
    }
    ends = Ends()
    for what, (words, path, calls, ms) in slow_phases(work, store).items():
        process = slowed(work, library, words, 2, path, calls, ms)
        if LIMIT[0] not in words:
            process.signal(signal.SIGTERM)
        ends.ask(what, process, max(time.monotonic(), process.start + LIMIT_S))
    for what, process in benches.items():
        process.signal(signal.SIGTERM)
        ends.ask(what, process, time.monotonic())
    ends.wait()
    for what, (process, _) in ends.asked.items():
        run, seconds = process.finish(1), ends.seconds.get(what, HEARD_S + BUSY_S)
        limited = "a limit" in what
        check(
            run.status == STOPPED
            and seconds < HEARD_S + BUSY_S
            and ("a signal asked" not in run.stderr or not limited),
            f"{what}{'' if limited else ': a signal'} ends the run",
            seconds,
            run,
        )
    again = polyview("fit", "--config", config, "--store", work / "other.h5")
    check(again.status == 0 and again.json["fitted"] > 0, "and a fit that was cut off starts anew", again)
    seen = [polyview("verify", work / f"{name}.h5", "--repair") for name in ("missing", "mended", "bad")]
    check(
        all(run.status == 0 and run.json["bad"] == 0 for run in seen),
        "and no row is lost in a store that was being filled or mended",
        *seen,
    )


def curve(metrics: Path) -> list[dict]:
    """Epochs without what depends on the clock."""
    written = metrics.read_text().splitlines(keepends=True) if metrics.exists() else []
    lines = [json.loads(line) for line in written if line.endswith("\n")]
    return [
        {key: line[key] for key in ("epoch", "train_loss", "val_loss", "val_accuracy")}
        for line in lines
        if line["event"] == "epoch"
    ]


TRIES = 20
BATCHES = "and 2 batches are done"  # all of an epoch's: what was to follow is its evaluation


def evaluating_is_left_and_taken_up_again(work: Path) -> None:
    """Few rows to train on, and very many to be judged by."""
    write_images(work / "images", train=6000)
    shares = {"path": str(work / "images"), "train": 16, "val": 5900, "test": 9}
    config = write_config(
        work,
        signal=shares,
        fit={"views": 1, "steps": 2},
        model={"hidden": 32},
        train={"reduce": "ordered", "micro_batch": 2, "epochs": TRIES + 4},
    )
    polyview("fit", "--config", config, "--quiet")
    polyview("train", "--config", config, "--set", f"train.output={work / 'whole.h5'}")
    whole, words, told = curve(work / "whole.h5.jsonl"), ["train", "--config", config], ""
    for number in range(TRIES):  # until a signal has met it
        done = len(curve(work / "model.h5.jsonl"))
        if BATCHES in told or done == len(whole):
            break
        process = Process(launch(words, 2), **AT_ONCE)
        process.wait_for(lambda: len(curve(work / "model.h5.jsonl")) > done)
        time.sleep(0.02 * (number % 8))
        process.signal(signal.SIGTERM)
        told += process.finish().stderr
    run = polyview(*words)
    check(
        run.status == 0 and BATCHES in told + run.stderr and curve(work / "model.h5.jsonl") == whole,
        "a training that is stopped while it evaluates ends as one that is not",
        whole,
        curve(work / "model.h5.jsonl"),
        told,
        run,
    )


def a_training_heeds_its_limit(work: Path) -> None:
    config = work / "config.yaml"
    make_store(work, train={"reduce": "ordered", "micro_batch": 2, "epochs": 150})
    polyview("train", "--config", config, "--set", f"train.output={work / 'whole.h5'}")
    whole, runs = curve(work / "whole.h5.jsonl"), []
    while len(runs) < 2 * TRIES and (not runs or runs[-1].status == STOPPED):
        ranks = 1 + len(runs) % 4
        runs.append(polyview("train", "--config", config, "--max-hours", 1 / 3600, ranks=ranks))
    stopped = [run for run in runs if run.status == STOPPED and "(--max-hours) is reached" in run.stderr]
    check(
        stopped == runs[:-1] != [] and runs[-1].status == 0 and curve(work / "model.h5.jsonl") == whole,
        f"a training of {len(runs)} pieces of a second, each on other ranks, ends as one that has no limit",
        *runs,
    )


def memory_does_not_grow(work: Path) -> None:
    peaks = []
    for objects in (300_000, 3_000_000):
        store = work / f"{objects}.h5"
        config = sine(work, str(objects))
        keys = json.loads(config.read_text())
        keys["signal"]["train"] = objects
        config.write_text(json.dumps(keys))
        process = Process(launch(["fit", "--config", config], 1))
        process.wait_for(store.exists)
        process.wait_for(lambda: "RssAnon" in status_of(process) and time.monotonic() - process.start > 1)
        peaks.append(int(status_of(process).split("VmHWM:")[1].split()[0]) / 1024)
        ended(process, signal.SIGTERM)
        store.unlink()
    check(
        peaks[1] < peaks[0] + 8,
        f"a rank takes {peaks[0]:.0f} MiB for 300 000 objects and {peaks[1]:.0f} MiB for ten times as many",
    )


def status_of(process: Process) -> str:
    pids = process.ranks()
    return Path(f"/proc/{pids[0]}/status").read_text() if pids else ""


if __name__ == "__main__":
    sys.exit(
        run_tests(
            a_making_is_whole_or_nothing,
            a_growth_is_whole_or_nothing,
            every_phase_hears_a_signal_or_a_limit,
            evaluating_is_left_and_taken_up_again,
            a_training_heeds_its_limit,
            memory_does_not_grow,
        )
    )
