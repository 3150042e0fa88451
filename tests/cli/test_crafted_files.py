"""Stores and models that were made to break the program, and what fuzzing found: refused at once, with a word on what is
wrong, or read; never followed out of the file, never written to where that would damage them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable

import h5py
import numpy as np

from harness import BUILD, ROOT, changed_bytes, check, environment, make_store, polyview, refused, run_tests

FAILED, USAGE, DATA = 1, 2, 3
FUZZ = ROOT / "tests" / "fuzz"
# What a build without sanitizers does not mind.
QUIET = {"ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1"}


def fuzz_inputs_are_survived(work: Path) -> None:
    for source in sorted(FUZZ.glob("fuzz_*.c")):
        target = source.stem
        made = [sys.executable, str(FUZZ / "make_corpus.py"), target, str(work / target)]
        subprocess.run(made, check=True, timeout=60)
        kept = sorted((FUZZ / "kept" / target).glob("*"))
        files = [str(path) for path in [*sorted((work / target).iterdir()), *kept]]
        run = subprocess.run(
            [str(BUILD / "tests" / "fuzz" / target), *files],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=300,
            env=environment() | QUIET,
            check=False,
        )
        check(
            run.returncode == 0 and f"{len(files)} files replayed" in run.stdout,
            f"{target} survives its seeds and what once broke it ({len(kept)} kept inputs)",
            run.stdout[-1000:] + run.stderr[-3000:],
        )


def replace(file: h5py.File, name: str, **how: object) -> None:
    data = file[name][()]
    del file[name]
    file.create_dataset(name, data=data, **how)


def without_storage(file: h5py.File, name: str, layout: str) -> None:
    """A dataset of the right shape and type whose storage is left to whoever opens it for writing."""
    old = file[name]
    create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    create.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
    if layout == "chunks":
        create.set_chunk((1,) * len(old.shape))
    space, kind = h5py.h5s.create_simple(old.shape), old.id.get_type()
    del file[name]
    h5py.h5d.create(file.id, name.encode(), kind, space, create)


def only_plain_stores_are_written(work: Path) -> None:
    store, config = make_store(work), work / "config.yaml"
    fit = ["fit", "--config", config, "--set", "fit.steps=20"]
    cases: list[tuple[str, str, Callable[[h5py.File], None], int]] = [
        (
            "a compressed store",
            "/params",
            lambda file: replace(file, "params", compression="gzip", chunks=(1, 4, 7)),
            0,
        ),
        (
            "checksums in chunks",
            "/view/checksum",
            lambda file: replace(file, "view/checksum", chunks=(1, 5)),
            0,
        ),
        ("params never allocated", "/params", lambda file: without_storage(file, "params", "one"), DATA),
        (
            "status never allocated",
            "/view/status",
            lambda file: without_storage(file, "view/status", "chunks"),
            0,
        ),
    ]
    for what, named, change, status in cases:
        with changed_bytes(store):
            with h5py.File(store, "r+") as file:
                change(file)
            before = store.read_bytes()
            check(polyview("verify", store, ranks=2).status == status, f"{what} can be read")
            refused(f"{what}: fit", fit, DATA, named, "h5repack")
            refused(f"{what}: repair", ["verify", store, "--repair"], DATA, named, "h5repack")
            check(store.read_bytes() == before, f"{what}: not a byte is changed")
    packed = work / "packed.h5"
    shutil.copy(store, packed)
    with h5py.File(packed, "r+") as file:
        replace(file, "params", compression="gzip", chunks=(1, 4, 7))
    if shutil.which("h5repack"):
        words = ["h5repack", "-l", "CONTI", "-f", "NONE", str(packed), str(work / "plain.h5")]
        subprocess.run(words, check=True, timeout=60)
        run = polyview("fit", "--store", work / "plain.h5", ranks=2)
        check(run.status == 0, "the copy that the message names can be written to", run)


def nothing_leads_out_of_a_file(work: Path) -> None:
    """Each of these made HDF5 open whatever the store names: a device, a pipe that nobody writes to."""
    store = make_store(work, storage={"shard_gib": 2.5e-6})
    one = work / "one.h5"
    polyview("fit", "--config", work / "config.yaml", "--store", one, "--set", "storage.shard_gib=0")
    model = work / "model.h5"
    polyview("train", "--config", work / "config.yaml", "--set", "train.epochs=1")
    os.mkfifo(work / "pipe")

    def elsewhere(file: h5py.File, name: str) -> None:
        shape, kind = file[name].shape, file[name].dtype
        del file[name]
        file.create_dataset(name, shape, kind, external=[(str(work / "pipe"), 0, h5py.h5f.UNLIMITED)])

    def linked(file: h5py.File, name: str) -> None:
        del file[name]
        file[name] = h5py.ExternalLink(str(work / "pipe"), "/params")

    def virtual(file: h5py.File, name: str) -> None:
        shape, kind = file[name].shape, file[name].dtype
        del file[name]
        layout = h5py.VirtualLayout(shape, kind)
        layout[...] = h5py.VirtualSource(str(work / "pipe"), "/params", shape)
        file.create_virtual_dataset(name, layout)

    weights = "model/" + next(name for name in tensor_names(model))
    evaluate = ["eval", "--model", model, "--store", one]
    cases: list[tuple[Path, str, list[object]]] = [
        (one, "params", ["verify", one]),
        (one, "view/status", ["info", one]),
        (one, "object/split", evaluate),
        (store, "shards", ["verify", store]),
        (model, weights, evaluate),
        (model, "norm/std", evaluate),
        (model, "inr_dims", evaluate),
    ]
    for path, name, words in cases:
        for how in (elsewhere, linked, virtual):
            with changed_bytes(path):
                with h5py.File(path, "r+") as file:
                    how(file, name)
                refused(f"{how.__name__}: {name} of {path.name} in {words[0]}", words, DATA, path.name, name)


def extents_may_be_any_number(work: Path) -> None:
    """Bytes of such an extent, counted in 64 bits, were none at all: what HDF5 filled in ran over them."""
    store, model = make_store(work), work / "model.h5"
    polyview("train", "--config", work / "config.yaml", "--set", "train.epochs=1")
    weights = "model/" + next(name for name in tensor_names(model))
    evaluate = ["eval", "--model", model, "--store", store]
    cases: list[tuple[Path, str, list[object]]] = [
        (store, "params", ["verify", store]),
        (store, "view/status", ["info", store]),
        (store, "object/label", evaluate),
        (model, weights, evaluate),
        (model, "norm/std", evaluate),
        (model, "inr_dims", evaluate),
    ]
    for path, name, words in cases:
        for shape, kind in (((2**62,), "f4"), ((2**61 + 1,), "f8"), ((2**32, 2**32), "u1")):
            with changed_bytes(path):
                with h5py.File(path, "r+") as file:
                    del file[name]
                    file.create_dataset(name, shape, kind, chunks=(64,) * len(shape))
                refused(f"{name} of {path.name} with {shape} entries", words, DATA, path.name)


def tensor_names(model: Path) -> list[str]:
    with h5py.File(model) as file:
        return list(file["model"])


def pictures_are_bounded(work: Path) -> None:
    store = make_store(work)
    render = ["render", store, "--object", 0, "-o", work / "x.png"]

    def signal(**keys: object) -> Callable[[h5py.File], None]:
        def change(file: h5py.File) -> None:
            text = file.attrs["signal"]
            text = text.decode() if isinstance(text, bytes) else str(text)
            for key, value in keys.items():
                text = text.replace(f'"{key}": {8 if key != "channels" else 1}', f'"{key}": {value}')
            file.attrs["signal"] = text

        return change

    for what, change, status, word in (
        ("images that are larger than the signal's", signal(height=3), DATA, "8 x 8"),
        ("channels that the INRs do not have", signal(channels=3), DATA, "channels"),
        ("images of 2^31 pixels a side", signal(height=2147483646, width=2147483646), (USAGE, DATA), ""),
    ):
        with changed_bytes(store):
            with h5py.File(store, "r+") as file:
                change(file)
            refused(what, render, status, word)
            (work / "images").rename(work / "away")
            refused(f"{what}, without the originals", render, status, "") if "larger" not in what else None
            (work / "away").rename(work / "images")


def truncated_stores(work: Path) -> None:
    store, config = make_store(work), work / "config.yaml"
    whole = store.read_bytes()
    cut = work / "cut.h5"
    for left in (0, 100, 3000, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:left])
        for words in (["verify", cut], ["fit", "--config", config, "--store", cut]):
            refused(f"{words[0]} on {left} of {len(whole)} bytes", words, DATA, cut.name)
        check(cut.read_bytes() == whole[:left], "a store that is cut short is left as it is")


if __name__ == "__main__":
    sys.exit(
        run_tests(
            fuzz_inputs_are_survived,
            only_plain_stores_are_written,
            nothing_leads_out_of_a_file,
            extents_may_be_any_number,
            pictures_are_bounded,
            truncated_stores,
        )
    )
