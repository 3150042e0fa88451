"""A directory of INR files, of our export or of the published trainers, as a store.

splits.json says which files there are.  {"train": [path, ...], ...}: the folder above a file's own is its view, and
the rest of the path its object; the label is in the file.  {"train": {"path": [...], "label": [...]}, ...}: one view,
a path an object.  polyview.npz, which our export writes, adds what the files do not say.
"""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .export import KNOWN
from .import_plan import (
    Plan,
    known_dims,
    name_classes,
    plan_exported,
    plan_foreign,
    read_known,
    read_splits,
    set_label,
)
from ._paths import real
from .store import BLOCK_ROWS, SINE, SPLITS, VERSION, Attribute
from ._progress import Progress
from .writer import StoreWriter
from .view_files import TORCH_SUFFIXES, Layout, dims_of, flatten, layout_of, need_torch, params_of, read_view
from ._xxh3 import checksums


@dataclass
class Recipe:
    """How to read INRs that come without polyview.npz."""

    w0: float = 30.0
    offset: float = 0.5
    image: tuple[int, int] | None = None  # height, width


def new_attributes(plan: Plan, dims: list[int], directory: Path, recipe: Recipe) -> dict[str, Attribute]:
    """For INRs that polyview did not fit: as much of a store's recipe as is known."""
    place = os.fsencode(directory).decode(errors="replace")  # names are bytes, JSON and YAML are not
    height, width = recipe.image or (0, 0)
    arch = {
        "dims": dims,
        "w0": recipe.w0,
        "offset": recipe.offset,
        "activation": SINE,
        "init": "unknown",
    }
    signal = {
        "source": "imported",
        "path": place,
        "height": height,
        "width": width,
        "channels": dims[-1],
    }
    signal |= {"classes": max(1, int(plan.label.max()) + 1), "coordinates": "unknown"}
    counts = {split: int((plan.split == number).sum()) for split, number in SPLITS.items()}
    config = {
        "signal": {"path": place} | counts,
        "inr": {"hidden": dims[1:-1], "w0": recipe.w0, "offset": recipe.offset},
        "fit": {"views": plan.views},
    }
    return {
        "polyview_kind": "store",
        "polyview_version": VERSION,
        "arch": json.dumps(arch),
        "signal": json.dumps(signal),
        "config": json.dumps(config, indent=1, ensure_ascii=False) + "\n",  # JSON is YAML, but for surrogates
        "code_version": "imported",
        "instruction_set": "unknown",
    }


def read_block(
    plan: Plan, view: int, first: int, count: int, layout: Layout
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(rows [count][P], which of them have a file); their labels go into the plan."""
    rows, fitted = np.zeros((count, params_of(layout)), "f4"), np.zeros(count, bool)
    for place in range(count):
        object = first + place
        path = plan.files.get((view, object))
        if path is None:
            continue
        tensors, label = read_view(path)
        rows[place], fitted[place] = flatten(path, tensors, layout), True
        if label is not None:
            set_label(plan, object, label, path)
    return rows, fitted


def write_views(writer: StoreWriter, plan: Plan, layout: Layout, known: dict[str, Any]) -> int:
    """PSNR and steps are kept for the rows that still are the exported ones; returns how many are not."""
    progress, changed = Progress("imported", len(plan.files)), 0
    for view in range(plan.views):
        for first in range(0, plan.objects, BLOCK_ROWS):
            count = min(BLOCK_ROWS, plan.objects - first)
            rows, fitted = read_block(plan, view, first, count, layout)
            psnr, steps = np.full(count, np.nan, "f4"), np.zeros(count, "u4")
            if known:
                part = view, slice(first, first + count)
                same = checksums(rows) == known["checksum"][part]
                psnr, steps = np.where(same, known["psnr"][part], psnr), np.where(
                    same, known["steps"][part], steps
                )
                changed += int((fitted & ~same).sum())
            writer.write_rows(view, first, rows, fitted, psnr, steps)
            progress.step(int(fitted.sum()))
    return changed


def load(directory: Path, store: Path, splits: Path | None, recipe: Recipe) -> dict[str, str | int]:
    """Makes the store; returns what it did.  ValueError names the file that is not as it should be."""
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
    if any(path.suffix in TORCH_SUFFIXES for path in plan.files.values()):
        need_torch()
    dims = dims_of(first, read_view(first)[0])
    if known and dims != known_dims(known, directory / KNOWN):
        raise ValueError(
            f"'{first}' has widths {dims}, the exported INRs {known_dims(known, directory / KNOWN)}"
        )
    layout = layout_of(dims)
    with StoreWriter(store, plan.views, plan.objects, layout) as writer:
        changed = write_views(writer, plan, layout, known)
        if not known:
            name_classes(plan)
        attributes = known["attributes"] if known else new_attributes(plan, dims, real(directory), recipe)
        writer.finish(attributes, plan.label, plan.split, plan.source, plan.others)
    if changed:
        print(f"{changed} of {len(plan.files)} files are not as they were exported", file=sys.stderr)
    if unlabelled := int((plan.label < 0).sum()):
        print(
            f"{unlabelled} of {plan.objects} objects have no label, in their files or in the list: their class is -1",
            file=sys.stderr,
        )
    missing = plan.views * plan.objects - len(plan.files)
    if missing:
        print(
            f"{missing} of {plan.views} x {plan.objects} views have no file and stay missing", file=sys.stderr
        )
    return {"store": str(store), "views": plan.views, "objects": plan.objects, "fitted": len(plan.files)}
