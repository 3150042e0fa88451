"""Machines and logs as they are found: standard files that are closed or on full disks, a HOME and a TMPDIR of no use,
signals of batch systems: no work is lost, and the status is right."""

import signal
import subprocess
import sys
from pathlib import Path

import h5py

from harness import AT_ONCE, Process, check, environment, launch, make_store, polyview, run_tests

SOON_S, STOPPED = 60, 75


def by_shell(work: Path, ranks: int, redirect: str, *words: object, **variables: object) -> tuple[int, str]:
    """(status, stderr) of a program that a shell starts with its standard files redirected."""
    command = " ".join(f"'{word}'" for word in launch([*words], ranks))
    run = subprocess.run(
        ["sh", "-c", f"{command} {redirect}"],
        cwd=work,
        env=environment() | {key: str(value) for key, value in variables.items()},
        capture_output=True,
        text=True,
        timeout=SOON_S,
        check=False,
    )
    return run.returncode, run.stderr


def file_rows(store: Path) -> bytes:
    with h5py.File(store) as file:
        return file["params"][()].tobytes() + file["view/checksum"][()].tobytes()


def epochs(checkpoint: Path) -> int:
    with h5py.File(checkpoint) as file:
        return int(file.attrs["epoch"])


def standard_files_that_cannot_be_written(work: Path) -> None:
    """mpirun, which prints what ranks print, does not say that it could not."""
    make_store(work)
    words = ["train", "--config", work / "config.yaml", "--fresh"]
    for ranks in (1, 3):
        for redirect, alone in (
            (">/dev/full", 1),
            (">&-", 1),
            ("2>/dev/full >/dev/null", 0),
            ("2>&- >/dev/null", 0),
            (">/dev/full 2>/dev/full", 1),
            ("<&- >&- 2>&-", 1),
        ):
            (work / "model.h5.ckpt").unlink(missing_ok=True)
            status, said = by_shell(work, ranks, redirect, *words)
            check(
                status == (alone if ranks == 1 else 0) and epochs(work / "model.h5.ckpt") == 3,
                f"{redirect}: {ranks} rank(s) lose nothing, status {status}",
                said,
            )


def homes_and_temporary_directories(work: Path) -> None:
    store = make_store(work)
    deep = work.joinpath(*("d" * 100 for _ in range(3)))  # far beyond what a socket's name may have
    deep.mkdir(parents=True)
    for ranks in (1, 3):
        for name, value in (
            ("HOME", "/proc"),
            ("HOME", "/no/such"),
            ("TMPDIR", deep),
            ("TMPDIR", "/no/such"),
        ):
            run = polyview("verify", store, ranks=ranks, **{name: value})
            check(run.status == 0, f"{name}={str(value)[-20:]}: {ranks} rank(s) work", run)


SMALL_PAGES = """
import ctypes, os, sys
PR_SET_THP_DISABLE = 41
sys.exit("refused") if ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) else os.execvp(sys.argv[1], sys.argv[1:])
"""


def more_ranks_than_cores_without_large_pages(work: Path) -> None:
    store, again = make_store(work), work / "again.h5"
    words = launch(["fit", "--config", work / "config.yaml", "--store", again], 12)
    run = Process([sys.executable, "-c", SMALL_PAGES, *words], **AT_ONCE).finish()
    rows = [file_rows(path) for path in (store, again) if path.exists()]
    check(run.status == 0 and rows[0] == rows[1], "12 ranks that get no large pages fit the same rows", run)


def signals_save_the_state(work: Path) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored under nohup, by what is started here too
    make_store(work, train={"epochs": 100_000, "checkpoint_epochs": 50_000})
    log, checkpoint = work / "model.h5.jsonl", work / "model.h5.ckpt"
    for ranks, name, status in (
        (1, "SIGXCPU", STOPPED),
        (1, "SIGUSR2", STOPPED),
        (1, "SIGHUP", STOPPED),
        (3, "SIGXCPU", STOPPED),
        (3, "SIGUSR2", STOPPED),
    ):
        for path in work.glob("model.h5*"):
            path.unlink()
        process = Process(launch(["train", "--config", work / "config.yaml"], ranks))
        process.wait_for(lambda: log.exists() and log.stat().st_size > 2000)
        process.process.send_signal(getattr(signal, name))
        run = process.finish()
        check(
            run.status == status and checkpoint.exists() and run.json["status"] == "stopped early",
            f"{name} to {'a rank alone' if ranks == 1 else 'mpirun'}: saved, status {status}",
            run,
        )


if __name__ == "__main__":
    sys.exit(
        run_tests(
            standard_files_that_cannot_be_written,
            homes_and_temporary_directories,
            more_ranks_than_cores_without_large_pages,
            signals_save_the_state,
        )
    )
