"""Many INRs in HDF5 files, as fit-a-nef writes them: rows of parameters, and a JSON list of their names and shapes.

DIRECTORY/nefs_0-500.hdf5    rows 0..499: params [500][P], param_config: [[name, shape], ...] in the order of a row,
                             labels [500], where the data set has classes
DIRECTORY/nef.json           {"name": "SIREN", "params": {"omega_0": 8.0, ...}, ...}
DIRECTORY/cfg.json           {"train": {"fixed_init": true, ...}, ...}: whether all start from the same weights

The names are flax's: kernel_net_0.linear.kernel, which is [in][out], kernel_net_0.linear.bias, output_linear.kernel.
As with every file of others nothing is followed that leads out of it.
"""

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from .import_plan import Plan, new_plan, set_label, split_at
from .store import open_file
from .view_files import FLOATS, MAX_WIDTH, Layout, dims_of, params_of, place_of, standard_names, whole_number

SUFFIXES = (".hdf5", ".h5")
RANGE = re.compile(r".*_(\d{1,9})-(\d{1,9})", re.ASCII)  # what a file's name says of its rows
OUTPUT = 999  # the number of the layer that has none


@dataclass(frozen=True)
class Part:
    """Where a tensor lies in a stored row."""

    first: int
    shape: tuple[int, ...]
    kernel: bool  # [in][out]


@dataclass(frozen=True)
class Chunk:
    """The rows first .. first + count - 1 of a set."""

    path: Path
    first: int
    count: int
    parts: dict[str, Part]  # by the store's names
    dims: list[int]
    labels: NDArray[Any] | None


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    if not h5py.is_hdf5(path):
        raise ValueError(f"'{path}' is no HDF5 file")
    try:
        with open_file(path) as file:
            yield file
    except (OSError, RuntimeError) as error:
        raise ValueError(f"'{path}' is damaged: {error}") from error


def plain(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    """A dataset whose data are in the file itself."""
    hard = isinstance(file.get(name, getlink=True), h5py.HardLink)
    found = file[name] if hard else None
    if not isinstance(found, h5py.Dataset):
        raise ValueError(f"'{path}' is no chunk of INRs: it has no dataset '{name}' of its own")
    if found.external or found.is_virtual:
        raise ValueError(f"'{path}': '{name}' lies in other files")
    return found


def names_and_shapes(path: Path, file: h5py.File) -> list[tuple[str, tuple[int, ...]]]:
    """param_config: JSON [[name, shape], ...], in a dataset of one string."""
    stored = plain(path, file, "param_config")
    text = np.ravel(stored[()])[0] if stored.size == 1 else b""
    try:
        content = json.loads(text if isinstance(text, (str, bytes)) else b"")
        found = [(name, tuple(shape)) for name, shape in content]
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"'{path}': 'param_config' is no JSON list of names and shapes") from error
    for name, shape in found:
        widths = all(type(width) is int and 1 <= width <= MAX_WIDTH for width in shape)
        if not isinstance(name, str) or len(shape) not in (1, 2) or not widths:
            told = f"'{str(name)[:40]}' of shape {str([*shape])[:40]}"
            raise ValueError(
                f"'{path}': 'param_config' has {told}, no INR of up to {MAX_WIDTH} neurons a layer"
            )
    return found


def torch_names(names: list[str]) -> list[str]:
    """As PyTorch would name them, all layers numbered: one that has no number is the last."""
    found = [re.sub(r"kernel$", "weight", name.replace("/", ".")) for name in names]
    places = [place for place in map(place_of, found) if place]
    layers = {name.rpartition(".")[0] for name in found if not place_of(name)}
    if places and len(layers) == 1:
        last = f"{places[0][0]}.{OUTPUT}."
        found = [name if place_of(name) else last + name.rpartition(".")[2] for name in found]
    return found


def parts_of(path: Path, config: list[tuple[str, tuple[int, ...]]]) -> dict[str, Part]:
    names = [name for name, _ in config]
    ours = torch_names(names)
    standard, found, first = standard_names(path, ours), {}, 0
    for (name, shape), our in zip(config, ours):
        if standard[our] in found:
            raise ValueError(
                f"'{path}': 'param_config' has {standard[our]} twice, the second time as '{name}'"
            )
        if len(shape) != (2 if our.endswith("weight") else 1):
            raise ValueError(f"'{path}': 'param_config' gives '{name}' the shape {list(shape)}")
        found[standard[our]] = Part(first, shape, name.endswith("kernel"))
        first += math.prod(shape)
    return dict(sorted(found.items()))


def dims_of_parts(path: Path, parts: dict[str, Part]) -> list[int]:
    shapes = {name: part.shape[::-1] if part.kernel else part.shape for name, part in parts.items()}
    return dims_of(path, {name: np.zeros(shape, "f4") for name, shape in shapes.items()})


def labels_of(path: Path, file: h5py.File, count: int) -> NDArray[Any] | None:
    if "labels" not in file:
        return None
    stored = plain(path, file, "labels")
    if stored.size != count or stored.dtype.kind not in "iuf":
        raise ValueError(
            f"'{path}': 'labels' is {stored.dtype} of shape {stored.shape}, expected a class for each of {count} INRs"
        )
    return np.ravel(stored[()])


