"""Draws scaling studies: times, efficiency, the plan's predictions, and where the time went.

    polyview-tools scaling strong|weak DIRECTORY -o scaling.png

DIRECTORY is what jobs/scaling-strong.sbatch or scaling-weak.sbatch filled: for every number of ranks R a directory
<kind>-R with the run records of a fit and a training, and plan.json, what `polyview plan` predicted for them.
"""

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from ._paths import path_of
from .figures import COLOURS, INK, STYLE, save
from ._runs import PARTS, Run, as_number, last_done, runs_of

PLANNED = ("wall_s", "low_s", "high_s")  # of a plan
COMMANDS = {"fit": "store.h5", "train": "model.h5"}
PART_COLOURS = dict(zip(PARTS, ["#0072b2", "#56b4e9", "#e69f00", "#c9c9c9"]))


@dataclass(frozen=True)
class Point:
    """One number of ranks."""

    ranks: int
    runs: dict[str, Run]
    plan: dict[str, dict[str, float]]

    def seconds(self, command: str) -> float:
        """Of the run; NaN where its record has no time that it took."""
        wall = self.runs[command].wall
        return wall if wall > 0 else math.nan


def read_points(kind: str, directory: Path) -> list[Point]:
    points = []
    for path in directory.glob(f"{kind}-*"):
        ranks = path.name.removeprefix(f"{kind}-")
        if not ranks.isdigit():
            continue
        found = {command: last_done(runs_of(path / output), command) for command, output in COMMANDS.items()}
        plan = path / "plan.json"
        text = plan.read_text(encoding="utf-8").splitlines() if plan.is_file() else []
        runs = {command: run for command, run in found.items() if run}
        told: dict[str, Any] = json.loads(text[-1]) if text else {}
        planned = {c: {key: as_number(told[c].get(key)) for key in PLANNED} for c in COMMANDS if c in told}
        if runs:
            points.append(Point(int(ranks), runs, planned))
    if not points:
        raise ValueError(f"'{directory}' holds no runs of a {kind} scaling study")
    return sorted(points, key=lambda point: point.ranks)


def efficiency(kind: str, ranks: list[int], seconds: list[float]) -> list[float]:
    """In per cent of the smallest run's: of the time that its speed would take (strong), of its time (weak).

    NaN where a time is not known.
    """
    factors = [ranks[0] / r if kind == "strong" else 1 for r in ranks]
    return [100 * seconds[0] * f / s if s > 0 else math.nan for s, f in zip(seconds, factors)]


def efficiencies(kind: str, command: str, points: list[Point]) -> tuple[list[float], list[float]]:
    """Of the measured times, and of the planned ones ([] unless all are planned)."""
    ranks = [point.ranks for point in points]
    measured = efficiency(kind, ranks, [point.seconds(command) for point in points])
    if not all(command in point.plan for point in points):
        return measured, []
    return measured, efficiency(kind, ranks, [point.plan[command]["wall_s"] for point in points])


def rank_axis(axes: Axes, ranks: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(ranks)
    axes.set_xlim(ranks[0] / 1.25, ranks[-1] * 1.25)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("ranks")


def draw_times(axes: Axes, kind: str, command: str, points: list[Point]) -> None:
    ranks = [point.ranks for point in points]
    seconds = [point.seconds(command) for point in points]
    ideal = [seconds[0] * (ranks[0] / r if kind == "strong" else 1) for r in ranks]
    axes.plot(ranks, ideal, color=INK, linewidth=0.9, linestyle=":", label="ideal")
    planned = [(p.ranks, p.plan[command]) for p in points if command in p.plan]
    if planned:
        x = [r for r, _ in planned]
        axes.fill_between(
            x,
            [p["low_s"] for _, p in planned],
            [p["high_s"] for _, p in planned],
            color=COLOURS[1],
            alpha=0.18,
            linewidth=0,
        )
        axes.plot(x, [p["wall_s"] for _, p in planned], color=COLOURS[1], linewidth=1.3, label="plan")
    axes.plot(ranks, seconds, color=COLOURS[0], marker="o", markersize=5, linewidth=0, label="measured")
    rank_axis(axes, ranks)
    axes.set_yscale("log")
    shown = [*seconds, *ideal, *(p["wall_s"] for _, p in planned)]  # an error bar may reach down to nothing
    finite = [s for s in shown if 0 < s < math.inf]
    if finite:
        axes.set_ylim(min(finite) / 1.4, max(finite) * 1.4)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_title(f"{command}: seconds", loc="left")
    axes.legend(loc="best")


def draw_efficiency(axes: Axes, kind: str, command: str, points: list[Point]) -> None:
    ranks = [point.ranks for point in points]
    measured, planned = efficiencies(kind, command, points)
    axes.axhline(100, color=INK, linewidth=0.9, linestyle=":")
    if planned:
        axes.plot(ranks, planned, color=COLOURS[1], linewidth=1.3, label="plan")
    axes.plot(ranks, measured, color=COLOURS[0], marker="o", markersize=5, linewidth=1, label="measured")
    for r, e in zip(ranks, measured):
        if math.isfinite(e):
            axes.annotate(
                f"{e:.0f}", (r, e), xytext=(0, -11), textcoords="offset points", ha="center", fontsize=7
            )
    rank_axis(axes, ranks)
    axes.set_ylim(0, 1.15 * max(e for e in (100, *measured, *planned) if math.isfinite(e)))
    axes.set_title(f"{command}: efficiency (%)", loc="left")
    axes.legend(loc="lower left")


def draw_split(axes: Axes, labels: list[str], runs: list[Run]) -> None:
    """Stacked bars: the parts of each run's wall time, in per cent."""
    left = np.zeros(len(runs))
    for part, label in PARTS.items():
        width = 100 * np.array([run.share(part) for run in runs])
        axes.barh(labels, width, left=left, height=0.62, color=PART_COLOURS[part], label=label)
        for y, (start, w) in enumerate(zip(left, width)):
            if w >= 7:
                dark = part == "compute_s"
                axes.text(
                    start + w / 2,
                    y,
                    f"{w:.0f}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if dark else INK,
                )
        left += width
    axes.set_xlim(0, 100)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)


def scaling(kind: str, directory: Path, output: Path | BinaryIO) -> None:
    points = read_points(kind, directory)
    commands = [c for c in COMMANDS if all(c in point.runs for point in points)]
    figure, grid = plt.subplots(
        len(commands), 3, figsize=(10.2, 2.9 * len(commands)), layout="constrained", squeeze=False
    )
    for row, command in zip(grid, commands):
        draw_times(row[0], kind, command, points)
        draw_efficiency(row[1], kind, command, points)
        draw_split(row[2], [str(point.ranks) for point in points], [point.runs[command] for point in points])
        row[2].set_title(f"{command}: where the time went (%)", loc="left")
        row[2].set_ylabel("ranks")
    grid[-1][2].legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=4, fontsize=7, columnspacing=1)
    save(figure, output)


def main(program: str, words: list[str]) -> int:
    parser = argparse.ArgumentParser(program, description="Draws scaling studies.")
    parser.add_argument("kind", choices=["strong", "weak"])
    parser.add_argument("directory", type=path_of)
    parser.add_argument("-o", "--output", type=path_of, required=True)
    args = parser.parse_args(words)
    with plt.rc_context(STYLE):
        scaling(args.kind, args.directory, args.output)
    return 0
