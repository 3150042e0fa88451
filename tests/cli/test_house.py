"""The walls of the house stand: rooms, circles, private headers, and the form of every file, as `make lint` sees them."""

import subprocess
import sys
from pathlib import Path

from harness import ROOT, check, run_tests


def the_walls_stand(_: Path) -> None:
    command = [sys.executable, "scripts/check-rooms.py"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    check(run.returncode == 0, "check-rooms.py finds nothing wrong", run.stderr)


def a_hole_is_seen(work: Path) -> None:
    """A copy of two files of which the lower one looks up, and one has lines too long and no banner."""
    for name, text in {
        "include/base/pv_a.h": '/* a */\n#include "cmd/pv_b.h"\n',
        "include/cmd/pv_b.h": '#include "base/pv_a.h"\n' + "/*" + 120 * "b" + "*/\n",
        "src/cmd/pv_c.h": "/* c */\n" * 501,
        "src/run/pv_d.c": '/* d */\n#include "cmd/pv_c.h"\n',
    }.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    command = [sys.executable, str(ROOT / "scripts" / "check-rooms.py")]
    run = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    for words in (
        "include/base/pv_a.h: room 'base' uses 'cmd/pv_b.h'",
        "include/cmd/pv_b.h: no line at the top",
        "include/cmd/pv_b.h:2: 124 columns",
        "src/cmd/pv_c.h: 501 lines",
        "'cmd/pv_c.h' is private to 'cmd'",
        "these need each other: base/pv_a, cmd/pv_b",
    ):
        check(run.returncode == 1 and words in run.stderr, f"it would find: {words}", run.stderr)


if __name__ == "__main__":
    sys.exit(run_tests(the_walls_stand, a_hole_is_seen))
