"""Training with `reduce: ordered`: the same losses to the last digit on 1, 2 and 4 ranks, also across kills."""

import json
import random
import signal
import sys
from pathlib import Path

import h5py

from harness import Process, Run, check, launch, make_store, one_error, polyview, run_tests, write_config

STEPS = 200
SIGNAL = {"train": 25, "val": 7, "test": 9}

# Batches of 12 in micro-batches of at most 3, the last of an epoch of 2 x 25 samples with 2 in 4 micro-batches.
TRAIN = {"views": 2, "batch": 12, "micro_batch": 3, "reduce": "ordered", "log_steps": 1}
STEPS_PER_EPOCH = 5

MODELS = {
    "dws with batch norm": ({"kind": "dws", "hidden": 8, "layers": 2, "batch_norm": True}, {}),
    "mlp with batch norm, dropout and mixup": (
        {"kind": "mlp", "hidden": 20, "layers": 2, "batch_norm": True, "dropout": 0.1},
        {"clip": 0.3, "schedule": "cosine", "warmup_steps": 7},
    ),
    "dws of a width that BLAS serves, in two passes a step": (
        {"kind": "dws", "hidden": 5, "layers": 1, "batch_norm": False, "reduction": "mean"},
        {"batch": 24, "accumulate": 2, "placement": "job"},
    ),
}


def losses(model: Path) -> list[tuple[int, int, str]]:
    """(epoch, step, loss as it is written) of every step, and (epoch, 0, loss) of every epoch, of training and validation."""
    path = Path(f"{model}.jsonl")
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        if not line.endswith("}"):
            break  # being written
        event = json.loads(line, parse_float=str)
        if event["event"] == "step":
            found.append((event["epoch"], event["batch"], event["loss"]))
        elif event["event"] == "epoch":
            found += [(event["epoch"], 0, event[loss]) for loss in ("train_loss", "val_loss")]
    return found


def tensors(checkpoint: Path) -> dict[str, bytes]:
    with h5py.File(checkpoint) as file:
        groups = [(group, name) for group in ("model", "optimizer", "norm") for name in file[group]]
        return {f"{group}/{name}": file[group][name][()].tobytes() for group, name in groups}


def words(work: Path, name: str) -> list[object]:
    return ["train", "--config", work / "config.yaml", "--set", f"train.output={work / name}", "--quiet"]


def train(work: Path, name: str, ranks: int) -> Run:
    return polyview(*words(work, name), ranks=ranks)


