"""The metrics of a training as events that TensorBoard shows.

    polyview-tools tensorboard runs/quickstart/dws.h5.jsonl events/dws
    tensorboard --logdir events

Every figure of an epoch is a curve over the epochs: train_loss as train/loss, val_accuracy as val/accuracy, and so
on; the loss of every step is a curve over the steps, step/loss.  What is not finite is a NaN.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from ._metrics import read_metrics, records_of
from ._paths import path_of
from ._runs import as_number

GROUPS = ("train", "val", "test")


def tag_of(key: str) -> str:
    group, _, name = key.partition("_")
    return f"{group}/{name}" if group in GROUPS and name else f"run/{key}"


def steps_of(path: Path) -> dict[int, float]:
    """The loss of every step, by its number from 1 on; of a step that a resumed run repeats the last."""
    found = {(int(r["epoch"]), int(r["batch"])): r for r in records_of(path) if r.get("event") == "step"}
    batches = max((batch for _, batch in found), default=0)
    return {
        (epoch - 1) * batches + batch: as_number(r["loss"]) for (epoch, batch), r in sorted(found.items())
    }


def is_figure(value: Any) -> bool:
    return value is None or isinstance(value, (int, float)) and not isinstance(value, bool)


def write_events(path: Path, directory: Path) -> int:
    """How many figures were written.  FileExistsError if the directory holds events: TensorBoard would mix them."""
    from tensorboard.summary import Writer

    if any(directory.glob("events.out.tfevents.*")):
        raise FileExistsError(f"'{directory}' holds events already: name another directory, or delete it")
    _, epochs = read_metrics(path)
    figures = [
        (tag_of(key), as_number(value), int(epoch["epoch"]))
        for epoch in epochs
        for key, value in epoch.items()
        if key != "epoch" and is_figure(value)
    ]
    figures += [("step/loss", loss, step) for step, loss in steps_of(path).items()]
    writer = Writer(str(directory))
    for tag, value, step in figures:
        writer.add_scalar(tag, value, step)
    writer.close()
    return len(figures)


def main(program: str, words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        program, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "metrics", type=path_of, help="what `polyview train` wrote beside the model, MODEL.jsonl"
    )
    parser.add_argument("directory", type=path_of, help="of the events, made if it is not there")
    args = parser.parse_args(words)
    print(
        json.dumps({"directory": str(args.directory), "figures": write_events(args.metrics, args.directory)})
    )
    return 0
