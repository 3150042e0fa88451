"""A directory of INR files, of our export or of the published trainers, as a store.

splits.json says which files there are.  {"train": [path, ...], ...}: the folder above a file's own is its view, and
the rest of the path its object; the label is in the file.  {"train": {"path": [...], "label": [...]}, ...}: one view,
a path an object.  polyview.npz, which our export writes, adds what the files do not say.
"""

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export_views import KNOWN
from polyview_store import BLOCK_ROWS, SPLITS, VERSION
from progress import Progress
from store_writer import StoreWriter
from view_files import dims_of, flatten, layout_of, load_npz, need_torch, params_of, read_view
from xxh3 import checksums

EXPORTED = re.compile(r"view-(\d{1,9})/[^/]+/(\d{1,12})\.(?:pth|npz)")


@dataclass
class Entry:
    """A line of splits.json."""

    path: str
    split: str
    label: int | None


@dataclass
class Recipe:
    """How to read INRs that come without polyview.npz."""

    w0: float = 30.0
    offset: float = 0.5
    image: tuple[int, int] | None = None  # height, width


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


def read_splits(path: Path) -> tuple[list[Entry], bool]:
    """(entries in order, whether the folders name views)"""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
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
        if len(labels) != len(paths) or not all(re.fullmatch(r"\d{1,9}", str(label)) for label in labels):
            raise ValueError(f"'{path}': '{split}' has no class for every path")
        entries += [Entry(name, split, int(label)) for name, label in zip(paths, labels)]
    if not entries:
        raise ValueError(f"'{path}' names no file")
    if len({entry.label is None for entry in entries}) > 1:
        raise ValueError(f"'{path}' mixes lists of paths and tables of paths and labels")
    return entries, entries[0].label is None


def find(entry: Entry, directory: Path, splits: Path) -> Path:
    """The file of an entry, also where the directory has moved since the list was written."""
    parts = Path(entry.path).parts
    below = [directory.joinpath(*parts[i + 1 :]) for i, part in enumerate(parts) if part == directory.name]
    for path in [*below, splits.parent / entry.path]:
        if path.suffix in (".pth", ".npz") and path.is_file():
            return path
    raise ValueError(f"'{entry.path}' of '{splits}' is missing, or no .pth or .npz file, in '{directory}'")


def add_file(plan: Plan, view: int, object: int, entry: Entry, path: Path) -> None:
    if (view, object) in plan.files:
        raise ValueError(f"'{entry.path}' is listed twice: view {view} of object {object} has another file")
    plan.files[view, object] = path
    plan.split[object] = SPLITS[entry.split]
    if entry.label is not None:
        set_label(plan, object, entry.label, path)


def set_label(plan: Plan, object: int, label: int, path: Path) -> None:
    if object in plan.labelled and plan.label[object] != label:
        raise ValueError(f"'{path}' has label {label}, another view of its object {plan.label[object]}")
    plan.label[object] = label
    plan.labelled.add(object)


def plan_foreign(entries: list[Entry], by_view: bool, directory: Path, splits: Path) -> Plan:
    """Views in the order of their names, objects in the order of the list."""
    keys: list[tuple[str, str]] = []
    for entry in entries:
        parts = entry.path.split("/")
        if by_view and len(parts) < 3:
            raise ValueError(f"'{splits}': '{entry.path}' has no folder that names its view")
        key = (parts[-3], "/".join([*parts[:-3], *parts[-2:]])) if by_view else ("", entry.path)
        keys.append(key)
    views = {name: i for i, name in enumerate(sorted({view for view, _ in keys}))}
    objects = {name: i for i, name in enumerate(dict.fromkeys(object for _, object in keys))}
    count = len(objects)
    columns = np.zeros(count, "i4"), np.zeros(count, "u1"), np.arange(count, dtype="u8")
    plan = Plan(len(views), count, *columns)
    for entry, (view, object) in zip(entries, keys):
        add_file(plan, views[view], objects[object], entry, find(entry, directory, splits))
    return plan


def plan_exported(known: dict[str, Any], entries: list[Entry], directory: Path, splits: Path) -> Plan:
    """Views and objects by the numbers that our export put into the names."""
    views, objects = known["status"].shape
    plan = Plan(views, objects, known["label"], known["split"], known["source"])
    for entry in entries:
        match = EXPORTED.search(entry.path)
        view, object = (int(number) for number in match.groups()) if match else (-1, -1)
        if not (0 <= view < views and 0 <= object < objects):
            raise ValueError(
                f"'{entry.path}' is no file of '{directory / KNOWN}' ({views} views, {objects} objects)"
            )
        add_file(plan, view, object, entry, find(entry, directory, splits))
    return plan