def read_chunk(path: Path, alone: bool) -> Chunk:
    with opened(path) as file:
        params = plain(path, file, "params")
        parts = parts_of(path, names_and_shapes(path, file))
        dims = dims_of_parts(path, parts)
        size = sum(math.prod(part.shape) for part in parts.values())
        if params.ndim != 2 or params.shape[1] != size or params.dtype.name not in FLOATS:
            raise ValueError(
                f"'{path}': 'params' is {params.dtype} of shape {params.shape}, expected rows of {size} floats, as "
                "'param_config' has them"
            )
        count = params.shape[0]
        numbers = RANGE.fullmatch(path.stem)
        if not numbers and not alone:
            raise ValueError(f"'{path}' does not say which rows it holds, as nefs_0-500.hdf5 does")
        first, end = (int(number) for number in numbers.groups()) if numbers else (0, count)
        if end - first != count or not count:
            raise ValueError(f"'{path}': 'params' has {count} rows, its name says {end - first}")
        return Chunk(path, first, count, parts, dims, labels_of(path, file, count))


def find_chunks(directory: Path) -> list[Chunk]:
    """Those of a directory, in the order of their rows; [] if it holds none."""
    paths = sorted(path for path in directory.iterdir() if path.suffix in SUFFIXES and path.is_file())
    chunks = sorted((read_chunk(path, len(paths) == 1) for path in paths), key=lambda chunk: chunk.first)
    for one, other in zip(chunks, chunks[1:]):
        if one.first + one.count > other.first:
            raise ValueError(f"'{other.path}' holds rows of '{one.path}' again")
        if one.dims != other.dims:
            raise ValueError(f"'{other.path}' has widths {other.dims}, '{one.path}' {one.dims}")
    return chunks


def plan_chunks(chunks: list[Chunk], objects: int | None, points: tuple[int, int]) -> Plan:
    """Rows are the objects of the first view, then of the second: `objects` each, or one view of all."""
    end = chunks[-1].first + chunks[-1].count
    objects = objects or end
    plan = new_plan(math.ceil(end / objects), objects)
    plan.split = split_at(points, plan.source)
    for chunk in chunks:
        for place, value in enumerate([] if chunk.labels is None else chunk.labels):
            label = whole_number(value)
            if label is None or not -1 <= label < np.iinfo(np.int32).max:
                raise ValueError(
                    f"'{chunk.path}': 'labels' has {value} for row {place}, expected a class from 0 on"
                )
            if label >= 0:
                set_label(plan, (chunk.first + place) % objects, label, chunk.path)
    return plan


def rows_of(chunk: Chunk, first: int, count: int, layout: Layout) -> NDArray[np.float32]:
    """Rows of a chunk, counted in it, as the store has them."""
    with opened(chunk.path) as file:
        stored = plain(chunk.path, file, "params")[first : first + count]
    rows = np.empty((count, params_of(layout)), "f4")
    for name, offset, height, width in layout:
        part = chunk.parts[name]
        values = stored[:, part.first : part.first + height * width]
        if part.kernel:
            values = values.reshape(count, width, height).swapaxes(1, 2)
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused as not finite
            rows[:, offset : offset + height * width] = values.reshape(count, -1)
    wrong = np.flatnonzero(~np.isfinite(rows).all(1))
    if len(wrong):
        raise ValueError(f"'{chunk.path}': row {first + wrong[0]} of 'params' is not finite")
    return rows


def read_block(
    chunks: list[Chunk], first: int, count: int, layout: Layout
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(rows [count][P] of the set from `first` on, which of them a chunk has)"""
    rows, fitted = np.zeros((count, params_of(layout)), "f4"), np.zeros(count, bool)
    for chunk in chunks:
        begin, end = max(first, chunk.first), min(first + count, chunk.first + chunk.count)
        if begin < end:
            place = slice(begin - first, end - first)
            rows[place] = rows_of(chunk, begin - chunk.first, end - begin, layout)
            fitted[place] = True
    return rows, fitted


def settings(path: Path) -> dict[str, Any]:
    """What one of their JSON files holds; {} where there is none."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"'{path}' is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"'{path}' holds no JSON object")
    return found


def frequency_of(directory: Path, said: float | None) -> float:
    """What is said, else omega_0 of nef.json, which may say that the INRs are no networks of sines."""
    path = directory / "nef.json"
    nef = settings(path)
    if nef and nef.get("name") != "SIREN":
        raise ValueError(
            f"'{path}': 'name' is {str(nef.get('name'))[:40]!r}; a store holds networks of sines, SIREN"
        )
    if said:
        return said
    if not nef:
        raise ValueError(f"'{path}' is missing, which has omega_0: give the frequency of the sines with --w0")
    params = nef.get("params")
    omega = params.get("omega_0") if isinstance(params, dict) else None
    if not isinstance(omega, (int, float)) or isinstance(omega, bool) or not 0 < omega < math.inf:
        raise ValueError(f"'{path}': 'omega_0' is no positive number")
    return float(omega)


def init_of(directory: Path) -> str | None:
    """fit.init, in the words of a config: "shared" if the INRs of a view had one start; None if nothing is said."""
    train = settings(directory / "cfg.json").get("train")
    if not isinstance(train, dict) or "fixed_init" not in train:
        return None
    return "shared" if train["fixed_init"] or train.get("from_meta_init") else "independent"
