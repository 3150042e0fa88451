"""Files of an older version (tests/older, made by c72bc00) open, go on, and answer as they did then."""

import json
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np

from harness import ROOT, Run, check, one_error, polyview, run_tests

OLDER = ROOT / "tests" / "older"
TOLD = json.loads((OLDER / "told.json").read_text())
COLUMNS = (
    "params view/status view/checksum view/psnr view/steps object/label object/split object/source".split()
)
STORES, MODELS = {"image": 3, "sine": 2}, ("dws", "mlp", "gnn", "inr2vec")


def here(work: Path) -> Path:
    return Path(shutil.copytree(OLDER, work / "older", ignore=shutil.ignore_patterns("*.py", "__pycache__")))


def call(work: Path, *words: object, ranks: int = 1) -> Run:
    return polyview(*words, "--quiet", cwd=work, ranks=ranks, POLYVIEW_ISA="portable")


def differences(store: Path, later: Path) -> list[str]:
    """The columns of a store that are not, bit by bit, those of the same views in the other."""
    found = []
    with h5py.File(store) as file, h5py.File(later) as other:
        views = len(file["view/status"])
        for name in [name for name in (*COLUMNS, "object/digest") if name in other]:
            want = other[name][()][:views] if file[name].ndim > 1 else other[name][()]
            if file[name][()].tobytes() != want.tobytes():
                found.append(name)
    return found


def losses(path: Path) -> list[dict[str, str]]:
    """Of every step and every epoch, the losses as they are written."""
    lines = [json.loads(line, parse_float=str) for line in path.read_text().splitlines()]
    return [
        {key: line[key] for key in ("epoch", "batch", "loss", "train_loss", "val_loss") if key in line}
        for line in lines
        if line["event"] in ("step", "epoch")
    ]


def same_losses(found: list[dict], whole: list[dict], digits: bool) -> bool:
    """Every digit; or nearly, where BLAS has a hand in them, whose roundings are the machine's."""
    if digits or len(found) != len(whole):
        return found == whole
    return all(
        one.keys() == other.keys() and all(abs(float(one[key]) - float(other[key])) < 1e-5 for key in one)
        for one, other in zip(found, whole)
    )


def stores_go_on(work: Path) -> None:
    work = here(work)
    for name, views in STORES.items():
        store, later = work / f"{name}.h5", work / f"{name}-later.h5"
        for path in (store, later):
            run = call(work, "verify", path)
            check(run.status == 0 and run.json["bad"] == 0, f"{path.name}: every row has its checksum", run)
        with h5py.File(store) as file:
            status = file["view/status"][()]
        check(0 < status.sum() < status.size, f"{name}.h5 is half fitted")
        run = call(work, "fit", "--config", f"{name}.yaml", "--store", store, ranks=2)
        check(
            run.status == 0
            and run.json["fitted"] == int(np.sum(status == 0))
            and differences(store, later) == [],
            f"{name}.h5 is filled by its old config with the rows of the older version, every bit",
            run,
            differences(store, later),
        )
        grown = call(work, "extend", store, "--views", views)
        run = call(work, "fit", "--store", store, ranks=2)
        check(
            grown.status == run.status == 0 and differences(store, later) == [],
            f"{name}.h5 grows by the view of the older version, every bit",
            grown,
            run,
            differences(store, later),
        )
        run = call(work, "fit", "--store", later)
        check(
            run.status == 0 and run.json["fitted"] == 0 and run.json["rows"] == TOLD[name]["rows"],
            f"{name}-later.h5 misses nothing",
            run,
        )


def another_config_is_refused(work: Path) -> None:
    """What the old file says is read, not only passed over."""
    work = here(work)
    for name, key, value in (("image", "fit.lr", 0.01), ("sine", "inr.w0", 20), ("sine", "signal.seed", 4)):
        words = ["fit", "--config", f"{name}.yaml", "--store", f"{name}.h5"]
        run = call(work, *words, "--set", f"{key}={value}")
        check(
            one_error(run, 2, f"{key}: "),
            f"{name}.h5 is not filled with another {key}",
            run,
        )


def trainings_go_on(work: Path) -> None:
    work = here(work)
    for name in MODELS:
        whole = losses(work / f"{name}-later.h5.jsonl")
        before = losses(work / f"{name}.h5.jsonl")
        run = call(work, "train", "--config", f"{name}.yaml")
        found = losses(work / f"{name}.h5.jsonl")
        check(
            run.status == 0 and before == whole[: len(before)] and len(before) < len(found),
            f"{name}: the training of the older version goes on",
            run,
        )
        check(
            same_losses(found, whole, digits=name != "mlp"),
            f"{name}: it ends with the losses of the older version",
            next((pair for pair in zip(whole, found) if pair[0] != pair[1]), (len(whole), len(found))),
        )
        told = TOLD[name]["train"]
        wrong = {key: (told[key], run.json.get(key)) for key in told if run.json.get(key) != told[key]}
        check(wrong == {}, f"{name}: and with its result", wrong)
        run = call(work, "train", "--config", f"{name}.yaml", "--set", "train.lr=0.1")
        check(
            one_error(run, 2, "train.lr: "),
            f"{name}: it does not go on with another learning rate",
            run,
        )


def models_answer(work: Path) -> None:
    work = here(work)
    for name in MODELS:
        words = ["--model", f"{name}.h5", "--store", "image-later.h5"]
        runs = {"probe": call(work, "probe", *words, "--method", "knn", "--neighbours", 3)}
        if "eval" in TOLD[name]:
            runs["eval"] = call(work, "eval", *words)
        for command, run in runs.items():
            told = TOLD[name][command]
            wrong = {key: (told[key], run.json.get(key)) for key in told if run.json.get(key) != told[key]}
            check(run.status == 0 and wrong == {}, f"{name}: {command} gives the answer of then", wrong, run)


if __name__ == "__main__":
    sys.exit(run_tests(stores_go_on, another_config_is_refused, trainings_go_on, models_answer))
