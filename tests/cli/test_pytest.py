"""The package's own tests, analysis/tests, hold on the system's packages and on the current ones."""

import os
import re
import subprocess
import sys
from pathlib import Path

from harness import ROOT, check, current_python, run_tests, skip


def pass_on(python: str, what: str, work: Path) -> None:
    run = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(ROOT / "analysis" / "tests")],
        cwd=work,
        env=os.environ | {"PYTHONPATH": str(ROOT / "analysis"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    passed = re.search(r"^(\d+) passed", run.stdout, re.M)
    check(
        run.returncode == 0 and passed is not None and int(passed[1]) > 10,
        f"the package's own tests hold on {what}",
        run.stdout[-3000:],
        run.stderr[-1000:],
    )


def the_systems_packages(work: Path) -> None:
    words = [sys.executable, "-c", "import pytest, h5py, numpy"]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        return skip("the package's own tests on the system's packages", "python3-pytest is not installed")
    pass_on(sys.executable, "the system's packages", work)


def the_current_packages(work: Path) -> None:
    python, missing = current_python("pytest", "torch", "h5py", "numpy")
    if missing:
        return skip("the package's own tests on current packages", missing)
    pass_on(python, "current packages", work)


if __name__ == "__main__":
    sys.exit(run_tests(the_systems_packages, the_current_packages))
