"""PyTorch datasets over a store, in the form that the published DWS trainers take.

Any sample when it is asked for, as samplers want it:

    train = ViewDataset("fmnist.h5", "train", views=10, normalize=True)
    val = ViewDataset("fmnist.h5", "val", normalize=True, statistics=train.statistics)
    for batch in torch.utils.data.DataLoader(train, batch_size=256, shuffle=True, num_workers=4):
        logits = model((batch.weights, batch.biases))

Whole batches in an order of their own, several times as fast, each rank and each worker its share:

    stream = ViewStream("fmnist.h5", "train", views=10, normalize=True, batch=256)
    for batch in torch.utils.data.DataLoader(stream, batch_size=None, num_workers=4):
        logits = model((batch.weights, batch.biases))
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

try:
    import torch
except ImportError as error:
    raise ImportError("polyview.torch needs PyTorch (Debian: python3-torch; pip: polyview[torch])") from error

from .store import FITTED, Store

Statistics = tuple[NDArray[np.float32], NDArray[np.float32]]


class Batch(NamedTuple):
    """One INR, or a batch of them with one more axis in front.

    weights[i] is [d_i][d_i+1][1] (from input to output: PyTorch's matrix transposed), biases[i] is [d_i+1][1].
    So DWSNets and neural-graphs take them; polyview.graphs makes of a batch what scalegmn takes.
    """

    weights: tuple[torch.Tensor, ...]
    biases: tuple[torch.Tensor, ...]
    label: Any  # int; of a batch an int64 tensor [n]

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(
            tuple(weight.to(device) for weight in self.weights),
            tuple(bias.to(device) for bias in self.biases),
            self.label.to(device),
        )

    def __len__(self) -> int:
        return len(self.weights[0])


def by_layer(
    rows: NDArray[np.float32], layout: list[tuple[str, int, int, int]]
) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    """(weights, biases) of rows [P] or [n][P] as a Batch has them; they share the rows' memory."""
    flat = torch.from_numpy(rows)
    weights, biases = [], []
    for name, offset, outputs, inputs in layout:
        tensor = flat[..., offset : offset + outputs * inputs].reshape(*rows.shape[:-1], outputs, inputs)
        if name.endswith("weight"):
            weights.append(tensor.transpose(-1, -2).unsqueeze(-1))
        else:
            biases.append(tensor)
    return tuple(weights), tuple(biases)


class Samples:
    """The first `views` views of every object of a split: all objects of view 0, then of view 1, ...

    normalize  tensors are (x - mean) / std of every entry.  The statistics are those of the training split's first
               `views` views, or `statistics` (mean, std), each [P]: give another split those of the training set
    Processes  rows are read when they are asked for; every process opens the file for itself, so forked and spawned
               workers work
    Errors     ValueError if a row is not fitted, IndexError if there are not so many views
    """

    def __init__(
        self,
        path: str | Path,
        split: str = "train",
        views: int = 1,
        normalize: bool = False,
        statistics: Statistics | None = None,
    ) -> None:
        self.store, self.views = Store(path), views
        if not 1 <= views <= self.store.views:
            raise IndexError(f"{views} views are asked for, '{path}' has {self.store.views}")
        self.objects = self.store.objects_of(split)
        self.label = self.store.label[self.objects].astype(np.int64)
        missing = np.argwhere(self.store.status[:views, self.objects] != FITTED)
        if len(missing):
            view, place = missing[0]
            raise ValueError(f"view {view} of object {self.objects[place]} is not fitted in '{path}'")
        if normalize and statistics is None:
            statistics = self.store.mean_std(views)
        self.statistics = statistics if normalize else None

    @property
    def dims(self) -> list[int]:
        """Widths d_0 .. d_M of the INRs."""
        return self.store.dims

    @property
    def count(self) -> int:
        """Of all samples."""
        return self.views * len(self.objects)

    def read(self, samples: ArrayLike) -> Batch:
        """A batch of samples by their numbers, in any order; IndexError for what there is not."""
        numbers = np.asarray(samples, np.int64)
        for wrong in numbers[(numbers < 0) | (numbers >= self.count)][:1]:
            raise IndexError(f"sample {wrong} of {self.count}")
        view, place = np.divmod(numbers, max(1, len(self.objects)))
        rows = np.empty((len(numbers), self.store.params), np.float32)
        for number in np.unique(view):
            rows[view == number] = self.store[int(number), self.objects[place[view == number]]]
        if self.statistics is not None:
            mean, std = self.statistics
            rows = (rows - mean) / std
        return Batch(*by_layer(rows, self.store.layout), torch.from_numpy(self.label[place]))


class ViewDataset(Samples, torch.utils.data.Dataset[Batch]):
    """Samples by number, for any sampler.  dataset[7] is one INR, dataset[[7, 1, 5]] a batch of them."""

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, item: int | Sequence[int]) -> Batch:
        numbers = np.asarray(item)
        return self.read(numbers) if numbers.ndim else self.__getitems__([int(numbers)])[0]

    def __getitems__(self, items: Sequence[int]) -> list[Batch]:
        """The samples of a batch that is not collated yet: PyTorch asks for them together since its version 2."""
        weights, biases, label = self.read(items)
        return [
            Batch(tuple(w[i] for w in weights), tuple(b[i] for b in biases), int(label[i]))
            for i in range(len(items))
        ]


