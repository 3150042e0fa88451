"""docs/extending.md holds true: its files, each with its one word in a registry, build into a program that does what the
page says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py

from harness import BUILD, ROOT, Run, check, environment, run_tests, write_config, write_images
import harness

PAGE = ROOT / "docs" / "extending.md"
FILE = re.compile(r"^`(src/[\w/]+\.c)`:\n\n```c\n(.*?)^```", re.M | re.S)
WORD = re.compile(r"^`(include/[\w/]+\.h)`: `X\((\w+)\)`", re.M)
PARTS = ("Makefile", "include", "src", "scripts")
BUILD_S = 400


def copy_tree(to: Path) -> None:
    """The program's sources, and the objects that are built already, with their times: make builds what is new."""
    objects = Path("build")
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy2
        copy(ROOT / part, to / part)
    if BUILD == ROOT / objects:
        shutil.copytree(BUILD, to / objects, ignore=shutil.ignore_patterns("tests", "obj64", "*.a", "polyview"))


def add_word(path: Path, word: str) -> int:
    """Puts X(word) before the last one of a registry.  Returns the lines that are added."""
    before = path.read_text()
    last = [m for m in re.finditer(r"^ +X\(\w+\)", before, re.M)][-1]
    path.write_text(f"{before[: last.start()]}    X({word}) \\\n{before[last.start() :]}")
    return len(path.read_text().splitlines()) - len(before.splitlines())


def build(tree: Path) -> Run:
    command = ["make", f"-j{os.cpu_count()}", "build/polyview"]
    variables = {key: value for key, value in environment().items() if key not in ("BUILD", "MAKEFLAGS")}
    run = subprocess.run(
        command, cwd=tree, env=variables, capture_output=True, text=True, timeout=BUILD_S, check=False
    )
    return Run(command, run.returncode, run.stdout, run.stderr, 0)
