"""Files whose reading, writing, syncing or opening fails on one rank: one error that says where and why, and no hang;
and what is made and written then."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))
from harness import (
    AT_ONCE,
    Process,
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

FAILED, STOPPED, SOON_S = 1, 75, 30


def faults(work: Path) -> Path | None:
    """The library that makes calls fail; None where there is no compiler."""
    library = work / "faults.so"
    words = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "faults.c"), "-ldl"]
    try:
        made = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return None
    return library if made.returncode == 0 else None


def with_faults(
    library: Path, words: list[object], ranks: int, rank: int, calls: str, code: int, **more: object
):
    """Runs the program; `calls` on store.h5 fail on one rank."""
    variables = {
        "FAULT_PATH": "store.h5",
        "FAULT_CALLS": calls,
        "FAULT_ERRNO": code,
        "FAULT_RANK": rank,
        "LD_PRELOAD": library,
    }
    return Process(launch(words, ranks), **(AT_ONCE | variables | more)).finish(SOON_S)


def told(run, rank: int, words: str) -> bool:
    return one_error(run, FAILED, f"rank {rank} on ", "store.h5", words)


def failed_writes_end_a_run(work: Path) -> None:
    library = faults(work)
    if not library:
        return skip("failing writes", "no C compiler")
    said = os.strerror(errno.EIO)
    for storage in ({}, {"shard_gib": 1e-5}):
        place = work / f"s{len(storage)}"
        place.mkdir()
        store = make_store(place, storage=storage)
        with h5py.File(store) as file:
            names = [store, *(place / name[0].decode() for name in file.get("shards", ()))]
        for name in names:
            with h5py.File(name, "r+") as file:
                if file["view/status"].is_virtual:
                    continue
                file["view/status"][...] = 0
        for ranks, rank, calls, after in (
            (1, 0, "write", 3),
            (2, 0, "write", 0),
            (2, 1, "write", 5),
            (3, 2, "write", 1),
            (4, 1, "sync", 0),
            (1, 0, "sync", 1),
        ):
            words = ["fit", "--store", store]
            run = with_faults(library, words, ranks, rank, calls, errno.EIO, FAULT_AFTER=after)
            check(
                told(run, rank, said),
                f"a failed {calls} on rank {rank} of {ranks} ends a fit, {'shards' if storage else 'one file'}",
                run,
            )
        run = polyview("verify", store, ranks=2)
        check(run.status == 0 and run.json["bad"] == 0, "what was written is sound", run)
        run = polyview("fit", "--store", store, ranks=2)
        check(run.status == 0, "and the next start ends it", run)
    return None


def failed_making_leaves_nothing(work: Path) -> None:
    library = faults(work)
    if not library:
        return skip("failing writes", "no C compiler")
    write_images(work / "images")
    config = write_config(work)
    for ranks, calls, code, after in (
        (1, "write", errno.EIO, 2),
        (1, "write", errno.EIO, 6),
        (2, "write", errno.ENOSPC, 4),
        (3, "sync", errno.EIO, 0),
    ):
        run = with_faults(library, ["fit", "--config", config], ranks, 0, calls, code, FAULT_AFTER=after)
        left = [path.name for path in work.glob("store.h5*") if path.name != "store.h5.runs.jsonl"]
        check(
            one_error(run, FAILED, "store.h5", os.strerror(code)) and not left,
            f"{os.strerror(code)} while a store is made on {ranks} rank(s): status 1, nothing is left",
            run,
            left,
        )
    return None


def unreadable_files_are_not_called_damaged(work: Path) -> None:
    library = faults(work)
    if not library:
        return skip("failing reads", "no C compiler")
    store = make_store(work)
    config = work / "config.yaml"
    for ranks, rank, calls, code in (
        (1, 0, "read", errno.EIO),
        (3, 0, "read", errno.EIO),
        (2, 1, "open", errno.ESTALE),
        (4, 3, "open", errno.EMFILE),
        (3, 1, "open", errno.EACCES),
    ):
        for words in (["verify", store], ["fit", "--config", config], ["info", store]):
            run = with_faults(library, words, ranks, rank, calls, code)
            check(
                told(run, rank, os.strerror(code)),
                f"{words[0]}: {os.strerror(code)} on rank {rank} of {ranks} is told as what it is",
                run,
            )
    for after in range(1, 40, 4):
        run = with_faults(library, ["verify", store], 1, 0, "read", errno.EIO, FAULT_AFTER=after)
        check(run.status in (0, FAILED), f"a read that fails after {after} others is not called damage", run)
    return None


def nodes_with_disks_of_their_own_are_seen(work: Path) -> None:
    """A lock that only rank 0 can open stands for a directory that is not shared."""
    library = faults(work)
    if not library:
        return skip("disks of nodes", "no C compiler")
    store = make_store(work)
    with h5py.File(store, "r+") as file:
        file["view/status"][0, 3] = 0
    words = ["fit", "--store", store]
    run = with_faults(library, words, 2, 1, "open", errno.ENOENT, FAULT_PATH="store.h5.lock")
    check(
        one_error(run, FAILED, "rank 1 on ", "must be shared"),
        "a rank that does not see the lock refuses",
        run,
    )
    return None


# ---- others look, and write


def long_fit(work: Path, ranks: int, **variables: object) -> tuple[Path, Process]:
    write_images(work / "images", train=200, test=12, side=16)
    splits = {"train": 150, "val": 10, "test": 10}
    config = write_config(work, signal=splits, inr={"hidden": [16, 16]}, fit={"steps": 1500})
    store = work / "store.h5"
    process = Process(launch(["fit", "--config", config], ranks), **variables)
    process.wait_for(lambda: some_rows(store))
    return store, process


def writers_are_kept_out(work: Path) -> None:
    for ranks in (1, 3):
        place = work / str(ranks)
        store, process = long_fit(place, ranks)
        try:
            h5py.File(store, "r+").close()
            said = "opened"
        except OSError as error:
            said = str(error)
        with h5py.File(store) as file:
            seen = file["params"].shape
        looked = polyview("info", store)
        run = process.finish()
        check("lock" in said, f"h5py cannot write to a store that {ranks} rank(s) fill", said)
        check(seen[1] == 170 and looked.status == 0, "and can read it, as info can")
        check(run.status == 0 and polyview("verify", store).json["bad"] == 0, "the run is not disturbed", run)
        with h5py.File(store, "r+") as file:
            file["view/status"][0, 0] = 0
            run = polyview("fit", "--store", store, ranks=ranks)
            check(
                one_error(run, FAILED, "open for writing in another program"),
                f"a store that h5py has open for writing is not filled on {ranks} rank(s)",
                run,
            )
        run = polyview("fit", "--store", store, ranks=ranks)
        check(run.status == 0 and run.json["fitted"] == 1, "and is when it is closed", run)


def a_writer_that_takes_no_lock_is_noticed(work: Path) -> None:
    """As on file systems without locks."""
    note = (
        "import h5py,sys\nwith h5py.File(sys.argv[1],'r+') as f:\n"
        " f.attrs['note']='x'*30000; f['mine']=list(range(1000))"
    )
    for ranks in (1, 3):
        place = work / str(ranks)
        store, process = long_fit(place, ranks)
        wrote = subprocess.run(
            [sys.executable, "-c", note, str(store)],
            env=os.environ | {"HDF5_USE_FILE_LOCKING": "FALSE"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        run = process.finish()
        check(
            wrote.returncode == 0 and one_error(run, FAILED, "store.h5", "written to by another program"),
            f"a fit on {ranks} rank(s) whose store grew meanwhile ends with status 1 and says why",
            wrote.stderr,
            run,
        )
        run = polyview("fit", "--store", store, ranks=ranks)
        with h5py.File(store) as file:
            kept = len(file.attrs["note"]) == 30000 and file["mine"].shape == (1000,)
        check(
            run.status == 0 and kept,
            "nothing is lost: the next start ends it, and what was added is there",
            run,
        )
        check(polyview("verify", store).json["bad"] == 0, "every row is sound")


# ---- locks of dead nodes, stores on their way


def locks_of_silent_nodes_are_waited_for(work: Path) -> None:
    store = make_store(work)
    with h5py.File(store, "r+") as file:
        file["view/status"][0, 3] = 0
    lock = Path(f"{store}.lock")
    words = ["fit", "--store", store]

    def leave(age: float) -> None:
        lock.write_text(
            '{"host": "node7", "place": "there", "pid": 4, "started": 5, "job": "", "since": "2026-01-01T00:00:00Z"}'
        )
        os.utime(lock, (time.time() - age,) * 2)

    for ranks in (1, 2):
        leave(20)
        run = polyview(*words, "--max-hours", 0.0005, ranks=ranks)
        check(
            run.status == STOPPED and "process 4 on node7" in run.stderr and "silent for 2" in run.stderr,
            f"a start on {ranks} rank(s) beside a silent lock says how long it waits, and heeds --max-hours",
            run,
        )
        process = Process(launch(words, ranks), **AT_ONCE)
        process.wait_for(lambda: process.heeds(signal.SIGTERM, ranks))
        process.signal(signal.SIGTERM)
        run = process.finish()
        check(run.status == STOPPED and run.seconds < 10, "and a signal", run)
        leave(117 if ranks == 2 else 4000)  # of what is that old, the age alone is believed
        run = polyview(*words, ranks=ranks)
        check(
            run.status == 0 and "taking over" in run.stderr, "it takes the lock over when its time is up", run
        )
        leave(20)
        process = Process(launch(words, ranks), **AT_ONCE)
        for _ in range(20):
            time.sleep(0.25)
            if process.process.poll() is None:
                os.utime(lock)
        run = process.finish()
        check(one_error(run, FAILED, "being written by another run"), "a lock that is renewed holds", run)
        lock.unlink()


def making_a_store_heeds_signals(work: Path) -> None:
    for storage in ({"sync": False, "reserve": False}, {"sync": False, "reserve": False, "shard_gib": 0.05}):
        signals = {"source": "sine", "train": 30_000_000, "val": 10, "test": 10}
        config = write_config(work, inr={"hidden": [2]}, signal=signals, storage=storage)
        for ranks in (1, 2):
            process = Process(launch(["fit", "--config", config], ranks), **AT_ONCE)
            process.wait_for(lambda: any(work.rglob("*.part")))
            time.sleep(0.5)
            start = time.monotonic()
            process.signal(signal.SIGTERM)
            run = process.finish()
            left = [path.name for path in work.rglob("store.h5*")]
            check(
                run.status == STOPPED and time.monotonic() - start < 10 and not left,
                f"SIGTERM while {ranks} rank(s) make a store: status 75 soon, nothing is left",
                run,
                left,
            )


if __name__ == "__main__":
    sys.exit(
        run_tests(
            failed_writes_end_a_run,
            failed_making_leaves_nothing,
            unreadable_files_are_not_called_damaged,
            nodes_with_disks_of_their_own_are_seen,
            writers_are_kept_out,
            a_writer_that_takes_no_lock_is_noticed,
            locks_of_silent_nodes_are_waited_for,
            making_a_store_heeds_signals,
        )
    )
