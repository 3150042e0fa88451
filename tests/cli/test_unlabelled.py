"""Stores that lack labels, a split or a number: trained on and judged as far as they go, else refused in a sentence."""

import shutil
from pathlib import Path

import h5py
import numpy as np

from harness import check, make_store, one_error, polyview, run_tests, write_config

TRAIN, VAL, TEST = 0, 1, 2
MIXED = "augment=[{kind: negation}, {kind: mixup_aligned}]"


def changed(work: Path, name: str, **columns: object) -> Path:
    """A copy of the store with other labels or splits: for every column a function of (splits, labels)."""
    store = work / f"{name}.h5"
    shutil.copy(work / "store.h5", store)
    with h5py.File(store, "r+") as file:
        splits, labels = file["object/split"][()], file["object/label"][()]
        for column, change in columns.items():
            file[f"object/{column}"][...] = change(splits, labels)
    return store


def without(split: int, every: int = 1):
    """Labels but those of every so many objects of a split."""

    def change(splits: np.ndarray, labels: np.ndarray) -> np.ndarray:
        gone = np.flatnonzero(splits == split)[::every]
        labels = labels.copy()
        labels[gone] = -1
        return labels

    return change


def train(work: Path, store: Path, ranks: int, *sets: str):
    words = [word for key in (*sets, f"train.output={store}.model") for word in ("--set", key)]
    return polyview(
        "train", "--config", work / "config.yaml", "--store", store, "--fresh", *words, ranks=ranks
    )


def labels_are_learned_where_there_are_some(work: Path) -> None:
    make_store(work)
    none = changed(work, "none", label=lambda splits, labels: np.full_like(labels, -1))
    some = changed(work, "some", label=without(TRAIN, 4))
    for ranks in (1, 2, 3, 4):
        for store, which in ((none, "no"), (some, "some")):
            run = train(work, store, ranks)
            check(
                one_error(run, 3, store, "no label", "simclr"),
                f"{which} labels are refused, {ranks} ranks",
                run,
            )
        for augment in ("augment=[{kind: negation}, {kind: weights_only}]", MIXED):
            for store in (none, some):
                run = train(work, store, ranks, "train.task=simclr", augment)
                check(
                    run.status == 0 and run.json["train_loss"] > 0,
                    f"simclr learns {store.stem} labels with {augment}, {ranks} ranks",
                    run,
                )


def what_has_no_label_is_not_measured(work: Path) -> None:
    make_store(work)
    losses = {}
    for ranks in (1, 2, 3, 4):
        for name, split, every in (("val", VAL, 1), ("test", TEST, 1), ("half", VAL, 2)):
            store = changed(work, name, label=without(split, every))
            run = train(work, store, ranks, "train.epochs=2")
            unknown = [key for key in ("best_val_accuracy", "test_accuracy") if run.json.get(key) is None]
            expected = {"val": ["best_val_accuracy"], "test": ["test_accuracy"], "half": []}[name]
            check(
                run.status == 0 and unknown == expected, f"{name} without labels trains, {ranks} ranks", run
            )
            losses.setdefault(name, run.json.get("train_loss"))
            check(
                abs(run.json["train_loss"] - losses[name]) < 1e-3 * losses[name],
                "to the same loss",
                run,
                losses,
            )
    model = work / "half.h5.model"
    half = changed(work, "halftest", label=without(TEST, 2))
    none = changed(work, "notest", label=without(TEST))
    for ranks in (1, 2, 3, 4):
        run = polyview("eval", "--model", model, "--store", none, ranks=ranks)
        check(
            one_error(run, 3, none, "label", "--logits"),
            f"eval refuses a split without labels, {ranks} ranks",
            run,
        )
        run = polyview("eval", "--model", model, "--store", none, "--logits", work / "l.h5", ranks=ranks)
        with h5py.File(work / "l.h5") as file:
            right = file["logits"].shape[0] == 9 and bool((file["label"][()] == -1).all())
        check(
            run.status == 0 and run.json["samples"] == 0 and run.json["accuracy"] is None and right,
            f"but writes its logits, {ranks} ranks",
            run,
        )
        run = polyview("eval", "--model", model, "--store", half, "--logits", work / "l.h5", ranks=ranks)
        with h5py.File(work / "l.h5") as file:
            labels, logits = file["label"][()], file["logits"][()]
        known = labels >= 0
        accuracy = float((logits[known].argmax(1) == labels[known]).mean())
        check(
            run.status == 0
            and run.json["samples"] == known.sum() == sum(row["samples"] for row in run.json["per_class"])
            and abs(run.json["accuracy"] - accuracy) < 1e-6
            and "5 of 9 samples have no label" in run.stderr,
            f"figures are of the labelled samples, {ranks} ranks",
            run,
        )


