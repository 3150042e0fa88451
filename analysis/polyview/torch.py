"""A PyTorch Dataset over a store, in the form that the published DWS trainers take.

train = ViewDataset("fmnist.h5", "train", views=10, normalize=True)
val = ViewDataset("fmnist.h5", "val", normalize=True, statistics=train.statistics)
for batch in torch.utils.data.DataLoader(train, batch_size=256, shuffle=True, num_workers=4):
    logits = model((batch.weights, batch.biases))
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

try:
    import torch
except ImportError as error:
    raise ImportError("polyview.torch needs PyTorch (Debian: python3-torch; pip: polyview[torch])") from error

from ._paths import real
from .store import FITTED, Store

Statistics = tuple[NDArray[np.float32], NDArray[np.float32]]


class Batch(NamedTuple):
    """One INR, or after collating a batch of them with one more axis in front.

    weights[i] is [d_i][d_i+1][1] (from input to output: PyTorch's matrix transposed), biases[i] is [d_i+1][1].
    """

    weights: tuple[torch.Tensor, ...]
    biases: tuple[torch.Tensor, ...]
    label: Any  # int; of a batch an int64 tensor

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(
            tuple(weight.to(device) for weight in self.weights),
            tuple(bias.to(device) for bias in self.biases),
            self.label.to(device),
        )

    def __len__(self) -> int:
        return len(self.weights[0])


def by_layer(
    row: NDArray[np.float32], layout: list[tuple[str, int, int, int]]
) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    """(weights, biases) of a row as a Batch has them; they share the row's memory."""
    flat = torch.from_numpy(row)
    weights, biases = [], []
    for name, offset, rows, cols in layout:
        tensor = flat[offset : offset + rows * cols].view(rows, cols)
        if name.endswith("weight"):
            weights.append(tensor.t().unsqueeze(-1))
        else:
            biases.append(tensor)
    return tuple(weights), tuple(biases)


class ViewDataset(torch.utils.data.Dataset[Batch]):
    """The first `views` views of every object of a split: all objects of view 0, then of view 1, ...

    normalize: tensors are (x - mean) / std of every entry.  The statistics are those of the training split's first
    `views` views, or `statistics` (mean, std), each [P]: give another split those of the training set.
    Rows are read when they are asked for; every process opens the file for itself, so forked and spawned workers
    work.  ValueError if a row is not fitted, IndexError if there are not so many views.
    """

    def __init__(
        self,
        path: str | Path,
        split: str = "train",
        views: int = 1,
        normalize: bool = False,
        statistics: Statistics | None = None,
    ) -> None:
        self.path, self.views = real(path), views  # workers may start in another directory
        self._store: Store | None = None
        self._process = -1
        with Store(path) as store:
            if not 1 <= views <= store.views:
                raise IndexError(f"{views} views are asked for, '{path}' has {store.views}")
            self.objects = store.objects_of(split)
            self.label = store.label[self.objects]
            self.layout = store.layout
            missing = np.argwhere(store.status[:views, self.objects] != FITTED)
            if len(missing):
                view, place = missing[0]
                raise ValueError(f"view {view} of object {self.objects[place]} is not fitted in '{path}'")
            if normalize and statistics is None:
                statistics = store.mean_std(views)
        self.statistics = statistics if normalize else None

    def __len__(self) -> int:
        return self.views * len(self.objects)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_store": None, "_process": -1}

    def _open(self) -> Store:
        """The store, opened by this process: a handle that came over a fork is closed and made anew."""
        if self._store is None or self._process != os.getpid():
            if self._store is not None:
                self._store.close()
            self._store, self._process = Store(self.path), os.getpid()
        return self._store

    def __getitem__(self, item: int) -> Batch:
        if not 0 <= item < len(self):
            raise IndexError(f"sample {item} of {len(self)}")
        view, place = divmod(int(item), len(self.objects))
        row = self._open().row(view, int(self.objects[place]))
        if self.statistics is not None:
            mean, std = self.statistics
            row = (row - mean) / std
        return Batch(*by_layer(row, self.layout), int(self.label[place]))
