#!/usr/bin/env python3
"""The rooms of the house.  A file includes headers of its own room and of rooms before it in ROOMS only, no private
header of another room, and no two files of the house need each other.  Dense kernels know nothing of MPI or HDF5.
Every file says at its top what it is, in lines of at most COLUMNS and in at most LINES of them."""

import re
import sys
from collections import defaultdict
from pathlib import Path

ROOMS = (
    "base parallel simd config signal inr picture store fit symmetry augment data nn/core nn/mlp nn/dws nn/gnn nn/tokens nn/scalegmn "
    "nn/probe nn train probe run plan bench cmd"
).split()
COLUMNS, LINES = 110, 500
INCLUDE = re.compile(r'^#include "([^"]+)"', re.M)


def room_of(path: Path) -> str:
    """The room of a file: its folder below src/ or include/."""
    return path.parent.as_posix().split("/", 1)[1]


def find(user: Path, name: str) -> Path | None:
    """The file that an #include names, as the compiler would find it."""
    for candidate in (user.parent / name, Path("include") / name, Path("src") / name):
        if candidate.exists():
            return Path(candidate.as_posix())
    return None


def unit_of(path: Path) -> str:
    """A .c file and the header of its name are one unit."""
    return f"{room_of(path)}/{path.stem}"


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Groups of units that reach each other (Tarjan's strongly connected components of more than one)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(unit: str) -> None:
        index[unit] = low[unit] = len(index)
        stack.append(unit)
        for used in edges.get(unit, ()):
            if used not in index:
                visit(used)
                low[unit] = min(low[unit], low[used])
            elif used in stack:
                low[unit] = min(low[unit], index[used])
        if low[unit] == index[unit]:
            group = stack[stack.index(unit) :]
            del stack[stack.index(unit) :]
            if len(group) > 1:
                found.append(sorted(group))

    for unit in list(edges):
        if unit not in index:
            visit(unit)
    return found


def shape(path: Path) -> list[str]:
    """What is wrong with the form of a file."""
    lines = path.read_text().splitlines()
    wrong = [f"{path}:{n}: {len(line)} columns" for n, line in enumerate(lines, 1) if len(line) > COLUMNS]
    if not lines or not lines[0].startswith("/* "):
        wrong.append(f"{path}: no line at the top says what it is")
    if len(lines) > LINES:
        wrong.append(f"{path}: {len(lines)} lines")
    return wrong


def main() -> int:
    """Prints what is wrong, a line each; status 1 if anything is."""
    wrong: list[str] = []
    edges: dict[str, set[str]] = defaultdict(set)
    files = sorted([*Path("src").rglob("*.[ch]"), *Path("include").rglob("*.h")])
    for path in (f for f in files if f != Path("src/main.c")):
        text, room = path.read_text(), room_of(path)
        if room not in ROOMS:
            wrong.append(f"{path}: '{room}' is no room")
            continue
        if path.stem.endswith("_kernels") and re.search(r"#include <(mpi|hdf5)", text):
            wrong.append(f"{path}: a kernel includes MPI or HDF5")
        for name in INCLUDE.findall(text):
            used = find(path, name)
            if used is None:
                wrong.append(f"{path}: there is no '{name}'")
                continue
            if room_of(used) != room and used.parts[0] == "src":
                wrong.append(f"{path}: '{name}' is private to '{room_of(used)}'")
            if path.parts[0] == "include" and used.parts[0] == "src":
                wrong.append(f"{path}: a public header includes the private '{name}'")
            if ROOMS.index(room_of(used)) > ROOMS.index(room):
                wrong.append(f"{path}: room '{room}' uses '{name}', which is of a later room")
            if unit_of(used) != unit_of(path):
                edges[unit_of(path)].add(unit_of(used))
    for path in [*files, *sorted(Path("tests").rglob("*.[ch]"))]:
        wrong += shape(path)
    wrong += [f"these need each other: {', '.join(group)}" for group in circles(edges)]
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
