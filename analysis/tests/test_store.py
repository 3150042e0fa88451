"""polyview.store: rows by any index, what they draw, and errors that say what is wrong.  Run by `pytest analysis/tests`."""

import pickle
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from conftest import DIMS, OBJECTS, SPLITS, VIEWS, Made, Tensors
from polyview.store import Store

W0 = 30.0


def siren(tensors: Tensors, x: NDArray[np.float64]) -> NDArray[np.float64]:
    for layer in range(len(DIMS) - 1):
        x = x @ tensors[f"seq.{layer}.weight"].T + tensors[f"seq.{layer}.bias"]
        x = np.sin(W0 * x) if layer < len(DIMS) - 2 else x
    return x + 0.5


def test_a_store_knows_its_shape(made: Made) -> None:
    with Store(made.path) as store:
        assert (store.views, store.objects, store.params) == made.rows.shape
        assert store.dims == list(DIMS)
        assert store.label.tolist() == [object % 3 for object in range(OBJECTS)]
        assert {split: store.objects_of(split).tolist() for split in SPLITS} == {
            split: list(objects) for split, objects in SPLITS.items()
        }


@pytest.mark.parametrize(
    "place",
    [
        (0, 3),
        (1, -1),
        (-1, slice(2, 7)),
        (slice(None), 4),
        (0, slice(None, None, 3)),
        (1, [5, 0, 5]),
        (0, np.arange(OBJECTS) % 2 == 0),
        (slice(None), slice(3, 5)),
        ([1, 0], 2),
    ],
    ids=str,
)
def test_rows_are_taken_as_from_an_array(made: Made, place: tuple[object, ...]) -> None:
    with Store(made.path) as store:
        assert np.array_equal(store[place], made.rows[place])  # type: ignore[index]


@pytest.mark.parametrize("place", [(0, OBJECTS), (VIEWS, 0), (0, -OBJECTS - 1)], ids=str)
def test_there_is_no_other_row(made: Made, place: tuple[int, int]) -> None:
    with Store(made.path) as store, pytest.raises(IndexError):
        store[place]


def test_tensors_have_their_names_and_values(made: Made) -> None:
    with Store(made.path) as store:
        found = store.tensors(1, 6)
    assert list(found) == list(made.inrs[1][6])
    assert all(np.array_equal(found[name], tensor) for name, tensor in made.inrs[1][6].items())


def test_an_inr_is_evaluated_as_its_formula_says(made: Made) -> None:
    points = np.random.default_rng(2).uniform(-1, 1, (20, DIMS[0]))
    with Store(made.path) as store:
        found = store.evaluate(0, 5, points)
        assert store.image(0, 5).shape == (8, 8, 1)
    assert np.allclose(found, siren(made.inrs[0][5], points), atol=1e-5)


def test_a_store_goes_to_other_processes(made: Made) -> None:
    with Store(made.path) as store:
        store.row(0, 0)
        with pickle.loads(pickle.dumps(store)) as copy:
            assert np.array_equal(copy.row(1, 2), made.rows[1, 2])


def test_a_row_that_is_not_fitted_is_named(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "store.h5"
    shutil.copy(made.path, path)
    with h5py.File(path, "r+") as file:
        file["view/status"][1, 4] = 0
    with Store(path) as store, pytest.raises(ValueError, match="view 1 of object 4"):
        store.row(1, 4)


@pytest.mark.parametrize("content", [b"", b"no HDF5 file at all"], ids=["empty", "text"])
def test_what_is_no_store_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.h5"
    path.write_bytes(content)
    with pytest.raises((OSError, ValueError), match="other.h5"):
        Store(path)
