"""CIFAR's binary files, written byte for byte like the published ones: what is fitted, trained on, and refused."""

import json
import signal
import sys
from pathlib import Path

import h5py
import numpy as np

from harness import Process, changed_bytes, check, launch, polyview, refused, run_tests, write_config

FAILED, USAGE, DATA, KILLED = 1, 2, 3, -signal.SIGKILL
SIDE, PLANE, PER_FILE, TEST = 32, 1024, 12, 10
NAMES = "airplane automobile bird cat deer dog frog horse ship truck".split()
SMALL = {"train": 50, "val": 10, "test": 10}


def pictures(labels: np.ndarray, seed: int) -> np.ndarray:
    """[n][3][32][32]: the colour tells the class, a gradient and noise come on top."""
    rng = np.random.default_rng(seed)
    bits = np.stack([labels & 1, labels >> 1 & 1, labels >> 2 & 1], 1) * 120 + 40 + 30 * (labels[:, None] > 7)
    slope = rng.uniform(-30, 30, (len(labels), 1, SIDE, 1)) * np.linspace(-1, 1, SIDE)
    noise = rng.normal(0, 6, (len(labels), 3, SIDE, SIDE))
    return np.clip(bits[:, :, None, None] + slope + noise, 0, 255).astype(np.uint8)


def records(labels: np.ndarray, images: np.ndarray) -> bytes:
    """Label bytes [n] or [n][k], then the planes R, G, B of every picture."""
    return np.concatenate(
        [labels.reshape(len(images), -1).astype(np.uint8), images.reshape(-1, 3 * PLANE)], 1
    ).tobytes()


