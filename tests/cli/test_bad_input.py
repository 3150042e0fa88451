"""What is wrong ends every rank within seconds, with one line that names it and the documented status."""

import functools
import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable

import h5py
import numpy as np

from harness import (
    IMAGES,
    LABELS,
    MPIRUN,
    POLYVIEW,
    REFUSAL_S,
    Process,
    changed_bytes,
    check,
    idx,
    make_store,
    one_error,
    polyview,
    refused,
    run_tests,
    skip,
    write_config,
    write_images,
)

FAILED, USAGE, DATA = 1, 2, 3


# ---- the source data


def spoil(work: Path, name: str, data: bytes) -> Path:
    """A set of images with one file replaced."""
    shutil.rmtree(work / "spoilt", ignore_errors=True)
    write_images(work / "spoilt")
    if name.endswith(".gz"):
        (work / "spoilt" / name[:-3]).unlink()
    (work / "spoilt" / name).write_bytes(data)
    return work / "spoilt"


def bad_images(work: Path) -> None:
    write_images(work / "images")
    config = write_config(work)
    train, labels = f"train-{IMAGES}", f"train-{LABELS}"
    whole, tags = (work / "images" / train).read_bytes(), (work / "images" / labels).read_bytes()
    packed = gzip.compress(whole)
    other = np.zeros((12, 9, 9), "u1")
    cases = [
        ("a wrong magic number", train, b"\0\0\x0a\3" + whole[4:], "magic"),
        ("a text file for images", train, b"no images here, sorry", "IDX"),
        ("an empty file", train, b"", "truncated"),
        ("a label file for images", train, tags, "magic"),
        ("a truncated file", train, whole[:-1], "truncated"),
        ("a file with trailing bytes", train, whole + b"x", "trailing"),
        ("a truncated gzip file", f"{train}.gz", packed[:-9], "truncated"),
        ("a gzip file with trailing bytes", f"{train}.gz", packed + b"x", "trailing"),
        ("a gzip file with a flipped byte", f"{train}.gz", packed[:200] + b"\xff\xff" + packed[202:], ""),
        ("fewer labels than images", labels, idx(np.zeros(39, "u1")), "39 labels"),
        ("an image of another size in the test file", f"t10k-{IMAGES}", idx(other), "9 x 9"),
    ]
    for what, name, data, word in cases:
        words = ["fit", "--config", config, "--set", f"signal.path={spoil(work, name, data)}"]
        refused(what, words, DATA, name, word)
    check(not list(work.glob("store.h5*")), "no store is left behind by data that is refused")
    (work / "spoilt" / f"t10k-{LABELS}").unlink()
    refused("a missing file", words, FAILED, "t10k", "signal.path")
    words[-1] = f"signal.path={work}/nowhere"
    refused("a directory that is not there", words, FAILED, "nowhere", "signal.path")


def one_node_lacks_the_files(work: Path) -> None:
    """Each node in a directory of its own, to which one signal.path leads."""
    for node in ("a", "b", "c"):
        write_images(work / node / "images")
    config = write_config(work, signal={"path": "/proc/self/cwd/images"})
    words = [POLYVIEW, "fit", "--config", str(config)]
    nodes = [["-wdir", str(work / node), "-n", "1", *words] for node in ("a", "b", "c")]
    command = [MPIRUN, *nodes[0], ":", *nodes[1], ":", *nodes[2]]
    (work / "b" / "images" / f"train-{LABELS}").unlink()
    run = Process(command, POLYVIEW_NODE_RANKS=1).finish(REFUSAL_S)
    check(
        one_error(run, FAILED, "rank 1 on ", f"train-{LABELS}", "signal.path"),
        "a file that one node lacks ends all nodes, and the rank that lacks it is named",
        run,
    )
    (work / "b" / "images" / f"train-{LABELS}").write_bytes(idx(np.zeros(40, "u1")))
    run = Process(command, POLYVIEW_NODE_RANKS=1).finish(REFUSAL_S)
    check(
        one_error(run, DATA, "rank 1 on ", "are not those on the node of rank 0"),
        "a file that differs on one node ends all nodes",
        run,
    )


