"""Jobs whose files are taken from under them: directories that vanish, disks that are read-only, too few open files;
and checks of large stores that are told to stop."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "cli"), str(HERE.parent.parent / "analysis")]
from harness import (
    AT_ONCE,
    POLYVIEW,
    Process,
    Run,
    check,
    launch,
    make_store,
    one_error,
    polyview,
    run_tests,
    skip,
    some_rows,
    write_config,
    write_images,
)  # noqa: E402
from polyview._xxh3 import checksums  # noqa: E402

FAILED, STOPPED, STOP_S = 1, 75, 10


# ---- a directory that vanishes


def vanished_files_are_told(work: Path) -> None:
    write_images(work / "images", train=200, test=12, side=16)
    splits = {"train": 150, "val": 10, "test": 10}
    config = write_config(work, signal=splits, inr={"hidden": [16, 16]}, fit={"steps": 700})
    for ranks, what in ((1, "directory"), (3, "directory"), (2, "store")):
        place = work / "place"
        place.mkdir()
        words = ["fit", "--config", config, "--store", place / "store.h5"]
        process = Process(launch(words, ranks), **AT_ONCE)
        met = process.wait_for(lambda: some_rows(place / "store.h5"))
        if what == "store":
            (place / "store.h5").unlink()
        else:
            shutil.rmtree(place)
        run = process.finish()
        check(
            met and one_error(run, FAILED, "store.h5"),
            f"a fit on {ranks} rank(s) whose {what} vanishes ends with status 1 and names it",
            run,
        )
        shutil.rmtree(place, ignore_errors=True)


# ---- a read-only disk


def read_only_disks_are_told(work: Path) -> None:
    statement = "a read-only disk"
    store, disk = make_store(work), work / "disk"
    disk.mkdir()
    config = work / "config.yaml"
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "polyview-test", str(disk)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        return skip(statement, f"no tmpfs can be mounted: {error}")
    if mounted.returncode != 0:
        return skip(statement, f"no tmpfs can be mounted: {mounted.stderr.strip()}")
    try:
        shutil.copy(store, disk / "store.h5")
        with h5py.File(disk / "store.h5", "r+") as file:
            file["view/status"][1, 3] = 0
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True, timeout=60)
        before, said = (disk / "store.h5").read_bytes(), "Read-only file system"
        for ranks in (1, 2):
            for name, words in (
                ("making a store", ["fit", "--config", config, "--store", disk / "new.h5"]),
                ("fitting", ["fit", "--store", disk / "store.h5"]),
                ("growing", ["extend", disk / "store.h5", "--views", 3]),
                ("repairing", ["verify", disk / "store.h5", "--repair"]),
                (
                    "training",
                    ["train", "--config", config, "--store", store, "--set", f"train.output={disk}/m.h5"],
                ),
            ):
                run = polyview(*words, ranks=ranks)
                check(
                    one_error(run, FAILED, said, disk),
                    f"{name} on {statement}: status 1, {ranks} rank(s)",
                    run,
                )
        check((disk / "store.h5").read_bytes() == before, f"{statement} keeps its store")
        run = polyview("verify", disk / "store.h5", ranks=2)
        check(
            run.status == 0 and run.json["missing"] == 1 and not run.errors,
            f"a store on {statement} is verified",
            run,
        )
        words = ["train", "--config", config, "--store", disk / "store.h5", "--set", "train.epochs=1"]
        run = polyview(*words)
        check(run.status == 0, "and trained on", run)
    finally:
        subprocess.run(["umount", str(disk)], check=True, timeout=60)
    return None


# ---- many shards, few open files


def with_limit(limit: str, words: list[object]) -> Run:
    """Runs on one rank with a limit of open files: ulimit's words."""
    script = f'ulimit {limit} && exec "$@"'
    return Process(["bash", "-c", script, "bash", POLYVIEW, *map(str, words)]).finish()


