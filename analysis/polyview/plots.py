"""Draws pictures of stores and training runs.

polyview-tools plot gallery STORE -o gallery.png [--count 8] [--originals DIRECTORY | --program build/polyview]
polyview-tools plot psnr STORE -o psnr.png
polyview-tools plot training METRICS.jsonl [METRICS2.jsonl ...] -o curve.png
polyview-tools plot barrier ALIGN.json -o barrier.png     (build/polyview align STORE > ALIGN.json)
"""

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from .figures import COLOURS, INK, STYLE, save
from .gallery import gallery
from ._metrics import read_metrics, series
from ._paths import path_of
from .store import FITTED, Store
from ._runs import as_number


@dataclass(frozen=True)
class Psnr:
    """The PSNR of fitted rows.  Imported rows have none (NaN), exact fits an infinite one, bad fits a negative one,
    and fits whose squared error no float holds minus infinity."""

    finite: NDArray[np.float64]
    others: dict[str, int]  # what is not in `finite`, in words, and how many


def psnr_of(store: Store) -> Psnr:
    values = store.psnr[store.status == FITTED].astype(np.float64)
    kinds: dict[str, Callable[..., Any]] = {
        "of unknown PSNR": np.isnan,
        "exact (infinite PSNR)": np.isposinf,
        "of PSNR minus infinity": np.isneginf,
    }
    others = {what: int(kind(values).sum()) for what, kind in kinds.items()}
    return Psnr(values[np.isfinite(values)], {what: count for what, count in others.items() if count})


def psnr_histogram(store_path: Path, output: Path | BinaryIO) -> None:
    with Store(store_path) as store:
        psnr, fitted = psnr_of(store), int((store.status == FITTED).sum())
        views, objects = store.views, store.objects
    if not fitted:
        raise ValueError(f"'{store_path}' has no fitted row")
    values = psnr.finite
    figure, axes = plt.subplots(figsize=(4.2, 2.6), layout="constrained")
    if len(values):
        axes.hist(values, bins=min(60, max(8, int(math.sqrt(len(values))))), color=COLOURS[0], alpha=0.85)
        axes.axvline(values.mean(), color=COLOURS[1], linewidth=1.5, label=f"mean {values.mean():.2f} dB")
        axes.legend(loc="upper left")
    if psnr.others:
        axes.text(
            0.98,
            0.95,
            "\n".join(["beside these:", *(f"{count:,} {what}" for what, count in psnr.others.items())]),
            transform=axes.transAxes,
            ha="right",
            va="top",
            fontsize=7,
        )
    axes.set(xlabel="PSNR (dB)", ylabel="INRs")
    axes.set_title(f"{fitted:,} of {views} x {objects:,} INRs fitted", loc="left")
    axes.grid(axis="x", visible=False)
    save(figure, output, store_path)


def not_finite(epochs: list[dict[str, Any]], key: str) -> str:
    """In how many epochs a figure that this run keeps is no number, in words."""
    count = int((~np.isfinite(series(epochs, key))).sum()) if any(key in e for e in epochs) else 0
    return f", {key.replace('_', ' ')} not finite in {count} of {len(epochs)} epochs" if count else ""


def names_of_runs(paths: list[Path]) -> list[str]:
    """Each run's file, with its directory where the runs lie in several."""
    alone = len({path.resolve().parent for path in paths}) == 1
    names = [path.name.removesuffix(".jsonl").removesuffix(".h5") for path in paths]
    return names if alone else [f"{p.resolve().parent.name}/{name}" for p, name in zip(paths, names)]


