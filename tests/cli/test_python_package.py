"""The Python package installs by pip, and what the README does in ten lines works from there: on the system's packages and on
the current ones."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from harness import ROOT, check, current_python, make_store, run_tests, skip

sys.path.insert(0, str(ROOT / "analysis"))
from polyview._version import version  # noqa: E402

OUT_OF_REACH = re.compile(r"connection|resolve|No matching distribution found for setuptools", re.I)


def run(*command: object, cwd: Path, **variables: object) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment | {name: str(value) for name, value in variables.items()},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def sources(work: Path) -> Path:
    """A copy of the package in something like a checkout: pip builds in place."""
    shutil.copytree(
        ROOT / "analysis", work / "checkout/analysis", ignore=shutil.ignore_patterns("build", "*.egg-info")
    )
    (work / "checkout/.version").write_text("0.3-2-gabc1234\n")
    return work / "checkout/analysis"


def ten_lines_work(work: Path, what: str, python: object, **variables: object) -> None:
    """The README's Python, from outside of the checkout."""
    code = re.search(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)[
        1
    ]
    before = "def dws(inputs): return [w.mean() for w in inputs[0]]\n"
    after = (
        "\nassert len(logits) == 3, logits\nimport polyview\nprint(polyview.__version__, polyview.__file__)"
    )
    done = run(python, "-c", before + code + after, cwd=work, **variables)
    words = done.stdout.split()
    check(
        done.returncode == 0 and words[0] == "0.3.post2+gabc1234" and not words[1].startswith(str(ROOT)),
        f"the README's lines run on {what}, installed",
        done,
    )


def on_the_systems_packages(work: Path) -> None:
    needs = run(sys.executable, "-c", "import setuptools, pip, wheel, venv, torch", cwd=work)
    if needs.returncode:
        return skip("an installation on the system's packages", needs.stderr.splitlines()[-1])
    make_store(work)
    run(sys.executable, "-m", "venv", "--system-site-packages", "--without-pip", "env", cwd=work)
    python = work / "env/bin/python"
    install = ("install", "-q", "--no-deps", "--no-build-isolation", sources(work))
    done = run(sys.executable, "-m", "pip", "--python", python, *install, cwd=work)
    check(done.returncode == 0, "pip installs the package", done)
    ten_lines_work(work, "the system's packages", python)
    told = run(work / "env/bin/polyview-tools", "--version", cwd=work)
    check(
        told.stdout == f"polyview-tools {version(work / 'checkout')}\n",
        "polyview-tools is installed, too",
        told,
    )
    lacks = [
        path.name
        for path in (ROOT / "analysis/polyview").rglob("*")
        if path.suffix in (".py", ".typed", ".html", ".css", ".js")
        and not list((work / "env").glob(f"lib/*/site-packages/{path.relative_to(ROOT / 'analysis')}"))
    ]
    check(not lacks, "no module is left out", lacks)


def on_current_packages(work: Path) -> None:
    python, missing = current_python("torch", "h5py", "numpy")
    if missing:
        return skip("an installation on current packages", missing)
    make_store(work)
    site = work / "site"
    done = run(python, "-m", "pip", "install", "-q", "--no-deps", "--target", site, sources(work), cwd=work)
    if done.returncode and OUT_OF_REACH.search(done.stderr):
        return skip("an installation on current packages", "pip reaches no package index")
    check(done.returncode == 0, "the current pip and setuptools build the package", done)
    ten_lines_work(work, "current packages", python, PYTHONPATH=site)


if __name__ == "__main__":
    sys.exit(run_tests(on_the_systems_packages, on_current_packages))
