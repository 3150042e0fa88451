"""How fast Python gets batches of INRs: from a store by numpy, by ViewStream and ViewDataset, and from a directory of .pth
files as the published trainers read them.

    load_python.py [--rows 55000] [--workers 4] [--batch 256] [--rounds 3] [--place /tmp]

The store of SIRENs 2-32-32-1 is made up in a directory below --place, which is removed.  Every way reads all rows once a round,
in turns; the best round counts.  Prints rows a second of each as one JSON object.  Files come from the page cache: the
first round, which fills it, should not be the only one.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "analysis"))
from polyview.export import export  # noqa: E402
from polyview.torch import Batch, ViewDataset, ViewStream  # noqa: E402
from polyview.view_files import layout_of  # noqa: E402
from polyview.writer import StoreWriter  # noqa: E402

DIMS = [2, 32, 32, 1]


def make_store(path: Path, rows: int) -> None:
    layout = layout_of(DIMS)
    arch = {"dims": DIMS, "w0": 30.0, "offset": 0.5}
    attributes = {"polyview_kind": "store", "polyview_version": 1, "config": "", "signal": "{}"}
    with StoreWriter(path, 1, rows, layout) as writer:
        draw = np.random.default_rng(1)
        for first in range(0, rows, 5000):
            count = min(5000, rows - first)
            values = draw.normal(size=(count, layout[-1][1] + 1)).astype("f4")
            good = np.ones(count, bool)
            writer.write_rows(0, first, values, good, np.full(count, 30, "f4"), np.full(count, 1, "u4"))
        label = (np.arange(rows) % 10).astype("i4")
        split, source = np.zeros(rows, "u1"), np.arange(rows, dtype="u8")
        writer.finish(attributes | {"arch": json.dumps(arch)}, label, split, source, {})


class PthFiles(Dataset[Batch]):
    """A directory of INRs, a file each."""

    def __init__(self, splits: Path) -> None:
        self.files = [splits.parent.parent / name for name in json.loads(splits.read_text())["train"]]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, item: int) -> Batch:
        state = torch.load(self.files[item])
        label = int(state.pop("label"))
        tensors = list(state.values())
        weights = tuple(tensor.t().unsqueeze(-1) for tensor in tensors[0::2])
        return Batch(weights, tuple(tensor.unsqueeze(-1) for tensor in tensors[1::2]), label)


def numpy_rows(store: Path) -> Iterator[int]:
    """One row after the other, in any order, as an h5py user would."""
    with h5py.File(store) as file:
        params = file["params"]
        for number in np.random.default_rng(2).permutation(params.shape[1]):
            yield len(params[0, number : number + 1])


def numpy_blocks(store: Path, batch: int) -> Iterator[int]:
    """Neighbours together, in the file's order: as fast as it gets."""
    with h5py.File(store) as file:
        params = file["params"]
        for first in range(0, params.shape[1], batch):
            yield len(params[0, first : first + batch])


def sizes(loader: Any) -> Iterator[int]:
    for batch in loader:
        yield len(batch)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=55000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--place", type=Path, help="where the store and the files are made")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="polyview-load-", dir=args.place) as name:
        store, files = Path(name) / "store.h5", Path(name) / "views"
        make_store(store, args.rows)
        export(store, files, 1, "pth")
        many, batch = {"num_workers": args.workers}, args.batch
        stream = ViewStream(store, batch=batch)
        shuffled: dict[str, Any] = {"batch_size": batch, "shuffle": True}
        ways: dict[str, Callable[[], Iterator[int]]] = {
            "numpy_rows": lambda: numpy_rows(store),
            "numpy_blocks": lambda: numpy_blocks(store, batch),
            "stream": lambda: sizes(stream),
            "stream_workers": lambda: sizes(DataLoader(stream, batch_size=None, **many)),
            "dataset_workers": lambda: sizes(DataLoader(ViewDataset(store), **shuffled, **many)),
            "pth_workers": lambda: sizes(DataLoader(PthFiles(files / "splits.json"), **shuffled, **many)),
        }
        best = dict.fromkeys(ways, 0.0)
        for _ in range(args.rounds):
            for way, start in ways.items():
                began = time.perf_counter()
                rows = sum(start())
                if rows != args.rows:
                    raise RuntimeError(f"{way} read {rows} of {args.rows} rows")
                best[way] = max(best[way], rows / (time.perf_counter() - began))
    print(
        json.dumps({"torch": torch.__version__, "rows": args.rows} | {w: round(b) for w, b in best.items()})
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
