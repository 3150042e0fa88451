"""Runs every test and ends with the line 'N passed, N failed[, N skipped]'.

A test program prints TAP lines ("ok 1 - name", "not ok 2 - name", "ok 3 - name # SKIP why").  Programs in unit/ and
oracle/ run as one process, those in mpi/ under 1, 2, 3 and 4 ranks, scripts in cli/ and fault/ as they are.  Those of unit/,
oracle/ and cli/ run side by side, one a core; what follows them has the machine to itself.  A program that hangs, dies, or says
nothing counts as one failure.  Usage: run.py [--quick] [--jobs N] [NAME-PART ...]
"""

import argparse
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = (ROOT / os.environ.get("BUILD", "build")).resolve()
MPIRUN = os.environ.get("MPIRUN", "mpirun")
TIMEOUT_S = {"unit": 300, "oracle": 300, "mpi": 120, "cli": 420, "fault": 420}
TOGETHER = ("unit", "oracle", "cli")
JOBS = min(os.cpu_count() or 1, 8)
MARK = (
    "POLYVIEW_TEST_PROCESS"  # in the environment of all that a script starts: its process, a point, a number
)
RESULT = re.compile(r"^(not ok|ok)\b[ \d]*-?\s*(.*)$")


def environment() -> dict[str, str]:
    """The environment of every test: TAP from cmocka, oversubscription and root allowed to Open MPI."""
    return os.environ | {
        "BUILD": str(BUILD),
        "PYTHON": sys.executable,
        "POLYVIEW_ORACLE": os.environ.get("POLYVIEW_ORACLE", str(ROOT / "tests" / "oracle" / "data")),
        "CMOCKA_MESSAGE_OUTPUT": "TAP",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "OMPI_MCA_mpi_yield_when_idle": "1",
        "PV_SAFE": os.environ.get("PV_SAFE", "1"),
        "OPENBLAS_NUM_THREADS": "1",
        "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "detect_leaks=0"),
    }


def programs(quick: bool) -> list[tuple[str, str, list[str]]]:
    """(kind, name, command) of every test."""
    found = []
    for kind in ("unit", "oracle", "mpi"):
        for source in sorted((ROOT / "tests" / kind).glob("*.c")):
            program = str(BUILD / "tests" / kind / source.stem)
            for ranks in (1, 2, 3, 4) if kind == "mpi" else (0,):
                command = [MPIRUN, "-n", str(ranks), program] if ranks else [program]
                found.append((kind, f"{kind}/{source.stem}" + (f" on {ranks}" if ranks else ""), command))
    for kind in () if quick else ("cli", "fault"):
        for script in sorted((ROOT / "tests" / kind).glob("test_*.py")):
            found.append((kind, f"{kind}/{script.stem}", [sys.executable, str(script)]))
    return found


def end_what_it_started(script: int) -> None:
    """Ranks have sessions of their own: they outlive a script that is killed."""
    mark = f"{MARK}={script}.".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(word.startswith(mark) for word in (process / "environ").read_bytes().split(b"\0")):
                os.kill(int(process.name), 9)


def run(kind: str, command: list[str]) -> tuple[str, str]:
    """(output, what went wrong or '')"""
    if not Path(command[-1]).exists():
        return "", f"{command[-1]} is not built"
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        env=environment(),
        cwd=ROOT,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=TIMEOUT_S[kind])
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            end_what_it_started(process.pid)
            output, _ = process.communicate()
            return output, f"hung: no end within {TIMEOUT_S[kind]} s"
    return output, "" if process.returncode == 0 else f"exit status {process.returncode}"


@dataclass
class Verdict:
    name: str
    command: list[str]
    output: str
    bad: list[str]
    skips: list[str]
    good: int
    seconds: float

    def tell(self) -> None:
        print(
            f"{'FAIL' if self.bad else 'ok  '} {self.name}: {self.good} passed, {self.seconds:.1f} s",
            flush=True,
        )
        for what in self.skips:
            print(f"     skipped: {what}")
        if self.bad:
            print("     failed: " + "\n     failed: ".join(self.bad))
            print("     command: " + " ".join(self.command))
            print("\n".join("     | " + line for line in self.output.splitlines()[-60:]), flush=True)


def judge(kind: str, name: str, command: list[str]) -> Verdict:
    start = time.monotonic()
    output, trouble = run(kind, command)
    results = [match.groups() for match in map(RESULT.match, output.splitlines()) if match]
    bad = [what for verdict, what in results if verdict == "not ok"]
    skips = [what for verdict, what in results if verdict == "ok" and "# SKIP" in what.upper()]
    good = len(results) - len(bad) - len(skips)
    if not results or (trouble and not bad):
        bad.append(trouble or "printed no result")
    return Verdict(name, command, output, bad, skips, good, time.monotonic() - start)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave out the scripts of cli/ and fault/")
    parser.add_argument(
        "--jobs", type=int, default=JOBS, help="programs of unit/, oracle/ and cli/ side by side"
    )
    parser.add_argument("names", nargs="*", help="run only tests whose name contains one of these")
    args = parser.parse_args()
    chosen = [
        test for test in programs(args.quick) if not args.names or any(part in test[1] for part in args.names)
    ]
    verdicts = []
    for jobs, kinds in ((args.jobs, TOGETHER), (1, sorted(set(TIMEOUT_S) - set(TOGETHER)))):
        with ThreadPoolExecutor(jobs) as pool:
            for verdict in pool.map(lambda test: judge(*test), [test for test in chosen if test[0] in kinds]):
                verdict.tell()
                verdicts.append(verdict)
    passed = sum(one.good for one in verdicts)
    failed, skipped = sum(len(one.bad) for one in verdicts), sum(len(one.skips) for one in verdicts)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
