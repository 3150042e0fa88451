"""polyview.torch: data sets that DataLoaders read whole, whatever the workers and ranks.  Run by `pytest analysis/tests`."""

import numpy as np
import pytest

from conftest import DIMS, SPLITS, VIEWS, Made

torch = pytest.importorskip("torch")
from polyview.torch import Batch, ViewDataset, ViewStream  # noqa: E402

COUNT = VIEWS * len(SPLITS["train"])


def rows_of(batch: Batch) -> np.ndarray:
    """[n][P] again: weights come as [inputs][outputs]."""
    parts = []
    for weight, bias in zip(batch.weights, batch.biases):
        parts += [weight[..., 0].transpose(1, 2).flatten(1), bias[..., 0]]
    return torch.cat(parts, 1).numpy()


def in_order(rows: np.ndarray) -> np.ndarray:
    return rows[np.lexsort(rows.T)]


def test_a_batch_has_the_published_shapes(made: Made) -> None:
    data = ViewDataset(made.path, "train", views=VIEWS)
    batch = next(iter(torch.utils.data.DataLoader(data, batch_size=5)))
    assert [tuple(w.shape) for w in batch.weights] == [(5, a, b, 1) for a, b in zip(DIMS, DIMS[1:])]
    assert [tuple(b.shape) for b in batch.biases] == [(5, b, 1) for b in DIMS[1:]]
    assert batch.label.tolist() == [0, 1, 2, 0, 1]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_set_gives_every_row_once(made: Made, workers: int) -> None:
    data = ViewDataset(made.path, "train", views=VIEWS)
    loader = torch.utils.data.DataLoader(data, batch_size=4, shuffle=True, num_workers=workers)
    rows = np.concatenate([rows_of(batch) for batch in loader])
    expected = made.rows[:, list(SPLITS["train"])].reshape(COUNT, -1)
    assert np.array_equal(in_order(rows), in_order(expected))


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("workers", [0, 2])
def test_streams_of_ranks_share_the_rows(made: Made, ranks: int, workers: int) -> None:
    rows = []
    for rank in range(ranks):
        stream = ViewStream(made.path, "train", views=VIEWS, batch=3, rank=rank, ranks=ranks)
        stream.set_epoch(1)
        loader = torch.utils.data.DataLoader(stream, batch_size=None, num_workers=workers)
        rows += [rows_of(batch) for batch in loader]
    expected = made.rows[:, list(SPLITS["train"])].reshape(COUNT, -1)
    assert np.array_equal(in_order(np.concatenate(rows)), in_order(expected))


def test_normalised_rows_have_mean_0_and_deviation_1(made: Made) -> None:
    data = ViewDataset(made.path, "train", views=VIEWS, normalize=True)
    rows = rows_of(data[range(COUNT)])
    assert np.allclose(rows.mean(0), 0, atol=1e-5) and np.allclose(rows.std(0, ddof=1), 1, atol=0.05)


def test_another_split_takes_the_statistics_of_training(made: Made) -> None:
    train = ViewDataset(made.path, "train", normalize=True)
    test = ViewDataset(made.path, "test", normalize=True, statistics=train.statistics)
    mean, std = train.store.mean_std(1)
    assert np.allclose(rows_of(test[[0]])[0], (made.rows[0, SPLITS["test"][0]] - mean) / std, atol=1e-5)


def test_more_views_than_there_are_are_refused(made: Made) -> None:
    with pytest.raises(IndexError, match="3 views"):
        ViewDataset(made.path, "train", views=3)