def read_known(path: Path) -> dict[str, Any]:
    """polyview.npz, its attributes as a dict; {} where there is none."""
    if not path.is_file():
        return {}
    known = load_npz(path)
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
    if not all(isinstance(value, (str, int, float)) for value in attributes.values()) or not all(
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


def new_attributes(
    plan: Plan, dims: list[int], directory: Path, recipe: Recipe
) -> dict[str, str | int | float]:
    """For INRs that polyview did not fit: as much of a store's recipe as is known."""
    height, width = recipe.image or (0, 0)
    arch = {
        "dims": dims,
        "w0": recipe.w0,
        "offset": recipe.offset,
        "activation": "sin(w0 (W h + b))",
        "init": "unknown",
    }
    signal = {
        "source": "imported",
        "path": str(directory),
        "height": height,
        "width": width,
        "channels": dims[-1],
    }
    signal |= {"classes": int(plan.label.max()) + 1, "coordinates": "unknown"}
    counts = {split: int((plan.split == number).sum()) for split, number in SPLITS.items()}
    config = {
        "signal": {"path": str(directory)} | counts,
        "inr": {"hidden": dims[1:-1], "w0": recipe.w0, "offset": recipe.offset},
        "fit": {"views": plan.views},
    }
    return {
        "polyview_kind": "store",
        "polyview_version": VERSION,
        "arch": json.dumps(arch),
        "signal": json.dumps(signal),
        "config": json.dumps(config, indent=1) + "\n",  # JSON is YAML
        "code_version": "imported",
        "instruction_set": "unknown",
    }


def write_views(writer: StoreWriter, plan: Plan, dims: list[int], known: dict[str, Any]) -> None:
    """PSNR and steps are kept for the rows that still are the exported ones."""
    layout = layout_of(dims)
    progress = Progress("imported", len(plan.files))
    for view in range(plan.views):
        for first in range(0, plan.objects, BLOCK_ROWS):
            count = min(BLOCK_ROWS, plan.objects - first)
            rows, fitted = np.zeros((count, params_of(layout)), "f4"), np.zeros(count, bool)
            for place in range(count):
                path = plan.files.get((view, first + place))
                if path is None:
                    continue
                tensors, label = read_view(path)
                rows[place], fitted[place] = flatten(path, tensors, layout), True
                if label is not None:
                    set_label(plan, first + place, label, path)
                elif first + place not in plan.labelled:
                    raise ValueError(f"'{path}' has no label, and neither has the list of splits")
                progress.step()
            psnr, steps = np.full(count, np.nan, "f4"), np.zeros(count, "u4")
            if known:
                part = view, slice(first, first + count)
                same = checksums(rows) == known["checksum"][part]
                psnr, steps = np.where(same, known["psnr"][part], psnr), np.where(
                    same, known["steps"][part], steps
                )
            writer.write_rows(view, first, rows, fitted, psnr, steps)


def load(directory: Path, store: Path, splits: Path | None, recipe: Recipe) -> dict[str, str | int]:
    """Makes the store; returns what it did.  ValueError names the file that is not as it should be."""
    directory = directory.resolve()
    if not directory.is_dir():
        raise FileNotFoundError(f"'{directory}' is no directory")
    splits = splits or directory / "splits.json"
    if not splits.is_file():
        raise FileNotFoundError(f"'{splits}' does not exist: name the list of splits with --splits")
    entries, by_view = read_splits(splits)
    known = read_known(directory / KNOWN)
    if known:
        plan = plan_exported(known, entries, directory, splits)
    else:
        plan = plan_foreign(entries, by_view, directory, splits)
    first = plan.files[min(plan.files)]
    if any(path.suffix == ".pth" for path in plan.files.values()):
        need_torch()
    dims = dims_of(first, read_view(first)[0])
    if known and dims != known_dims(known, directory / KNOWN):
        raise ValueError(
            f"'{first}' has widths {dims}, the exported INRs {known_dims(known, directory / KNOWN)}"
        )
    with StoreWriter(store, plan.views, plan.objects, layout_of(dims)) as writer:
        write_views(writer, plan, dims, known)
        attributes = known["attributes"] if known else new_attributes(plan, dims, directory, recipe)
        writer.finish(attributes, plan.label, plan.split, plan.source)
    missing = plan.views * plan.objects - len(plan.files)
    if missing:
        print(
            f"{missing} of {plan.views} x {plan.objects} views have no file and stay missing", file=sys.stderr
        )
    return {"store": str(store), "views": plan.views, "objects": plan.objects, "fitted": len(plan.files)}
