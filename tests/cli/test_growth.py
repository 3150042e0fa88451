"""Stores that grow and that lie in shards: the rows are those of a store made at once, whatever is killed on the way."""

import random
import shutil
import signal
import sys
import time
from pathlib import Path

import h5py
import numpy as np

from harness import (
    ROOT,
    Process,
    check,
    launch,
    make_store,
    polyview,
    refused,
    run_tests,
    skip,
    write_config,
)

from store_files import COLUMNS, columns, copy_store, same, shard_files

sys.path.insert(0, str(ROOT / "analysis"))
from polyview.store import Store  # noqa: E402

OBJECTS, VIEWS = 21 + 7 + 9, 2
SMALL_SHARD = "storage.shard_gib=0.0000025"  # some rows of the test's INRs
BILLION = 70_000 * 14_286


def by_source(made: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns in the order of the objects' source ids."""
    order = np.argsort(made["object/source"])
    return {name: made[name][:, order] if made[name].ndim > 1 else made[name][order] for name in COLUMNS}


def shards_hold_the_same_rows(work: Path) -> None:
    whole = columns(make_store(work))
    config = work / "config.yaml"
    for ranks in (1, 2, 3, 4):
        store = work / f"sharded-{ranks}.h5"
        run = polyview("fit", "--config", config, "--store", store, "--set", SMALL_SHARD, ranks=ranks)
        files = shard_files(store)
        check(
            run.status == 0 and len(files) > 3 and same(columns(store), whole),
            f"{ranks} ranks fit a store of shards, and h5py sees the rows of a store in one file",
            run,
            files,
        )
        check(
            max(file.stat().st_size for file in files) < (work / "store.h5").stat().st_size,
            "every shard is smaller than the store in one file",
        )
        verified = polyview("verify", store, ranks=ranks)
        check(
            verified.status == 0 and verified.json["fitted"] == OBJECTS * VIEWS, "verify reads it", verified
        )
        again = polyview("fit", "--store", store, ranks=ranks)
        check(again.status == 0 and again.json["fitted"] == 0, "fit --store finds nothing left to do", again)
    info = polyview("info", store, "--json")
    check(info.json["shards"] == len(files), "info counts the shards", info)
    part = polyview("verify", files[1])
    check(part.status == 0 and part.json["fitted"] > 0, "a shard can be verified alone", part)
    refused(
        "fitting a shard alone", ["fit", "--store", files[1]], 3, files[1].name, "shard of a larger store"
    )
    with Store(store) as reader:
        check(
            np.array_equal(reader.block(1, 0, OBJECTS), whole["params"][1]),
            "the Python reader reads across shards",
        )
    trained = polyview("train", "--config", config, "--store", store, ranks=2)
    check(trained.status == 0, "a network is trained on it", trained)
    moved = work / "elsewhere"
    moved.mkdir()
    shutil.move(store, moved / store.name)
    shutil.move(f"{store}.shards", moved / f"{store.name}.shards")
    check(same(columns(moved / store.name), whole), "master and shards can move together")
    files = shard_files(moved / store.name)
    files[1].unlink()
    try:
        Store(moved / store.name)
        check(False, "the Python reader refuses a store that lost a shard")
    except FileNotFoundError as error:
        check(
            str(files[1]) in str(error),
            "the Python reader refuses a store that lost a shard, and names it",
            error,
        )
    refused("a store that lost a shard", ["verify", moved / store.name], 1, files[1].name, "No such file")


def grown_stores_equal_whole_ones(work: Path) -> None:
    store, config = make_store(work), work / "config.yaml"
    before, inode, first = columns(store), store.stat().st_ino, store.read_bytes()
    polyview(
        "fit",
        "--config",
        config,
        "--store",
        work / "whole.h5",
        "--set",
        "fit.views=4",
        "--set",
        "signal.train=29",
    )
    whole = by_source(columns(work / "whole.h5"))
    for ranks in (1, 2, 3, 4):
        grown = work / f"grown-{ranks}.h5"
        polyview("fit", "--config", config, "--store", grown)
        old = grown.read_bytes()
        one = polyview("extend", grown, "--views", 3, ranks=ranks)
        check(
            one.status == 0 and one.json["added"] == OBJECTS, f"{ranks} ranks extend a store by a view", one
        )
        now = columns(grown)
        check(
            all(
                np.array_equal(now[name][:VIEWS], before[name])
                for name in COLUMNS
                if name.startswith(("p", "v"))
            )
            and not now["view/status"][VIEWS:].any(),
            "its rows are as they were, the new ones are missing",
        )
        two = polyview("extend", grown, "--views", 4, "--objects", 45, "--set", SMALL_SHARD, ranks=ranks)
        check(
            two.status == 0 and two.json["rows"] == 4 * 45, "then by a view and objects, in small shards", two
        )
        check(shard_files(grown)[0].read_bytes() == old, "its first file was not written to")
        fitted = polyview("fit", "--store", grown, ranks=ranks)
        check(
            fitted.status == 0 and fitted.json["fitted"] == 4 * 45 - OBJECTS * VIEWS,
            "fit fits the new rows",
            fitted,
        )
        check(same(by_source(columns(grown)), whole), "it holds the rows of a store made at once", fitted)
        check(polyview("verify", grown, ranks=ranks).status == 0, "which pass their checksums")
    check(store.stat().st_ino == inode and store.read_bytes() == first, "another store is untouched")
    rest = polyview("fit", "--config", config, "--store", grown, "--set", "signal.train=29")
    check(
        rest.status == 0 and rest.json["fitted"] == 0, "a config of fewer views resumes a grown store", rest
    )
    refused(
        "another train split",
        ["fit", "--config", config, "--store", grown],
        2,
        "signal.train: 21 here, 29 in",
    )
    more = ["fit", "--config", config, "--store", grown, "--set", "signal.train=29", "--set", "fit.views=5"]
    refused("a config of more views", more, 2, "fit.views is 5", "extend")
    refused("shrinking", ["extend", grown, "--views", 1], 2, "cannot shrink")
    before = Path(grown).read_bytes()
    run = polyview("extend", grown, "--views", 4)
    check(
        run.status == 0 and run.json["added"] == 0,
        "a size that is reached is no error: nothing is added",
        run,
    )
    check(Path(grown).read_bytes() == before, "and the store is left as it was")
    refused("extend without a size", ["extend", grown], 2, "--views or --objects")
    refused("more objects than the train file", ["extend", grown, "--objects", 999], 2, "signal.train")
    lr = ["extend", grown, "--views", 9, "--set", "fit.lr=1"]
    refused("another recipe in extend", lr, 2, "fit.lr")


def an_interrupted_extend_changes_nothing(work: Path) -> None:
    store, rng = make_store(work), random.Random(11)
    before, trials, kept, grown = columns(store), 24, 0, 0
    instant = polyview(
        "extend", copy_store(store, work / "model.h5"), "--views", 40, "--set", SMALL_SHARD
    ).seconds
    for trial in range(trials):
        victim = copy_store(store, work / f"victim-{trial}.h5")
        process = Process(launch(["extend", victim, "--views", 40, "--set", SMALL_SHARD], 1))
        directory = Path(f"{victim}.shards")
        time.sleep(rng.uniform(0.5, 1.2) * instant)
        process.signal(signal.SIGKILL)
        process.finish()
        now = columns(victim)
        views = len(now["params"])
        kept, grown = kept + (views == VIEWS), grown + (views == 40)
        instant *= (
            1.15 if views == VIEWS else 0.9
        )  # towards the moment of growth, however busy the machine is
        sound = views in (VIEWS, 40) and np.array_equal(now["params"][:VIEWS], before["params"])
        if not sound or trial % 8 == 0:
            check(
                sound,
                f"killed in the middle of extend, trial {trial}: the store is the old one or the new one",
                views,
            )
            again = polyview("extend", victim, "--views", 42)
            check(again.status == 0 and again.json["views"] == 42, "and it can be extended again", again)
            check(np.array_equal(columns(victim)["params"][:VIEWS], before["params"]), "with its rows")
        shutil.rmtree(directory, ignore_errors=True)
        victim.unlink()
    check(
        kept + grown == trials and kept * grown > 0,
        f"of {trials} killed, {kept} stayed as they were, {grown} had grown",
    )


def a_billion_rows_are_addressed(work: Path) -> None:
    store = work / "billion.h5"
    source = Path("/usr/share/datasets/fashion-mnist")
    if not source.is_dir():
        skip("a billion rows are addressed", "dataset-fashion-mnist is not installed")
        return
    config = write_config(
        work,
        store=str(store),
        signal={"path": str(source), "train": 55000, "val": 5000, "test": 10000},
        inr={"hidden": [32, 32]},
        fit={"views": BILLION // 70_000, "steps": 100000},
        storage={"shard_gib": 96, "reserve": False},
    )
    run = polyview("fit", "--config", config, "--max-hours", 8e-3, ranks=2, timeout=240)
    if "File too large" in run.stderr or "too large" in run.stderr:
        skip("a billion rows are addressed", "the file system does not hold sparse files of 96 GiB")
        return
    check(run.status == 75 and run.json["rows"] >= 1e9, "a store of a billion rows is made, sparsely", run)
    info = polyview("info", store, "--json", ranks=2, timeout=240)
    check(
        info.json["rows"] == BILLION and info.json["bytes"] > 4e12 and info.json["bytes_on_disk"] < 1e9,
        f"it is {info.json['bytes'] / 1e12:.1f} TB long and takes {info.json['bytes_on_disk'] / 1e6:.0f} MB",
        info,
    )
    row, last = np.linspace(-1, 1, info.json["params"], dtype="f4"), shard_files(store)[-1]
    check(len(shard_files(store)) > 40, "in dozens of shards")
    with h5py.File(last, "r+") as file:  # by hand: the very last row, good, and the one before it, bad
        for place, status in ((-1, 1), (-2, 1)):
            file["params"][-1, place] = row
            file["view/status"][-1, place] = status
            file["view/checksum"][-1, place] = 7
    verified = polyview("verify", store, ranks=2, timeout=400)
    view, objects = BILLION // 70_000 - 1, (69_998, 69_999)
    check(
        verified.status == 3 and verified.json["bad_rows"] == [[view, o] for o in objects],
        "verify names the last rows when their checksums are wrong",
        verified,
    )
    with h5py.File(store) as file:
        check(
            file["params"].shape[:2] == (view + 1, 70_000)
            and np.array_equal(file["params"][view, 69_999], row),
            "h5py reads the last row through the master file",
        )
    drawn = polyview(
        "render", store, "--object", 69_999, "--view", view, "-o", work / "last.png", timeout=120
    )
    check(drawn.status == 0, "and render draws it", drawn)
    shutil.rmtree(f"{store}.shards")


if __name__ == "__main__":
    sys.exit(
        run_tests(
            shards_hold_the_same_rows,
            grown_stores_equal_whole_ones,
            an_interrupted_extend_changes_nothing,
            a_billion_rows_are_addressed,
        )
    )
