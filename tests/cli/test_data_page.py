"""docs/data.md does what it says: every section is run as it stands, in a directory of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

from harness import BUILD, ROOT, check, environment, run_tests

PAGE = ROOT / "docs" / "data.md"
SECTION_S = 120


def commands(section: str) -> list[tuple[list[str], str]]:
    """(command, what it reads from stdin) of every block of a section."""
    kinds = {"python": [sys.executable, "-"], "sh": ["bash", "-e", "-s"]}
    return [(kinds[kind], text) for kind, text in re.findall(r"^```(python|sh)\n(.*?)^```$", section, re.M | re.S)]


def sections_run(work: Path) -> None:
    variables = environment() | {"PATH": f"{BUILD}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "analysis")}
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]:
        title, blocks = section.splitlines()[0], commands(section)
        place = work / re.sub(r"\W", "-", title)
        place.mkdir()
        said = []
        for command, text in blocks:
            run = subprocess.run(
                command, input=text, cwd=place, env=variables, capture_output=True, text=True, timeout=SECTION_S, check=False
            )
            said += [text, run.stdout, run.stderr]
            if run.returncode != 0:
                break
        check(blocks and run.returncode == 0, f"what the section '{title}' says works", *said)


if __name__ == "__main__":
    sys.exit(run_tests(sections_run))
