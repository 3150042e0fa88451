"""Draws what `polyview probe` finds in representations.

    polyview-tools embeddings scatter COORDINATES.h5 -o scatter.png [--names a b]
    polyview-tools embeddings cka RESULT.json [RESULT2.json ...] -o cka.png
    polyview-tools embeddings labels STORE -o labels.png --model MODEL [MODEL2 ...] [--counts 5 20 80]

`scatter` takes the file of `probe --method pca --output`: one panel a real target, or one coloured by class.  `cka` takes
the last lines of `probe --method cka --views A-B`: one heat map each.  `labels` runs ridge probes with so many labels of
each class, three draws each; a MODEL that ends in .yaml is a config, whose untrained model is probed.
"""

import argparse
import json
import math
import subprocess
from pathlib import Path

import h5py
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from .figures import COLOURS, STYLE, save
from ._paths import path_of, program_path
from ._runs import as_number, told

DRAWS = (1, 2, 3)


def scatter(path: Path, output: Path, names: list[str]) -> None:
    with h5py.File(path) as file:
        x, y = file["coordinates"][:, 0], file["coordinates"][:, 1]
        truth, label, explained = file["truth"][()], file["label"][()], file["explained"][()]
    unseen = int((~np.isfinite(x) | ~np.isfinite(y)).sum())
    classes = np.isin(truth, (0, 1)).all() and (truth.sum(1) == 1).all()
    values = [label] if classes else list(truth.T)
    figure, axes = plt.subplots(
        1, len(values), figsize=(0.5 + 3.1 * len(values), 2.7), squeeze=False, layout="constrained"
    )
    for number, (panel, value) in enumerate(zip(axes[0], values)):
        shown = panel.scatter(x, y, c=value, s=7, cmap="tab10" if classes else "viridis", linewidths=0)
        name = "class" if classes else names[number] if number < len(names) else f"target {number}"
        figure.colorbar(shown, ax=panel, label=name)
        panel.set_xlabel(f"component 1 ({100 * explained[0]:.0f} % of the variance)")
        panel.set_ylabel(f"component 2 ({100 * explained[1]:.0f} %)")
        panel.set_title(f"{unseen:,} not finite, not drawn" if unseen else "")
    save(figure, output, path)


def cka(paths: list[Path], output: Path) -> None:
    results = [json.loads(path.read_text().splitlines()[-1]) for path in paths]
    figure, axes = plt.subplots(
        1, len(results), figsize=(0.9 + 2.3 * len(results), 2.4), squeeze=False, layout="constrained"
    )
    for panel, result in zip(axes[0], results):
        table = np.array([[as_number(value) for value in row] for row in result["cka"]])
        shown = panel.imshow(table, vmin=0, vmax=1, cmap="viridis")
        panel.set_title(Path(result["features"]).stem)
        panel.grid(False)
        panel.set_xlabel("view")
        panel.set_ylabel("view")
        for (row, column), value in np.ndenumerate(table):
            panel.text(
                column,
                row,
                told(value, ".2f"),
                ha="center",
                va="center",
                fontsize=7,
                color="white" if value < 0.7 else "black",
            )
    figure.colorbar(shown, ax=axes, label="linear CKA")
    save(figure, output, *paths)


def accuracy(polyview: Path, store: Path, model: Path, count: int, draw: int) -> float:
    source = "--untrained" if model.suffix == ".yaml" else "--model"
    words = ["probe", "--quiet", "--store", store, "--method", "ridge", source, model]
    words += ["--labels-per-class", count, "--seed", draw]
    done = subprocess.run([polyview, *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, words))}: status {done.returncode}\n{done.stderr}")
    return as_number(json.loads(done.stdout)["test_accuracy"])


def labels(args: argparse.Namespace) -> None:
    figure, axes = plt.subplots(figsize=(4.2, 2.7), layout="constrained")
    for model, colour in zip(args.model, COLOURS):
        found = np.array(
            [[accuracy(args.polyview, args.files[0], model, n, draw) for draw in DRAWS] for n in args.counts]
        )
        mean, error = found.mean(1), found.std(1, ddof=1) / np.sqrt(len(DRAWS))
        name = "untrained" if model.suffix == ".yaml" else model.stem
        axes.errorbar(args.counts, 100 * mean, 100 * error, color=colour, marker="o", ms=3, lw=1, label=name)
        scores = [round(score, 4) if math.isfinite(score) else None for score in mean]
        print(json.dumps({"model": name, "counts": args.counts, "accuracy": scores}))
    axes.set_xscale("log")
    axes.set_xlabel("labels of each class")
    axes.set_ylabel("test accuracy, %")
    axes.legend()
    save(figure, args.output, *args.files)


def main(program: str, words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        program, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("scatter", "cka", "labels"))
    parser.add_argument("files", type=path_of, nargs="+")
    parser.add_argument("-o", "--output", type=path_of, required=True)
    parser.add_argument("--names", nargs="+", default=[], help="of the real targets")
    parser.add_argument("--model", type=path_of, nargs="+", default=[])
    parser.add_argument("--counts", type=int, nargs="+", default=[5, 20, 80, 300])
    parser.add_argument("--polyview", type=program_path, default="build/polyview")
    args = parser.parse_args(words)
    with plt.rc_context(STYLE):
        if args.command == "scatter":
            scatter(args.files[0], args.output, args.names)
        elif args.command == "cka":
            cka(args.files, args.output)
        else:
            labels(args)
    return 0
