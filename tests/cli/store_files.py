"""The files of a store, as tests look into them and copy them."""

import shutil
from pathlib import Path

import h5py
import numpy as np

COLUMNS = (
    "params view/status view/checksum view/psnr view/steps object/label object/split object/source".split()
)


def columns(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        return {name: file[name][()] for name in COLUMNS}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return all(a[name].shape == b[name].shape and a[name].tobytes() == b[name].tobytes() for name in COLUMNS)


def shard_files(store: Path) -> list[Path]:
    return sorted(Path(f"{store}.shards").glob("*"))


def copy_store(store: Path, to: Path) -> Path:
    shutil.copy(store, to)
    if shard_files(store):
        shutil.copytree(f"{store}.shards", f"{to}.shards")
    return to
