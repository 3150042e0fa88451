"""One HTML file about a pipeline: what was fitted, how well, what was trained on it, what that cost.

    polyview-tools report DIRECTORY [-o DIRECTORY/report.html]

DIRECTORY is what jobs/pipeline.sh filled: store.h5, model.h5 and their run records, logits and metrics.  Where there are
augment/<name>-<seed>.h5 (jobs/array-augment.sbatch), contrast/<name>-<seed>.json (polyview-tools table contrast), strong-R/ or
weak-R/ (jobs/scaling-*.sbatch, also under scaling/), they get their own sections.  Images are inlined: the file opens without
a network.  Every picture stands with the command that draws it; --picture NAME writes one that no other command draws.
"""

import argparse
import functools
import math
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from .figures import COLOURS, INK, STYLE, save
from .gallery import gallery
from .plots import psnr_histogram, psnr_of, training
from ._page import Cell, Keyed, Report, code, duration, number
from ._paths import beside, path_of
from .store import FITTED, Store
from ._runs import Run, last_done, runs_of, told
from ._studies import augmentations, contrasts
from .scaling import COMMANDS, PLANNED, draw_split, efficiencies, read_points, scaling

FASHION = [
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
]
FEW_CLASSES = 6  # fewer are drawn as large as these
MANY_CLASSES = 60  # more are drawn without a name and a number each
SPLITS = ["train", "validation", "test"]


def class_names(store: Store, count: int) -> list[str]:
    if len(store.class_names) == count:
        return store.class_names
    fashion = "fashion" in str(store.signal.get("path", "")).lower() and count == len(FASHION)
    return FASHION if fashion else [str(i) for i in range(count)]


def short(names: list[str]) -> list[str]:
    """For a picture: the beginnings of long names."""
    return [name if len(name) <= 16 else f"{name[:15]}\u2026" for name in names]


def data_set(report: Report, store: Store, fit: list[Run]) -> None:
    counts = [int(np.count_nonzero(store.split == i)) for i in range(3)]
    size = [store.signal.get(key, 0) for key in ("height", "width", "channels")]
    kind = f"images of {' x '.join(map(str, size))}" if all(size) else str(store.signal.get("source", "?"))
    classes, unlabelled = len(np.unique(store.label[store.label >= 0])), int((store.label < 0).sum())
    without = f", {number(unlabelled)} objects without a class" if unlabelled else ""
    dims = " - ".join(map(str, store.dims))
    network = "SIREN" if store.is_siren else f"{store.activation},"
    rows: list[tuple[str, str]] = [
        ("source", code(store.signal.get("path", "?"))),
        ("objects", ", ".join(f"{number(n)} {name}" for n, name in zip(counts, SPLITS))),
        ("signal", f"{kind}, {classes} classes{without}"),
        ("INR", f"{network} {dims}, w0 {store.arch.get('w0', 0):g}, {number(store.params)} parameters"),
        ("views", f"{store.views} of every object: {number(store.views * store.objects)} INRs"),
        ("store", f"{number(report_size(store) / 2**20, 1)} MiB"),
    ]
    report.section("Data set")
    report.add(report.facts(rows, fit))


def report_size(store: Store) -> int:
    shards = Path(f"{store.path}.shards")
    return store.path.stat().st_size + sum(p.stat().st_size for p in shards.glob("*") if p.is_file())


def judgements(store: Store) -> list[tuple[str, str]]:
    """How good the fits of shapes are, by points that they did not see."""
    judged = store.judgements
    if judged is None:
        return []
    iou, error = (values[np.isfinite(values) & (store.status == FITTED)] for values in judged)
    return [
        ("IoU, mean", f"{iou.mean():.4f}"),
        ("IoU, 5 % and median", f"{np.percentile(iou, 5):.4f}, {np.median(iou):.4f}"),
        ("error near the surface, mean", f"{error.mean():.5f}"),
    ]


