"""fit, verify, info, render: a store is the same bytes however it is made, h5py reads it, and damage is found."""

import ctypes
import ctypes.util
import json
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np

from harness import (
    changed_bytes,
    check,
    default_config,
    make_store,
    one_error,
    polyview,
    run_tests,
    skip,
    write_config,
    write_images,
)
from store_files import columns, same

OBJECTS, VIEWS, DIMS = 21 + 7 + 9, 2, [2, 6, 5, 1]
PARAMS = sum((a + 1) * b for a, b in zip(DIMS, DIMS[1:]))
TRAIN_FILE = 40


def contents(path: Path) -> dict[str, bytes]:
    """Every dataset's bytes, by name."""
    found: dict[str, bytes] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()].tobytes()}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def same_bytes_on_any_ranks(work: Path) -> None:
    write_images(work / "images")
    config, made = write_config(work), {}
    layouts = [(1, 0), (2, 0), (3, 0), (4, 0), (2, 1), (4, 1), (4, 2), (3, 2)]
    for ranks, node_ranks in layouts:
        store = work / f"{ranks}-{node_ranks}.h5"
        run = polyview(
            "fit", "--config", config, "--store", store, ranks=ranks, POLYVIEW_NODE_RANKS=node_ranks
        )
        nodes = -(-ranks // node_ranks) if node_ranks else 1
        check(
            run.status == 0
            and run.json["fitted"] == OBJECTS * VIEWS
            and (run.json["ranks"], run.json["nodes"]) == (ranks, nodes),
            f"{ranks} ranks on {nodes} nodes fit every view",
            run,
        )
        made[ranks, node_ranks] = contents(store)
    first = made[layouts[0]]
    for layout in layouts[1:]:
        different = [name for name in first if made[layout][name] != first[name]]
        check(not different, f"ranks and ranks a node {layout} make the same bytes as one rank", different)
    other = polyview("fit", "--config", config, "--store", work / "other.h5", "--set", "fit.seed=2")
    check(
        other.status == 0 and contents(work / "other.h5")["params"] != first["params"],
        "another seed makes other rows",
    )


def gzip_makes_the_same_rows(work: Path) -> None:
    write_images(work / "images")
    write_images(work / "packed", packed=True)
    config = write_config(work)
    polyview("fit", "--config", config)
    packed = polyview(
        "fit", "--config", config, "--store", work / "p.h5", "--set", f"signal.path={work}/packed"
    )
    check(
        packed.status == 0 and contents(work / "p.h5") == contents(work / "store.h5"),
        "gzip and plain files make the same store",
        packed,
    )


def finished_store_stays(work: Path) -> None:
    store = make_store(work)
    before = store.read_bytes()
    run = polyview("fit", "--config", work / "config.yaml", ranks=2)
    with h5py.File(store) as file:
        psnr = file["view/psnr"][()].astype("f8").mean()
    check(
        run.status == 0 and run.json["fitted"] == 0 and run.json["present"] == OBJECTS * VIEWS,
        "a second fit has nothing to do",
        run,
    )
    check(store.read_bytes() == before, "a second fit changes no byte of the file")
    check(abs(run.json["mean_psnr_db"] - psnr) < 1e-4, "mean_psnr_db is the mean of /view/psnr", run, psnr)
    for key, value in (("fit.lr", 0.004), ("fit.steps", 21), ("inr.w0", 29), ("signal.train", 20)):
        run = polyview("fit", "--config", work / "config.yaml", "--set", f"{key}={value}")
        check(
            one_error(run, 2, f"{key}:") and store.read_bytes() == before,
            f"another {key} is refused by name, and the store is left alone",
            run,
        )
    run = polyview("fit", "--config", work / "config.yaml", "--set", "fit.views=3", ranks=2)
    check(one_error(run, 2, "fit.views"), "another number of views is refused by name", run)
    moved = write_images(work / "moved")
    run = polyview("fit", "--config", work / "config.yaml", "--set", f"signal.path={moved}")
    check(run.status == 0 and run.json["fitted"] == 0, "the source files may move", run)


def missing_rows_are_fitted_again(work: Path) -> None:
    store = make_store(work)
    whole = contents(store)
    with h5py.File(store, "r+") as file:
        for view, item in ((0, 0), (1, 5), (1, 6), (0, OBJECTS - 1)):
            file["view/status"][view, item] = 0
            file["params"][view, item] = 0
            file["view/psnr"][view, item] = 0
    run = polyview("fit", "--config", work / "config.yaml", ranks=3)
    check(
        run.status == 0 and run.json["fitted"] == 4 and run.json["present"] == OBJECTS * VIEWS - 4,
        "fit fits the missing rows and no other",
        run,
    )
    check(contents(store) == whole, "rows fitted later are the same bytes")


def a_split_is_fitted_by_itself(work: Path) -> None:
    """Rows of the others are left to later runs, also where a growth put training objects behind them."""
    whole = work / "whole.h5"
    shutil.copy(make_store(work), whole)
    for words in (["extend", whole, "--objects", OBJECTS + 8, "--views", 3], ["fit", "--store", whole]):
        run = polyview(*words)
        check(run.status == 0, f"{words[0]} makes the store that all are compared with", run)
    for ranks, split in ((1, "train"), (2, "train"), (3, "test"), (4, "val")):
        store, number = work / f"{split}-{ranks}.h5", ["train", "val", "test"].index(split)
        shutil.copy(work / "store.h5", store)
        polyview("extend", store, "--objects", OBJECTS + 8, "--views", 3)
        run = polyview("fit", "--store", store, "--split", split, ranks=ranks)
        with h5py.File(store) as file:
            status, chosen = file["view/status"][()], file["object/split"][()] == number
        old = np.zeros_like(status, bool)
        old[:VIEWS, :OBJECTS] = True
        check(
            run.status == 0
            and run.json["split"] == split
            and np.array_equal(status == 1, old | chosen)
            and run.json["fitted"] == (chosen & ~old).sum()
            and run.json["present"] == OBJECTS * VIEWS,
            f"--split {split} on {ranks} rank(s) fits the rows of its objects alone",
            run,
            status,
        )
        again = polyview("fit", "--store", store, "--split", split, ranks=ranks)
        check(again.status == 0 and again.json["fitted"] == 0, "and finds nothing more", again)
        if split == "train":
            sets = ["--set", "train.views=3", "--set", f"train.output={work / f'model-{ranks}.h5'}"]
            trained = polyview(
                "train", "--config", work / "config.yaml", "--store", store, *sets, ranks=ranks
            )
            check(trained.status == 0, "which is enough for a training on all views", trained)
        rest = polyview("fit", "--store", store, ranks=ranks)
        check(
            rest.status == 0 and same(columns(store), columns(whole)),
            "a run without it fits the rest, to the same bytes",
            rest,
        )
    with h5py.File(work / "store.h5", "r+") as file:
        file["object/split"][:2] = [200, 33]
        file["view/status"][0, :3] = 0
    odd = polyview("fit", "--store", work / "store.h5", "--split", "train")
    with h5py.File(work / "store.h5") as file:
        left = file["view/status"][0, :3].tolist()
    check(
        odd.status == 0 and left == [0, 0, 1], "an object of no split is left to a run without it", odd, left
    )
    check(
        one_error(polyview("fit", "--store", whole, "--split", "training"), 2, "--split", "train, val, test"),
        "another split is refused",
    )


def every_instruction_set_works(work: Path) -> None:
    write_images(work / "images")
    config, psnr, used = write_config(work, fit={"steps": 60}), {}, {}
    run = polyview("fit", "--config", config, "--store", work / "none.h5", POLYVIEW_ISA="nonsense")
    check(
        one_error(run, 2, "POLYVIEW_ISA", "nonsense", "portable, avx2"),
        "an instruction set that nobody knows",
        run,
    )
    check(not (work / "none.h5").exists(), "makes no store")
    for isa in ("portable", "avx2", "avx512"):
        run = polyview("fit", "--config", config, "--store", work / f"{isa}.h5", POLYVIEW_ISA=isa)
        check(run.status == 0, f"POLYVIEW_ISA={isa} fits", run)
        psnr[isa], used[isa] = run.json["mean_psnr_db"], run.json["instruction_set"]
        with h5py.File(work / f"{isa}.h5") as file:
            check(
                file.attrs["instruction_set"].decode() == used[isa],
                f"the store made with POLYVIEW_ISA={isa} names what it was made with",
            )
        for other in ("portable", "avx2", "avx512"):
            run = polyview("verify", work / f"{isa}.h5", POLYVIEW_ISA=other)
            check(run.status == 0, f"which POLYVIEW_ISA={other} verifies", run)
    check(used["portable"] == "portable", "POLYVIEW_ISA=portable is obeyed")
    check(max(psnr.values()) - min(psnr.values()) < 0.5, "all reach the same mean PSNR within 0.5 dB", psnr)
    run = polyview("fit", "--config", config, "--store", work / "portable.h5")
    check(run.status == 0 and run.json["fitted"] == 0, "a store made with another set is resumed", run)


def documented_file(work: Path) -> None:
    store = make_store(work)
    rows = (VIEWS, OBJECTS)
    with h5py.File(store) as file:
        found: dict[str, tuple] = {}
        file.visititems(
            lambda name, item: (
                found.update({name: (item.dtype.str, item.shape)})
                if isinstance(item, h5py.Dataset) and name != "layout"
                else None
            )
        )
        expected = {
            "params": ("<f4", (*rows, PARAMS)),
            "view/status": ("|u1", rows),
            "view/checksum": ("<u8", rows),
            "view/psnr": ("<f4", rows),
            "view/steps": ("<u4", rows),
            "object/label": ("<i4", (OBJECTS,)),
            "object/split": ("|u1", (OBJECTS,)),
            "object/source": ("<u8", (OBJECTS,)),
            "object/digest": ("<u8", (OBJECTS,)),
        }
        check(found == expected, "a store holds the documented datasets, types and shapes", found)
        attributes = dict(file.attrs)
        check(
            {"polyview_kind", "polyview_version", "arch", "signal", "config"} <= set(attributes)
            and attributes["polyview_kind"] == b"store"
            and attributes["polyview_version"] == 1,
            "a store has the documented attributes",
            attributes,
        )
        arch, signal = json.loads(attributes["arch"]), json.loads(attributes["signal"])
        check((arch["dims"], arch["w0"], arch["offset"]) == (DIMS, 30, 0.5), "arch is JSON: dims, w0, offset")
        check(
            (signal["height"], signal["width"], signal["channels"], signal["classes"]) == (8, 8, 1, 4),
            "signal is JSON: the images' shape and the number of classes",
            signal,
        )
        layout, at = [], 0
        for i, (cols, out) in enumerate(zip(DIMS, DIMS[1:])):
            layout += [(f"seq.{i}.weight", at, out, cols), (f"seq.{i}.bias", at + out * cols, out, 1)]
            at += out * (cols + 1)
        stored = [(name.decode(), *map(int, rest)) for name, *rest in file["layout"][()].tolist()]
        check(stored == layout, "layout names every tensor of a row with its offset and shape", stored)
        labels = np.frombuffer((work / "images/train-labels-idx1-ubyte").read_bytes()[8:], "u1")
        tested = np.frombuffer((work / "images/t10k-labels-idx1-ubyte").read_bytes()[8:], "u1")
        source = np.r_[np.arange(21), np.arange(TRAIN_FILE - 7, TRAIN_FILE), TRAIN_FILE + np.arange(9)]
        check(
            np.array_equal(file["object/split"][()], [0] * 21 + [1] * 7 + [2] * 9)
            and np.array_equal(file["object/source"][()], source)
            and np.array_equal(file["object/label"][()], np.r_[labels, tested][source]),
            "objects are numbered train, val, test, with the labels of their sources",
        )
        check(
            (file["view/status"][()] == 1).all()
            and (file["view/steps"][()] == 20).all()
            and np.isfinite(file["params"][()]).all(),
            "every row is marked fitted, with its steps, and is finite",
        )
        check_checksums(file)


def check_checksums(file: h5py.File) -> None:
    statement = "checksum is XXH3-64 of the row"
    name = ctypes.util.find_library("xxhash")
    if not name:
        return skip(statement, "the library libxxhash is not found at run time")
    digest = ctypes.CDLL(name).XXH3_64bits
    digest.restype, digest.argtypes = ctypes.c_uint64, [ctypes.c_char_p, ctypes.c_size_t]
    params, stored = file["params"][()], file["view/checksum"][()]
    digests = [[digest(row.tobytes(), row.nbytes) for row in view] for view in params]
    return check(np.array_equal(np.array(digests, "u8"), stored), statement)


def damage_is_found(work: Path) -> None:
    store = make_store(work)
    check(polyview("verify", store, ranks=2).json.get("bad") == 0, "a new store verifies")
    with changed_bytes(store):
        with h5py.File(store, "r+") as file:
            row = file["params"][1, 17]
            row.view("u1")[50] ^= 1
            file["params"][1, 17] = row
        for ranks in (1, 3):
            run = polyview("verify", store, ranks=ranks)
            check(
                run.status == 3
                and len(run.errors) == 1
                and "view 1 of object 17" in run.stderr
                and (run.json["bad"], run.json["bad_rows"]) == (1, [[1, 17]]),
                f"one flipped bit is found on {ranks} ranks, and view and object are named",
                run,
            )
        row.view("u1")[50] ^= 1
        with h5py.File(store, "r+") as file:
            file["params"][1, 17] = row
        check(polyview("verify", store).status == 0, "the row put back verifies")
        with h5py.File(store, "r+") as file:
            file["params"][0, 3, 2] += 1
            file["params"][0, 30, 0] = 0
            file["view/checksum"][1, 36] += 1
            file["view/status"][1, 0] = 0
            file["params"][1, 0] = 0
        run = polyview("verify", store, ranks=4)
        check(
            run.status == 3
            and sorted(run.json["bad_rows"]) == [[0, 3], [0, 30], [1, 36]]
            and (run.json["fitted"], run.json["missing"]) == (OBJECTS * VIEWS - 1, 1),
            "bad rows on several ranks are all named; a missing row is no bad row",
            run,
        )
    run = polyview("verify", store, ranks=2)
    check(run.status == 0 and run.json["fitted"] == OBJECTS * VIEWS, "the file put back verifies", run)


def info_counts(work: Path) -> None:
    store = make_store(work)
    with h5py.File(store, "r+") as file:
        file["view/status"][0, 4] = 0
    for ranks in (1, 3):
        run = polyview("info", store, "--json", ranks=ranks)
        facts = [run.json.get(key) for key in ("views", "objects", "train", "val", "test", "rows", "fitted")]
        check(
            run.status == 0
            and facts == [VIEWS, OBJECTS, 21, 7, 9, VIEWS * OBJECTS, VIEWS * OBJECTS - 1]
            and run.json["params"] == PARAMS
            and run.json["arch"]["dims"] == DIMS
            and run.json["bytes"] == store.stat().st_size,
            f"info counts on {ranks} ranks",
            run,
        )
        check(len(run.stdout.splitlines()) == 1 and "fit:" not in run.stderr, "--json prints one line only")
    run = polyview("info", store)
    check(run.status == 0 and "views: 2" in run.stderr, "info shows the config on stderr")


def render_draws(work: Path) -> None:
    store, png = make_store(work), b"\x89PNG\r\n\x1a\n"
    run = polyview("render", store, "--object", 30, "--view", 1, "-o", work / "x.png", ranks=2)
    with h5py.File(store) as file:
        psnr = file["view/psnr"][1, 30]
    data = (work / "x.png").read_bytes()
    check(
        run.status == 0 and data.startswith(png) and data.endswith(b"IEND\xaeB`\x82"),
        "render writes a PNG",
        run,
    )
    check(abs(run.json["psnr_db"] - psnr) < 1e-3, "render tells the view's PSNR", run)
    wide = int.from_bytes(data[16:20], "big")
    (work / "images").rename(work / "away")
    run = polyview("render", store, "--object", 0, "--scale", 2, "-o", work / "y.png")
    narrow = int.from_bytes((work / "y.png").read_bytes()[16:20], "big")
    check(
        run.status == 0 and (wide, narrow) == (3 * 64 + 8, 2 * 16 + 4) and "warning" in run.stderr,
        "without the source files only the INR is drawn, with a warning",
        run,
    )
    run = polyview("render", store, "--object", OBJECTS, "-o", work / "z.png", ranks=2)
    check(one_error(run, 2, f"objects 0-{OBJECTS - 1}"), "an object that is not there is refused", run)
    run = polyview("render", store, "--object", 0, "-o", work / "no" / "z.png", ranks=2)
    check(one_error(run, 1, "z.png"), "a picture that cannot be written is named", run)


def results_are_one_line(work: Path) -> None:
    write_images(work / "images")
    run = polyview("fit", "--config", write_config(work), ranks=3)
    check(
        len(run.stdout.splitlines()) == 1
        and {"fitted", "mean_psnr_db", "inr_steps_per_s"} <= set(run.json)
        and run.json["inr_steps_per_s"] > 0,
        "fit ends with one JSON line that holds fitted, mean_psnr_db and inr_steps_per_s",
        run,
    )
    quiet = polyview("fit", "--config", work / "config.yaml", "--quiet")
    check(quiet.stderr == "" and quiet.json["command"] == "fit", "--quiet says nothing but the result", quiet)


def unreadable_recipes_are_named(work: Path) -> None:
    write_images(work / "images")
    config, page = write_config(work, fit={"views": 1}), "docs/recipes.md"
    cases = {
        "a rate above the study's on two ranks": (2, True, {"fit.steps": 100, "fit.lr": 2.1e-3}),
        "the highest rate that is read well": (1, False, {"fit.steps": 100, "fit.lr": 2e-3}),
        "fewer steps than were studied": (1, False, {"fit.steps": 99, "fit.lr": 5e-3}),
        "a shared start, which was not studied": (
            1,
            False,
            {"fit.steps": 100, "fit.lr": 5e-3, "fit.init": "shared"},
        ),
        "a rate that a lower w0 allows": (1, False, {"fit.steps": 100, "fit.lr": 5e-3, "inr.w0": 10}),
        "a rate that a higher w0 forbids": (1, True, {"fit.steps": 100, "fit.lr": 1.5e-3, "inr.w0": 60}),
    }
    for number, (name, (ranks, warns, keys)) in enumerate(cases.items()):
        words = [word for key, value in keys.items() for word in ("--set", f"{key}={value}")]
        run = polyview("fit", "--config", config, "--store", work / f"{number}.h5", *words, ranks=ranks)
        lines = [line for line in run.stderr.splitlines() if page in line]
        check(
            run.status == 0
            and run.json["fitted"] == OBJECTS
            and len(lines) == warns
            and all("warning: fit.lr is " in line for line in lines),
            f"{name}: fit {'warns once and names the page' if warns else 'does not warn'}, and fits",
            run,
        )
    check((Path(__file__).parents[2] / page).exists(), "the page is there")
    again = polyview("fit", "--store", work / "0.h5")
    check(
        again.status == 0 and page not in again.stderr,
        "a store that is resumed is as it is: no warning",
        again,
    )


def splits_may_be_empty(work: Path) -> None:
    write_images(work / "images")
    for name, counts in (("one", (1, 0, 0)), ("none", (0, 3, 2)), ("few", (2, 1, 0))):
        keys = default_config(work)["signal"] | dict(zip(("train", "val", "test"), counts))
        config = write_config(work, signal=keys, store=str(work / f"{name}.h5"), fit={"views": 1})
        run = polyview("fit", "--config", config, ranks=4, POLYVIEW_NODE_RANKS=2)
        check(run.status == 0 and run.json["fitted"] == sum(counts), f"splits of {counts} objects fit", run)
        run = polyview("verify", work / f"{name}.h5", ranks=4)
        check(run.status == 0 and run.json["fitted"] == sum(counts), f"splits of {counts} verify", run)


def main() -> int:
    return run_tests(
        same_bytes_on_any_ranks,
        gzip_makes_the_same_rows,
        finished_store_stays,
        missing_rows_are_fitted_again,
        a_split_is_fitted_by_itself,
        every_instruction_set_works,
        documented_file,
        damage_is_found,
        info_counts,
        render_draws,
        results_are_one_line,
        unreadable_recipes_are_named,
        splits_may_be_empty,
    )


if __name__ == "__main__":
    sys.exit(main())
