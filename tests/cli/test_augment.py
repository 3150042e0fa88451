"""Augmented training: what the metrics tell, and that the stream of augmented batches does not know ranks."""

import json
import sys
from pathlib import Path

import h5py
import numpy as np

from harness import Run, check, make_store, one_error, polyview, run_tests


def metrics(model: Path) -> list[dict]:
    lines = map(json.loads, Path(f"{model}.jsonl").read_text().splitlines())
    return [line for line in lines if line["event"] == "epoch"]


def train(work: Path, name: str, *sets: str, ranks: int = 1, **variables: object) -> Run:
    words = [word for value in (f"train.output={work / name}", *sets) for word in ("--set", value)]
    return polyview("train", "--config", work / "config.yaml", *words, ranks=ranks, **variables)


def scores_are_shown_and_not_used(work: Path) -> None:
    make_store(work)
    plain = train(work, "plain.h5", "train.epochs=6", ranks=2)
    shown = train(work, "shown.h5", "train.epochs=6", "train.test_each_epoch=true", ranks=2)
    without, curve = metrics(work / "plain.h5"), metrics(work / "shown.h5")
    same = ("train_loss", "val_loss", "val_accuracy", "stream")
    check(
        plain.status == shown.status == 0
        and not any("test_loss" in epoch for epoch in without)
        and all({"test_loss", "test_accuracy"} <= set(epoch) for epoch in curve),
        "train.test_each_epoch puts the test split's score into the metrics, and nothing else does",
        plain,
        shown,
    )
    check(
        all(a[key] == b[key] for a, b in zip(without, curve) for key in same)
        and plain.json["best_epoch"] == shown.json["best_epoch"],
        "it changes neither the curve nor which model is kept",
        without,
        curve,
    )
    kept = curve[shown.json["best_epoch"] - 1]
    check(
        abs(kept["test_accuracy"] - shown.json["test_accuracy"]) < 1e-6
        and abs(kept["test_loss"] - shown.json["test_loss"]) < 1e-6,
        "the kept model's score is that of its epoch",
        kept,
        shown,
    )


MIXES = {
    "aligned MixUp": "[{kind: negation}, {kind: mixup_aligned, p: 0.7}, {kind: label_smoothing}]",
    "MixUp through a reference": "[{kind: permute}, {kind: combine, match: reference, signs: true, phases: true}]",
    "MixUp of views": "[{kind: mixup, partner: view, lambda: beta, beta: 0.4}]",
}


def same_curve_on_any_ranks(work: Path) -> None:
    make_store(work)
    for number, (what, augment) in enumerate(MIXES.items()):
        for random_view in ("false", "true"):
            sets = (f"augment={augment}", "train.views=2", f"train.random_view={random_view}")
            first = train(work, f"{number}{random_view}-1.h5", *sets)
            curve = metrics(work / f"{number}{random_view}-1.h5")
            for ranks, place, node_ranks in ((2, "job", 1), (3, "node", 0), (4, "job", 2)):
                name = f"{number}{random_view}-{ranks}.h5"
                run = train(
                    work, name, *sets, f"train.placement={place}", ranks=ranks, POLYVIEW_NODE_RANKS=node_ranks
                )
                there = metrics(work / name)
                remote = run.json["remote_samples"] + run.json["remote_partners"]
                check(
                    first.status == run.status == 0
                    and [e["stream"] for e in there] == [e["stream"] for e in curve]
                    and all(abs(a["train_loss"] - b["train_loss"]) < 1e-5 for a, b in zip(there, curve))
                    and run.json["partners"] == first.json["partners"] > 0
                    and (remote > 0) == (place == "job"),
                    f"{what}, random_view {random_view}: {ranks} ranks that hold a copy a {place} train on one stream",
                    first,
                    run,
                )


