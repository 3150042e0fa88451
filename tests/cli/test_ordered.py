"""Training with `reduce: ordered`: the same losses to the last digit on any number of ranks, also across kills."""

import json
import random
import signal
import sys
from pathlib import Path

import h5py

from harness import (
    Process,
    Run,
    check,
    launch,
    make_store,
    one_error,
    polyview,
    run_tests,
    write_config,
)

STEPS = 120
SIGNAL = {"train": 25, "val": 7, "test": 9}

# Batches of 12 in micro-batches of at most 3, the last of an epoch of 2 x 25 samples with 2 in 4 micro-batches.
TRAIN = {"views": 2, "batch": 12, "micro_batch": 3, "reduce": "ordered", "log_steps": 1}
STEPS_PER_EPOCH = 5

# (model, options of training, numbers of ranks)
MODELS = {
    "dws with batch norm": (
        {"kind": "dws", "hidden": 8, "layers": 2, "batch_norm": True},
        {},
        (1, 2, 3, 4),
    ),
    "mlp with batch norm, dropout and mixup, in 16 micro-batches": (
        {"kind": "mlp", "hidden": 20, "layers": 2, "batch_norm": True, "dropout": 0.1},
        {"clip": 0.3, "schedule": "cosine", "warmup_steps": 7, "micro_batch": 1},
        (1, 5, 6, 7),
    ),
    "dws of a width that BLAS serves, on phasors with canonical signs, in two passes a step": (
        {
            "kind": "dws",
            "hidden": 5,
            "layers": 1,
            "batch_norm": False,
            "reduction": "mean",
            "features": "phasor",
        },
        {"batch": 24, "accumulate": 2, "placement": "job", "canonical": "sign"},
        (1, 3, 4),
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
    return [
        "train",
        "--config",
        work / "config.yaml",
        "--set",
        f"train.output={work / name}",
        "--quiet",
    ]


def train(work: Path, name: str, ranks: int) -> Run:
    return polyview(*words(work, name), ranks=ranks)


def any_ranks_print_the_same_losses(work: Path) -> None:
    make_store(work, signal=SIGNAL)
    for number, (what, (model, more, counts)) in enumerate(MODELS.items()):
        keys = TRAIN | {"epochs": STEPS // STEPS_PER_EPOCH} | more
        augment = [{"kind": "mixup", "p": 0.5}] if "mixup" in what else []
        write_config(work, signal=SIGNAL, model=model, train=keys)
        config = json.loads((work / "config.yaml").read_text()) | {"augment": augment}
        (work / "config.yaml").write_text(json.dumps(config))
        runs = {ranks: train(work, f"{number}-{ranks}.h5", ranks) for ranks in counts}
        curves = {ranks: losses(work / f"{number}-{ranks}.h5") for ranks in runs}
        steps = [line for line in curves[1] if line[1] > 0]
        check(
            all(run.status == 0 for run in runs.values())
            and len(steps) == keys["epochs"] * -(-50 // keys["batch"])
            and len({loss for _, _, loss in steps}) > len(steps) / 2,
            f"{what}: {len(steps)} steps on {', '.join(map(str, counts))} ranks",
            *runs.values(),
        )
        for ranks in counts[1:]:
            first = next(
                (pair for pair in zip(curves[1], curves[ranks]) if pair[0] != pair[1]),
                None,
            )
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
        words = (
            "eval",
            "--model",
            work / "1-model.h5",
            "--store",
            work / "store.h5",
            "--split",
            "val",
        )
        run = polyview(*words, "--views", "0-1", "--logits", path, ranks=ranks)
        with h5py.File(path) as file:
            columns = tuple(file[name][()].tobytes() for name in ("logits", "object", "view", "label"))
        found[ranks] = (
            run.json["samples"],
            run.json["loss"],
            run.json["accuracy"],
            columns,
        )
    check(
        found[1][0] == 72 and all(one == found[1] for one in found.values()),
        "eval on 1, 2 and 3 ranks gives the same logits, every bit",
        {ranks: one[:3] for ranks, one in found.items()},
    )


def killed_and_resumed(work: Path) -> None:
    """kill -9 at random steps; every start has another number of ranks, and the last ends with the same losses."""
    model, epochs = {"kind": "dws", "hidden": 16, "layers": 3}, STEPS // STEPS_PER_EPOCH
    keys = TRAIN | {
        "epochs": epochs,
        "micro_batch": 1,
        "checkpoint_steps": 2,
        "keep": 3,
    }
    make_store(work, signal=SIGNAL, model=model, train=keys)
    whole = train(work, "whole.h5", 2)
    curve = losses(work / "whole.h5")
    check(
        whole.status == 0 and len(curve) == epochs * (STEPS_PER_EPOCH + 2),
        "an uninterrupted run",
        whole,
    )
    draw, done, starts = random.Random(), 0, (1, 3, 2, 7, 4, 6, 5)
    for ranks in starts[:-1]:
        after_lines = done + draw.randrange(5, 18)
        process = Process(launch(words(work, "model.h5"), ranks))
        process.wait_for(lambda: len(losses(work / "model.h5")) >= after_lines)
        process.signal(signal.SIGKILL)
        killed = process.finish()
        done = len(losses(work / "model.h5"))
        check(
            killed.status != 0 and after_lines <= done < len(curve),
            f"kill -9 of {ranks} rank(s) at step {done}",
            killed,
        )
    again = train(work, "model.h5", starts[-1])
    first = next(
        (pair for pair in zip(curve, losses(work / "model.h5")) if pair[0] != pair[1]),
        None,
    )
    check(
        again.status == 0 and losses(work / "model.h5") == curve,
        f"started on {', '.join(map(str, starts))} ranks, it prints every loss of an uninterrupted run, every digit",
        again,
        first,
    )
    check(
        tensors(work / "model.h5.ckpt") == tensors(work / "whole.h5.ckpt")
        and (again.json["test_loss"], again.json["best_epoch"])
        == (whole.json["test_loss"], whole.json["best_epoch"]),
        "and ends with the same model and optimiser, byte by byte",
        again,
        whole,
    )
    kept = sorted(path.name for path in work.glob("model.h5.ckpt*"))
    check(
        kept == ["model.h5.ckpt", "model.h5.ckpt.1", "model.h5.ckpt.2"],
        "the last three checkpoints are kept",
        kept,
    )


def fast_sums_follow(work: Path) -> None:
    """`reduce: fast`: the same samples in the same order, and losses that differ by rounding."""
    make_store(work, signal=SIGNAL, train=TRAIN | {"reduce": "fast"})
    whole = train(work, "whole.h5", 1)
    for epochs, ranks in enumerate((3, 5, 7, 6, 1), 1):
        run = polyview(*words(work, "model.h5"), "--set", f"train.epochs={epochs}", ranks=ranks)
        check(
            run.status == 0,
            f"epoch {epochs} on {ranks} rank(s), from the checkpoint of others",
            run,
        )
    again = polyview(*words(work, "whole.h5"), "--set", "train.epochs=5")
    streams, curves = [], []
    for name in ("whole.h5", "model.h5"):
        events = [json.loads(line) for line in Path(f"{work / name}.jsonl").read_text().splitlines()]
        streams.append([event["stream"] for event in events if event["event"] == "epoch"])
        curves.append([float(loss) for _, _, loss in losses(work / name)])
    check(
        whole.status == again.status == 0 and len(streams[0]) == 5 and streams[0] == streams[1],
        "the same samples are trained on",
        streams,
    )
    check(
        len(curves[0]) == len(curves[1]) and all(abs(a - b) < 1e-3 * a for a, b in zip(*curves)),
        "and the losses are those of one rank but for rounding",
        curves,
    )


def refusals(work: Path) -> None:
    make_store(work, signal=SIGNAL, train=TRAIN)
    run = train(work, "five.h5", 5)
    check(
        one_error(run, 2, "train.micro_batch", "4 micro-batches", "5 ranks", "start at most 4"),
        "more ranks than micro-batches are refused",
        run,
    )
    odd = polyview(*words(work, "odd.h5"), "--set", "train.accumulate=5", ranks=2)
    check(
        one_error(odd, 2, "train.accumulate"),
        "pieces that do not divide the batch are refused",
        odd,
    )


def main() -> int:
    return run_tests(
        any_ranks_print_the_same_losses,
        evaluation_has_the_same_bits,
        killed_and_resumed,
        fast_sums_follow,
        refusals,
    )


if __name__ == "__main__":
    sys.exit(main())