def any_ranks_print_the_same_losses(work: Path) -> None:
    make_store(work, signal=SIGNAL)
    for number, (what, (model, more)) in enumerate(MODELS.items()):
        keys = TRAIN | {"epochs": STEPS // STEPS_PER_EPOCH} | more
        augment = [{"kind": "mixup", "p": 0.5}] if "mixup" in what else []
        write_config(work, signal=SIGNAL, model=model, train=keys)
        config = json.loads((work / "config.yaml").read_text()) | {"augment": augment}
        (work / "config.yaml").write_text(json.dumps(config))
        runs = {ranks: train(work, f"{number}-{ranks}.h5", ranks) for ranks in (1, 2, 4)}
        curves = {ranks: losses(work / f"{number}-{ranks}.h5") for ranks in runs}
        steps = [line for line in curves[1] if line[1] > 0]
        check(
            all(run.status == 0 for run in runs.values())
            and len(steps) == keys["epochs"] * -(-50 // keys["batch"])
            and len({loss for _, _, loss in steps}) > len(steps) / 2,
            f"{what}: {len(steps)} steps on 1, 2 and 4 ranks",
            *runs.values(),
        )
        for ranks in (2, 4):
            first = next((pair for pair in zip(curves[1], curves[ranks]) if pair[0] != pair[1]), None)
            check(
                curves[ranks] == curves[1],
                f"{what}: {ranks} ranks print the losses of one rank, every digit",
                first,
            )


def evaluation_has_the_same_bits(work: Path) -> None:
    """36 objects for validation: two passes, which some ranks have none of."""
    few = {"train": 4, "val": 36, "test": 9}
    make_store(work, signal=few, train=TRAIN | {"batch": 4, "micro_batch": 1})
    runs = {ranks: train(work, f"{ranks}-model.h5", ranks) for ranks in (1, 2, 4)}
    curves = {ranks: losses(work / f"{ranks}-model.h5") for ranks in runs}
    check(
        all(run.status == 0 for run in runs.values())
        and len(curves[1]) == 3 * (2 + 2)
        and all(curve == curves[1] for curve in curves.values()),
        "the validation loss is the same on 1, 2 and 4 ranks, every digit",
        *runs.values(),
        curves,
    )
    found = {}
    for ranks in (1, 2, 3):
        path = work / f"{ranks}.h5"
        words = ("eval", "--model", work / "1-model.h5", "--store", work / "store.h5", "--split", "val")
        run = polyview(*words, "--views", "0-1", "--logits", path, ranks=ranks)
        with h5py.File(path) as file:
            columns = tuple(file[name][()].tobytes() for name in ("logits", "object", "view", "label"))
        found[ranks] = (run.json["samples"], run.json["loss"], run.json["accuracy"], columns)
    check(
        found[1][0] == 72 and all(one == found[1] for one in found.values()),
        "eval on 1, 2 and 3 ranks gives the same logits, every bit",
        {ranks: one[:3] for ranks, one in found.items()},
    )


def killed_and_resumed(work: Path) -> None:
    """kill -9 at a random step; the next start has another number of ranks and ends with the same losses."""
    model, epochs = {"kind": "dws", "hidden": 16, "layers": 3}, STEPS // STEPS_PER_EPOCH
    keys = TRAIN | {"epochs": epochs, "checkpoint_steps": 2, "keep": 3}
    make_store(work, signal=SIGNAL, model=model, train=keys)
    whole = train(work, "whole.h5", 2)
    curve = losses(work / "whole.h5")
    check(whole.status == 0 and len(curve) == epochs * (STEPS_PER_EPOCH + 2), "an uninterrupted run", whole)
    draw = random.Random()
    for before, after in ((1, 2), (2, 4), (4, 1)):
        name, after_lines = f"{before}-{after}.h5", draw.randrange(5, len(curve) - 60)
        process = Process(launch(words(work, name), before))
        process.wait_for(lambda: len(losses(work / name)) >= after_lines)
        process.signal(signal.SIGKILL)
        killed = process.finish()
        done = len(losses(work / name))
        check(
            killed.status != 0 and after_lines <= done < len(curve),
            f"kill -9 of {before} rank(s) at step {done}",
            killed,
        )
        again = train(work, name, after)
        first = next((pair for pair in zip(curve, losses(work / name)) if pair[0] != pair[1]), None)
        check(
            again.status == 0 and losses(work / name) == curve,
            f"resumed on {after} rank(s), it prints every loss of an uninterrupted run, every digit",
            again,
            first,
        )
        check(
            tensors(work / f"{name}.ckpt") == tensors(work / "whole.h5.ckpt")
            and (again.json["test_loss"], again.json["best_epoch"])
            == (whole.json["test_loss"], whole.json["best_epoch"]),
            "and ends with the same model and optimiser, byte by byte",
            again,
            whole,
        )
        kept = sorted(path.name for path in work.glob(f"{name}.ckpt*"))
        check(
            kept == [f"{name}.ckpt", f"{name}.ckpt.1", f"{name}.ckpt.2"],
            "the last three checkpoints are kept",
            kept,
        )


def refusals(work: Path) -> None:
    make_store(work, signal=SIGNAL, train=TRAIN)
    run = train(work, "three.h5", 3)
    check(one_error(run, 2, "train.reduce", "power of two"), "three ranks are refused", run)
    large = polyview(*words(work, "large.h5"), "--set", "train.micro_batch=6", ranks=4)
    check(one_error(large, 2, "train.micro_batch"), "more ranks than micro-batches are refused", large)
    odd = polyview(*words(work, "odd.h5"), "--set", "train.accumulate=5", ranks=2)
    check(one_error(odd, 2, "train.accumulate"), "pieces that do not divide the batch are refused", odd)


def main() -> int:
    return run_tests(
        any_ranks_print_the_same_losses, evaluation_has_the_same_bits, killed_and_resumed, refusals
    )


if __name__ == "__main__":
    sys.exit(main())
