"""MPI's return values: each call of the program passes the place that looks at them, and one that fails on one rank
ends all ranks with a message."""

import ctypes
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from harness import BUILD, MPIRUN, POLYVIEW, ROOT, check, environment, run_tests, write_config, write_images

EXEMPT = {"Abort"}  # ends the job itself
WRAPPERS = ROOT / "src" / "parallel" / "pv_mpi.c"
CALL = re.compile(r"\bMPI_([A-Z][a-z][A-Za-z_]*)\s*\(")
ROW = re.compile(r"^(?:(?:LOCAL|WAITS|REDUCES|ANSWERS)\((?:PV_METER_\w+, )?|int MPI_)(\w+)[,(]", re.M)


def every_call_has_a_wrapper(_: Path) -> None:
    wrapped = set(ROW.findall(WRAPPERS.read_text()))
    sources = [f for room in ("src", "include") for f in (ROOT / room).rglob("*.[ch]") if f != WRAPPERS]
    used = {name for path in sources for name in CALL.findall(path.read_text())}
    check(len(used) > 30, "the sources call MPI", used)
    check(
        used <= wrapped | EXEMPT, "every MPI function that they call has a wrapper that looks", used - wrapped
    )


def a_call_that_fails_ends_all_ranks(_: Path) -> None:
    command = [MPIRUN, "-n", "3", str(BUILD / "tests" / "mpi" / "test_comm"), "fail"]
    start = time.monotonic()
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    seconds = time.monotonic() - start
    lines = run.stderr.splitlines()
    said = [line for line in lines if line.startswith("polyview: error: ")]
    words = [line for line in lines if "invalid rank" in line.lower()]  # MPICH's are more than one line
    check(run.returncode == 1 and seconds < 20, "a call that fails on one rank ends all ranks", seconds, run)
    check(
        len(said) == 1 and words == said and re.search(r"rank 1 on \S+: MPI_Send failed: ", said[0]),
        "one line names the rank, its host, the call and MPI's words",
        run.stderr,
    )


def a_semaphore_of_a_killed_run_stops_nobody(work: Path) -> None:
    """Open MPI's, for a file of the same name in any directory: taken, and never given back."""
    name = f"polyview-{os.getpid()}.h5"
    semaphore = f"/OMPIO_{name}".encode()
    ctypes.CDLL(None).sem_open(semaphore, os.O_CREAT, 0o644, 0)
    write_images(work / "images")
    config = write_config(work)
    for ranks in (1, 2, 3):
        (work / str(ranks)).mkdir()
        command = [
            MPIRUN,
            "-n",
            str(ranks),
            POLYVIEW,
            "fit",
            "--config",
            config,
            "--store",
            work / str(ranks) / name,
        ]
        try:
            run = subprocess.run(
                command, capture_output=True, text=True, timeout=60, check=False, env=environment()
            )
            check(run.returncode == 0, f"a store of that name is made and filled on {ranks} rank(s)", run)
        except subprocess.TimeoutExpired as hung:
            check(False, f"a store of that name is made and filled on {ranks} rank(s)", hung)
    ctypes.CDLL(None).sem_unlink(semaphore)


def windows_reach_over_hosts_against_the_settings(work: Path) -> None:
    """Debian's settings leave out pt2pt, which ranks on hosts that Ethernet joins need; here all others are, too."""
    write_images(work / "images")
    (work / ".openmpi").mkdir()
    (work / ".openmpi" / "mca-params.conf").write_text("osc = ^ucx,pt2pt,sm,rdma\n")
    hosts = {"HOME": str(work), "POLYVIEW_NODE_RANKS": "1"}
    for ranks in (2, 3):
        config = write_config(work, store=str(work / f"{ranks}.h5"), train={"placement": "job", "epochs": 1})
        for command in ("fit", "train"):
            words = [MPIRUN, "-n", str(ranks), POLYVIEW, command, "--config", str(config)]
            run = subprocess.run(
                words, capture_output=True, text=True, timeout=60, check=False, env=environment() | hosts
            )
            check(run.returncode == 0, f"{command} on {ranks} hosts whose settings leave out all else", run)


if __name__ == "__main__":
    sys.exit(
        run_tests(
            every_call_has_a_wrapper,
            a_call_that_fails_ends_all_ranks,
            a_semaphore_of_a_killed_run_stops_nobody,
            windows_reach_over_hosts_against_the_settings,
        )
    )