def training(paths: list[Path], output: Path | BinaryIO) -> None:
    runs = [(name, *read_metrics(path)) for name, path in zip(names_of_runs(paths), paths)]
    kinds = [kind for _, kind, _ in runs]
    figure, (loss, accuracy) = plt.subplots(1, 2, figsize=(7.2, 2.9), layout="constrained")
    handles = []
    for place, (name, kind, epochs) in enumerate(runs):
        colour = COLOURS[place % len(COLOURS)]
        label = kind if kinds.count(kind) == 1 else f"{kind} ({name})"
        x = [int(e["epoch"]) for e in epochs]
        marker = "o" if len(x) == 1 else None
        best = series(epochs, "val_accuracy")
        loss.plot(x, series(epochs, "train_loss"), color=colour, linestyle="--", linewidth=1.0, marker=marker)
        loss.plot(x, series(epochs, "val_loss"), color=colour, linewidth=1.6, marker=marker)
        accuracy.plot(x, 100 * best, color=colour, linewidth=1.6, marker=marker)
        if np.isfinite(best).any():
            label += f", best {100 * np.nanmax(best):.1f} %"
        label += not_finite(epochs, "train_loss") + not_finite(epochs, "val_loss")
        handles.append(Line2D([], [], color=colour, linewidth=1.6, label=label))
    kinds_of_line = [
        Line2D([], [], color=INK, linewidth=1.6, label="val"),
        Line2D([], [], color=INK, linewidth=1.0, linestyle="--", label="train"),
    ]
    loss.legend(handles=kinds_of_line, loc="best")
    below = {"loc": "upper left", "bbox_to_anchor": (0, -0.32)}  # beside many curves there is no room
    accuracy.legend(handles=handles, **(below if len(runs) > 2 else {"loc": "best"}))
    loss.set(xlabel="epoch", title="loss")
    accuracy.set(xlabel="epoch", title="validation accuracy (%)")
    for axes in (loss, accuracy):
        axes.xaxis.get_major_locator().set_params(integer=True)
    save(figure, output, *paths)


def barrier(path: Path, output: Path) -> None:
    """The loss on the straight path between two views, aligned in several ways."""
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
        paths = {way: [as_number(x) for x in score["losses"]] for way, score in found["alignments"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"'{path}' is not what `polyview align` prints: {error}") from error
    figure, axes = plt.subplots(figsize=(6.0, 2.9), layout="constrained")
    for number, (way, losses) in enumerate(paths.items()):
        colour, line = COLOURS[number % len(COLOURS)], "--" if way.startswith("reference") else "-"
        label = way.replace("_", ", ") + ("" if np.isfinite(losses).all() else ", not finite everywhere")
        axes.plot(found["lambda"], losses, line, color=colour, linewidth=1.6, label=label)
    axes.set(xlabel="from one view (0) to another (1)", ylabel="mean squared error", ylim=(0, None))
    axes.set_title(f"INRs between two views, mean of {found['pairs']} objects", loc="left")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, output, path)


def arguments(program: str, words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(program, description="Draws pictures of stores and training runs.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("gallery", help="INRs of several classes, below their source images")
    command.add_argument("store", type=path_of)
    command.add_argument("--count", type=int, default=8, help="how many INRs (default 8)")
    command.add_argument(
        "--originals", type=path_of, help="directory of the IDX files (default: the store's)"
    )
    command.add_argument(
        "--program", type=path_of, help="polyview, to draw signals of any source beside them"
    )
    command.add_argument("-o", "--output", type=path_of, required=True)
    command = commands.add_parser("psnr", help="histogram of the PSNR of all fitted INRs")
    command.add_argument("store", type=path_of)
    command.add_argument("-o", "--output", type=path_of, required=True)
    command = commands.add_parser("training", help="loss and accuracy over epochs of one or more runs")
    command.add_argument("metrics", type=path_of, nargs="+", help="metrics in JSON lines")
    command.add_argument("-o", "--output", type=path_of, required=True)
    command = commands.add_parser("barrier", help="loss between two views, before and after alignment")
    command.add_argument("result", type=path_of, help="what `polyview align` prints")
    command.add_argument("-o", "--output", type=path_of, required=True)
    args = parser.parse_args(words)
    if args.command == "gallery" and args.count < 1:
        parser.error("--count must be 1 or more")
    return args


def main(program: str, words: list[str]) -> int:
    args = arguments(program, words)
    with plt.rc_context(STYLE):
        if args.command == "gallery":
            gallery(args.store, args.output, args.count, args.originals, args.program)
        elif args.command == "psnr":
            psnr_histogram(args.store, args.output)
        elif args.command == "barrier":
            barrier(args.result, args.output)
        else:
            training(args.metrics, args.output)
    return 0
