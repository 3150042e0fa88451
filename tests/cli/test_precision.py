"""train.precision: bfloat16 learns what float32 does, the same bits on any ranks, and is part of what a model is."""

import json
import sys
from pathlib import Path

from harness import Run, check, make_store, one_error, polyview, run_tests, write_config

# Batches, and micro-batches, of as many samples as a square has rows: products of fewer are those of floats.
SIGNAL = {"train": 32, "val": 8, "test": 12}
FIT = {"steps": 60, "views": 2}
INR = {"hidden": [16, 16]}

MODELS = {
    "dws of words": {"kind": "dws", "hidden": 32, "layers": 2},
    "dws of floats": {"kind": "dws", "hidden": 16, "layers": 2, "reduction": "mean"},
    "mlp": {"kind": "mlp", "hidden": 32, "layers": 2},
    "tokens": {"kind": "tokens", "hidden": 32, "layers": 2, "heads": 4},
}


def train(work: Path, name: str, precision: str, *words: object, ranks: int = 1) -> Run:
    config = ["train", "--config", work / "config.yaml", "--quiet"]
    keys = (f"train.output={work / name}", f"train.precision={precision}")
    return polyview(*config, *(word for key in keys for word in ("--set", key)), *words, ranks=ranks)


def losses(model: Path) -> list[tuple[str, str]]:
    """The losses of every epoch as they are written."""
    events = [json.loads(line, parse_float=str) for line in Path(f"{model}.jsonl").read_text().splitlines()]
    return [(event["train_loss"], event["val_loss"]) for event in events if event["event"] == "epoch"]


def learns(work: Path) -> None:
    make_store(work, signal=SIGNAL, fit=FIT, inr=INR)
    for number, (what, model) in enumerate(MODELS.items()):
        keys = {"views": 2, "epochs": 25, "lr": 5e-3, "batch": 32}
        write_config(work, signal=SIGNAL, fit=FIT, inr=INR, model=model, train=keys)
        runs = {kind: train(work, f"{number}-{kind}.h5", kind) for kind in ("float32", "bfloat16")}
        first, last = (float(losses(work / f"{number}-float32.h5")[i][0]) for i in (0, -1))
        mine = float(losses(work / f"{number}-bfloat16.h5")[-1][0])
        check(
            all(run.status == 0 for run in runs.values())
            and last < 0.8 * first
            and abs(mine - last) < 0.15 * first
            and mine != last,
            f"{what}: from {first:.3f} the training loss falls to {last:.3f}, in bfloat16 to {mine:.3f}",
            *runs.values(),
        )


def any_ranks_have_the_same_bits(work: Path) -> None:
    make_store(work, signal=SIGNAL, fit=FIT, inr=INR)
    ordered = {"views": 2, "epochs": 6, "batch": 64, "micro_batch": 16, "reduce": "ordered"}
    for number, (what, model) in enumerate(MODELS.items()):
        write_config(work, signal=SIGNAL, fit=FIT, inr=INR, model=model, train=ordered)
        runs = [train(work, f"{number}-{ranks}.h5", "bfloat16", ranks=ranks) for ranks in (1, 2, 3, 4)]
        train(work, f"{number}-wide.h5", "float32")
        curves = [losses(work / f"{number}-{ranks}.h5") for ranks in (1, 2, 3, 4)]
        check(
            all(run.status == 0 for run in runs)
            and len(set(curves[0])) == 6
            and curves[0] != losses(work / f"{number}-wide.h5")
            and all(curve == curves[0] for curve in curves),
            f"{what}: 1 to 4 ranks print the same losses, every digit",
            *runs,
            curves,
        )


def models_know_it(work: Path) -> None:
    model = {"kind": "dws", "hidden": 32, "layers": 1}
    store = make_store(work, signal=SIGNAL, fit=FIT, inr=INR, model=model, train={"epochs": 2})
    first = train(work, "model.h5", "bfloat16")
    names = ("model.h5", "model.h5.ckpt", "model.h5.jsonl")
    before = [(work / name).read_bytes() for name in names]
    other = train(work, "model.h5", "float32", "--set", "train.epochs=4")
    check(
        first.status == 0
        and one_error(other, 2, "train.precision:", "--fresh")
        and [(work / name).read_bytes() for name in names] == before,
        "another train.precision is refused by name, and no file is touched",
        other,
    )
    longer = train(work, "model.h5", "bfloat16", "--set", "train.epochs=4", ranks=2)
    straight = train(work, "straight.h5", "bfloat16", "--set", "train.epochs=4")
    mine, whole = losses(work / "model.h5"), losses(work / "straight.h5")
    check(
        longer.status == straight.status == 0
        and len(mine) == len(whole) == 4
        and all(abs(float(a[0]) - float(b[0])) < 1e-2 * float(b[0]) for a, b in zip(mine, whole)),
        "the same one goes on",
        longer,
        mine,
        whole,
    )
    scores = [
        polyview("eval", "--model", work / "model.h5", "--store", store, "--split", "test", ranks=ranks).json
        for ranks in (1, 3)
    ]
    check(
        all(abs(score["loss"] - longer.json["test_loss"]) < 1e-5 for score in scores),
        "eval finds the test loss that training reported: both are in float32",
        scores,
        longer,
    )
    wrong = train(work, "wrong.h5", "float16")
    check(one_error(wrong, 2, "train.precision", "float16", "bfloat16"), "no other precision is known", wrong)


def main() -> int:
    return run_tests(learns, any_ranks_have_the_same_bits, models_know_it)


if __name__ == "__main__":
    sys.exit(main())
