"""Runs every test and ends with the line 'N passed, N failed[, N skipped]'.

A test program prints TAP lines ("ok 1 - name", "not ok 2 - name", "ok 3 - name # SKIP why").  Programs in unit/ and
oracle/ run alone, those in mpi/ under 1, 2, 3 and 4 ranks, scripts in cli/ and fault/ as they are.  A program that hangs, dies,
or says nothing counts as one failure.  Usage: run.py [--quick] [NAME-PART ...]
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = (ROOT / os.environ.get("BUILD", "build")).resolve()
MPIRUN = os.environ.get("MPIRUN", "mpirun")
TIMEOUT_S = {"unit": 300, "oracle": 300, "mpi": 120, "cli": 420, "fault": 420}
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
            output, _ = process.communicate()
            return output, f"hung: no end within {TIMEOUT_S[kind]} s"
    return output, "" if process.returncode == 0 else f"exit status {process.returncode}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave out the scripts of cli/ and fault/")
    parser.add_argument("names", nargs="*", help="run only tests whose name contains one of these")
    args = parser.parse_args()
    passed = failed = skipped = 0
    for kind, name, command in programs(args.quick):
        if args.names and not any(part in name for part in args.names):
            continue
        start = time.monotonic()
        output, trouble = run(kind, command)
        results = [match.groups() for match in map(RESULT.match, output.splitlines()) if match]
        bad = [what for verdict, what in results if verdict == "not ok"]
        skips = [what for verdict, what in results if verdict == "ok" and "# SKIP" in what.upper()]
        good = len(results) - len(bad) - len(skips)
        if not results or (trouble and not bad):
            bad.append(trouble or "printed no result")
        passed, failed, skipped = passed + good, failed + len(bad), skipped + len(skips)
        print(
            f"{'FAIL' if bad else 'ok  '} {name}: {good} passed, {time.monotonic() - start:.1f} s", flush=True
        )
        for what in skips:
            print(f"     skipped: {what}")
        if bad:
            print("     failed: " + "\n     failed: ".join(bad))
            print("     command: " + " ".join(command))
            print("\n".join("     | " + line for line in output.splitlines()[-60:]), flush=True)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