def fits(report: Report, store: Store, path: Path, fit: list[Run]) -> None:
    report.section("Fits")
    low, high = store.range
    caption = f"PSNR of every fitted INR against its object; the peak is the range of the data, {low:g} to {high:g}."
    histogram = report.picture(
        "psnr",
        lambda to: psnr_histogram(path, to),
        "histogram of PSNR",
        caption,
        fit,
        ["plot", "psnr", path],
    )
    psnr = psnr_of(store)
    shares = [("lowest", 0), ("5 %", 5), ("median", 50), ("95 %", 95), ("highest", 100)]
    fitted = int((store.status == FITTED).sum())
    rows = [("fitted INRs", number(fitted)), ("others", number(store.status.size - fitted))]
    rows += [(what, number(count)) for what, count in psnr.others.items()]
    if len(psnr.finite):
        rows += [(f"PSNR, {name}", f"{np.percentile(psnr.finite, share):.2f} dB") for name, share in shares]
        rows.append(("PSNR, mean", f"{float(psnr.finite.mean()):.2f} dB"))
    rows += judgements(store)
    report.add(histogram, report.facts(rows, fit, numbers=True))
    try:
        report.add(
            report.picture(
                "gallery",
                lambda to: gallery(path, to, 10, None),
                "gallery of INRs",
                "What INRs of several classes draw, below their objects where those are at hand.",
                fit,
                ["gallery", path, "--count", "10"],
            )
        )
    except (ValueError, OSError) as error:
        report.add(report.note(f"No gallery: {error}", []))


def trainings(report: Report, model: Path, runs: list[Run]) -> None:
    metrics = beside(model, ".jsonl")
    if not metrics.is_file() or not runs:
        return
    report.section("Training")
    caption = "Loss and validation accuracy over the epochs."
    command: list[str | Path] = ["plot", "training", metrics]
    report.add(
        report.picture(
            "training", lambda to: training([metrics], to), "training curves", caption, runs, command
        )
    )


def confusion(names: list[str], label: NDArray[Any], guess: NDArray[Any], to: BinaryIO) -> None:
    count = len(names)
    table = np.zeros((count, count))
    np.add.at(table, (label, guess), 1)
    share = 100 * table / np.maximum(1, table.sum(1, keepdims=True))
    side = min(max(count, FEW_CLASSES), MANY_CLASSES)
    figure, axes = plt.subplots(figsize=(1.5 + 0.36 * side, 1.2 + 0.34 * side), layout="constrained")
    axes.imshow(share, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for i, j in np.argwhere(share >= 0.5) if count <= MANY_CLASSES else ():
        colour = "white" if share[i, j] > 55 else INK
        axes.text(j, i, f"{share[i, j]:.0f}", ha="center", va="center", fontsize=8, color=colour)
    named = range(0, count, math.ceil(count / MANY_CLASSES))
    axes.set_xticks(named, short(names[:: named.step]), rotation=40, ha="right")
    axes.set_yticks(named, short(names[:: named.step]))
    axes.grid(False)
    axes.set_xlabel("the network says")
    axes.set_ylabel("it is")
    save(figure, to)


def class_bars(names: list[str], label: NDArray[Any], guess: NDArray[Any], to: BinaryIO) -> None:
    count = len(names)
    seen = np.bincount(label, minlength=count)
    accuracy = 100 * np.bincount(label[guess == label], minlength=count) / np.maximum(1, seen)
    side = min(max(count, FEW_CLASSES), MANY_CLASSES)
    figure, axes = plt.subplots(figsize=(1.1 + 0.3 * side, 1.2 + 0.34 * side), layout="constrained")
    axes.barh(range(count), accuracy, color=COLOURS[0], height=0.62)
    named = range(0, count, math.ceil(count / MANY_CLASSES))
    axes.set_yticks(named, short(names[:: named.step]))
    mean = 100 * float(np.mean(guess == label))
    axes.axvline(mean, color=COLOURS[1], linewidth=1.4, label=f"all {mean:.1f} %")
    for y in named:
        axes.text(accuracy[y] + 1, y, f"{accuracy[y]:.0f}" if seen[y] else "none", va="center", fontsize=7.5)
    axes.invert_yaxis()
    axes.set_xlim(0, 105)
    axes.set_xlabel("accuracy (%)")
    axes.grid(axis="y", visible=False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.1))
    save(figure, to)


