"""Which file is which row: the plan of an import, from the list of splits and polyview.npz."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .export import KNOWN
from ._paths import real
from .store import SPLITS, VERSION
from .view_files import MAX_LABEL, SUFFIXES, load_npz, whole_number

DIGITS = re.compile(r"\d{1,10}", re.ASCII)
NUMBERED_FILE = re.compile(r"net(\d{1,12})", re.ASCII)  # its stem, and of its folder the view and the label
LABELLED_FOLDER = re.compile(r"(.+)_(\d{1,9})s", re.ASCII)
EXPORTED = re.compile(r"view-(\d{1,9})/[^/]+/(\d{1,12})\.(?:pth|pt|npz)")


@dataclass
class Entry:
    """A line of splits.json."""

    path: str
    split: str
    label: int | None


@dataclass
class Plan:
    """Which file is which row, and what is known of the objects."""

    views: int
    objects: int
    label: NDArray[np.int32]
    split: NDArray[np.uint8]
    source: NDArray[np.uint64]
    files: dict[tuple[int, int], Path] = field(default_factory=dict)
    labelled: set[int] = field(default_factory=set)  # objects whose label a file or list has told
    others: dict[str, NDArray[Any]] = field(default_factory=dict)  # under /object, by name


def new_plan(views: int, objects: int) -> Plan:
    """Of objects without labels, all in the training split, that are numbered in their source."""
    columns = np.full(objects, -1, "i4"), np.zeros(objects, "u1"), np.arange(objects, dtype="u8")
    return Plan(views, objects, *columns)


def split_at(points: tuple[int, int], numbers: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """The objects' splits by their numbers: train below the first point, val below the second, test from there on."""
    return np.searchsorted(np.array(points, "u8"), numbers, side="right").astype(np.uint8)


def read_splits(path: Path) -> tuple[list[Entry], bool]:
    """(entries in order, whether the folders name views)"""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"'{path}' is not JSON: {error}") from error
    if not isinstance(content, dict) or not content or not set(content) <= set(SPLITS):
        raise ValueError(f"'{path}' is no list of splits: expected an object of {', '.join(SPLITS)}")
    entries: list[Entry] = []
    for split in sorted(content, key=SPLITS.__getitem__):
        part = content[split]
        table = isinstance(part, dict) and isinstance(part.get("label"), list)
        paths, labels = (part.get("path"), part["label"]) if table else (part, None)
        if not isinstance(paths, list) or not all(isinstance(name, str) and name for name in paths):
            raise ValueError(f"'{path}': '{split}' is no list of paths")
        if labels is None:
            entries += [Entry(name, split, None) for name in paths]
            continue
        classes = [int(label) if DIGITS.fullmatch(str(label)) else whole_number(label) for label in labels]
        if len(labels) != len(paths) or not all(c is not None and 0 <= c < MAX_LABEL for c in classes):
            raise ValueError(f"'{path}': '{split}' has no class from 0 upwards for every path")
        entries += [Entry(name, split, label) for name, label in zip(paths, classes)]
    if not entries:
        raise ValueError(f"'{path}' names no file")
    if len({entry.label is None for entry in entries}) > 1:
        raise ValueError(f"'{path}' mixes lists of paths and tables of paths and labels")
    return entries, entries[0].label is None


def finder(directory: Path, splits: Path, renamed: bool) -> Callable[[Entry], Path]:
    """What finds the file of an entry, also where the directory has moved since the list was written, or is a link.

    Where it may have been renamed, too, the ends of paths count, of two parts or more.
    """
    names = {directory.name, real(directory).name}
    places = dict.fromkeys((splits.parent, real(splits).parent))

    def find(entry: Entry) -> Path:
        parts = Path(entry.path.replace("\\", "/")).parts  # lists are also written on Windows
        below = [directory.joinpath(*parts[i + 1 :]) for i, part in enumerate(parts) if part in names]
        beside = [place.joinpath(*parts) for place in places]
        ends = [directory.joinpath(*parts[i:]) for i in range(1, len(parts) - 1) if renamed]
        for path in [*below, *beside, *ends]:
            if path.suffix in SUFFIXES and path.is_file():
                return path
        kinds = " or ".join(SUFFIXES)
        raise ValueError(f"'{entry.path}' of '{splits}' is missing, or no {kinds} file, in '{directory}'")

    return find


def add_file(plan: Plan, view: int, object: int, entry: Entry, path: Path) -> None:
    if (view, object) in plan.files:
        if not path.samefile(plan.files[view, object]):
            raise ValueError(
                f"'{entry.path}' is listed twice: view {view} of object {object} has another file"
            )
        first = next(name for name, number in SPLITS.items() if number == plan.split[object])
        where = f"in '{first}'" if first == entry.split else f"in '{first}' and in '{entry.split}'"
        raise ValueError(f"'{entry.path}' is listed twice, {where}: an object is of one split, and once")
    plan.files[view, object] = path
    plan.split[object] = SPLITS[entry.split]
    if entry.label is not None:
        set_label(plan, object, entry.label, path)


