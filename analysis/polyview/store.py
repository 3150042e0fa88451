"""Reads a Polyview store: the weights of many implicit neural representations (INRs) in one HDF5 file.

    with Store("fmnist.h5") as store:
        print(store)  # 10 views of 70000 objects, 1185 parameters each
        rows = store[0, :256]  # array (256, P); any views and objects: numbers, slices, lists, masks
        weights = store.tensors(view=0, object=7)  # {"seq.0.weight": array (32, 2), ...}
        pixels = store.image(view=0, object=7)  # (height, width, channels) in [0, 1]
        frame = store.objects_frame()  # a pandas DataFrame: labels, splits, targets, quality

A row is one INR: h_l = a(W_l h_{l-1} + b_l), f(x) = W_M h_{M-1} + b_M + offset, with the activation a of
`inr.activation`, sin(w0 z) for a SIREN, flattened in PyTorch's state_dict order.  Rows with an activation that is
not in ACTIVATIONS can be read, but not evaluated.
"""

import json
import math
import os
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._paths import real
from ._places import Numbers, numbers_of, spans

if TYPE_CHECKING:
    from pandas import DataFrame

SPLITS = {"train": 0, "val": 1, "test": 2}
MISSING, FITTED, REFUSED = 0, 1, 2  # /view/status
VERSION = 1
SINE = "sin(w0 (W h + b))"  # what `arch` says of the activation; a store that says nothing has it, too
ACTIVATIONS: dict[str, tuple[str, Callable[[NDArray[np.float64], float], NDArray[np.float64]]]] = {
    SINE: ("sine", lambda z, w0: np.sin(w0 * z)),
    "max(0, W h + b)": ("relu", lambda z, w0: np.maximum(z, 0)),
    "exp(-(w0 (W h + b))^2)": ("gauss", lambda z, w0: np.exp(-np.square(w0 * z))),
}  # by the formula in `arch`: its name in configs, and what it makes of z = W h + b
Attribute = str | int | float | list[Any]  # of the root of a store
BLOCK_ROWS = 1024  # rows that are read and written at once
GAP_BYTES = 1 << 16  # between two rows: less is read over, more is skipped