def class_rows(names: list[str], label: NDArray[Any], guess: NDArray[Any]) -> list[list[str]]:
    """Of each class that was seen: what its mistakes were taken for, and how many were right."""
    rows = []
    for number_of, name in enumerate(names):
        guesses = np.bincount(guess[label == number_of], minlength=len(names))
        seen, right = int(guesses.sum()), int(guesses[number_of])
        guesses[number_of] = 0
        wrong = names[int(guesses.argmax())] if guesses.any() else ""
        if seen:
            rows.append([name, wrong, number(seen), number(right), f"{100 * right / seen:.1f}"])
    return rows


def test_scores(report: Report, store: Store, logits: Path, runs: list[Run]) -> None:
    if not logits.is_file():
        return
    with h5py.File(logits) as file:
        values, label = file["logits"][()], file["label"][()]
    names = class_names(store, values.shape[1])
    judged = np.isfinite(values).all(axis=1) & (0 <= label) & (label < len(names))
    left = len(label) - int(judged.sum())
    guess, label = values[judged].argmax(1), label[judged]
    report.section("Test")
    many = f"{number(len(label))} INRs of the test split"
    many += f"; {number(left)} more have logits that are not finite, or no class." if left else "."
    if not len(label):
        report.add(report.note(many, runs))
        return
    matrix = report.picture(
        "confusion",
        lambda to: confusion(names, label, guess, to),
        "confusion matrix",
        f"Per cent of each class, {many}",
        runs,
    )
    bars = report.picture(
        "classes", lambda to: class_bars(names, label, guess, to), "accuracy a class", many, runs
    )
    report.add(matrix, bars)
    head = ["class", "taken most often for", "INRs", "right", "accuracy, %"]
    report.add(report.table(head, class_rows(names, label, guess), runs, numbers=3))


SCALING = {
    "strong": "The same problem on more ranks.",
    "weak": "A problem that grows with the ranks.",
}


def scaling_rows(report: Report, kind: str, where: Path) -> list[list[Cell]]:
    points, rows = read_points(kind, where), list[list[Cell]]()
    for command in COMMANDS:
        there = [point for point in points if command in point.runs]
        measured, planned = efficiencies(kind, command, there)
        for i, point in enumerate(there):
            run, plan = point.runs[command], point.plan.get(command)
            done = run.result.get("fitted" if command == "fit" else "samples")
            rows.append(
                [
                    command,
                    code(run.name(report.directory)),
                    str(point.ranks),
                    str(run.nodes),
                    number(done) if done is not None else "not known",
                    told(run.wall, ".2f"),
                    "{} ({} to {})".format(*(told(plan[key], ".2f") for key in PLANNED)) if plan else "",
                    told(measured[i], ".0f"),
                    told(planned[i], ".0f") if planned else "",
                ]
            )
    return rows


def scalings(report: Report, directory: Path) -> None:
    for kind, meaning in SCALING.items():
        for where in (directory, directory / "scaling"):
            if not any(where.glob(f"{kind}-[0-9]*")):
                continue
            report.section(f"{kind.capitalize()} scaling")
            text = Markup(
                f"{meaning} Dots are measured wall times; the line is what <code>polyview plan</code> predicts from figures of the "
                "same allocation, with its error bar. The table names the records."
            )
            draw = functools.partial(scaling, kind, where)
            command: list[str | Path] = ["scaling", kind, where]
            report.add(report.picture(f"{kind}-scaling", draw, f"{kind} scaling", text, [], command))
            head = [
                "run",
                "record",
                "ranks",
                "nodes",
                "INRs",
                "seconds",
                "planned (bar)",
                "efficiency, %",
                "planned, %",
            ]
            report.add(report.table(head, scaling_rows(report, kind, where), [], numbers=7))