def set_label(plan: Plan, object: int, label: int, path: Path) -> None:
    if object in plan.labelled and plan.label[object] != label:
        raise ValueError(f"'{path}' has label {label}, another view of its object {plan.label[object]}")
    plan.label[object] = label
    plan.labelled.add(object)


def name_classes(plan: Plan) -> None:
    """Labels that leave numbers out are counted from 0 on, and what they were becomes the names of the classes."""
    found, numbers = np.unique(plan.label[plan.label >= 0], return_inverse=True)
    if len(found) and found[-1] != len(found) - 1:
        plan.label[plan.label >= 0] = numbers
        plan.others["class_names"] = np.array([str(label).encode() for label in found])


def plan_foreign(entries: list[Entry], by_view: bool, directory: Path, splits: Path) -> Plan:
    """Views in the order of their names, objects in the order of the list."""
    keys: list[tuple[str, str]] = []
    for entry in entries:
        parts = entry.path.replace("\\", "/").split("/")
        named = by_view and len(parts) >= 3  # else all are of one view
        key = (parts[-3], "/".join([*parts[:-3], *parts[-2:]])) if named else ("", entry.path)
        keys.append(key)
    views = {name: i for i, name in enumerate(sorted({view for view, _ in keys}))}
    objects = {name: i for i, name in enumerate(dict.fromkeys(object for _, object in keys))}
    plan, find = new_plan(len(views), len(objects)), finder(directory, splits, renamed=True)
    for entry, (view, object) in zip(entries, keys):
        add_file(plan, views[view], objects[object], entry, find(entry))
    return plan


def plan_numbered(directory: Path, points: tuple[int, int]) -> Plan | None:
    """Of VIEW_LABELs/netNUMBER.pth, as nfn keeps them: views in the order of their names, objects of their numbers."""
    found: list[tuple[str, int, int, Path]] = []
    for path in directory.glob("*/*"):
        folder, file = LABELLED_FOLDER.fullmatch(path.parent.name), NUMBERED_FILE.fullmatch(path.stem)
        if folder and file and path.suffix in SUFFIXES:
            found.append((folder[1], int(file[1]), int(folder[2]), path))
    if not found:
        return None
    views = {name: i for i, name in enumerate(sorted({view for view, *_ in found}))}
    objects = {number: i for i, number in enumerate(sorted({number for _, number, *_ in found}))}
    plan = new_plan(len(views), len(objects))
    plan.source = np.array([*objects], "u8")
    plan.split = split_at(points, plan.source)
    for view, number, label, path in sorted(found):
        place = views[view], objects[number]
        if place in plan.files:
            raise ValueError(f"'{path}' and '{plan.files[place]}' are of the same view and number")
        plan.files[place] = path
        set_label(plan, place[1], label, path)
    return plan


def plan_exported(known: dict[str, Any], entries: list[Entry], directory: Path, splits: Path) -> Plan:
    """Views and objects by the numbers that our export put into the names."""
    views, objects = known["status"].shape
    plan = Plan(views, objects, known["label"], known["split"], known["source"])
    plan.others = {name[7:]: array for name, array in known.items() if name.startswith("object/")}
    find = finder(directory, splits, renamed=False)
    for entry in entries:
        match = EXPORTED.search(entry.path.replace("\\", "/"))
        view, object = (int(number) for number in match.groups()) if match else (-1, -1)
        if not (0 <= view < views and 0 <= object < objects):
            raise ValueError(
                f"'{entry.path}' is no file of '{directory / KNOWN}' ({views} views, {objects} objects)"
            )
        add_file(plan, view, object, entry, find(entry))
    return plan


def read_known(path: Path) -> dict[str, Any]:
    """polyview.npz, its attributes as a dict; {} where there is none."""
    if not path.is_file():
        return {}
    known = load_npz(path, math.inf)  # as large as the store has rows
    kinds = {"status": "u1", "checksum": "u8", "psnr": "f4", "steps": "u4"}
    columns = {"label": "i4", "split": "u1", "source": "u8"}
    rows = known["status"].shape if "status" in known else ()
    for name, kind in (kinds | columns).items():
        shape = rows if name in kinds else rows[1:]
        if (
            len(rows) != 2
            or 0 in rows
            or name not in known
            or known[name].shape != shape
            or known[name].dtype != kind
        ):
            raise ValueError(f"'{path}' is damaged: '{name}' is not as the export writes it")
    try:
        known["attributes"] = dict(json.loads(str(known["attributes"])))
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(f"'{path}' is damaged: its attributes are not JSON: {error}") from error
    attributes = known["attributes"]
    texts = [attributes.get(name) for name in ("arch", "signal", "config")]
    if not all(isinstance(value, (str, int, float, list)) for value in attributes.values()) or not all(
        isinstance(text, str) for text in texts
    ):
        raise ValueError(f"'{path}' is damaged: it lacks the attribute arch, signal or config")
    if attributes.get("polyview_kind") != "store" or attributes.get("polyview_version") != VERSION:
        raise ValueError(f"'{path}' is not of a store of version {VERSION}")
    return known


def known_dims(known: dict[str, Any], path: Path) -> list[int]:
    try:
        return [int(width) for width in json.loads(known["attributes"]["arch"])["dims"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"'{path}' is damaged: its arch is not an INR architecture") from error
