"""A store whose rows are known: noise, two views, a wave of labels, some rows not fitted."""

import json
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from polyview._xxh3 import checksums

DIMS = [2, 5, 4, 1]
TRAIN, VAL, TEST = 50, 7, 9
OBJECTS = TRAIN + VAL + TEST


def layout() -> list[tuple[bytes, int, int, int]]:
    rows, offset = [], 0
    for layer, (inputs, outputs) in enumerate(zip(DIMS, DIMS[1:])):
        rows.append((f"seq.{layer}.weight".encode(), offset, outputs, inputs))
        rows.append((f"seq.{layer}.bias".encode(), offset + outputs * inputs, outputs, 1))
        offset += outputs * (inputs + 1)
    return rows


def write(path: Path, missing: tuple[tuple[int, int], ...] = ()) -> NDArray[np.float32]:
    """The rows, [2][OBJECTS][P]."""
    params = sum(outputs * (inputs + 1) for inputs, outputs in zip(DIMS, DIMS[1:]))
    rows = np.random.default_rng(1).normal(size=(2, OBJECTS, params)).astype("f4")
    status = np.ones((2, OBJECTS), "u1")
    for place in missing:
        status[place] = 0
    with h5py.File(path, "w") as file:
        file.attrs["polyview_kind"], file.attrs["polyview_version"] = "store", 1
        file.attrs["arch"] = json.dumps({"dims": DIMS, "w0": 30.0, "offset": 0.5})
        file.attrs["signal"] = json.dumps({"source": "idx", "height": 8, "width": 8, "channels": 1})
        file.attrs["config"] = "fit: {views: 2}\n"
        kinds = [("name", "S24"), ("offset", "i4"), ("rows", "i4"), ("cols", "i4")]
        file["params"], file["layout"] = rows, np.array(layout(), kinds)
        file["view/status"], file["view/psnr"] = status, np.where(status, rows[:, :, 0] + 20, 0).astype("f4")
        file["view/checksum"] = np.stack([checksums(view) for view in rows])
        file["view/steps"] = np.full(status.shape, 9, "u4")
        file["object/label"] = (np.arange(OBJECTS) % 3).astype("i4")
        file["object/split"] = np.repeat([0, 1, 2], [TRAIN, VAL, TEST]).astype("u1")
        file["object/source"] = np.arange(OBJECTS, dtype="u8")
        file["object/target"] = rows[0, :, :2]
        file["object/class_names"] = np.array([b"a", b"b", b"c"])
    return rows