def few_open_files_are_enough(work: Path) -> None:
    store = make_store(work, storage={"shard_gib": 1e-7})  # a row each
    shards = len(os.listdir(f"{store}.shards"))
    with h5py.File(f"{store}.shards/00070.h5", "r+") as file:
        file["view/status"][...] = 0
    run = with_limit("-Sn 70", ["fit", "--store", store])
    check(
        run.status == 0 and run.json["fitted"] == 1 and shards > 70,
        f"a store of {shards} shards is written where 70 files may be open, as the limit may be raised",
        run,
    )
    run = with_limit("-Sn 70", ["verify", store])
    check(run.status == 0 and run.json["missing"] == 0, "and read", run)
    for words in (["verify", store], ["fit", "--store", store]):
        run = with_limit("-n 70", words)
        check(
            one_error(run, FAILED, f"{shards} shards", "70", "ulimit"),
            f"where it may not, {words[0]} says how many files it takes",
            run,
        )


# ---- large stores


def large_store(base: Path, path: Path, views: int, objects: int, checksum: int) -> Path:
    """The store that `base` would be if all its rows, very many, were zeros and fitted: they take no space."""
    with h5py.File(base) as file, h5py.File(path, "w") as out:
        out.attrs.update(file.attrs)
        file.copy("layout", out)
        for name in ("label", "split", "source"):
            data = np.arange(objects) if name == "source" else np.zeros(objects)
            out[f"object/{name}"] = data.astype(file[f"object/{name}"].dtype)
        out.create_dataset("params", (views, objects, file["params"].shape[2]), "f4")
        for name, value in (("status", 1), ("checksum", checksum), ("psnr", 30), ("steps", 20)):
            out.create_dataset(f"view/{name}", (views, objects), file[f"view/{name}"].dtype, fillvalue=value)
    return path


def zeros_checksum(base: Path) -> int:
    with h5py.File(base) as file:
        return int(checksums(np.zeros((1, file["params"].shape[2]), "f4"))[0])


def has_open(process: Process, ranks: int, store: Path) -> bool:
    """Whether all ranks have opened the store, so that signals are heeded."""
    pids = process.ranks()
    try:
        return len(pids) == ranks and all(
            any(os.readlink(link) == str(store) for link in Path(f"/proc/{pid}/fd").iterdir()) for pid in pids
        )
    except OSError:
        return False


def a_long_verify_can_be_stopped(work: Path) -> None:
    base = make_store(work, inr={"hidden": [32, 32]})
    store = large_store(base, work / "large.h5", 100_000, 10_000, zeros_checksum(base))
    for ranks, victims, nodes in ((1, (), 0), (3, (), 0), (3, (1,), 0), (2, (1,), 1)):
        process = Process(launch(["verify", store], ranks), **({"POLYVIEW_NODE_RANKS": 1} if nodes else {}))
        process.wait_for(lambda: has_open(process, ranks, store))
        time.sleep(0.3)
        start = time.monotonic()
        process.signal(signal.SIGTERM, *victims)
        run = process.finish()
        check(
            run.status == STOPPED and "polyview: stopped" in run.stderr and time.monotonic() - start < STOP_S,
            f"SIGTERM to {'one' if victims else 'all'} of {ranks} rank(s) of a long verify ends it with status 75"
            + (", between nodes too" if nodes else ""),
            run,
        )


def every_bad_row_is_named(work: Path) -> None:
    base = make_store(work)
    store = large_store(base, work / "bad.h5", 3, 900, 7)
    for ranks in (1, 3):
        run = polyview("verify", store, ranks=ranks)
        named = [divmod(row, 900) for row in range(2700)]
        check(
            run.status == 3 and [tuple(row) for row in run.json["bad_rows"]] == named,
            f"the result names every one of 2700 bad rows, on {ranks} rank(s)",
            run.status,
            len(run.json.get("bad_rows", [])),
        )
        lines = [line for line in run.stderr.splitlines() if " is bad: " in line]
        check(
            len(lines) == 100 and "2600 more bad rows" in run.stderr and "bad_rows" in run.stderr,
            "the log names a hundred and says where the others are",
            len(lines),
        )


if __name__ == "__main__":
    sys.exit(
        run_tests(
            vanished_files_are_told,
            read_only_disks_are_told,
            few_open_files_are_enough,
            a_long_verify_can_be_stopped,
            every_bad_row_is_named,
        )
    )