class ViewStream(Samples, torch.utils.data.IterableDataset[Batch]):
    """Batches, for DataLoader(stream, batch_size=None, num_workers=W): every sample once an epoch over ranks and workers.

    batch     samples of a batch at most; all ranks have the same number of batches, whose sizes differ by one at most
    shuffle   objects that follow each other stay together, `run` at a time, where they begin and in which order is
              drawn anew every epoch (set_epoch) from `seed`; run=1 is a full shuffle, which reads more slowly
    rank      of how many `ranks`: by default torch.distributed's, if that is initialised before
    The batches of a rank do not depend on the number of workers.  Errors are those of Samples.
    """

    def __init__(
        self,
        path: str | Path,
        split: str = "train",
        views: int = 1,
        normalize: bool = False,
        statistics: Statistics | None = None,
        *,
        batch: int = 256,
        shuffle: bool = True,
        run: int = 16,
        seed: int = 0,
        rank: int | None = None,
        ranks: int | None = None,
    ) -> None:
        super().__init__(path, split, views, normalize, statistics)
        world = torch.distributed
        in_job = world.is_available() and world.is_initialized()
        self.ranks = ranks if ranks is not None else world.get_world_size() if in_job else 1
        self.rank = rank if rank is not None else world.get_rank() if in_job else 0
        if not 0 <= self.rank < self.ranks or batch < 1 or run < 1:
            raise ValueError(f"rank {self.rank} of {self.ranks}, batches of {batch}, runs of {run}")
        if self.count < self.ranks:
            raise ValueError(f"{self.count} samples for {self.ranks} ranks")
        self.batch, self.shuffle, self.run, self.seed = batch, shuffle, run, seed
        epoch: Any = torch.zeros((), dtype=torch.int64)
        self._epoch: torch.Tensor = epoch.share_memory_()  # workers that persist see it, too

    def set_epoch(self, epoch: int) -> None:
        """Before the loop over an epoch, on every rank: the same epoch has the same order."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        """Batches of this rank, and of every other."""
        return -(-self.count // (self.ranks * self.batch))

    def order(self) -> NDArray[np.int64]:
        """All samples of the epoch, of all ranks."""
        if not self.shuffle:
            return np.arange(self.count)
        draw = np.random.default_rng((self.seed, int(self._epoch)))
        samples = np.roll(np.arange(self.count), -int(draw.integers(self.run)))
        runs = np.split(samples, range(self.run, self.count, self.run))
        return np.concatenate([runs[number] for number in draw.permutation(len(runs))])

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        own = np.array_split(self.order(), self.ranks)[self.rank]
        for part in np.array_split(own, len(self))[first::step]:
            yield self.read(part)
