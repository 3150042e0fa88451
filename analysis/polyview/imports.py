"""INRs of others as a store: a directory of files, of our export or of the published trainers, or of HDF5 chunks.

splits.json says which files there are.  {"train": [path, ...], ...}: the folder above a file's own is its view, and
the rest of the path its object; the label is in the file.  {"train": {"path": [...], "label": [...]}, ...}: one view,
a path an object.  polyview.npz, which our export writes, adds what the files do not say.  Without a list: chunks
(chunks.py), or folders that name view and label.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import chunks as hdf5
from .conventions import Conventions
from .export import KNOWN
from .import_plan import (
    Plan,
    known_dims,
    name_classes,
    plan_exported,
    plan_foreign,
    plan_numbered,
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

LIST_W0, LIST_OFFSET = 30.0, 0.5  # of the sets that come with lists of splits


@dataclass
class Recipe:
    """How to read INRs that come without polyview.npz."""

    conventions: Conventions = Conventions()
    image: tuple[int, int] | None = None  # height, width
    splits: Path | None = None  # the list; None: splits.json in the directory
    points: tuple[int, int] | None = None  # where no list is: the first numbers of val and test
    objects: int | None = None  # of a view, in chunks


Rows = tuple[NDArray[np.float32], NDArray[np.bool_]]  # [n][P], which of them there are


@dataclass
class Source:
    """What is imported: which row is which, how many there are, and what reads some of a view's, by its layout."""

    plan: Plan
    count: int
    dims: list[int]
    read: Callable[[int, int, int, Layout], Rows]
    conventions: Conventions
    known: dict[str, Any] = field(default_factory=dict)
    init: str | None = None  # fit.init


def new_attributes(source: Source, directory: Path, image: tuple[int, int] | None) -> dict[str, Attribute]:
    """For INRs that polyview did not fit: as much of a store's recipe as is known."""
    place = os.fsencode(directory).decode(errors="replace")  # names are bytes, JSON and YAML are not
    plan, dims = source.plan, source.dims
    height, width = image or (0, 0)
    same = {"w0": source.conventions.w0, "offset": source.conventions.offset}
    arch = {"dims": dims} | same | {"activation": SINE, "init": "unknown"}
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
        "inr": {"hidden": dims[1:-1]} | same,
        "fit": {"views": plan.views} | ({"init": source.init} if source.init else {}),
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


def read_files(plan: Plan, view: int, first: int, count: int, layout: Layout) -> Rows:
    """Rows of the plan's files; their labels go into the plan."""
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


def file_source(plan: Plan, conventions: Conventions, known: dict[str, Any]) -> Source:
    """One INR a file."""
    if any(path.suffix in TORCH_SUFFIXES for path in plan.files.values()):
        need_torch()
    first = plan.files[min(plan.files)]
    dims = dims_of(first, read_view(first)[0])

    def read(view: int, first: int, count: int, layout: Layout) -> Rows:
        return read_files(plan, view, first, count, layout)

    return Source(plan, len(plan.files), dims, read, conventions, known)


def listed_source(directory: Path, splits: Path, conventions: Conventions) -> Source:
    entries, by_view = read_splits(splits)
    known = read_known(directory / KNOWN)
    if not known:
        plan = plan_foreign(entries, by_view, directory, splits)
        return file_source(plan, conventions.filled(LIST_W0, LIST_OFFSET), known)
    if conventions != Conventions():
        raise ValueError(f"'{directory / KNOWN}' says how these INRs compute: leave --w0 and its like away")
    source = file_source(plan_exported(known, entries, directory, splits), conventions, known)
    if source.dims != (dims := known_dims(known, directory / KNOWN)):
        first = source.plan.files[min(source.plan.files)]
        raise ValueError(f"'{first}' has widths {source.dims}, the exported INRs {dims}")
    return source