# ---- configs and words


def bad_configs(work: Path) -> None:
    write_images(work / "images")
    config = write_config(work)
    fit = ["fit", "--config", config]
    (work / "torn.yaml").write_text("fit: {views: [1, 2\n", encoding="utf-8")
    (work / "binary.yaml").write_bytes(bytes(range(256)))
    refused("an unknown key", [*fit, "--set", "fit.vews=2"], USAGE, "fit.vews", "views")
    refused("an unknown section", [*fit, "--set", "fits.views=2"], USAGE, "fits")
    refused("a wrong type", [*fit, "--set", "fit.steps=many"], USAGE, "fit.steps", "many")
    refused("a value out of range", [*fit, "--set", "fit.views=0"], USAGE, "fit.views", "0")
    refused("a list out of range", [*fit, "--set", "inr.hidden=[32, 257]"], USAGE, "inr.hidden", "257")
    refused("a --set without a value", [*fit, "--set", "fit.views"], USAGE, "fit.views")
    refused("a config that is not there", ["fit", "--config", work / "no.yaml"], USAGE, "no.yaml")
    refused("a directory for a config", ["fit", "--config", work], USAGE, work)
    refused("a torn config", ["fit", "--config", work / "torn.yaml"], USAGE, "torn.yaml")
    refused("a binary config", ["train", "--config", work / "binary.yaml"], USAGE, "binary.yaml")
    bad = write_config(work, "bad.yaml", fit={"lr": "fast"})
    line = 1 + next(i for i, text in enumerate(bad.read_text().splitlines()) if "fast" in text)
    refused("a bad value in the file", ["fit", "--config", bad], USAGE, f"bad.yaml:{line}", "fit.lr")
    refused("more images than there are", [*fit, "--set", "signal.train=41"], USAGE, "signal.train", "40")
    refused("splits that overlap", [*fit, "--set", "signal.val_first=20"], USAGE, "signal.val")
    refused("views that the store lacks", [*fit, "--set", "fit.views=1000001"], USAGE, "fit.views")


def bad_words(work: Path) -> None:
    refused("an unknown command", ["fti"], USAGE, "fti", "did you mean 'fit'")
    refused("help on no command", ["help", "fti"], USAGE, "did you mean 'fit'")
    refused("an unknown bench", ["bench", "stor"], USAGE, "stor", "did you mean 'store'")
    refused("an unknown option", ["fit", "--cnofig", "x"], USAGE, "--cnofig", "did you mean '--config'")
    refused(
        "a number for several words", ["probe", "--labels-per-class", "x"], USAGE, "--labels-per-class", "x"
    )
    refused("a missing option value", ["fit", "--config"], USAGE, "--config")
    refused("a flag with a value", ["info", "--json=yes", "x"], USAGE, "--json")
    refused("fit without a config", ["fit"], USAGE, "--config")
    refused("train without a config", ["train"], USAGE, "--config")
    refused("eval without a model", ["eval", "--store", "x"], USAGE, "--model")
    refused("verify without a store", ["verify"], USAGE, "STORE")
    refused("a word too many", ["verify", "a.h5", "b.h5"], USAGE, "b.h5")
    for number in ("-1", "1.5", "two", "", "99999999999999999999"):
        words = ["render", "s.h5", "--object", number, "-o", work / "x.png"]
        refused(f"--object '{number}'", words, USAGE, "--object", number)
    refused("--scale 0", ["render", "s.h5", "--object", 0, "--scale", 0, "-o", "x.png"], USAGE, "--scale")
    for key, value in (("split", "dev"), ("views", "3-1"), ("views", "a"), ("views", "0-1x")):
        words = ["eval", "--model", "m.h5", "--store", "s.h5", f"--{key}", value]
        refused(f"--{key} {value}", words, USAGE, f"--{key}", value)
    run = subprocess.run([POLYVIEW], capture_output=True, text=True, timeout=REFUSAL_S, check=False)
    check(run.returncode == 2 and "usage:" in run.stderr and not run.stdout, "no command prints the usage")
    for words in (
        ["--help"],
        ["help"],
        ["fit", "--help"],
        ["help", "eval"],
        ["help", "config"],
        ["--version"],
    ):
        run = polyview(*words)
        check(run.status == 0 and run.stdout and not run.stderr, f"{' '.join(words)} goes to stdout", run)


