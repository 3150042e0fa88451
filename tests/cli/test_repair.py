"""What becomes of a store's rows: flipped bits are found and repaired, damaged tables refused; a run ends at its time
limit, and info tells how rows were made."""

import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path

import h5py
import numpy as np

from harness import (
    Process,
    check,
    launch,
    make_store,
    one_error,
    polyview,
    refused,
    run_tests,
    some_rows,
    write_config,
    write_images,
)
from store_files import columns, copy_store, same, shard_files

OBJECTS, VIEWS = 21 + 7 + 9, 2


def flip(path: Path, name: str, places: list[int]) -> None:
    """Flips bits of a contiguous dataset, counted from its first byte."""
    with h5py.File(path) as file:
        start = file[name].id.get_offset()
    with open(path, "r+b") as file:
        for bit in places:
            file.seek(start + bit // 8)
            byte = file.read(1)[0]
            file.seek(start + bit // 8)
            file.write(bytes([byte ^ (1 << bit % 8)]))


def flipped_bits_are_found_and_repaired(work: Path) -> None:
    store, rng = make_store(work), random.Random(3)
    good = columns(store)
    params = good["params"].shape[2]
    bits = OBJECTS * VIEWS * params * 32
    found = 0
    for round_ in range(20):
        places = rng.sample(range(bits), 25)
        flip(store, "params", places)
        rows = sorted({divmod(place // (32 * params), OBJECTS) for place in places})
        run = polyview("verify", store, ranks=1 + round_ % 4)
        named = [tuple(row) for row in run.json.get("bad_rows", [])]
        found += 25 if run.status == 3 and named == rows else 0
        repaired = polyview("verify", store, "--repair", ranks=1 + (round_ + 1) % 4)
        whole = same(columns(store), good)
        if repaired.status != 0 or not whole or repaired.json["repaired"] != len(rows):
            check(False, f"round {round_}: 25 flipped bits are repaired", run, repaired)
            return
    check(found == 500, "500 bits flipped in /params are all found, and their rows named", found)
    check(same(columns(store), good), "--repair restores the original bytes")
    check(
        repaired.json["same_checksum"] == len(rows),
        "and says that the new rows have the checksums that the old ones had",
        repaired,
    )
    flip(store, "view/checksum", [5 * 64 + 3])
    flip(store, "view/status", [8 * 9 + 3])  # 1 becomes 9, which no row has
    with h5py.File(store, "r+") as file:
        file["view/status"][1, 3:7] = 0
        file["params"][1, 3:7] = 0
    run = polyview("verify", store)
    check(
        run.status == 3 and run.json["bad_rows"] == [[0, 5], [0, 9]] and run.json["missing"] == 4,
        "a flipped bit of a checksum or a status is found too",
        run,
    )
    repaired = polyview("verify", store, "--repair", ranks=2)
    check(
        repaired.status == 0 and repaired.json["repaired"] == 6 and same(columns(store), good),
        "missing rows are fitted with the bad ones",
        repaired,
    )
    nothing = polyview("verify", store, "--repair")
    check(nothing.status == 0 and "repaired" not in nothing.json, "a sound store is left alone", nothing)
    shutil.move(work / "images", work / "gone")
    flip(store, "params", [77])
    refused("repair without the source images", ["verify", store, "--repair"], 1, "signal.path")
    check(polyview("verify", store).json["bad"] == 1, "and the bad row stays as it was")


def info_tells_how_it_was_made(work: Path) -> None:
    store = make_store(work)
    info = polyview("info", store, "--json", ranks=2).json
    psnr = columns(store)["view/psnr"].ravel()
    expected = [
        [int(b), int((np.floor(psnr) == b).sum())] for b in range(int(psnr.min()), int(psnr.max()) + 1)
    ]
    check(
        info["psnr_histogram"] == expected,
        "info bins the PSNRs by whole dB",
        info["psnr_histogram"],
        expected,
    )
    check(
        info["runs"] == 1 and info["runs_fitted"] == OBJECTS * VIEWS and info["inr_steps_per_s"] > 0,
        "it tells the rate of the runs that made the store",
        info,
    )
    polyview("extend", store, "--views", 3)
    polyview("fit", "--store", store, ranks=2)
    runs = [json.loads(line) for line in Path(f"{store}.runs.jsonl").read_text().splitlines()]
    check(
        [run["command"] for run in runs] == ["fit", "extend", "fit"]
        and [runs[i]["result"]["fitted"] for i in (0, 2)] == [OBJECTS * VIEWS, OBJECTS]
        and runs[2]["ranks"] == 2,
        "every run adds its record",
        runs,
    )


def a_run_ends_at_its_time_limit(work: Path) -> None:
    write_images(work / "images")
    config = write_config(work, fit={"views": 50, "steps": 200000})
    for ranks in (1, 2, 4):
        run = polyview("fit", "--config", config, "--max-hours", 1 / 3600, ranks=ranks)
        check(run.status == 75 and run.seconds < 11, f"{ranks} ranks end with status 75 at --max-hours", run)
    quick = write_config(work, "quick.yaml", store=str(work / "quick.h5"), fit={"views": 500, "steps": 2000})
    process = Process(launch(["fit", "--config", quick, "--grace", 8], 2))
    process.wait_for(lambda: some_rows(work / "quick.h5"))
    process.signal(signal.SIGUSR1)
    run = process.finish()
    check(
        run.status == 75 and run.json["steps"] == 2000 * run.json["fitted"] > 0,
        "with --grace the fits in flight end: no step is lost",
        run,
    )
    check(
        one_error(polyview("fit", "--config", config, "--max-hours", "soon"), 2, "--max-hours"),
        "hours are numbers",
    )
    check(
        one_error(polyview("verify", work / "store.h5", "--grace", "1"), 2, "--repair"),
        "grace goes with --repair",
    )


def damaged_shard_tables_are_refused(work: Path) -> None:
    store = make_store(work, storage={"shard_gib": 2.5e-6})
    os.link(shard_files(store)[0], work / "outside.h5")
    for what, field, value, word in (
        ("an overlap", "first_object", 1, "overlap"),
        ("a gap", "objects", 1, "rows of"),
        ("a negative box", "views", -1, "shard 0"),
        ("a name outside", "file", b"../outside.h5", "shard 0"),
        ("an absolute name", "file", str(work / "outside.h5").encode(), "shard 0"),
    ):
        damaged = copy_store(store, work / "damaged.h5")
        with h5py.File(damaged, "r+") as file:
            table = file["shards"][()]
            table[0][field] = value
            file["shards"][...] = table
        refused(f"{what} in /shards", ["verify", damaged], 3, "damaged.h5", word)
        shutil.rmtree(f"{damaged}.shards")


def data_that_have_moved_are_named_a_new_place(work: Path) -> None:
    store = make_store(work)
    good = columns(store)
    fewer = [1, 2, 3]
    (work / "images").rename(work / "elsewhere")
    for ranks in (1, 2, 3):
        with h5py.File(store, "r+") as file:
            file["view/status"][0, fewer] = 0
            file["params"][1, fewer] += 1
        for words in (["fit", "--store", store], ["verify", store, "--repair"]):
            run = polyview(*words, ranks=ranks)
            what = f"{words[0]} without the data, {ranks} ranks"
            check(
                one_error(run, (1, 2, 3), "images") and "--set signal.path=" in run.stderr,
                f"{what}, says how",
                run,
            )
            run = polyview(
                *words, "--set", "fit.steps=21", "--set", f"signal.path={work / 'elsewhere'}", ranks=ranks
            )
            check(one_error(run, 2, "fit.steps", store), f"{what}: no other recipe", run)
            run = polyview(*words, "--set", f"signal.path={work / 'elsewhere'}", ranks=ranks)
            check(run.status == 0, f"{what}: a new place is taken", run)
        check(same(columns(store), good), "the rows are what they were")
    refused("--set without a repair", ["verify", store, "--set", "signal.path=x"], 2, "--repair")


if __name__ == "__main__":
    sys.exit(
        run_tests(
            flipped_bits_are_found_and_repaired,
            info_tells_how_it_was_made,
            a_run_ends_at_its_time_limit,
            damaged_shard_tables_are_refused,
            data_that_have_moved_are_named_a_new_place,
        )
    )
