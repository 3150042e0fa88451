"""docs/extending.md holds true: its files, each with its one word in a registry, build into a program that does what
the page says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import harness
from harness import BUILD, ROOT, Run, check, environment, one_error, polyview, run_tests, write_config

PAGE = ROOT / "docs" / "extending.md"
FILE = re.compile(r"^`(src/[\w/]+\.c)`:\n\n```c\n(.*?)^```$", re.M | re.S)
WORD = re.compile(r"^`((?:include|src)/[\w/]+\.h)`: `X\((\w+)\)`", re.M)
EXAMPLES = 6
OBJECTS = Path("build")
BUILD_S = 400


def copy_tree(tree: Path) -> None:
    """The program's sources and, with their times, the objects that are built: make builds what is new."""
    for part in ("include", "src", "scripts"):
        shutil.copytree(ROOT / part, tree / part)
    shutil.copy2(ROOT / "Makefile", tree)
    if BUILD == ROOT / OBJECTS:
        left = shutil.ignore_patterns("tests", "obj64", "*.a", "polyview")
        shutil.copytree(BUILD, tree / OBJECTS, ignore=left)


def add_word(path: Path, word: str) -> int:
    """Puts X(word) into a registry.  Returns the lines that are changed by it."""
    before = path.read_text().splitlines()
    entries = [n for n, line in enumerate(before) if re.match(r" +X\(\w+\)", line)]
    if entries:
        after = before[: entries[-1]] + [f"    X({word}) \\"] + before[entries[-1] :]
    else:
        after = [re.sub(r"^(#define \w+\(X\) .*X\(\w+\))$", rf"\1 X({word})", line) for line in before]
    path.write_text("\n".join(after) + "\n")
    return sum(line not in before for line in after)


def build(tree: Path) -> Run:
    command = ["make", f"-j{os.cpu_count()}", f"BUILD={OBJECTS}", str(OBJECTS / "polyview")]
    variables = {key: value for key, value in environment().items() if key not in ("BUILD", "MAKEFLAGS")}
    run = subprocess.run(
        command, cwd=tree, env=variables, capture_output=True, text=True, timeout=BUILD_S, check=False
    )
    return Run(command, run.returncode, run.stdout, run.stderr, 0)


def extended(tree: Path) -> str:
    """The path of a program with all examples of the page."""
    page = PAGE.read_text()
    files, words = FILE.findall(page), WORD.findall(page)
    check(
        len(files) == len(words) == EXAMPLES,
        f"the page has {EXAMPLES} examples, each a file and a word",
        words,
    )
    copy_tree(tree)
    for name, text in files:
        check(not (tree / name).exists(), f"{name} is a new file")
        (tree / name).write_text(text)
    for name, word in words:
        changed = add_word(tree / name, word)
        check(changed == 1, f"the only other change for {word} is a line of {name}", changed)
    run = build(tree)
    check(run.status == 0 and "warning" not in run.stderr, "all of them build, without a warning", run)
    walls = subprocess.run(
        [sys.executable, "scripts/check-rooms.py"], cwd=tree, capture_output=True, text=True, check=False
    )
    wrong = [line for line in walls.stderr.splitlines() if any(name in line for name, _ in files)]
    check(wrong == [], "and keep to the rules of the house", wrong)
    return str(tree / OBJECTS / "polyview")


def the_page_is_true(work: Path) -> None:
    harness.POLYVIEW = extended(work / "tree")
    config = write_config(
        work,
        signal={"source": "rings", "rings": 3, "train": 30, "val": 9, "test": 9},
        inr={"activation": "tanh", "hidden": [12, 12]},
        fit={"views": 1, "steps": 300, "lr": 1e-2},
        model={"kind": "linear"},
        train={"task": "hinge", "epochs": 20, "lr": 1e-2},
        augment=[{"kind": "shear", "amount": 0.05}],
    )
    run = polyview("fit", "--config", config, ranks=2)
    psnr = run.json.get("mean_psnr_db", 0)
    check(run.status == 0 and psnr > 12, f"rings are fitted by networks of tanh ({psnr} dB)", run)
    run = polyview("count", work / "store.h5", ranks=2)
    check(run.status == 0 and run.json["fitted"] == 48, "the new command counts them", run)
    run = polyview("train", "--config", config, ranks=2)
    check(
        run.status == 0 and run.json["kind"] == "linear" and run.json["train_loss"] < 0.3,
        "a linear model learns them with shears and a hinge loss",
        run,
    )
    run = polyview("eval", "--model", work / "model.h5", "--store", work / "store.h5", ranks=2)
    check(run.status == 0 and run.json["samples"] == 9, "and is judged", run)
    for command, keys, word in (
        ("train", "augment=[{kind: phase}]", "phase"),
        ("train", "train.canonical=phase", "train.canonical"),
        ("train", "train.align=signed", ""),
        ("train", "augment=[{kind: shear, amount: 11}]", "augment.amount"),
        ("fit", "signal.rings=7", "signal.rings"),
        ("fit", "signal.rings=2", "signal.rings: 2 here, 3 in the store"),
        ("fit", "inr.activation=sine", "inr.activation"),
    ):
        fresh = ["--fresh"] if command == "train" else []
        run = polyview(command, "--config", config, *fresh, "--set", keys)
        as_said = one_error(run, 2, word) if word else run.status == 0
        check(as_said, f"{command} with {keys} is {'refused' if word else 'right'}", run)
    run = polyview("help", "config")
    for word in ("rings", "tanh", "linear", "hinge", "shear"):
        check(word in run.stderr + run.stdout, f"help config tells of {word}", run)


if __name__ == "__main__":
    sys.exit(run_tests(the_page_is_true))