# ---- stores and models


def readers(store: Path, config: Path, model: Path) -> list[tuple[str, list[object]]]:
    """The commands that open a store."""
    return [
        ("verify", ["verify", store]),
        ("train", ["train", "--config", config, "--store", store]),
        ("eval", ["eval", "--model", model, "--store", store]),
        ("fit", ["fit", "--config", config, "--store", store]),
        ("info", ["info", store]),
        ("render", ["render", store, "--object", "0", "-o", "never.png"]),
    ]


def places_that_cannot_be_written(work: Path) -> None:
    store = make_store(work)
    config, file = work / "config.yaml", work / "config.yaml"
    for where in (file / "store.h5", work / "nowhere" / "store.h5", Path("/proc/store.h5")):
        refused(
            f"a store in {where.parent.name}", ["fit", "--config", config, "--store", where], FAILED, where
        )
        words = ["train", "--config", config, "--store", store, "--set", f"train.output={where}"]
        refused(f"a model in {where.parent.name}", words, FAILED, where)
    refused("a directory for a store", ["fit", "--config", config, "--store", work], DATA, work)
    trained = polyview("train", "--config", config, "--store", store, "--set", "train.epochs=1")
    check(trained.status == 0, "a model is trained", trained)
    words = ["eval", "--model", work / "model.h5", "--store", store, "--logits", work / "nowhere" / "l.h5"]
    refused("logits in nowhere", words, FAILED, "nowhere")


def files_that_are_no_store(work: Path) -> None:
    store, config, model = make_store(work), work / "config.yaml", work / "model.h5"
    polyview("train", "--config", config, "--store", store, "--set", "train.epochs=1")
    (work / "text.h5").write_text("hello", encoding="utf-8")
    (work / "short.h5").write_bytes(store.read_bytes()[:3000])
    with h5py.File(work / "other.h5", "w") as file:
        file["params"] = np.zeros(3)
    for _, words in readers(work / "text.h5", config, model):
        refused(f"a text file for a store of {words[0]}", words, DATA, "text.h5")
    for _, words in readers(work / "no.h5", config, model):
        if words[0] != "fit":  # which makes it
            refused(f"a store that is not there in {words[0]}", words, FAILED, "no.h5")
    for name, _ in (("other.h5", 0), ("model.h5", 0)):
        refused(f"{name} for a store", ["verify", work / name], DATA, name, "polyview_kind")
    refused("a store cut short", ["verify", work / "short.h5"], DATA, "short.h5")
    for name in ("text.h5", "other.h5", "store.h5"):
        words = ["eval", "--model", work / name, "--store", store]
        refused(f"{name} for a model", words, DATA, name)
    refused("no model", ["eval", "--model", work / "no.h5", "--store", store], FAILED, "no.h5")


def edit(store: Path, change: Callable[[h5py.File], object]) -> None:
    with h5py.File(store, "r+") as file:
        change(file)


def replace(file: h5py.File, name: str, array: object) -> None:
    del file[name]
    file[name] = array


