"""Arrays of a user's, HDF5 and .npy: what is fitted is what numpy reads, the whole way of a store works, and what is wrong is named."""

import shutil
import signal
import sys
from pathlib import Path
from typing import Any, Callable

import h5py
import numpy as np

from harness import ROOT, Process, check, launch, one_error, polyview, refused, run_tests, write_config

sys.path.insert(0, str(ROOT / "analysis"))
from polyview.store import Store  # noqa: E402
from polyview._xxh3 import checksums  # noqa: E402

FAILED, USAGE, DATA, STOPPED = 1, 2, 3, 75
N = 120
RNG = np.random.default_rng(3)
KIND = np.arange(N) % 2
Arrays = dict[str, np.ndarray]


def levels(shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
    """N objects of that shape; those of kind 1 are much brighter."""
    grown = (KIND * 0.6 + 0.1).reshape(N, *(1,) * len(shape)) + RNG.uniform(0, 0.05, (N, *shape))
    return low + (high - low) * grown


# What a user may have: images, the layout to say, whether C comes first.
SETS: dict[str, tuple[np.ndarray, str]] = {
    "waves": (levels((40,), -1, 1), "auto"),
    "stereo": (levels((2, 30), -1, 1).astype("<f4"), "CL"),
    "pictures": (levels((8, 7, 3), 0, 255).astype("u1"), "auto"),
    "channel_first": (levels((3, 7, 8), 0, 60000).astype(">u2"), "CHW"),
    "volumes": (levels((5, 6, 7), -1000, 3000).astype("<i2"), "auto"),
    "fields": (levels((2, 9, 8), -3e5, 2e4).astype(">f4"), "CHW"),
}
SPLIT = np.array([0, 0, 0, 0, 1, 2, 0, 0, 0, 1, 2, 0])[np.arange(N) % 12]  # both kinds in each


def arrays(name: str) -> Arrays:
    return {"images": SETS[name][0], "labels": KIND, "split": SPLIT, "targets": np.stack([KIND, np.arange(N)], 1) / 7}


def write_h5(path: Path, data: Arrays, **how: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in data.items():
            file.create_dataset(name, data=array, **(how if array.ndim > 1 else {}))
    return path


def write_npy(path: Path, data: Arrays, fortran: bool = False) -> Path:
    path.mkdir()
    for name, array in data.items():
        np.save(path / f"{name}.npy", np.asfortranarray(array) if fortran else array)
    return path


def config(work: Path, name: str, source: Path, layout: str = "auto", **keys: Any) -> Path:
    usual = {key: "usual" for key in ("train", "val", "test")}
    return write_config(
        work, f"{name}.yaml", store=str(work / f"{name}.h5"),
        signal=usual | {"source": "arrays", "path": str(source), "layout": layout} | keys,
        fit={"views": 1, "steps": 100, "lr": 5e-3}, model={"hidden": 8, "layers": 2},
        train={"output": str(work / f"{name}.model.h5"), "epochs": 30, "batch": 8, "lr": 3e-3},
    )  # fmt: skip


def rows(store: Path) -> bytes:
    with h5py.File(store) as file:
        return file["params"][()].tobytes() + file["object/digest"][()].tobytes()


def values_of(name: str) -> tuple[np.ndarray, float, float]:
    """[N][samples * channels] of a set as numpy has them, channels last, and the range."""
    images, layout = SETS[name]
    kind = images.dtype.str[1:]
    natural = {"u1": 255, "u2": 65535}.get(kind)
    low, high = (0.0, float(natural)) if natural else (float(images.min()), float(images.max()))
    last = np.moveaxis(images, 1, -1) if layout[0] == "C" else images
    return ((last.astype("f8") - low) / (high - low)).astype("f4").reshape(N, -1), low, high


def digests_of(values: np.ndarray, targets: np.ndarray | None, labels: np.ndarray) -> np.ndarray:
    words = [values, *([] if targets is None else [targets.astype("f4")]), labels.astype("i4")[:, None].view("f4")]
    return checksums(np.concatenate(words, axis=1))


def every_kind_goes_the_whole_way(work: Path) -> None:
    order = np.argsort(np.array([0, 1, 2])[SPLIT], kind="stable")  # a store has train, val, test
    for name, (images, layout) in SETS.items():
        data = arrays(name)
        settings = config(work, name, write_h5(work / f"{name}-data.h5", data, chunks=True, compression="gzip"), layout)
        stores = [work / f"{name}.h5", *(work / f"{name}-{ranks}.h5" for ranks in (2, 3))]
        runs = [polyview("fit", "--config", settings, "--store", s, ranks=r) for r, s in enumerate(stores, 1)]
        check(all(run.status == 0 for run in runs), f"{name} are fitted on 1, 2 and 3 ranks", *runs)
        check(len({rows(s) for s in stores}) == 1, "with the same bytes")
        values, low, high = values_of(name)
        with Store(stores[0]) as store, h5py.File(stores[0]) as file:
            found = file["object/digest"][()]
            expected = digests_of(values, data["targets"], KIND)[order]
            same = store.split.tolist() == SPLIT[order].tolist() and store.source.tolist() == order.tolist()
            check((found == expected).all() and same, "from the values, targets, labels and splits that numpy reads")
            ranged = store.range == (low, high) and np.allclose(runs[1].json["range"], (low, high), rtol=1e-6)
            check(ranged and np.isfinite(store.psnr).all(), "whose range fit and the store say", store.signal)
        fortran = write_npy(work / f"{name}-npy", data, fortran=True)
        other = config(work, f"{name}-f", fortran, layout)
        run = polyview("fit", "--config", other, ranks=2)
        check(
            run.status == 0 and rows(work / f"{name}-f.h5") == rows(stores[0]),
            "and .npy files in Fortran order are the same",
            run,
        )
        if name != "stereo":
            goes_on(work, name, settings, stores)


def goes_on(work: Path, name: str, settings: Path, stores: list[Path]) -> None:
    """Killed and resumed, repaired, extended, trained."""
    whole = rows(stores[0])
    with h5py.File(stores[1], "r+") as file:
        file["params"][0, 5] = 1  # no longer what its checksum says
        file["view/status"][0, 9:20] = 0
    run = polyview("verify", stores[1], "--repair", ranks=2)
    check(run.status == 0 and run.json["repaired"] == 12 and rows(stores[1]) == whole, f"a store of {name} is repaired", run)
    shutil.copy(stores[1], stores[2])
    with h5py.File(stores[2], "r+") as file:
        file["view/status"][()] = 0
    process = Process(launch(["fit", "--store", stores[2], "--grace", "0"], 2))
    process.wait_for(lambda: len(process.ranks()) == 2)
    process.signal(signal.SIGKILL)
    process.finish()
    run = polyview("fit", "--store", stores[2], ranks=3)
    check(run.status == 0 and rows(stores[2]) == whole, "one that was killed is resumed to the same bytes", run)
    grown = polyview("extend", stores[1], "--views", "2"), polyview("fit", "--store", stores[1], ranks=2)
    with h5py.File(stores[1]) as file:
        first = file["params"][0].tobytes()
        full = (file["view/status"][()] == 1).all()
    check(
        all(r.status == 0 for r in grown) and full and first == whole[: len(first)], "grown by a view, its rows stay", *grown
    )
    run = polyview("train", "--config", settings, "--store", stores[0])
    judged = polyview("eval", "--model", work / f"{name}.model.h5", "--store", stores[0], "--split", "test")
    check(
        run.status == 0 and judged.json.get("accuracy", 0) >= 0.8,
        "and a network learns its classes from the weights",
        run,
        judged,
    )


def a_store_keeps_its_range(work: Path) -> None:
    """Of a file that grows, with numbers beyond those that the store was made from."""
    data = {"images": levels((12,), -5, 5), "split": np.repeat([0, 1, 2], [N - 8, 4, 4])}
    low, high = float(data["images"].min()), float(data["images"].max())
    source = write_h5(work / "data.h5", data)
    settings, store = config(work, "kept", source, train=20), work / "kept.h5"
    made, again = polyview("fit", "--config", settings), polyview("fit", "--config", settings)
    check(
        made.status == 0 and again.status == 0 and again.json["fitted"] == 0,
        "a config without a range resumes what it made",
        made,
        again,
    )
    with h5py.File(store) as file:
        before = file["params"][0]
    grown = {
        "images": np.concatenate([data["images"], np.full((4, 12), 99.0)]),
        "split": np.append(data["split"], [0, 0, 0, 0]),
    }
    write_h5(source, grown)
    runs = polyview("extend", store, "--objects", str(N + 4)), polyview("fit", "--store", store, ranks=2)
    values = ((grown["images"] - low) / (high - low)).astype("f4")
    with Store(store) as opened, h5py.File(store) as file:
        same = file["object/digest"][()] == digests_of(values, None, np.full(N + 4, -1))[opened.source.astype(int)]
        kept = opened.range == (low, high) and (file["params"][0, : len(before)] == before).all()
        back = np.allclose(opened.original(values), grown["images"], rtol=1e-5)
    check(
        all(r.status == 0 for r in runs) and kept and same.all(),
        "a store that grows keeps its range, beyond which numbers may lie",
        *runs,
    )
    check(back, "and the reader puts values back to numbers")
    run = polyview("fit", "--config", settings, "--set", f"signal.train={N - 4}")
    check(run.status == USAGE and "signal.range" in run.stderr, "a config that would measure another range is refused", run)


def large_arrays_are_read_as_they_are_needed(work: Path) -> None:
    source = write_h5(work / "data.h5", arrays("pictures"), chunks=True, compression="gzip")
    held = config(work, "held", source)
    runs = [polyview("fit", "--config", held)]
    runs += [
        polyview("fit", "--config", held, "--store", work / f"keep-{r}.h5", "--set", "signal.keep=0", ranks=r)
        for r in (1, 2)
    ]
    check(
        all(run.status == 0 for run in runs) and len({rows(work / n) for n in ("held.h5", "keep-1.h5", "keep-2.h5")}) == 1,
        "objects that the node's memory does not take are read one by one, and are the same",
        *runs,
    )


def labels_of(
    work: Path, name: str, data: Arrays, attributes: dict[str, Any] | None = None, **keys: Any
) -> tuple[list[int], list[str]]:
    source = write_h5(work / f"{name}-data.h5", {"images": SETS["waves"][0]} | data)
    with h5py.File(source, "r+") as file:
        file["labels"].attrs.update(attributes or {})
    run = polyview("fit", "--config", config(work, name, source, **({"val": 0, "test": 0} | keys)), "--set", "fit.steps=1")
    if run.status != 0:
        print(run)
        return [], []
    with Store(work / f"{name}.h5") as store:
        return store.label[np.argsort(store.source)].tolist(), store.class_names


def labels_of_any_kind(work: Path) -> None:
    words = np.array(["cat", "dog"])[KIND]
    fixed, variable = words.astype("S5"), words.astype(h5py.string_dtype())
    for what, labels in (("fixed", fixed), ("variable", variable)):
        found = labels_of(work, what, {"labels": labels})
        check(found == (KIND.tolist(), ["cat", "dog"]), f"names of {what} length become classes", found)
    found = labels_of(work, "gaps", {"labels": np.where(KIND == 0, 7, 300)})
    check(found == (KIND.tolist(), ["7", "300"]), "numbers with gaps are counted, and keep what they were", found)
    found = labels_of(work, "named", {"labels": KIND - 0.0, "class_names": np.array(["low", "high", "none of them"], "S")})
    check(found == (KIND.tolist(), ["low", "high", "none of them"]), "an array may say what classes are called", found)
    found = labels_of(work, "attribute", {"labels": np.where(KIND == 0, -1, 1)}, {"class_names": ["low", "h\u00f6her"]})
    check(found == (np.where(KIND == 0, -1, 1).tolist(), ["low", "h\u00f6her"]), "or an attribute; -1 is none", found)
    write_npy(
        work / "directory", {"images": SETS["waves"][0], "labels": words, "split": np.array(["train", "val", "test"])[SPLIT]}
    )
    run = polyview("fit", "--config", config(work, "directory-store", work / "directory"), "--set", "fit.steps=1")
    with Store(work / "directory-store.h5") as store:
        order = store.source.astype(int)
        same = store.label.tolist() == KIND[order].tolist() and store.split.tolist() == SPLIT[order].tolist()
        check(
            run.status == 0 and same and store.class_names == ["cat", "dog"],
            "names of classes and splits in .npy files, too",
            run,
        )


def without_splits_objects_are_drawn(work: Path) -> None:
    source = write_h5(work / "data.h5", {"images": SETS["waves"][0], "other": KIND})
    config(work, "drawn", source)
    keys = ["--set", "signal.val=0.2", "--set", "signal.test=10", "--set", "signal.labels=other", "--set", "fit.steps=1"]
    run = polyview("fit", "--config", work / "drawn.yaml", *keys)
    with Store(work / "drawn.h5") as store:
        counts = np.bincount(store.split, minlength=3).tolist()
        check(
            run.status == 0 and counts[2] == 10 and 0 < counts[1] < 60 and sum(counts) == N,
            "a number and a share of all are drawn",
            run,
        )
        check(store.label.tolist() == KIND[store.source.astype(int)].tolist(), "and labels of another name are read")


def what_is_wrong_is_named(work: Path) -> None:
    good = arrays("pictures")
    wrong: dict[str, tuple[Callable[[Path], Any], int, tuple[str, ...]]] = {
        "no such path": (lambda p: None, FAILED, ("cannot open",)),
        "a file that is not HDF5": (lambda p: p.write_bytes(b"hello" * 99), DATA, ("cannot read as HDF5",)),
        "a missing data set": (lambda p: write_h5(p, {"pictures": good["images"], "labels": KIND}), DATA, ("'images'", "labels, pictures")),
        "a group in its place": (lambda p: h5py.File(p, "w").create_group("images").file.close(), DATA, ("'images'",)),
        "links in a circle": (circle, DATA, ("'images'", "too many")),
        "a link to elsewhere": (link_out, DATA, ("'images'", "other files")),
        "a filter that is not here": (lzf, DATA, ("'images'", "lzf", "gzip")),
        "data in other files": (virtual, DATA, ("other files",)),
        "zero objects": (lambda p: write_h5(p, {"images": good["images"][:0]}), DATA, ("is empty",)),
        "what was never written": (never_written, DATA, ("never written",)),
        "text for objects": (lambda p: write_h5(p, {"images": np.array(["a"], "S1")}), DATA, ("holds text",)),
        "complex numbers": (lambda p: write_h5(p, {"images": good["images"] * 1j}), DATA, ("neither numbers nor text",)),
        "too few labels": (lambda p: write_h5(p, good | {"labels": KIND[1:]}), DATA, ("'labels'", f"{N - 1} rows", f"{N}")),
        "negative labels": (lambda p: write_h5(p, good | {"labels": KIND - 2}), DATA, ("'labels'", "row 0", "-2")),
        "half a class": (lambda p: write_h5(p, good | {"labels": KIND / 2}), DATA, ("'labels'", "row 1", "0.5")),
        "a class without a name": (lambda p: write_h5(p, good | {"class_names": np.array(["a"], "S")}), DATA, ("'labels'", "row 1")),
        "numbers for class names": (lambda p: write_h5(p, good | {"class_names": KIND}), DATA, ("'class_names'", "expected text")),
        "a name that is too long": (lambda p: write_h5(p, good | {"labels": np.array(["x" * 40] * N, "S")}), DATA, ("'labels'", "31 bytes")),
        "a name that is not UTF-8": (lambda p: write_h5(p, good | {"labels": np.array([b"\xff"] * N, "S")}), DATA, ("'labels'", "UTF-8")),
        "a split that there is not": (lambda p: write_h5(p, good | {"split": SPLIT * 2}), DATA, ("'split'", "row 5 is 4")),
        "a table of splits": (lambda p: write_h5(p, good | {"split": good["targets"]}), DATA, ("'split'", "expected a list")),
        "too few targets": (lambda p: write_h5(p, good | {"targets": good["targets"][:9]}), DATA, ("'targets'", "9 rows")),
        "a target that is none": (lambda p: write_h5(p, good | {"targets": np.where(KIND == 1, np.nan, 1)}), DATA, ("'targets'", "nan")),
        "a NaN": (lambda p: write_h5(p, {"images": poke(np.nan)}), DATA, ("'images'", "row 17", "nan at its element 2")),
        "an infinity": (lambda p: write_h5(p, {"images": poke(-np.inf)}), DATA, ("'images'", "row 17", "-inf")),
        "one value everywhere": (lambda p: write_h5(p, {"images": np.ones((N, 9))}), DATA, ("signal.range",)),
        "rows of [1000][12]": (lambda p: write_h5(p, {"images": np.zeros((2, 1000, 12))}), USAGE, ("signal.layout", "LC, CL, HW")),
        "rows of [3][32][32]": (lambda p: write_h5(p, {"images": np.zeros((2, 3, 32, 32))}), USAGE, ("signal.layout", "CHW")),
        "one number a row": (lambda p: write_h5(p, {"images": np.zeros(9)}), DATA, ("one number",)),
        "an empty directory": (lambda p: p.mkdir(), DATA, ("'images.npy'", "none")),
        "a truncated .npy": (lambda p: cut(write_npy(p, good) / "images.npy"), DATA, ("images.npy", "truncated")),
        "Python objects": (lambda p: write_npy(p, {"images": np.array([None, 1])}), DATA, ("images.npy", "pickles")),
    }  # fmt: skip
    for number, (what, (make, status, named)) in enumerate(wrong.items()):
        path = work / f"data-{number}"
        make(path)
        is_refused(what, config(work, f"store-{number}", path), status, named, number % 8 == 0)
    path = write_h5(work / "good.h5", good)
    keys: dict[str, tuple[dict[str, Any], int, tuple[str, ...]]] = {
        "a range of one number": ({"range": [3]}, USAGE, ("signal.range",)),
        "a range that falls": ({"range": [3, 2]}, USAGE, ("signal.range",)),
        "a layout of another rank": ({"layout": "HW"}, USAGE, ("signal.layout", "[8][7][3]")),
        "too many names of targets": ({"target_names": "a, b, c"}, USAGE, ("signal.target_names", "2 targets")),
        "more objects than there are": ({"train": 99}, USAGE, ("signal.train", f"{N * 8 // 12}")),
        "an array that is not there": ({"labels": "kinds"}, DATA, ("'kinds'", "signal.labels")),
    }  # fmt: skip
    for number, (what, (key, status, named)) in enumerate(keys.items()):
        is_refused(what, config(work, f"key-{number}", path, **key), status, named, number == 5)


def files_of_numpy_in_wrong_places_are_told_where_to_go(work: Path) -> None:
    good = arrays("pictures")
    folder = write_npy(work / "folder", good)
    (folder / "images.npy").rename(folder / "pictures.npy")
    shutil.copy(folder / "pictures.npy", work / "pictures")
    for name in ("labels.npz", "lone.npz"):
        np.savez(work / name, images=good["images"])
    lone, beside, other = (work / name for name in ("lone", "beside", "other"))
    for directory, name in ((lone, "images.npz"), (beside, "labels.npz"), (other, "all.npz")):
        directory.mkdir()
        shutil.copy(work / "lone.npz", directory / name)
    shutil.copy(folder / "pictures.npy", beside / "images.npy")
    wrong: dict[str, tuple[Path, tuple[str, ...]]] = {
        "a single .npy": (folder / "pictures.npy", (f"signal.path to its directory '{folder}'", "signal.images to 'pictures'")),
        "one of another name": (work / "pictures", ("call it images.npy", "its directory")),
        "an archive": (work / "lone.npz", ("is an archive", "numpy.save")),
        "a directory of an archive": (lone, ("images.npz' is an archive", "numpy.save")),
        "labels in an archive": (beside, ("labels.npz' is an archive", "numpy.save")),
        "an archive of another name": (other, ("'images.npy'", "there are: all.npz", "numpy.save")),
    }  # fmt: skip
    for number, (what, (path, named)) in enumerate(wrong.items()):
        is_refused(what, config(work, f"numpy-{number}", path), DATA, named, number == 0)
    run = polyview("fit", "--config", config(work, "told", folder, images="pictures"), "--set", "fit.steps=1")
    check(run.status == 0, "and what was told goes", run)


def is_refused(what: str, settings: Path, status: int, named: tuple[str, ...], on_ranks: bool) -> None:
    words: list[object] = ["fit", "--config", settings, "--set", "fit.steps=1"]
    if on_ranks:
        refused(what, words, status, *named)
    else:
        run = polyview(*words)
        check(one_error(run, status, *named) and not run.json, f"{what} is refused", run, named)


def poke(value: float) -> np.ndarray:
    images = SETS["waves"][0].copy()
    images[17, 2] = value
    return images


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def circle(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["images"], file["more"] = h5py.SoftLink("/more"), h5py.SoftLink("/images")


def link_out(path: Path) -> None:
    write_h5(path.with_suffix(".other"), arrays("waves"))
    with h5py.File(path, "w") as file:
        file["images"] = h5py.ExternalLink(path.with_suffix(".other").name, "/images")


def lzf(path: Path) -> None:
    with h5py.File(path, "w") as file:
        images = arrays("waves")["images"].round(1)  # chunks that cannot be compressed are stored as they are
        file.create_dataset("images", data=images, chunks=(N, 40), compression="lzf")


def virtual(path: Path) -> None:
    write_h5(path.with_suffix(".other"), arrays("waves"))
    layout = h5py.VirtualLayout((N, 40), "f8")
    layout[:] = h5py.VirtualSource(path.with_suffix(".other"), "images", (N, 40))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("images", layout)


def never_written(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("images", (1 << 40, 9), "f4", chunks=(1, 9))


if __name__ == "__main__":
    sys.exit(
        run_tests(
            every_kind_goes_the_whole_way,
            a_store_keeps_its_range,
            large_arrays_are_read_as_they_are_needed,
            labels_of_any_kind,
            without_splits_objects_are_drawn,
            what_is_wrong_is_named,
            files_of_numpy_in_wrong_places_are_told_where_to_go,
        )
    )
