"""Augmented training: what the metrics tell, and that the stream of augmented batches does not know ranks."""

import json
import sys
from pathlib import Path

from harness import Run, check, make_store, polyview, run_tests


def metrics(model: Path) -> list[dict]:
    lines = map(json.loads, Path(f"{model}.jsonl").read_text().splitlines())
    return [line for line in lines if line["event"] == "epoch"]


def train(work: Path, name: str, *sets: str, ranks: int = 1, **variables: object) -> Run:
    words = [word for value in (f"train.output={work / name}", *sets) for word in ("--set", value)]
    return polyview("train", "--config", work / "config.yaml", *words, ranks=ranks, **variables)


def test_scores_are_shown_and_not_used(work: Path) -> None:
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


def main() -> int:
    return run_tests(test_scores_are_shown_and_not_used)


if __name__ == "__main__":
    sys.exit(main())