def damaged_stores(work: Path) -> None:
    store, config, model = make_store(work), work / "config.yaml", work / "model.h5"
    polyview("train", "--config", config, "--store", store, "--set", "train.epochs=1")
    dims = {"dims": [2, 6, 5, 1], "w0": 30.0, "offset": 0.5}
    cases: list[tuple[str, Callable[[h5py.File], object], str]] = [
        (
            f"a store without {name}",
            lambda file, name=name: file.pop(name, None) or file.__delitem__(name),
            name,
        )
        for name in ("params", "view/status", "view/checksum", "view/psnr", "view/steps", "object/label")
    ]
    cases = [(what, lambda file, name=name: file.__delitem__(name), name) for what, _, name in cases]
    cases += [
        ("psnr of one view", lambda file: replace(file, "view/psnr", np.zeros((1, 37), "f4")), "/view/psnr"),
        ("flat params", lambda file: replace(file, "params", np.zeros(5, "f4")), "/params"),
        ("labels too few", lambda file: replace(file, "object/label", np.zeros(36, "i4")), "/object/label"),
        ("labels of text", lambda file: replace(file, "object/label", [b"shoe"] * 37), "/object/label"),
        (
            "a group for params",
            lambda file: (file.__delitem__("params"), file.create_group("params")),
            "params",
        ),
        ("no arch", lambda file: file.attrs.__delitem__("arch"), "arch"),
        ("a corrupt arch", lambda file: file.attrs.__setitem__("arch", '{"dims": [2, 6'), "arch"),
        ("an arch of numbers", lambda file: file.attrs.__setitem__("arch", 5), "arch"),
        (
            "an arch of widths from -3",
            lambda file: file.attrs.__setitem__("arch", json.dumps(dims | {"dims": [2, -3, 5, 1]})),
            "arch",
        ),
        (
            "an arch of other widths",
            lambda file: file.attrs.__setitem__("arch", json.dumps(dims | {"dims": [2, 6, 6, 1]})),
            "/params",
        ),
        (
            "an arch without layers",
            lambda file: file.attrs.__setitem__("arch", json.dumps(dims | {"dims": []})),
            "arch",
        ),
        ("a corrupt signal", lambda file: file.attrs.__setitem__("signal", "{"), "signal"),
        ("another version", lambda file: file.attrs.__setitem__("polyview_version", 2), "version 2"),
    ]
    for what, change, named in cases:
        with changed_bytes(store):
            edit(store, change)
            refused(f"{what}: the store", ["verify", store], DATA, store.name, named)
    for name, value in (("config", "fit: {views: nonsense}"), ("config", "[")):
        with changed_bytes(store):
            edit(store, lambda file: file.attrs.__setitem__(name, value))
            words = ["fit", "--config", config]
            refused("a store with a corrupt config: fit", words, DATA, store.name)
            run = polyview("verify", store)
            check(run.status == 0, "rows can be verified all the same", run)
    with changed_bytes(store):
        edit(store, lambda file: file["object/label"].__setitem__(5, 4))
        for words in (
            ["train", "--config", config, "--fresh"],
            ["eval", "--model", model, "--split", "train"],
        ):
            words += ["--store", store]
            refused(f"a label outside the classes: {words[0]}", words, DATA, "object 5 has label 4")
    with changed_bytes(store):
        edit(store, lambda file: file["object/split"].__setitem__(slice(None), 2))
        words = ["train", "--config", config, "--fresh"]
        refused("a store without training objects", words, DATA, "no training objects")
        refused(
            "an empty split: eval",
            ["eval", "--model", model, "--store", store, "--split", "val"],
            DATA,
            "no objects",
        )
    check(polyview("verify", store, ranks=3).status == 0, "the store as it was is accepted")


# ---- a full disk


def full_disk(work: Path) -> None:
    statement = "a full disk ends a fit with status 1, and what is marked fitted verifies"
    disk = work / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "polyview-test", str(disk)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, timeout=REFUSAL_S, check=False)
    except OSError as error:
        return skip(statement, f"no tmpfs can be mounted: {error}")
    if mounted.returncode != 0:
        return skip(statement, f"no tmpfs can be mounted: {mounted.stderr.strip()}")
    try:
        fill_disk(work, disk, statement)
    finally:
        subprocess.run(["umount", str(disk)], check=True, timeout=REFUSAL_S)
    return None


