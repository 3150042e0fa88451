"""The command polyview-tools: every command has a help, and what is missing on a machine is said in one sentence."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

from harness import ROOT, TOOLS, check, environment, make_store, run_tests

sys.path.insert(0, str(ROOT / "analysis"))
from polyview._version import standard, version  # noqa: E402
from polyview.tools import COMMANDS, main  # noqa: E402


def tools(*words: str, bare: bool = False) -> subprocess.CompletedProcess[str]:
    """bare: on a Python without any packages."""
    command = [TOOLS[0], *(["-S"] if bare else []), *TOOLS[1:], *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def every_command_has_a_help(_: Path) -> None:
    run = tools("--help", bare=True)
    lacks = [name for name in COMMANDS if f"\n  {name} " not in run.stdout]
    check(run.returncode == 0 and not lacks, "--help lists every command, on a bare Python, too", run, lacks)
    for name in COMMANDS:
        told, status = io.StringIO(), -1
        with redirect_stdout(told):
            try:
                main([*name.split(), "--help"])
            except SystemExit as end:
                status = end.code
        check(
            status == 0 and told.getvalue().startswith(f"usage: polyview-tools {name} "),
            f"polyview-tools {name} has a help of that name",
            told.getvalue(),
        )
    run = tools("table", "--help")
    check(run.stdout.count("\n  table ") == 2 and "report" not in run.stdout, "so has a family of them", run)


def what_is_missing_is_named(_: Path) -> None:
    for name, package in (("report", "python3-h5py"), ("plot", "matplotlib"), ("table augment", "numpy")):
        run = tools(*name.split(), "x", bare=True)
        check(
            run.returncode == 1
            and len(run.stderr.splitlines()) == 1
            and run.stderr.startswith(f"polyview-tools {name}: ")
            and package in run.stderr,
            f"without packages `{name}` names one that it needs",
            run,
        )
    run = tools("tabel", "augment")
    check(
        run.returncode == 2 and "no command 'tabel augment'" in run.stderr, "an unknown command is told", run
    )
    run = tools("report", "nowhere")
    check(
        run.returncode == 1 and run.stderr.startswith("polyview-tools report: 'nowhere'"),
        "a failure is one sentence of the command",
        run,
    )


def what_cannot_be_written_is_named(work: Path) -> None:
    """A file may become 512 bytes long, or 1024: a write fails as on a full disk, soon or later."""
    store = make_store(work)
    for name, output, words in (
        ("export", "npz", ("--format", "npz")),
        ("gallery", "gallery.png", ()),
        ("card", "card.md", ()),
    ):
        for blocks in (1, 2):
            place = work / f"{blocks}-{output}"
            command = [*TOOLS, name, store, *([place] if name == "export" else ["-o", place]), *words]
            run = subprocess.run(
                ["sh", "-c", f'ulimit -f {blocks} && exec "$@"', "sh", *map(str, command)],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
                env=environment(),
            )
            said = run.stderr.splitlines()
            lacks = "File too large" in said[-1] and place.name in said[-1] if said else False
            check(
                run.returncode == 1 and lacks and "Traceback" not in run.stderr,
                f"{name}, whose file may not be longer than {512 * blocks} bytes, names it",
                run,
            )
            left = [path.name for path in work.iterdir() if path.name.startswith(place.name)]
            check(not left, "and leaves nothing", left)


def the_version_is_pythons(work: Path) -> None:
    for words, expected in {
        "v0.2": "0.2",
        "0.2.1-5-g12ab34c": "0.2.1.post5+g12ab34c",
        "12ab34c": "0+g12ab34c",
        "1234567": "0+g1234567",
    }.items():
        (work / ".version").write_text(f"{words} 12ab34c\n")
        found = version(work)
        check(found == expected == standard(words), f"{words} of git is version {expected}", found)
    run = tools("--version", bare=True)
    check(run.stdout.split() == ["polyview-tools", version(ROOT)], "the command tells its version", run)


def names_of_before_the_package_work(_: Path) -> None:
    """People's scripts and job files have them."""
    for name in ("convert", "plots", "report"):
        command = [sys.executable, str(ROOT / "analysis" / f"{name}.py"), "--help"]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        check(run.returncode == 0 and "usage: polyview-tools " in run.stdout, f"analysis/{name}.py", run)
    code = "from polyview_store import Store; import polyview.store; assert Store is polyview.store.Store"
    paths = {"PYTHONPATH": str(ROOT / "analysis")}
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | paths,
    )
    check(run.returncode == 0, "polyview_store is polyview.store", run)


if __name__ == "__main__":
    sys.exit(
        run_tests(
            every_command_has_a_help,
            what_is_missing_is_named,
            names_of_before_the_package_work,
            what_cannot_be_written_is_named,
            the_version_is_pythons,
        )
    )