def grid(height: int, width: int) -> NDArray[np.float32]:
    """Coordinates of the pixels, [height * width][2]: x (runs fastest) and y, both linspace(-1, 1)."""

    def axis(n: int) -> NDArray[np.float64]:
        return (2.0 * np.arange(n) - (n - 1)) / max(n - 1, 1) if n > 1 else np.array([-1.0])

    y, x = np.meshgrid(axis(height), axis(width), indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def open_file(path: Path) -> h5py.File:
    """An HDF5 file, to be read.  $HDF5_USE_FILE_LOCKING decides about locks where it is set."""
    if not path.is_file():
        raise FileNotFoundError(f"'{path}' does not exist or is no file")
    try:
        return h5py.File(path, "r", locking="best-effort")
    except OSError as error:
        if "lock" in str(error):
            raise OSError(
                f"'{path}' cannot be locked for reading, another program has it open for writing: wait for it, or set "
                "HDF5_USE_FILE_LOCKING=FALSE to read what it has written so far"
            ) from error
        if h5py.is_hdf5(path):
            raise
        raise ValueError(f"'{path}' is not a store: it is not an HDF5 file") from error


class Store:
    """An open store, read only.  ValueError for a file that is not one, OSError for a file that cannot be opened.

    Shapes    rows are [view][object][P], float32; columns [object], figures of fits [view][object]
    Opening   a file system without locks does not matter; where another program holds the file's lock, which a
              fit does not, OSError says what to do.  Rows are read when they are asked for
    Processes a store may be pickled, and forked: every process opens the file for itself when it first reads
    """

    def __init__(self, path: str | Path) -> None:
        self.path = real(path)  # the shards lie beside the file itself, not beside a link to it
        self._handle: h5py.File | None = None
        self._closed = False
        OPEN.add(self)
        try:
            self._read_head()
        except BaseException:
            self.close()
            raise

    @property
    def _file(self) -> h5py.File:
        """The file, opened by this process."""
        if self._handle is None:
            if self._closed:
                raise ValueError(f"'{self.path}' has been closed")
            self._handle = open_file(self.path)
        return self._handle

    def _let_go(self) -> None:
        if self._handle is not None:
            self._handle.close()
        self._handle = None

    def __reduce__(self) -> tuple[type["Store"], tuple[Path]]:
        return Store, (self.path,)

    def __str__(self) -> str:
        return f"{self.views} views of {self.objects} objects, {self.params} parameters each"

    def _read_head(self) -> None:
        kind, version = self._text("polyview_kind"), self._file.attrs.get("polyview_version")
        if kind != "store":
            raise ValueError(f"'{self.path}' is not a store: its polyview_kind is '{kind}', expected 'store'")
        if version != VERSION:
            raise ValueError(f"'{self.path}' has store version {version}, this reader knows {VERSION}")
        self.arch: dict[str, Any] = self._json("arch")
        self.signal: dict[str, Any] = self._json("signal")
        self.config = self._text("config")
        needed = "params layout view/status view/checksum view/psnr view/steps object/label object/split object/source"
        missing = [name for name in needed.split() if name not in self._file]
        if missing:
            raise ValueError(f"'{self.path}' is not a whole store: it lacks /{', /'.join(missing)}")
        # HDF5 reads what a lost shard held as zeros: better to say so.
        for shard in self._file["shards"]["file"] if "shards" in self._file else ():
            if not (path := self.path.parent / shard.decode()).exists():
                raise FileNotFoundError(f"the shard '{path}' of '{self.path}' is missing")
        self.views, self.objects, self.params = (int(n) for n in self._file["params"].shape)
        self.layout = [
            (name.decode() if isinstance(name, bytes) else str(name), int(offset), int(rows), int(cols))
            for name, offset, rows, cols in self._file["layout"][()]
        ]
        self.label: NDArray[np.int32] = self._file["object/label"][()]
        self.split: NDArray[np.uint8] = self._file["object/split"][()]
        self.source: NDArray[np.uint64] = self._file["object/source"][()]
        self.target: NDArray[np.float32] | None = (
            self._file["object/target"][()] if "object/target" in self._file else None
        )

    @property
    def class_names(self) -> list[str]:
        """What the classes are called, by label; [] where they have no other names."""
        names = self._file["object/class_names"][()] if "object/class_names" in self._file else ()
        return [name.decode(errors="replace") for name in names]

    @property
    def other_columns(self) -> dict[str, NDArray[Any]]:
        """What stands under /object beside label, split and source: targets, digests, names, what a user added."""
        others = [name for name in self._file["object"] if name not in ("label", "split", "source")]
        found = {name: np.asarray(self._file["object"][name][()]) for name in others}
        # .str leaves out what h5py notes beside a type, which numpy does not save.
        return {n: array.astype(array.dtype.str) for n, array in found.items() if array.dtype.kind in "biufS"}

    def objects_frame(self) -> "DataFrame":
        """A pandas DataFrame of the objects, a line each, by their number.

        Columns  label; class, its name, if classes have names; split; source; what else stands under /object
                 (of several columns name_0, name_1, ...); fitted, in how many views; psnr, their mean in dB
        Errors   ImportError without pandas
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError("objects_frame needs pandas (Debian: python3-pandas; pip: pandas)") from error
        fitted, names = self.status == FITTED, self.class_names
        columns: dict[str, Any] = {"label": self.label}
        if names:
            columns["class"] = [names[label] if 0 <= label < len(names) else None for label in self.label]
        columns["split"] = [{n: name for name, n in SPLITS.items()}.get(int(split)) for split in self.split]
        columns["source"] = self.source
        for name, column in self.other_columns.items():
            if name != "class_names" and len(column) == self.objects:
                parts = (
                    {name: column} if column.ndim == 1 else {f"{name}_{i}": c for i, c in enumerate(column.T)}
                )
                columns |= {
                    n: np.char.decode(c, errors="replace") if c.dtype.kind == "S" else c
                    for n, c in parts.items()
                }
        with np.errstate(invalid="ignore"):  # the mean of none is none
            psnr = np.where(fitted, self.psnr, 0).sum(0) / np.where(fitted.any(0), fitted.sum(0), np.nan)
        frame = pandas.DataFrame(columns | {"fitted": fitted.sum(0), "psnr": psnr})
        frame.index.name = "object"
        return frame

    def _text(self, name: str) -> str:
        if name not in self._file.attrs:
            raise ValueError(f"'{self.path}' is not a store: it has no attribute '{name}'")
        value = self._file.attrs[name]
        return value.decode() if isinstance(value, bytes) else str(value)

    def _json(self, name: str) -> dict[str, Any]:
        try:
            return dict(json.loads(self._text(name)))
        except json.JSONDecodeError as error:
            raise ValueError(f"'{self.path}': attribute '{name}' is not JSON: {error}") from error

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._closed = True
        self._let_go()

    @property
    def attributes(self) -> dict[str, Attribute]:
        """Every root attribute that is text, a number or an array of these, by name."""
        found: dict[str, Attribute] = {}
        for name, value in self._file.attrs.items():
            array = np.asarray(self._text(name) if isinstance(value, (bytes, str)) else value)
            if array.dtype.kind in "SO":
                texts = [x.decode() if isinstance(x, bytes) else x for x in array.ravel()]
                array = np.array(texts, object).reshape(array.shape)
            if array.dtype.kind in "biufU" or all(isinstance(x, str) for x in array.ravel()):
                found[name] = array.tolist()
        return found

    @property
    def dims(self) -> list[int]:
        """Widths d_0 .. d_M of the INRs."""
        return [int(width) for width in self.arch["dims"]]

    @property
    def activation(self) -> str:
        """Its name; of one that this reader does not know, what the file says of it."""
        said = str(self.arch.get("activation", SINE))
        return ACTIVATIONS[said][0] if said in ACTIVATIONS else said

    @property
    def frequencies(self) -> NDArray[np.float64] | None:
        """B [F][coordinates] of `inr.encoding: fourier`: the first layer takes cos(2 pi B x), sin(2 pi B x).  Or None."""
        said = self.arch.get("encoding")
        if not said:
            return None
        if said.get("kind") != "fourier":
            raise ValueError(
                f"'{self.path}' holds INRs with the encoding '{said.get('kind')}', which this reader lacks"
            )
        return np.array(said["frequencies"], np.float32).astype(np.float64)

    @property
    def inputs(self) -> int:
        """Coordinates of the signal: d_0 without an encoding."""
        return self.dims[0] if self.frequencies is None else self.frequencies.shape[1]

    @property
    def is_siren(self) -> bool:
        return self.activation == "sine" and not self.arch.get("encoding")

    @property
    def height(self) -> int:
        return int(self.signal["height"])

    @property
    def width(self) -> int:
        return int(self.signal["width"])

    @property
    def channels(self) -> int:
        return int(self.signal["channels"])

    @property
    def range(self) -> tuple[float, float]:
        """The numbers of the data that the values 0 and 1 stand for; (0, 1) where values are those numbers."""
        low, high = self.signal.get("range", (0.0, 1.0))
        return float(low), float(high)

    def original(self, values: ArrayLike) -> NDArray[np.float64]:
        """Values, as `evaluate` gives them, as numbers of the data."""
        low, high = self.range
        return np.asarray(values, np.float64) * (high - low) + low

    @property
    def status(self) -> NDArray[np.uint8]:
        """[view][object]: 0 where a row is missing, 1 where it is fitted, 2 where its fits were not finite."""
        return np.asarray(self._file["view/status"][()])

    @property
    def checksum(self) -> NDArray[np.uint64]:
        """[view][object]: XXH3-64 of the row."""
        return np.asarray(self._file["view/checksum"][()])

    @property
    def judgements(self) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """[view][object] the IoU of every row and its mean error near the surface; None but for shapes."""
        if "view/iou" not in self._file:
            return None
        return np.asarray(self._file["view/iou"][()]), np.asarray(self._file["view/surface_error"][()])

    @property
    def psnr(self) -> NDArray[np.float32]:
        """[view][object] in dB, peak 1; meaningful where status is 1."""
        return np.asarray(self._file["view/psnr"][()])

    @property
    def steps(self) -> NDArray[np.uint32]:
        """[view][object]: optimiser steps taken."""
        return np.asarray(self._file["view/steps"][()])

    def _refuse(self, view: int, object: int, status: int) -> None:
        """Raises ValueError for a row that is not fitted."""
        if status == REFUSED:
            raise ValueError(f"view {view} of object {object} is refused in '{self.path}': not finite")
        if status != FITTED:
            raise ValueError(f"view {view} of object {object} is not fitted in '{self.path}'")

    def objects_of(self, split: str) -> NDArray[np.int64]:
        """The objects of "train", "val" or "test", ascending."""
        if split not in SPLITS:
            raise ValueError(f"split '{split}' is not one of {', '.join(SPLITS)}")
        return np.flatnonzero(self.split == SPLITS[split])

    def row(self, view: int, object: int) -> NDArray[np.float32]:
        """One INR, [P].  ValueError if it is not fitted yet, or refused, IndexError if there is none."""
        if not (0 <= view < self.views and 0 <= object < self.objects):
            raise IndexError(
                f"view {view} of object {object}: '{self.path}' has {self.views} x {self.objects} rows"
            )
        self._refuse(view, object, int(self._file["view/status"][view, object]))
        return np.asarray(self._file["params"][view, object])

    def __getitem__(self, place: Any) -> NDArray[np.float32]:
        """The INRs of views and objects: store[views, objects], or store[views] of all objects.

        Each is a number, a slice, a sequence of numbers in any order, or a mask; negative numbers count from the end.
        Shapes   [view][object][P] of every view with every object, without the axis of a single number
        Errors   IndexError for what there is not; ValueError if one of them is not fitted yet, or refused
        """
        both = place if isinstance(place, tuple) else (place, slice(None))
        if len(both) != 2:
            raise IndexError(f"a row has two places, a view and an object, not {len(both)}")
        views = numbers_of(both[0], self.views, "view")
        objects = numbers_of(both[1], self.objects, "object")
        found = np.empty((views.size, objects.size, self.params), np.float32)
        for number, view in enumerate(views.ravel()):
            self._gather(int(view), objects.ravel(), found[number])
        return found.reshape(*views.shape, *objects.shape, self.params)

    def rows(self, split: str, views: Sequence[int]) -> NDArray[np.float32]:
        """The INRs of a split, [view][object][P] in the order of `views` and objects_of(split)."""
        chosen = self.objects_of(split)
        found = np.empty((len(views), len(chosen), self.params), np.float32)
        for place, view in enumerate(views):
            self._gather(view, chosen, found[place])
        return found

    def _gather(
        self, view: int, chosen: Numbers, into: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """The INRs of objects in their order, [len(chosen)][P]."""
        if not 0 <= view < self.views:
            raise IndexError(f"view {view}: '{self.path}' has {self.views} views")
        found = np.empty((len(chosen), self.params), np.float32) if into is None else into
        if not len(chosen):
            return found
        first, behind = int(chosen.min()), int(chosen.max()) + 1
        status = self._file["view/status"][view, first:behind][chosen - first]
        for bad in np.flatnonzero(status != FITTED)[:1]:
            self._refuse(view, int(chosen[bad]), int(status[bad]))
        order = np.argsort(chosen, kind="stable")
        ascending, params = chosen[order], self._file["params"]
        for low, high, part in spans(ascending, GAP_BYTES // (4 * self.params)):
            found[order[part]] = params[view, low:high][ascending[part] - low]
        return found

    def block(self, view: int, first: int, count: int) -> NDArray[np.float32]:
        """The rows of `count` objects from `first` as they lie in the file, fitted or not: [count][P]."""
        return np.asarray(self._file["params"][view, first : first + count])

    def mean_std(self, views: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and unbiased standard deviation of every entry, [P] each, over the training split's first views.

        As `train.normalise` has it: an entry that never changes gets std 1.
        """
        chosen = self.objects_of("train")
        if not len(chosen):
            raise ValueError(f"'{self.path}' has no training objects")
        parts = np.array_split(chosen, math.ceil(len(chosen) / BLOCK_ROWS))
        places = [(view, part) for view in range(views) for part in parts]
        count = views * len(chosen)
        mean = sum(self._gather(*place).sum(axis=0, dtype=np.float64) for place in places) / count
        squares = sum(np.square(self._gather(*place) - mean).sum(axis=0) for place in places)
        std = np.sqrt(squares / max(count - 1, 1))
        return mean.astype(np.float32), np.where(std > 0, std, 1).astype(np.float32)

    def tensors(self, view: int, object: int) -> dict[str, NDArray[np.float32]]:
        """The weights (rows, cols) and biases (rows,) of one INR, by their PyTorch names, in their order."""
        return self.split_row(self.row(view, object))

    def split_row(self, row: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """A row [P] by tensor, as `tensors` gives it; the arrays share its memory."""
        found = {}
        for name, offset, rows, cols in self.layout:
            flat = row[offset : offset + rows * cols]
            found[name] = flat if name.endswith("bias") else flat.reshape(rows, cols)
        return found

    def evaluate(self, view: int, object: int, coords: ArrayLike) -> NDArray[np.float32]:
        """The INR at `coords` [n][inputs]: its outputs [n][d_M], not clipped.  Computed in double precision.

        ValueError for an activation that this reader does not know.
        """
        return self.evaluate_row(self.row(view, object), coords)

    def evaluate_row(self, row: NDArray[np.float32], coords: ArrayLike) -> NDArray[np.float32]:
        """As `evaluate`, of weights [P] that may be no row of the store: an average, say, or an augmented row."""
        known = [function for name, function in ACTIVATIONS.values() if name == self.activation]
        if not known:
            raise ValueError(
                f"'{self.path}' holds INRs with the activation '{self.activation}', which this reader lacks"
            )
        hidden = np.asarray(coords, np.float64)
        if hidden.ndim != 2 or hidden.shape[1] != self.inputs:
            raise ValueError(f"coords have shape {hidden.shape}, expected (n, {self.inputs})")
        if self.frequencies is not None:
            turns = 2 * np.pi * hidden @ self.frequencies.T
            hidden = np.concatenate([np.cos(turns), np.sin(turns)], 1)
        flat = list(self.split_row(row).values())
        layers = list(zip(flat[0::2], flat[1::2]))
        for weight, bias in layers[:-1]:
            hidden = known[0](hidden @ weight.T.astype(np.float64) + bias, float(self.arch["w0"]))
        weight, bias = layers[-1]
        values = hidden @ weight.T.astype(np.float64) + bias + float(self.arch["offset"])
        return values.astype(np.float32)

    def image(self, view: int, object: int) -> NDArray[np.float32]:
        """The INR of an image drawn on its own pixel grid: [height][width][channels], clipped to [0, 1]."""
        if self.inputs != 2:
            raise ValueError(f"'{self.path}' holds signals over {self.inputs} coordinates, not images")
        if not (self.signal.get("height") and self.signal.get("width")):
            raise ValueError(f"'{self.path}' does not know the size of its images")
        values = self.evaluate(view, object, grid(self.height, self.width))
        return np.clip(values, 0, 1).reshape(self.height, self.width, -1)


OPEN: weakref.WeakSet[Store] = weakref.WeakSet()


def let_go_of_all() -> None:
    """HDF5 would hand the parent's open files to a child that opens them once more."""
    for store in OPEN:
        store._let_go()


os.register_at_fork(after_in_child=let_go_of_all)