def components_need_no_labels(work: Path) -> None:
    make_store(work)
    none = changed(work, "none", label=lambda splits, labels: np.full_like(labels, -1))
    for ranks in (1, 2, 3, 4):
        raw = ["probe", "--features", "raw"]
        pca = [*raw, "--method", "pca", "--output", work / "c.h5", "--store"]
        drawn = {}
        for store in (work / "store.h5", none):
            run = polyview(*pca, store, ranks=ranks)
            check(run.status == 0, f"components of {store.stem} labels, {ranks} ranks", run)
            with h5py.File(work / "c.h5") as file:
                drawn[store.stem] = file["coordinates"][()]
                labels = file["label"][()]
        same = np.allclose(drawn["store"], drawn["none"], atol=1e-9) and (labels == -1).all()
        check(same, "which do not depend on them", drawn)
        run = polyview(*raw, "--method", "knn", "--store", none, ranks=ranks)
        check(one_error(run, 3, "no label"), f"neighbours need labels, {ranks} ranks", run)


def a_split_may_be_missing(work: Path) -> None:
    make_store(work)
    lacks = {
        "noval": {VAL: TRAIN},
        "notest": {TEST: TRAIN},
        "trainonly": {VAL: TRAIN, TEST: TRAIN},
        "notrain": {TRAIN: TEST},
    }
    for name, moves in lacks.items():
        move = {0: 0, 1: 1, 2: 2} | moves
        store = changed(work, name, split=lambda splits, _, move=move: [move[int(split)] for split in splits])
        for ranks in (1, 2, 3, 4):
            for task in ("simclr", "classify"):  # eval takes the last model
                sets = [f"train.task={task}"] + [MIXED] * (task == "simclr")
                run = train(work, store, ranks, *sets)
                if name == "notrain":
                    check(
                        one_error(run, 3, store, "no training objects"), f"{name} {task}, {ranks} ranks", run
                    )
                    continue
                best = run.json.get("best_val_accuracy" if task == "classify" else "best_val_loss")
                check(
                    run.status == 0 and (best is None) == (VAL in moves) and Path(f"{store}.model").exists(),
                    f"{task} with {name}, {ranks} ranks",
                    run,
                )
        run = polyview("eval", "--model", work / "noval.h5.model", "--store", store, "--split", "val")
        check(
            (
                run.status == 0
                if name == "notest"
                else True
                if name == "notrain"
                else one_error(run, 3, "no objects")
            ),
            f"eval of the val split of {name}",
            run,
        )


def a_weight_that_is_no_number_is_named(work: Path) -> None:
    store = make_store(work)
    for bad, view, kind in ((np.nan, 0, TRAIN), (np.inf, 0, VAL), (-np.inf, 0, TEST)):
        broken = work / "broken.h5"
        shutil.copy(store, broken)
        with h5py.File(broken, "r+") as file:
            victim = int(np.flatnonzero(file["object/split"][()] == kind)[-1])
            file["params"][view, victim, 3] = bad
        for ranks in (1, 3):
            run = polyview(
                "train",
                "--config",
                work / "config.yaml",
                "--store",
                broken,
                "--no-verify",
                "--fresh",
                ranks=ranks,
            )
            check(
                one_error(run, 3, broken, f"view {view} of object {victim}", "not finite"),
                f"a weight of {bad} in split {kind} is named, {ranks} ranks",
                run,
            )


if __name__ == "__main__":
    raise SystemExit(
        run_tests(
            labels_are_learned_where_there_are_some,
            what_has_no_label_is_not_measured,
            components_need_no_labels,
            a_split_may_be_missing,
            a_weight_that_is_no_number_is_named,
        )
    )