def cifar10(directory: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns the labels and pictures, those of the test batch last."""
    directory.mkdir(parents=True, exist_ok=True)
    every = [np.arange(PER_FILE if batch < 5 else TEST) * 7 % 10 for batch in range(6)]
    drawn = [pictures(labels, batch) for batch, labels in enumerate(every)]
    for batch in range(6):
        name = f"data_batch_{batch + 1}.bin" if batch < 5 else "test_batch.bin"
        (directory / name).write_bytes(records(every[batch], drawn[batch]))
    (directory / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    return np.concatenate(every), np.concatenate(drawn)


def cifar100(directory: Path) -> np.ndarray:
    """Returns the labels [n][coarse, fine]."""
    directory.mkdir(parents=True, exist_ok=True)
    fine = np.arange(60) * 37 % 100
    labels = np.stack([fine // 5, fine], 1)
    for name, part in (("train", slice(0, 50)), ("test", slice(50, 60))):
        data = records(labels[part], pictures(fine[part], 3))
        (directory / f"{name}.bin").write_bytes(data)
    for name, count in (("fine", 100), ("coarse", 20)):
        (directory / f"{name}_label_names.txt").write_text("".join(f"{name}_{i}\n" for i in range(count)))
    return labels


def config_of(work: Path, path: Path, name: str, **sections: dict) -> Path:
    own = sections.pop("signal", {})
    return write_config(
        work,
        f"{name}.yaml",
        store=str(work / f"{name}.h5"),
        signal={"source": "cifar", "path": str(path)} | SMALL | own,
        inr={"hidden": [8, 8]},
        **sections,
    )


def rows(store: Path) -> dict[str, np.ndarray]:
    with h5py.File(store) as file:
        names = ("params", "view/psnr", "view/checksum", "object/label", "object/source", "object/digest")
        return {name: file[name][()] for name in names}


def same(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(one[name], two[name]) for name in one)


def psnr(store: Path, object_: int, image: np.ndarray) -> float:
    """Of view 0 of an object, from its weights, by numpy alone; image [h][w][3] in [0, 1]."""
    with h5py.File(store) as file:
        arch = json.loads(file.attrs["arch"])
        row = file["params"][0, object_].astype(np.float64)
    axis = np.linspace(-1, 1, SIDE)
    h = np.stack([np.tile(axis, SIDE), np.repeat(axis, SIDE)], 1)
    layers = list(zip(arch["dims"], arch["dims"][1:]))
    for n, (inputs, outputs) in enumerate(layers):
        weight, bias, row = (
            row[: inputs * outputs],
            row[inputs * outputs :][:outputs],
            row[(inputs + 1) * outputs :],
        )
        h = h @ weight.reshape(outputs, inputs).T + bias
        h = np.sin(arch["w0"] * h) if n < len(layers) - 1 else h + arch["offset"]
    return float(-10 * np.log10(np.mean((h - image.reshape(-1, 3)) ** 2)))


def pictures_are_those_of_the_files(work: Path) -> None:
    labels, images = cifar10(work / "data")
    first = None
    for ranks in (1, 2, 3):
        name = f"ranks{ranks}"
        run = polyview("fit", "--config", config_of(work, work / "data", name), "--quiet", ranks=ranks)
        made = rows(work / f"{name}.h5") if run.status == 0 else {}
        first = first or made
        check(
            run.status == 0 and made and same(made, first),
            f"CIFAR-10 on {ranks} rank(s) gives the same rows",
            run,
        )
    order = np.r_[0:60, 60:70]
    with h5py.File(work / "ranks1.h5") as file:
        told, names = json.loads(file.attrs["signal"]), [
            name.decode() for name in file["object/class_names"][()]
        ]
        dims = json.loads(file.attrs["arch"])["dims"]
    check(
        dims == [2, 8, 8, 3]
        and (told["height"], told["width"], told["channels"], told["classes"]) == (32, 32, 3, 10),
        "networks have three outputs, and the store tells so",
        told,
    )
    check(
        names == NAMES
        and (first["object/label"] == labels[order]).all()
        and (first["object/source"] == order).all(),
        "labels, their names and the places in the files are kept",
    )
    found = [psnr(work / "ranks1.h5", i, images[i].transpose(1, 2, 0) / 255) for i in (0, 13, 59, 65)]
    check(
        np.allclose(found, first["view/psnr"][0, [0, 13, 59, 65]], atol=0.01) and min(found) > 12,
        "planes become colours at their pixels, as numpy sees them",
        found,
        first["view/psnr"][0],
    )
    run = polyview(
        "fit", "--config", config_of(work, work / "data", "fetched", signal={"keep": 0}), "--quiet", ranks=2
    )
    check(
        run.status == 0 and same(rows(work / "fetched.h5"), first),
        "pictures that are not kept are read again",
        run,
    )
    (work / "above").mkdir()
    (work / "data").rename(work / "above" / "cifar-10-batches-bin")
    run = polyview("fit", "--config", config_of(work, work / "above", "above"), "--quiet")
    check(run.status == 0 and same(rows(work / "above.h5"), first), "the archive's directory is found", run)


def stores_of_it_go_on(work: Path) -> None:
    cifar10(work / "data")
    keys = {"views": 2, "steps": 100, "lr": 1e-2}
    whole = config_of(work, work / "data", "whole", fit=keys)
    polyview("fit", "--config", whole, "--quiet")
    made = rows(work / "whole.h5")
    store = work / "cut.h5"
    cut = config_of(work, work / "data", "cut", fit=keys)
    process = Process(launch(["fit", "--config", cut, "--quiet"], 2))
    process.wait_for(lambda: store.exists() and store.stat().st_size > 0)
    process.signal(signal.SIGKILL)
    killed = process.finish()
    run = polyview("fit", "--config", cut, "--quiet", ranks=3)
    check(
        killed.status != 0 and run.status == 0 and same(rows(store), made),
        "a killed fit goes on to the same rows",
        run,
    )
    with h5py.File(store, "r+") as file:
        file["params"][1, 7, 3] += 1
    run = polyview("verify", store, "--repair", ranks=2)
    check(run.status == 0 and same(rows(store), made), "a damaged row is fitted again", run)
    small = config_of(work, work / "data", "grown", fit=keys, signal={"train": 40})
    polyview("fit", "--config", small, "--quiet")
    grown = polyview("extend", work / "grown.h5", "--objects", 70, "--quiet", ranks=2)
    run = polyview("fit", "--store", work / "grown.h5", "--quiet", ranks=2)
    order = np.r_[0:40, 60:70, 40:60]
    later = rows(work / "grown.h5")
    check(
        grown.status == run.status == 0
        and (np.sort(later["object/source"]) == np.arange(70)).all()
        and np.array_equal(later["params"][:, np.argsort(later["object/source"])], made["params"]),
        "a store that grows ends with the rows of one made at once",
        grown,
        run,
        order,
    )


def colours_are_learnt(work: Path) -> None:
    cifar10(work / "data")
    config = config_of(
        work, work / "data", "taught", fit={"views": 4, "steps": 150, "lr": 1e-2},
        model={"hidden": 12, "layers": 2}, train={"epochs": 40, "batch": 16, "lr": 5e-3, "views": 4},
    )  # fmt: skip
    polyview("fit", "--config", config, "--quiet", ranks=2)
    run = polyview("train", "--config", config, "--quiet", ranks=2)
    # Of ten pictures all four views, as three right of ten would be luck.
    judged = ["--store", work / "taught.h5", "--split", "test", "--views", "0-3"]
    scored = polyview("eval", "--model", work / "model.h5", *judged)
    accuracy = scored.json.get("accuracy", 0)
    check(
        run.status == 0 and accuracy > 0.25,
        f"classes of colours are told apart ({accuracy}, chance is 0.1)",
        run,
        scored,
    )


def both_labels_of_cifar_100(work: Path) -> None:
    labels = cifar100(work / "data" / "cifar-100-binary")
    for kind, column, classes in (("fine", 1, 100), ("coarse", 0, 20)):
        config = config_of(work, work / "data", kind, signal={"labels": kind, "train": 40, "val": 10})
        run = polyview("fit", "--config", config, "--quiet")
        with h5py.File(work / f"{kind}.h5") as file:
            found, names = file["object/label"][()], file["object/class_names"][()]
        check(
            run.status == 0
            and (found == labels[:, column]).all()
            and len(names) == classes
            and names[classes - 1].decode() == f"{kind}_{classes - 1}",
            f"CIFAR-100 by its {kind} labels",
            run,
        )
    config = config_of(work, work / "data", "fine", signal={"labels": "coarse", "train": 40, "val": 10})
    refused("going on with other labels", ["fit", "--config", config], USAGE, "signal.labels")


def bad_files_are_named(work: Path) -> None:
    data = work / "data"
    cifar10(data)
    fit = ["fit", "--config", config_of(work, data, "bad")]

    def spoiled(
        what: str, name: str, content: bytes | None, status: int, *named: object, **keys: object
    ) -> None:
        with changed_bytes(data / name):
            if content is None:
                (data / name).unlink()
            else:
                (data / name).write_bytes(content)
            words = [word for key, value in keys.items() for word in ("--set", f"signal.{key}={value}")]
            refused(what, [*fit, *words], status, *named)

    batch = (data / "data_batch_3.bin").read_bytes()
    spoiled("a cut file", "data_batch_3.bin", batch[:-1], DATA, "data_batch_3.bin", "3073")
    spoiled("an empty file", "data_batch_3.bin", b"", DATA, "data_batch_3.bin", "0 bytes")
    spoiled("a file that is missing", "data_batch_3.bin", None, FAILED, "data_batch_3.bin")
    spoiled("no test file", "test_batch.bin", None, FAILED, "test_batch.bin")
    wrong = batch[: 2 * 3073] + b"\x0a" + batch[2 * 3073 + 1 :]
    spoiled(
        "a label beyond the classes",
        "data_batch_3.bin",
        wrong,
        DATA,
        "data_batch_3.bin' record 2",
        "label 10",
    )
    spoiled("no names", "batches.meta.txt", None, FAILED, "batches.meta.txt")
    spoiled("too few names", "batches.meta.txt", b"a\nb\n", DATA, "batches.meta.txt", "2 names, expected 10")
    spoiled("too many names", "batches.meta.txt", b"a\n" * 11, DATA, "batches.meta.txt", "more than 10")
    spoiled("names that are no text", "batches.meta.txt", b"\xff\n" * 10, DATA, "batches.meta.txt", "name 0")
    spoiled("a name that is too long", "batches.meta.txt", b"a\n" + b"b" * 32 + b"\n", DATA, "name 1")
    spoiled(
        "coarse labels of CIFAR-10",
        "test_batch.bin",
        b"\0" * 3073 * 10,
        USAGE,
        "signal.labels",
        labels="coarse",
    )
    spoiled(
        "more than there are", "test_batch.bin", b"\0" * 3073, USAGE, "signal.test is 10", "has 1 objects"
    )
    cifar100(data / "cifar-100-binary")
    refused("two data sets", fit, USAGE, "both 'CIFAR-10' and 'CIFAR-100'", "signal.path")
    (work / "none").mkdir()
    refused(
        "none", [*fit, "--set", f"signal.path={work / 'none'}"], FAILED, "none' holds neither", "signal.path"
    )


if __name__ == "__main__":
    sys.exit(
        run_tests(
            pictures_are_those_of_the_files,
            stores_of_it_go_on,
            colours_are_learnt,
            both_labels_of_cifar_100,
            bad_files_are_named,
        )
    )
