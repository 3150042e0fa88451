"""Makes a whole store file (docs/formats.md), row by row; it has its name only once it is whole."""

import os
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ._paths import real_output
from .store import FITTED, Attribute
from .view_files import Layout, params_of
from ._xxh3 import checksums

COLUMNS = {
    "view/status": "u1",
    "view/checksum": "u8",
    "view/psnr": "f4",
    "view/steps": "u4",
    "object/label": "i4",
    "object/split": "u1",
    "object/source": "u8",
}
NAME_BYTES = 24  # of a tensor in /layout


class StoreWriter:
    """Writes PATH.part; `finish` renames it.  Leaving the block without it removes what was written.

    Rows that are never written stay missing.  FileExistsError if the store exists, or another writer's PATH.part.
    """

    def __init__(self, path: Path, views: int, objects: int, layout: Layout) -> None:
        self.path = real_output(path)
        self.part = self.path.with_name(self.path.name + ".part")
        if self.path.exists():
            raise FileExistsError(f"'{self.path}' exists already")
        if self.part.exists():
            raise FileExistsError(f"'{self.part}' is being written; delete it if its writer was killed")
        self._file = h5py.File(self.part, "x")
        self._create("params", (views, objects, params_of(layout)), "f4")
        for name, kind in COLUMNS.items():
            self._create(name, (views, objects) if name.startswith("view/") else (objects,), kind)
        table = np.dtype([("name", f"S{NAME_BYTES}"), ("offset", "i4"), ("rows", "i4"), ("cols", "i4")])
        self._file["layout"] = np.array([(name.encode(), *place) for name, *place in layout], table)

    def _create(self, name: str, shape: tuple[int, ...], kind: str) -> None:
        """A contiguous dataset whose space is set aside now, as parallel writers need it."""
        create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        create.set_layout(h5py.h5d.CONTIGUOUS)
        create.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        link = h5py.h5p.create(h5py.h5p.LINK_CREATE)
        link.set_create_intermediate_group(True)
        space, kind_id = h5py.h5s.create_simple(shape), h5py.h5t.py_create(np.dtype(kind))
        h5py.h5d.create(self._file.id, name.encode(), kind_id, space, create, link)

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self.part.unlink(missing_ok=True)

    def write_rows(
        self,
        view: int,
        first: int,
        rows: NDArray[np.float32],
        fitted: NDArray[np.bool_],
        psnr: NDArray[np.float32],
        steps: NDArray[np.uint32],
    ) -> None:
        """Consecutive objects of a view, [n][P] and [n]; the checksums are those of the rows that are fitted."""
        place = (view, slice(first, first + len(rows)))
        self._file["params"][place] = rows
        self._file["view/checksum"][place] = np.where(fitted, checksums(rows), np.uint64(0))
        self._file["view/psnr"][place] = np.where(fitted, psnr, np.float32(0))
        self._file["view/steps"][place] = np.where(fitted, steps, np.uint32(0))
        self._file["view/status"][place] = np.where(fitted, np.uint8(FITTED), np.uint8(0))

    def finish(
        self,
        attributes: dict[str, Attribute],
        label: NDArray[np.int32],
        split: NDArray[np.uint8],
        source: NDArray[np.uint64],
        others: dict[str, NDArray[Any]],
    ) -> None:
        """The columns [object], others under /object, and the root attributes; then the file gets its name."""
        for name, column in (("label", label), ("split", split), ("source", source)):
            self._file[f"object/{name}"][...] = column
        for name, column in others.items():
            if column.dtype.kind == "S":  # as the program keeps texts; HDF5 converts no ASCII to it
                column = column.astype(h5py.string_dtype("utf-8", column.dtype.itemsize))
            self._file[f"object/{name}"] = column
        for name, value in attributes.items():
            if isinstance(value, str):
                text = value.encode()
                self._file.attrs.create(name, text, dtype=h5py.string_dtype("utf-8", max(len(text), 1)))
            elif isinstance(value, list):
                array = np.array(value)
                self._file.attrs[name] = array.astype(object) if array.dtype.kind == "U" else array
            else:
                self._file.attrs.create(name, value, dtype="f8" if isinstance(value, float) else "i8")
        self._file.close()
        with self.part.open("rb") as file:
            os.fsync(file.fileno())
        os.link(self.part, self.path)  # fails where a rename would replace a store made meanwhile