def chunk_source(directory: Path, found: list[hdf5.Chunk], recipe: Recipe, points: tuple[int, int]) -> Source:
    """Many INRs a file."""
    w0 = hdf5.frequency_of(directory, recipe.conventions.w0)
    plan = hdf5.plan_chunks(found, recipe.objects, points)

    def read(view: int, first: int, count: int, layout: Layout) -> Rows:
        return hdf5.read_block(found, view * plan.objects + first, count, layout)

    conventions, init = recipe.conventions.filled(w0, 0.0), hdf5.init_of(directory)
    return Source(plan, sum(chunk.count for chunk in found), found[0].dims, read, conventions, init=init)


def source_of(directory: Path, recipe: Recipe) -> Source:
    splits = recipe.splits or directory / "splits.json"
    if splits.is_file():
        if recipe.points or recipe.objects:
            raise ValueError(f"'{splits}' lists the splits: leave --split-points and --objects away")
        return listed_source(directory, splits, recipe.conventions)
    points = recipe.points or (0, 0)
    found = [] if recipe.splits else hdf5.find_chunks(directory)
    plan = None if recipe.splits or found else plan_numbered(directory, points)
    if not found and not plan:
        raise FileNotFoundError(f"'{splits}' does not exist: name the list of splits with --splits")
    if not recipe.points:
        raise ValueError(
            f"'{directory}' has no splits.json: say with --split-points where val and test begin"
        )
    if plan and recipe.objects:
        raise ValueError(f"'{directory}' has a file an INR: --objects is of chunks")
    if plan:
        return file_source(plan, recipe.conventions.filled(LIST_W0, 0.0), {})
    return chunk_source(directory, found, recipe, points)


def write_views(writer: StoreWriter, source: Source, layout: Layout) -> int:
    """PSNR and steps are kept for the rows that still are the exported ones; returns how many are not."""
    progress, changed, known = Progress("imported", source.count), 0, source.known
    for view in range(source.plan.views):
        for first in range(0, source.plan.objects, BLOCK_ROWS):
            count = min(BLOCK_ROWS, source.plan.objects - first)
            rows, fitted = source.read(view, first, count, layout)
            psnr, steps = np.full(count, np.nan, "f4"), np.zeros(count, "u4")
            if known:
                part = view, slice(first, first + count)
                same = checksums(rows) == known["checksum"][part]
                psnr, steps = np.where(same, known["psnr"][part], psnr), np.where(
                    same, known["steps"][part], steps
                )
                changed += int((fitted & ~same).sum())
            else:
                rows[fitted] = source.conventions.rows(rows[fitted], layout)
            writer.write_rows(view, first, rows, fitted, psnr, steps)
            progress.step(int(fitted.sum()))
    return changed


def load(directory: Path, store: Path, recipe: Recipe) -> dict[str, str | int]:
    """Makes the store; returns what it did.  ValueError names the file that is not as it should be."""
    if not directory.is_dir():
        raise FileNotFoundError(f"'{directory}' is no directory")
    source = source_of(directory, recipe)
    plan, layout = source.plan, layout_of(source.dims)
    source.conventions.check_widths(source.dims)
    with StoreWriter(store, plan.views, plan.objects, layout) as writer:
        changed = write_views(writer, source, layout)
        if not source.known:
            name_classes(plan)
        known = source.known.get("attributes")
        attributes = known or new_attributes(source, real(directory), recipe.image)
        writer.finish(attributes, plan.label, plan.split, plan.source, plan.others)
    if changed:
        print(f"{changed} of {source.count} files are not as they were exported", file=sys.stderr)
    if unlabelled := int((plan.label < 0).sum()):
        print(
            f"{unlabelled} of {plan.objects} objects have no label, in their files or in the list: their class is -1",
            file=sys.stderr,
        )
    if missing := plan.views * plan.objects - source.count:
        print(
            f"{missing} of {plan.views} x {plan.objects} views have no file and stay missing", file=sys.stderr
        )
    return {"store": str(store), "views": plan.views, "objects": plan.objects, "fitted": source.count}
