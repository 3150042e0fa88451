"""A store as a directory of files, one INR each, as the published DWS trainers read it.

DIRECTORY/view-00/train/0000017.pth    view 0 of object 17, which is in the training split
DIRECTORY/splits.json                  {"train": [path, ...], "val": ..., "test": ...}
DIRECTORY/dwsnets_splits.json          {"train": {"path": [...], "label": [...]}, ...}
DIRECTORY/statistics.pth               {"weights": {"mean": [...], "std": [...]}, "biases": ...}
DIRECTORY/polyview.npz                 what the files do not say, for the way back
"""

import json
import shutil
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._paths import real, write_whole
from .store import BLOCK_ROWS, FITTED, SPLITS, Store
from ._progress import Progress
from .view_files import need_torch, write_npz, write_pth

KNOWN = "polyview.npz"
WRITERS = {"pth": write_pth, "npz": write_npz}
OBJECT_DIGITS, VIEW_DIGITS = 7, 2


def folder_of(store: Store, view: int, split: str) -> str:
    """Where a split of a view lies below the directory; names sort as numbers do."""
    return f"view-{view:0{max(VIEW_DIGITS, len(str(store.views - 1)))}}/{split}"


def file_of(store: Store, view: int, object: int, suffix: str) -> str:
    split = next(name for name, number in SPLITS.items() if number == store.split[object])
    return f"{folder_of(store, view, split)}/{object:0{OBJECT_DIGITS}}.{suffix}"


def write_views(store: Store, status: NDArray[np.uint8], directory: Path, suffix: str) -> None:
    progress = Progress("exported", int((status == FITTED).sum()))
    for view in range(len(status)):
        for split in SPLITS:
            (directory / folder_of(store, view, split)).mkdir(parents=True)
        for first in range(0, store.objects, BLOCK_ROWS):
            rows = store.block(view, first, BLOCK_ROWS)
            for place in np.flatnonzero(status[view, first : first + BLOCK_ROWS] == FITTED):
                path = directory / file_of(store, view, first + int(place), suffix)
                WRITERS[suffix](path, store.split_row(rows[place]), int(store.label[first + place]))
                progress.step()


def write_splits(store: Store, status: NDArray[np.uint8], directory: Path, final: Path, suffix: str) -> None:
    """The two lists.  The first names paths from the directory's own name on, so that it can be moved; the second
    holds whole paths, as its reader opens them as they are, and views other than the first in training only.
    """
    lists: dict[str, list[str]] = {}
    tables: dict[str, dict[str, list[str] | list[int]]] = {}
    for split, number in SPLITS.items():
        places = [(view, int(i)) for view, i in np.argwhere(status == FITTED) if store.split[i] == number]
        lists[split] = [f"{final.name}/{file_of(store, view, i, suffix)}" for view, i in places]
        places = [(view, i) for view, i in places if view == 0 or split == "train"]
        tables[split] = {
            "path": [(final / file_of(store, view, i, suffix)).as_posix() for view, i in places],
            "label": [int(store.label[i]) for _, i in places],
        }
    write_whole(directory / "splits.json", json.dumps(lists, indent=0))
    if suffix == "pth":
        write_whole(directory / "dwsnets_splits.json", json.dumps(tables, indent=0))


def write_statistics(store: Store, views: int, path: Path) -> None:
    """Mean and standard deviation of every entry of the training split, in the trainers' shapes."""
    torch = need_torch()
    from .torch import by_layer

    saved: dict[str, dict[str, list[object]]] = {"weights": {}, "biases": {}}
    for name, row in zip(("mean", "std"), store.mean_std(views)):
        weights, biases = by_layer(row, store.layout)
        saved["weights"][name] = [weight.clone() for weight in weights]
        saved["biases"][name] = [bias.clone() for bias in biases]
    file = BytesIO()
    torch.save(saved, file)
    write_whole(path, file.getvalue())


def write_known(store: Store, views: int, status: NDArray[np.uint8], path: Path) -> None:
    others: dict[str, Any] = {f"object/{name}": array for name, array in store.other_columns.items()}
    file = BytesIO()
    np.savez(
        file,
        attributes=np.array(json.dumps(store.attributes)),
        status=status,
        checksum=store.checksum[:views],
        psnr=store.psnr[:views],
        steps=store.steps[:views],
        label=store.label,
        split=store.split,
        source=store.source,
        **others,
    )
    write_whole(path, file.getvalue())


def export(path: Path, directory: Path, views: int | None, suffix: str) -> dict[str, str | int]:
    """Writes the first `views` views (None: all) that are fitted; returns what it did.

    The directory must not exist; it has its name only once it is whole.
    """
    if suffix == "pth":
        need_torch()
    final = real(directory)
    part = final.with_name(final.name + ".part")
    with Store(path) as store:
        count = store.views if views is None else views
        if not 1 <= count <= store.views:
            raise ValueError(f"--views {count}: '{path}' has {store.views} views")
        status = store.status[:count]
        if not np.isin(store.split, list(SPLITS.values())).all():
            raise ValueError(f"'{path}' has objects of a split that is not one of {', '.join(SPLITS)}")
        for place in (final, part):
            if place.exists():
                raise FileExistsError(f"'{place}' exists already")
        part.mkdir(parents=True)
        try:
            write_views(store, status, part, suffix)
            write_splits(store, status, part, final, suffix)
            write_known(store, count, status, part / KNOWN)
            train = status[:, store.split == SPLITS["train"]]
            if suffix == "pth" and train.size and (train == FITTED).all():
                write_statistics(store, count, part / "statistics.pth")
            part.rename(final)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        files = int((status == FITTED).sum())
        if files < status.size:
            print(
                f"{status.size - files} of {status.size} views are not fitted and have no file",
                file=sys.stderr,
            )
        return {"directory": str(directory), "views": count, "objects": store.objects, "files": files}