def write_sparse(path: Path, data: bytes) -> None:
    """Leaves holes where the data is zero."""
    with path.open("wb") as file:
        for at in range(0, len(data), 4096):
            if any(data[at : at + 4096]):
                file.seek(at)
                file.write(data[at : at + 4096])
        file.truncate(len(data))


def fill_up(disk: Path, left: int) -> None:
    """Leaves that many bytes free."""
    (disk / "filler").unlink(missing_ok=True)
    free = os.statvfs(disk)
    (disk / "filler").write_bytes(bytes(free.f_bavail * free.f_frsize - left))


refused_in_turn = functools.partial(refused, at_once=False)


def fill_disk(work: Path, disk: Path, statement: str) -> None:
    """The disk holds 600 KiB, a full store 170 rows of 4740 bytes: 787 KiB."""
    write_images(work / "images", train=80, side=16)
    config = write_config(
        work,
        store=str(disk / "store.h5"),
        signal={"train": 70, "val": 7, "test": 8},
        inr={"hidden": [32, 32]},
        train={"output": str(disk / "model.h5"), "batch": 16},
    )
    refused_in_turn(
        "a disk without room for all rows",
        ["fit", "--config", config],
        FAILED,
        "store.h5",
        "No space left",
        "MiB",
    )
    check(not os.listdir(disk), "what did not fit on the disk is removed", os.listdir(disk))
    fill_up(disk, 0)
    refused_in_turn(
        "a disk without room for anything", ["fit", "--config", config], FAILED, "store.h5", "No space left"
    )
    (disk / "filler").unlink()

    store = work / "roomy.h5"
    polyview("fit", "--config", config, "--store", store)
    whole = store.read_bytes()
    with h5py.File(store, "r+") as file:
        file["params"][...] = 0
        file["view/status"][...] = 0
    for ranks in (1, 3):
        write_sparse(disk / "store.h5", store.read_bytes())
        run = polyview("fit", "--config", config, ranks=ranks)
        sound = polyview("verify", disk / "store.h5", ranks=ranks)
        check(
            one_error(run, FAILED, "No space left on device", "store.h5")
            and sound.status == 0
            and 0 < sound.json["fitted"] < 170,
            f"{statement} ({ranks} rank(s))",
            run,
            sound,
        )
        (disk / "store.h5").unlink()

    store.write_bytes(whole)
    train = ["train", "--config", config, "--store", store]
    fill_up(disk, 8192)
    refused_in_turn("a disk without room for a model", train, FAILED, "model.h5", "No space left")
    (disk / "filler").unlink()
    trained = polyview(*train, "--set", "train.epochs=1")
    check(trained.status == 0, "with room again the model is trained", trained)
    kept = {path.name: path.read_bytes() for path in disk.iterdir() if "jsonl" not in path.name}
    fill_up(disk, 8192)
    refused_in_turn(
        "a disk that fills up in training", [*train, "--set", "train.epochs=9"], FAILED, "No space left"
    )
    check(
        all((disk / name).read_bytes() == data for name, data in kept.items())
        and not list(disk.glob("*.part")),
        "a disk that fills up in training leaves the model and the checkpoint as they were",
        os.listdir(disk),
    )
    words = ["eval", "--model", disk / "model.h5", "--store", store, "--logits", disk / "logits.h5"]
    fill_up(disk, 0)
    refused_in_turn("a disk without room for logits", words, FAILED, "logits.h5", "No space left")
    check(not list(disk.glob("logits*")), "logits that did not fit are removed", os.listdir(disk))


def main() -> int:
    return run_tests(
        bad_images,
        one_node_lacks_the_files,
        bad_configs,
        bad_words,
        places_that_cannot_be_written,
        files_that_are_no_store,
        damaged_stores,
        full_disk,
    )


if __name__ == "__main__":
    sys.exit(main())
