"""docs/data.md and docs/tutorial.md do what they say: every section is run as it stands, in a directory of its own on the
one page, in one directory on the other."""

import os
import re
import subprocess
import sys
from pathlib import Path

from harness import BUILD, ROOT, TOOLS, check, environment, run_tests, skip

SECTION_S = 120


def commands(section: str) -> list[tuple[list[str], str]]:
    """(command, what it reads from stdin) of every block of a section."""
    kinds = {"python": [sys.executable, "-"], "sh": ["bash", "-e", "-s"]}
    found = re.findall(r"^```(python|sh)\n(.*?)^```$", section, re.M | re.S)
    return [(kinds[kind], text) for kind, text in found]


def section_runs(section: str, place: Path, tools: Path) -> None:
    path = f"{BUILD}:{tools}:{os.environ['PATH']}"
    variables = environment() | {"PATH": path, "PYTHONPATH": str(ROOT / "analysis")}
    title, blocks = section.splitlines()[0], commands(section)
    said, status = [], 0 if blocks else 1
    for command, text in blocks:
        run = subprocess.run(
            command,
            input=text,
            cwd=place,
            env=variables,
            capture_output=True,
            text=True,
            timeout=SECTION_S,
            check=False,
        )
        said += [text, run.stdout, run.stderr]
        status = status or run.returncode
    check(status == 0, f"what the section '{title}' says works", *said)


def sections_of(page: str) -> list[str]:
    return re.split(r"^## ", (ROOT / "docs" / page).read_text(encoding="utf-8"), flags=re.M)[1:]


def kinds_of_data(work: Path) -> None:
    for section in sections_of("data.md"):
        place = work / re.sub(r"\W", "-", section.splitlines()[0])
        place.mkdir()
        section_runs(section, place, work)


def the_tutorial(work: Path) -> None:
    tools = work / "polyview-tools"
    tools.write_text(f'#!/bin/sh\nexec {" ".join(TOOLS)} "$@"\n')
    tools.chmod(0o755)
    place = work / "tutorial"
    place.mkdir()
    for section in sections_of("tutorial.md"):
        if "import torch" in section and subprocess.run([sys.executable, "-c", "import torch"]).returncode:
            skip(f"the section '{section.splitlines()[0]}'", "PyTorch is not installed")
        else:
            section_runs(section, place, work)


if __name__ == "__main__":
    sys.exit(run_tests(kinds_of_data, the_tutorial))
