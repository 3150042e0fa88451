"""polyview.store reads any rows as numpy would index them all, in every process, beside whoever writes."""

import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from harness import ROOT, check, current_python, run_tests, skip

sys.path.insert(0, str(ROOT / "analysis"))
import rows_of_noise  # noqa: E402
from polyview.store import Store  # noqa: E402

FRAME = """
import sys
from polyview.store import Store
frame = Store(sys.argv[1]).objects_frame()
assert list(frame.columns) == "label class split source target_0 target_1 fitted psnr".split(), frame.columns
assert frame.index.name == "object" and len(frame) == 66
assert frame["split"].value_counts().to_dict() == {"train": 50, "val": 7, "test": 9}
assert frame.loc[4, "fitted"] == 1 and frame.loc[5, "fitted"] == 0 and frame["fitted"].sum() == 129
assert frame.loc[4, "class"] == "b" and frame["psnr"].isna().sum() == 1
"""


def why_not(read: Any) -> str:
    """What an error says."""
    try:
        return f"no error: {read()}"
    except (IndexError, ValueError, OSError) as error:
        return f"{type(error).__name__}: {error}"


def rows_are_indexed_as_in_numpy(work: Path) -> None:
    rows = rows_of_noise.write(work / "store.h5")
    count = rows_of_noise.OBJECTS
    mask = np.arange(count) % 3 == 1
    store = Store(work / "store.h5")
    for views, objects in (
        (0, 7),
        (-1, -count),
        (1, slice(None)),
        (slice(None), slice(60, 5, -7)),
        ([1, 0], [5, 3, 3, -1, 0]),
        (np.array([False, True]), mask),
        (1, []),
        (slice(0, 0), 3),
    ):
        found = store[views, objects]
        expected = rows[views][..., objects, :] if np.ndim(views) == 0 else rows[views][:, objects]
        check(
            found.dtype == np.float32 and np.array_equal(found, expected) and found.shape == expected.shape,
            f"store[{views}, {objects if np.size(objects) < 9 else 'mask'}] is what numpy gives",
            found.shape,
        )
    check(np.array_equal(store[1], rows[1]), "store[view] is all its objects")
    many = np.random.default_rng(2).integers(0, count, 500)
    check(np.array_equal(store[0, many], rows[0, many]), "rows may repeat, in any order")
    for place, words in (
        ((0, count), "IndexError: object 66 of 66"),
        ((-3, 0), "IndexError: view -3 of 2"),
        ((0, mask[1:]), "IndexError: a mask of shape (65,) for 66 objects"),
        ((0, 1.5), "IndexError: objects are a number"),
        ((0, 1, 2), "IndexError: a row has two places"),
    ):
        check(words in why_not(lambda: store[place]), f"{words} is told", why_not(lambda: store[place]))
    rows_of_noise.write(work / "gap.h5", ((1, 5),))
    with Store(work / "gap.h5") as gap:
        check(np.array_equal(gap[1, [4, 6]], rows[1, [4, 6]]), "rows around a missing one are read")
        told = why_not(lambda: gap[:, [7, 5]])
        check("view 1 of object 5 is not fitted" in told, "a missing row is named", told)
    check("has been closed" in why_not(lambda: gap[0, 0]), "so is a store that was closed")


def every_process_opens_its_own(work: Path) -> None:
    rows = rows_of_noise.write(work / "store.h5")
    store = Store(work / "store.h5")
    copy = pickle.loads(pickle.dumps(store))
    check(np.array_equal(copy[0], rows[0]), "a store may be pickled")
    before = os.fstat(store._file.id.get_vfd_handle())
    pipe, other = multiprocessing.get_context("fork").Pipe()

    def child() -> None:
        open_files = [
            os.stat(f"/proc/self/fd/{number}")
            for number in range(3, 64)
            if os.path.exists(f"/proc/self/fd/{number}")
        ]
        left = sum(os.path.samestat(file, before) for file in open_files)
        other.send((left, store[1, ::-1].tobytes() == rows[1, ::-1].tobytes()))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    left, same = pipe.recv() if pipe.poll(20) else (None, False)
    process.join()
    check(same and left == 0, "a forked process has let go of the file, and opens it anew", left, same)
    check(np.array_equal(store[0, :3], rows[0, :3]), "and its parent reads on")


def a_lock_is_told(work: Path) -> None:
    rows = rows_of_noise.write(work / "store.h5")
    hold = "import h5py, sys; f = h5py.File(sys.argv[1], 'r+'); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(work / "store.h5")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        holder.stdout.readline()
        told = why_not(lambda: Store(work / "store.h5"))
        check(
            "OSError" in told and "store.h5" in told and "HDF5_USE_FILE_LOCKING=FALSE" in told,
            "who holds a lock is told of in a sentence with a way out",
            told,
        )
        read = "import sys; from polyview.store import Store; print(Store(sys.argv[1])[0, 0][0])"
        done = subprocess.run(
            [sys.executable, "-c", read, str(work / "store.h5")],
            env=os.environ | {"HDF5_USE_FILE_LOCKING": "FALSE", "PYTHONPATH": str(ROOT / "analysis")},
            capture_output=True,
            text=True,
            check=False,
        )
        check(done.stdout.strip() == str(rows[0, 0, 0]), "which is one", done)
        holder.communicate()


def objects_are_a_frame(work: Path) -> None:
    rows_of_noise.write(work / "store.h5", ((1, 4), (0, 5), (1, 5)))
    python, missing = current_python("pandas", "h5py")
    if missing:
        skip("a frame of the objects", missing)
    else:
        done = subprocess.run(
            [python, "-c", FRAME, str(work / "store.h5")],
            env=os.environ | {"PYTHONPATH": str(ROOT / "analysis")},
            capture_output=True,
            text=True,
            check=False,
        )
        check(done.returncode == 0, "objects_frame has labels, splits, targets and quality", done.stderr)
    hidden = work / "hidden"
    hidden.mkdir()
    (hidden / "pandas.py").write_text("raise ImportError\n")
    done = subprocess.run(
        [sys.executable, "-c", FRAME, str(work / "store.h5")],
        env=os.environ | {"PYTHONPATH": f"{hidden}:{ROOT / 'analysis'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    check("python3-pandas" in done.stderr, "without pandas it names the package", done.stderr)


if __name__ == "__main__":
    sys.exit(
        run_tests(
            rows_are_indexed_as_in_numpy, every_process_opens_its_own, a_lock_is_told, objects_are_a_frame
        )
    )