def partners_may_be_of_views_that_are_not_trained_on(work: Path) -> None:
    store = make_store(work, fit={"steps": 20, "views": 3})

    def mixed(
        name: str, pool: str, *sets: str, ranks: int = 1, kind: str = "mixup"
    ) -> tuple[Run, list[dict]]:
        augment = f"augment=[{{kind: {kind}, partner_views: {pool}}}]"
        run = train(work, name, augment, "train.epochs=2", *sets, ranks=ranks)
        return run, metrics(work / name) if run.status == 0 else []

    (plain, narrow), (first, wide) = mixed("train.h5", "train"), mixed("all.h5", "all")
    streams = [[epoch["stream"] for epoch in curve] for curve in (narrow, wide)]
    check(
        plain.status == first.status == 0 and streams[0] != streams[1],
        "partners of all views are another stream than those of the views that are trained on",
        plain,
        first,
    )
    with h5py.File(work / "train.h5") as one, h5py.File(work / "all.h5") as other:
        check(
            plain.json["samples"] == first.json["samples"]
            and np.array_equal(one["norm/mean"], other["norm/mean"])
            and np.array_equal(one["norm/std"], other["norm/std"]),
            "samples and their statistics are those of the views that are trained on",
        )
    for ranks, place in ((2, "node"), (3, "job"), (4, "job")):
        run, curve = mixed(f"all-{ranks}.h5", "all", f"train.placement={place}", ranks=ranks)
        check(
            run.status == 0
            and [epoch["stream"] for epoch in curve] == streams[1]
            and all(abs(a["train_loss"] - b["train_loss"]) < 1e-5 for a, b in zip(curve, wide))
            and (run.json["remote_partners"] > 0) == (place == "job"),
            f"{ranks} ranks that hold a copy a {place} draw the same partners of all views",
            run,
        )
    both = [mixed(f"every-{pool}.h5", pool, "train.views=3")[1] for pool in ("train", "all")]
    check(
        both[0] and [e["stream"] for e in both[0]] == [e["stream"] for e in both[1]],
        "where all views are trained on there is no difference",
        both,
    )
    run, _ = mixed("simclr.h5", "all, partner: view", "train.task=simclr", kind="mixup_aligned", ranks=2)
    check(
        run.status == 0,
        "an object's one view is mixed with its further ones, in the scores of SimCLR too",
        run,
    )
    polyview("extend", store, "--views", 4)
    grown = polyview("fit", "--store", store)
    run, _ = mixed("all.h5", "all", "train.epochs=3")
    check(
        grown.status == 0 and one_error(run, 3, "other rows"),
        "a store that has grown by a view has other partners: the checkpoint is not continued",
        grown,
        run,
    )


def views_are_aligned(work: Path) -> None:
    store = make_store(work, fit={"steps": 60, "views": 2})
    one = polyview("align", store, "--objects", "12")
    other = polyview("align", store, "--objects", "12", ranks=3)
    found = one.json["alignments"]
    with h5py.File(store) as file:
        chosen = np.arange(12) * file["params"].shape[1] // 12
        ends = (10 ** (-file["view/psnr"][()][:2, chosen] / 10)).mean(1)
        rows = file["params"][()][:2, chosen, :-1].astype("f8")
    check(
        one.status == other.status == 0
        and one.json["pairs"] == other.json["pairs"] == 12
        and all(abs(found[w]["barrier"] - other.json["alignments"][w]["barrier"]) < 1e-6 for w in found),
        "align gives the same on any ranks",
        one,
        other,
    )
    check(
        found["none"]["objective"] < found["permutation"]["objective"] < found["signed"]["objective"]
        and abs(found["none"]["objective"] - (rows[0] * rows[1]).sum(1).mean()) < 1e-4,
        "permutations raise the objective, and signs raise it further",
        one,
    )
    check(
        found["signed"]["objective"] <= found["phased"]["objective"] + 1e-3
        and found["none"]["objective"] < found["reference"]["objective"] < found["permutation"]["objective"]
        and found["none"]["objective"] < found["reference_signed"]["objective"] < found["signed"]["objective"],
        "a reference raises it too, by less than pairs do; phases cost nothing",
        one,
    )
    check(
        all(
            np.allclose([way["losses"][0], way["losses"][-1]], ends, rtol=1e-3) and way["barrier"] >= 0
            for way in found.values()
        ),
        "every path ends at the two views' own errors",
        one,
        ends,
    )
    for words in (("--views", "0,0"), ("--views", "0,2"), ("--objects", "0"), ("--starts", "many")):
        check(one_error(polyview("align", store, *words, ranks=2), 2), f"align refuses {' '.join(words)}")


def lists_that_make_no_sense_are_refused(work: Path) -> None:
    make_store(work)
    for augment, words in {
        "[{kind: mixup}, {kind: combine}]": ("augment[1]", "second MixUp"),
        "[{kind: noise}, {kind: scale, amount: 2}]": ("augment.amount", "0.99"),
        "[{kind: permute, amount: 0.5}]": ("permute takes no amount",),
        "[{kind: phase, amount: 1.5}]": ("augment.amount", "whole number"),
        "[{kind: mixup, partner: view}]": ("augment[0]", "train.views"),
        "[{kind: noise, p: 2}]": ("augment.p",),
        "[{kind: mixup, beta: 0}]": ("augment.beta",),
        "[{kind: mix}]": ("mix",),
    }.items():
        run = train(work, "model.h5", f"augment={augment}", ranks=2)
        check(one_error(run, 2, *words), f"augment: {augment} is refused", run)


def main() -> int:
    return run_tests(
        scores_are_shown_and_not_used,
        same_curve_on_any_ranks,
        partners_may_be_of_views_that_are_not_trained_on,
        views_are_aligned,
        lists_that_make_no_sense_are_refused,
    )


if __name__ == "__main__":
    sys.exit(main())