def split_picture(runs: list[Run], to: BinaryIO) -> None:
    figure, axes = plt.subplots(figsize=(8.4, 1.0 + 0.36 * len(runs)), layout="constrained")
    labels = [f"{i + 1}  {run.command}, {duration(run.wall)}" for i, run in enumerate(runs)]
    draw_split(axes, labels, runs)
    axes.set_xlabel("share of the wall time (%)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1 + 0.55 / (0.36 * len(runs) + 0.6)), ncols=4)
    save(figure, to)


def costs(report: Report, runs: list[Run]) -> None:
    if not runs:
        return
    report.section("What it took")
    caption = "Where the time of each run went."
    shown = runs[-24:]
    report.add(report.picture("times", lambda to: split_picture(shown, to), "time splits", caption, shown))
    rows = []
    for i, run in enumerate(runs):
        record, result = run.record, run.result
        rate = result.get("inr_steps_per_s") if run.command == "fit" else result.get("samples_per_s")
        unit = "INR-steps/s" if run.command == "fit" else "samples/s"
        job = record.get("slurm", {})
        tries = f", start {int(job['restart_count']) + 1}" if "restart_count" in job else ""
        started_by = Markup("<br>") + code(f"job {job['job_id']}{tries}") if "job_id" in job else ""
        energy = record.get("energy_j")
        cells: list[Cell] = [
            f"{i + 1}",
            run.command + started_by,
            str(record["started"]).replace("T", " ").removesuffix("Z"),
            str(record["end"]),
            f"{run.nodes} x {run.ranks // run.nodes}",
            {False: "own", True: "shared"}.get(record.get("cpus_shared", ""), "not known"),
            Keyed(duration(run.wall), run.wall),
            f"{number(rate)} {unit}" if rate else "",
            f"{record['peak_memory_mib']} MiB",
            f"{number(energy / 1000, 1)} kJ" if energy else "not known",
        ]
        rows.append(cells)
    head = [
        "#",
        "run",
        "started (UTC)",
        "end",
        "nodes x ranks",
        "cores",
        "wall time",
        "rate",
        "peak of a rank",
        "energy",
    ]
    report.add(report.table(head, rows, runs, numbers=6))


def make(directory: Path, output: Path, picture: str | None) -> None:
    """The page, or the one picture of it that is asked for."""
    store_path, model = directory / "store.h5", directory / "model.h5"
    if not store_path.is_file():
        raise ValueError(f"'{directory}' holds no store.h5")
    runs = sorted(runs_of(store_path) + runs_of(model), key=lambda run: str(run.record["started"]))
    fit = [run for run in runs if run.command == "fit" and run.result.get("fitted", 0) > 0]
    train = [run for run in runs if run.command == "train"]
    scores = [run for run in [last_done(runs, "eval")] if run]
    report = Report(directory)
    with Store(store_path) as store:
        data_set(report, store, fit[-1:])
        psnr, fitted = psnr_of(store).finite, int((store.status == FITTED).sum())
        tiles = [(number(fitted), "INRs fitted")]
        tiles += [(f"{float(psnr.mean()):.1f} dB", "mean PSNR")] if len(psnr) else []
        if fitted:
            fits(report, store, store_path, fit)
        trainings(report, model, train)
        test_scores(report, store, beside(model, ".logits.h5"), scores)
    augmentations(report, directory / "augment")
    contrasts(report, directory / "contrast")
    scalings(report, directory)
    costs(report, runs)
    if picture:
        return report.write_picture(picture, output)
    if scores:
        tiles.append((told(100 * scores[0].figure("accuracy"), ".1f", " %"), "test accuracy"))
    timed = [run for run in runs if math.isfinite(run.wall)]
    tiles.append((duration(sum(run.wall for run in timed)), f"wall time of {len(timed)} runs"))
    tiles.append((f"{sum(run.wall * run.ranks for run in timed) / 3600:.2f}", "core-hours"))
    versions = sorted({str(run.record["code_version"]) for run in runs})
    hosts = sorted({str(host["host"]) for run in runs for host in run.record.get("hosts", [])})
    subtitle = f"Polyview {', '.join(versions) or '?'} on {', '.join(hosts[:6]) or '?'}"
    subtitle += f" and {len(hosts) - 6} more" if len(hosts) > 6 else ""
    report.write(output, f"Neural views in {directory.resolve().name}", subtitle, tiles)


def main(program: str, words: list[str]) -> int:
    parser = argparse.ArgumentParser(program, description="Makes one HTML file about a pipeline.")
    parser.add_argument("directory", type=path_of)
    parser.add_argument("-o", "--output", type=path_of, help="default: DIRECTORY/report.html")
    parser.add_argument("--picture", metavar="NAME", help="only this picture of the report, as PNG; needs -o")
    args = parser.parse_args(words)
    if args.picture and not args.output:
        parser.error("--picture needs -o")
    with plt.rc_context(STYLE):
        make(args.directory, args.output or args.directory / "report.html", args.picture)
    return 0
