"""A store for the tests of the package, made by the package alone from arrays that the tests know."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from polyview.tools import main

VIEWS, OBJECTS, DIMS = 2, 11, (2, 4, 3, 1)
SPLITS = {"train": range(0, 7), "val": range(7, 9), "test": range(9, 11)}

Tensors = dict[str, NDArray[np.float32]]


class Made(NamedTuple):
    path: Path
    inrs: list[list[Tensors]]  # [view][object]
    rows: NDArray[np.float32]  # [view][object][P]


def inr(rng: np.random.Generator) -> Tensors:
    tensors: Tensors = {}
    for layer, (inputs, outputs) in enumerate(zip(DIMS, DIMS[1:])):
        tensors[f"seq.{layer}.weight"] = rng.uniform(-0.3, 0.3, (outputs, inputs)).astype("f4")
        tensors[f"seq.{layer}.bias"] = rng.uniform(-0.3, 0.3, outputs).astype("f4")
    return tensors


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    work = tmp_path_factory.mktemp("store")
    rng = np.random.default_rng(1)
    inrs = [[inr(rng) for _ in range(OBJECTS)] for _ in range(VIEWS)]
    splits: dict[str, list[str]] = {}
    for view in range(VIEWS):
        for split, objects in SPLITS.items():
            (work / f"inrs/view-{view:02}/{split}").mkdir(parents=True)
            for object in objects:
                name = f"inrs/view-{view:02}/{split}/{object:07}.npz"
                np.savez(work / name, label=np.int64(object % 3), **inrs[view][object])
                splits.setdefault(split, []).append(name)
    (work / "inrs/splits.json").write_text(json.dumps(splits))
    assert main(["import", str(work / "inrs"), str(work / "store.h5"), "--image", "8", "8"]) == 0
    rows = [[np.concatenate([t.ravel() for t in one.values()]) for one in view] for view in inrs]
    return Made(work / "store.h5", inrs, np.array(rows))
