"""Labels, splits and IDX files are what they are: class numbers of any kind, none at all, files under every name."""

import gzip
import json
import sys
from pathlib import Path

import h5py
import numpy as np

from harness import Run, check, polyview, refused, run_tests, write_config

FAILED, USAGE, DATA = 1, 2, 3
TYPES = {"u1": (0x08, "ubyte"), "i1": (0x09, "byte"), "i2": (0x0B, "short"), "i4": (0x0C, "int"),
         "f4": (0x0D, "float"), "f8": (0x0E, "double")}  # fmt: skip
SIDE = 8


def idx(array: np.ndarray, kind: str = "u1") -> bytes:
    head = bytes([0, 0, TYPES[kind][0], array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return head + array.astype(f">{kind}" if kind[1] != "1" else kind).tobytes()


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 128, (count, SIDE, SIDE + 1))


def write_set(
    directory: Path,
    numbers: list[int] | None,
    kind: str = "u1",
    names: str = "{}-{}-idx{}-{}",
    test: str = "t10k",
    of_images: str = "u1",
) -> Path:
    """40 train and 12 test pictures, whose classes are the numbers in turn."""
    directory.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", 40), (test, 12)):
        images = pictures(count) / (1 if np.dtype(of_images).kind in "iu" else 128)
        name = directory / names.format(part, "images", 3, TYPES[of_images][1])
        data = idx(images, of_images)
        name.write_bytes(gzip.compress(data) if name.suffix == ".gz" else data)
        if numbers is None:
            continue
        labels = np.resize(numbers, count)
        name = directory / names.format(part, "labels", 1, TYPES[kind][1])
        data = idx(labels, kind)
        name.write_bytes(gzip.compress(data) if name.suffix == ".gz" else data)
    return directory


def fit(work: Path, name: str, *words: object, ranks: int = 1, **signal: object) -> tuple[Path, Run]:
    config = write_config(
        work, f"{name}.yaml", store=str(work / f"{name}.h5"), signal={"path": str(work / name)} | signal,
        train={"output": str(work / f"{name}.model.h5")},
    )  # fmt: skip
    return config, polyview("fit", "--config", config, "--quiet", *words, ranks=ranks)


def columns(path: Path) -> tuple[np.ndarray, list[str] | None, dict]:
    with h5py.File(path) as file:
        names = file.get("object/class_names")
        names = None if names is None else [name.decode() for name in names[()]]
        return file["object/label"][()], names, json.loads(file.attrs["signal"])


# ---- labels


def class_numbers_of_any_kind(work: Path) -> None:
    dense = {f"{k} classes": (list(range(k)), "u1") for k in (2, 10, 26, 37)} | {"one class": ([0], "u1")}
    mapped = {
        "one-based": (list(range(1, 27)), "u1"),
        "up to 255": ([0, 255], "u1"),
        "sparse": ([3, 70000, 12, 500], "i4"),
        "as large as may be": ([0, 2**31 - 2], "i4"),
        "of two bytes": ([1000, 300], "i2"),
        "signed bytes": ([7, 5], "i1"),
    }
    for what, (numbers, kind) in (dense | mapped).items():
        name = what.replace(" ", "-")
        write_set(work / name, numbers, kind)
        config, run = fit(work, name, train=40, val=0, test=12)
        if not check_store(run, what, work / f"{name}.h5", numbers, what in mapped):
            continue
        learnt = polyview("train", "--config", config, "--quiet")
        scored = polyview("eval", "--model", work / f"{name}.model.h5", "--store", work / f"{name}.h5")
        per_class = scored.json.get("per_class", [])
        called = [str(n) for n in sorted(numbers)] if what in mapped else [None] * len(numbers)
        check(
            learnt.status == 0 and [c.get("name") for c in per_class] == called,
            f"{what}: a model is trained, and scored by the names of its classes",
            learnt,
            scored,
        )
        told = polyview("info", work / f"{name}.h5").json
        check(
            told.get("class_names") == (called if what in mapped else None) and "signal" in told,
            f"{what}: info tells the names",
            told,
        )


def check_store(run: Run, what: str, store: Path, numbers: list[int], mapped: bool) -> bool:
    if run.status != 0:
        check(False, f"{what}: fitted", run)
        return False
    labels, names, signal = columns(store)
    order = sorted(numbers)
    wanted = np.array([order.index(n) for n in np.r_[np.resize(numbers, 40), np.resize(numbers, 12)]])
    holds = (labels == wanted).all() and signal["classes"] == len(numbers)
    check(
        holds and names == ([str(n) for n in order] if mapped else None),
        f"{what}: labels are 0 to K - 1, and the numbers are kept where they are others",
        run,
        names,
        labels,
    )
    return bool(holds)


def labels_do_not_depend_on_splits_or_ranks(work: Path) -> None:
    write_set(work / "sparse", [9, 3, 200, 3])
    first = None
    for ranks in (1, 2, 3, 4):
        store = work / "sparse.h5"
        _, run = fit(
            work, "sparse", "--set", "storage.shard_gib=0.0000025", ranks=ranks, train=2, val=1, test=1
        )
        more = polyview("extend", store, "--objects", 24, "--quiet", ranks=ranks)
        labels, names, _ = columns(store)
        made = (labels.tolist(), names)
        first = first or made
        check(
            run.status == more.status == 0 and made == first and names == ["3", "9", "200"],
            f"on {ranks} ranks a store that grows keeps its classes",
            run,
            more,
            made,
        )
        for path in work.glob("sparse.h5*"):
            if path.is_file():
                path.unlink()
            else:
                for shard in path.iterdir():
                    shard.unlink()
                path.rmdir()
    _, run = fit(work, "sparse", train=2, val=1, test=1)
    write_set(work / "sparse", [9, 3, 201, 3])
    refused(
        "growth with other classes",
        ["extend", work / "sparse.h5", "--objects", 24],
        (DATA,),
        "classes",
        "'200'",
    )


def absurd_labels_are_refused(work: Path) -> None:
    for what, numbers, kind, words in (
        ("2^31 - 1", [0, 2**31 - 1], "i4", ["row 1", "2147483647"]),
        ("-2", [0, -2], "i2", ["row 1", "-2"]),
        ("-2^31", [-(2**31)], "i4", ["row 0", "-2147483648"]),
    ):
        name = write_set(work / f"of{numbers[-1]}", numbers, kind).name
        config = write_config(work, signal={"path": str(work / name)})
        refused(
            f"the label {what}",
            ["fit", "--config", config],
            DATA,
            f"train-labels-idx1-{TYPES[kind][1]}",
            *words,
        )
    write_set(work / "floats", [0, 1], "f4")
    config = write_config(work, signal={"path": str(work / "floats")})
    refused("a label of type float", ["fit", "--config", config], DATA, "whole numbers")
    check(not (work / "store.h5").exists(), "nothing is left behind")


def objects_without_labels(work: Path) -> None:
    write_set(work / "bare", None)
    write_set(work / "half", [0, -1, 1, -1], "i1")
    for name, unlabelled in (("bare", 37), ("half", 18)):
        config, run = fit(work, name)
        labels = columns(work / f"{name}.h5")[0] if run.status == 0 else np.zeros(0)
        check((labels == -1).sum() in (unlabelled, 19), f"{name}: objects have no class", run, labels)
        check(
            ("no labels" in run.stderr) == (name == "bare"),
            f"{name}: a warning says that there are no label files",
            run,
        )
        refused(
            f"{name}: to classify", ["train", "--config", config], DATA, "label"
        )  # fmt: skip
        contrast = polyview(
            "train",
            "--config",
            config,
            "--quiet",
            "--set",
            "train.task=simclr",
            "--set",
            "train.positives=views",
            "--set",
            "train.views=2",
            ranks=2,
        )
        check(contrast.status == 0, f"{name}: contrastive learning works", contrast)


def no_test_split(work: Path) -> None:
    directory = write_set(work / "untested", [0, 1, 2])
    for path in directory.glob("t10k*"):
        path.unlink()
    config = write_config(work, signal={"path": str(directory)})
    refused("a test split without files", ["fit", "--config", config], FAILED, "t10k-images", "signal.path")
    all_, run = fit(work, "untested", "--store", work / "all.h5", train="all", val=0.1, test="usual")
    again = polyview("fit", "--config", all_, "--store", work / "all.h5", ranks=2)
    with h5py.File(work / "all.h5") as file:
        kept = [line.strip() for line in file.attrs["config"].decode().splitlines()]
    check(
        run.status == again.status == 0
        and again.json["fitted"] == 0
        and {"train: 36", "val: 4", "test: 0"} <= set(kept)
        and "no test files" in again.stderr,
        "shares and what is usual are settled by the files, and kept as numbers",
        run,
        again,
        kept,
    )
    config, run = fit(work, "untested", test=0)
    check(run.status == 0, "without test files everything else is fitted", run)
    for ranks in (1, 3):
        learnt = polyview("train", "--config", config, "--quiet", "--fresh", ranks=ranks)
        words = json.dumps(learnt.json)
        check(
            learnt.status == 0 and "NaN" not in words and learnt.json.get("best_val_accuracy") is not None,
            f"on {ranks} rank(s) a model is trained without a test split",
            learnt,
        )
    words = ["eval", "--model", work / "untested.model.h5", "--store", work / "untested.h5"]
    refused("to score on no test split", words, DATA, "no objects")
    write_set(work / "tested", [0, 1])
    for path in (work / "tested").glob("train*"):
        path.unlink()
    _, run = fit(work, "tested", train=0, val=0, test=9)
    check(run.status == 0, "a test split alone is fitted", run)


# ---- files


def rows_of(store: Path) -> np.ndarray:
    with h5py.File(store) as file:
        return file["params"][()]


def files_of_every_name(work: Path) -> None:
    cases = [
        ("mnist", {}),
        ("gzipped", {"names": "{}-{}-idx{}-{}.gz"}),
        ("kaggle", {"names": "{}-{}.idx{}-{}"}),
        ("dotted-gzip", {"names": "{}-{}.idx{}-{}.gz"}),
        ("test-for-t10k", {"test": "test"}),
        ("emnist", {"names": "emnist-balanced-{}-{}-idx{}-{}", "test": "test"}),
        ("emnist-gzip", {"names": "emnist-letters-{}-{}-idx{}-{}.gz", "test": "test"}),
        ("kuzushiji", {"names": "k49-{}-{}.idx{}-{}.gz"}),
    ]
    rows = None
    for name, names in cases:
        write_set(work / name, [0, 1, 2], **names)
        _, run = fit(work, name)
        made = rows_of(work / f"{name}.h5") if run.status == 0 else np.zeros(0)
        rows = made if rows is None else rows
        check(run.status == 0 and np.array_equal(made, rows), f"{name}: the files are found", run)
    digits = work / "qmnist"
    write_set(digits, None, names="qmnist-{}-{}-idx{}-{}", test="test")
    for part, count in (("train", 40), ("test", 12)):
        columns8 = np.c_[np.arange(count) % 3, np.arange(count * 7).reshape(count, 7) + 100]
        (digits / f"qmnist-{part}-labels-idx2-int").write_bytes(idx(columns8, "i4"))
    _, run = fit(work, "qmnist")
    made = columns(work / "qmnist.h5")[0] if run.status == 0 else np.zeros(0)
    check(
        made[:21].tolist() == [i % 3 for i in range(21)] and columns(work / "qmnist.h5")[1] is None,
        "the class of QMNIST is the first of eight numbers",
        run,
    )
    both = work / "both"
    write_set(both, [0, 1], names="emnist-letters-{}-{}-idx{}-{}", test="test")
    write_set(both, [0, 1], names="emnist-digits-{}-{}-idx{}-{}", test="test")
    config = write_config(work, signal={"path": str(both)})
    refused(
        "one of two sets",
        ["fit", "--config", config],
        USAGE,
        "emnist-letters",
        "emnist-digits",
        "signal.prefix",
    )
    _, run = fit(work, "both", prefix="emnist-letters-")
    check(run.status == 0, "the prefix says which set is meant", run)


def pictures_that_lie_by_columns(work: Path) -> None:
    write_set(work / "rows", [0, 1])
    directory = work / "columns"
    write_set(directory, [0, 1])
    for part, count in (("train", 40), ("t10k", 12)):
        turned = pictures(count).transpose(0, 2, 1)
        (directory / f"{part}-images-idx3-ubyte").write_bytes(idx(turned))
    one, two = fit(work, "rows")[1], fit(work, "columns", transpose=True)[1]
    check(
        one.status == two.status == 0
        and np.array_equal(rows_of(work / "rows.h5"), rows_of(work / "columns.h5"))
        and columns(work / "columns.h5")[2]["height"] == SIDE,
        "pictures that are turned are those that lie by rows",
        one,
        two,
    )


def elements_of_every_type(work: Path) -> None:
    rows = None
    for kind in TYPES:
        write_set(work / kind, [0, 1], of_images=kind)
        whole = kind[0] in "iu"
        _, run = fit(work, kind, white=128 if whole else 0)
        made = rows_of(work / f"{kind}.h5") if run.status == 0 else np.zeros(0)
        rows = made if rows is None else rows
        check(run.status == 0 and np.array_equal(made, rows), f"pictures of type {kind}", run)
    for what, value in (
        ("above white", 1.5),
        ("below black", -0.25),
        ("no number", np.nan),
        ("infinite", np.inf),
    ):
        images = pictures(40) / 256
        images[17, 2, 3] = value
        (work / "f8" / "train-images-idx3-double").write_bytes(idx(images, "f8"))
        config = write_config(work, signal={"path": str(work / "f8")}, store=str(work / "none.h5"))
        refused(
            f"a pixel {what}",
            ["fit", "--config", config],
            DATA,
            "train-images-idx3-double",
            "image 17",
            "signal.white",
        )


def gzip_in_pieces(work: Path) -> None:
    write_set(work / "one", [0, 1])
    write_set(work / "pieces", [0, 1])
    path = work / "pieces" / "train-images-idx3-ubyte"
    data = path.read_bytes()
    path.unlink()
    packed = (
        gzip.compress(data[:3]) + gzip.compress(b"") + gzip.compress(data[3:999]) + gzip.compress(data[999:])
    )
    (work / "pieces" / "train-images-idx3-ubyte.gz").write_bytes(packed + bytes(10240 - len(packed) % 10240))
    one, two = fit(work, "one")[1], fit(work, "pieces")[1]
    check(
        one.status == two.status == 0
        and np.array_equal(rows_of(work / "one.h5"), rows_of(work / "pieces.h5")),
        "gzip of several members with zeros behind is one file",
        one,
        two,
    )


if __name__ == "__main__":
    sys.exit(
        run_tests(
            class_numbers_of_any_kind,
            labels_do_not_depend_on_splits_or_ranks,
            absurd_labels_are_refused,
            objects_without_labels,
            no_test_split,
            files_of_every_name,
            pictures_that_lie_by_columns,
            elements_of_every_type,
            gzip_in_pieces,
        )
    )
