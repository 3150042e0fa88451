"""What augmentation does: trains the same network with each augmentation and several seeds, and tells what came of it.

    polyview-tools table augment run [--of NAME] [--config configs/augment.yaml] [--runs runs/augment] [--jobs 2]
    polyview-tools table augment table [--of NAME] [--runs runs/augment] [--into docs/results.md]
    polyview-tools table augment views [--runs runs/views] [--unseen VIEW] -o docs/pictures/views.png
    polyview-tools table augment curves [--runs runs/augment] -o docs/pictures/augment.png
    polyview-tools table augment bars [--runs runs/augment] -o docs/pictures/augment-accuracy.png
    polyview-tools table augment task NUMBER --runs runs/augment      (for jobs/array-augment.sbatch)

`run` trains what is not yet trained, one process a run, all variants of a seed before those of the next; interrupted
and started again it goes on. `table` prints Markdown, or replaces what stands between the marks of the table in a
file: the augmentations, views against augmentation, models on the same rows, or all of it at the scale of the paper,
whose views have a table of their own; `run --of` trains the rows of one. A table of views also judges models on a
view that they have not seen, of objects that they have, once, and keeps the results beside the runs; `views` draws
it. `curves` draws the losses without augmentation and with the best known ones, `bars` the accuracies of those.
`task` names one run for whoever trains elsewhere: its model, then the options of `polyview train`, a word a line;
beyond the last run it fails and says how many there are. A run's results are in its record, NAME-SEED.h5.runs.jsonl.
"""

import argparse
import json
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .._metrics import read_metrics, series
from .._paths import beside, path_of, program_path, replaced
from .._runs import Run, as_number, last_done, read_runs, runs_of, told
from .variants import (
    ALL_VIEWS,
    AUGMENTATIONS,
    COUNTS,
    LARGE,
    MAIN,
    MODELS,
    NAMED,
    STUDY,
    VARIANTS,
    VIEWS,
    Variant,
    of_views,
)


def model_path(runs: Path, variant: Variant, seed: int) -> Path:
    return runs / f"{variant.name}-{seed}.h5"


def options(runs: Path, variant: Variant, seed: int) -> list[str]:
    """What makes `polyview train` this run, beside the config and the store."""
    sets = [
        f"augment=[{variant.augment}]",
        f"train.output={model_path(runs, variant, seed)}",
        f"train.seed={seed}",
        f"train.test_each_epoch={str(variant.curves).lower()}",
        *([f"train.views={variant.views}"] if variant.views else []),
        *variant.sets,
    ]
    return [word for value in sets for word in ("--set", value)]


def train(args: argparse.Namespace, variant: Variant, seed: int) -> str:
    """Trains one run unless its record is there; returns what went wrong."""
    model = model_path(args.runs, variant, seed)
    if last_done(runs_of(model), "train"):
        return ""
    words = [str(args.polyview), "train", "--quiet", "--config", str(args.config)]
    words += ["--store", str(args.store or args.runs / "store.h5"), *options(args.runs, variant, seed)]
    words += [word for value in args.set for word in ("--set", value)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    finished = last_done(runs_of(model), "train")
    if done.returncode != 0 or not finished:
        return f"{variant.name}, seed {seed}: status {done.returncode}\n{done.stderr}"
    print(f"{variant.name}, seed {seed}: {finished.wall:.0f} s", file=sys.stderr, flush=True)
    return ""


def chosen_runs(args: argparse.Namespace) -> list[tuple[Variant, int]]:
    of = VARIANTS if args.only else OF[args.of] if args.of else STUDY
    chosen = [v for v in of if not args.only or v.name in args.only]
    return [(variant, seed) for seed in args.seeds for variant in chosen]


def run(args: argparse.Namespace) -> int:
    args.runs.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(args.jobs) as pool:
        failures = [text for text in pool.map(lambda pair: train(args, *pair), chosen_runs(args)) if text]
    for text in failures:
        print(text, file=sys.stderr)
    return 1 if failures else 0


def task(args: argparse.Namespace) -> int:
    pairs = chosen_runs(args)
    if not 0 <= args.number < len(pairs):
        raise ValueError(f"no run {args.number}: {len(pairs)} runs are numbered from 0")
    variant, seed = pairs[args.number]
    print(model_path(args.runs, variant, seed), *options(args.runs, variant, seed), sep="\n")
    return 0


def finished_runs(runs: Path, name: str) -> list[Run]:
    """The records of a variant's finished runs, in the order of the seeds."""
    paths = sorted(
        runs.glob(f"{name}-[0-9]*.h5.runs.jsonl"), key=lambda p: int(p.name.split(".")[0].rsplit("-", 1)[1])
    )
    found = [
        last_done(runs_of(path.with_name(path.name.removesuffix(".runs.jsonl"))), "train") for path in paths
    ]
    return [one for one in found if one]


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """Mean and standard error; NaN for the error of a single value, and for both if one is not finite."""
    if not all(map(math.isfinite, values)):
        return math.nan, math.nan
    error = np.std(values, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(np.mean(values)), float(error)


def plus_minus(mean: float, error: float) -> str:
    """A mean with its standard error, if there is one."""
    return f"{mean:.1f} ± {error:.1f}" if math.isfinite(error) else told(mean)


def scored(found: list[Run]) -> tuple[float, float]:
    """Test accuracy in percent, mean and standard error; NaN without a run."""
    return mean_and_error([100 * r.figure("test_accuracy") for r in found]) if found else (math.nan, math.nan)


COST = ("parameters", "samples/s of a core")


def whole_table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def drawn_errors(scores: list[tuple[float, float]]) -> list[float]:
    """Of means and errors, what stands at the end of a bar: nothing where a single seed has no error."""
    return [error if math.isfinite(error) else 0.0 for _, error in scores]


def trained_samples(run: Run) -> float:
    """Of all epochs, by its metrics: one that draws a view of each object has fewer than the split has rows."""
    metrics = run.path.with_name(run.path.name.replace(".runs.jsonl", ".jsonl"))
    if not metrics.exists():
        return math.nan
    epochs = read_metrics(metrics)[1]
    return float(np.dot(series(epochs, "seconds"), series(epochs, "samples_per_s")))


def rate(found: list[Run]) -> str:
    """Samples that were trained a second of a core's time, validation in it, whatever else the machine did: over all
    seeds, and all runs that each took; "-" where records do not tell."""
    samples = sum(map(trained_samples, found))
    took = [one for run in found for one in read_runs(run.path) if one.command == "train"]
    seconds = sum(one.core_seconds for one in took)
    return f"{samples / seconds:,.0f}" if seconds > 0 and samples > 0 else "-"


def figures(found: list[Run], *wanted: tuple[str, str]) -> list[str]:
    """Means over the seeds, in words."""
    return [told(mean_and_error([r.figure(key) for r in found])[0], form) for key, form in wanted]


def augmentation_table(args: argparse.Namespace) -> str:
    """Each augmentation, and at the paper's scale each model, beside DWS on the same views without."""
    rows, of = [], args.of or "augmentations"
    for variant in OF[of]:
        found = finished_runs(args.runs, variant.name)
        if not found:
            continue
        test, error = scored(found)
        base = scored(finished_runs(args.runs, variant.bare))[0]
        gain = told(test - base, "+.1f") if math.isfinite(base) else ""
        rest = figures(
            found,
            ("test_loss", ".3f"),
            ("best_val_accuracy", ".3f"),
            ("best_epoch", ".0f"),
            ("train_loss", ".2f"),
        )
        cost = [*figures(found, ("parameters", ",.0f")), rate(found)] if of == "paper" else []
        rows.append([variant.meaning, plus_minus(test, error), gain, *rest, *cost, str(len(found))])
    what, cost = ("augmentation, or model", list(COST)) if of == "paper" else ("augmentation", [])
    head = [what, "test accuracy, %", "against none", "test loss", "validation accuracy"]
    return whole_table([*head, "best epoch", "last training loss", *cost, "seeds"], rows)


def model_table(args: argparse.Namespace) -> str:
    """Every kind of model, on one view an object."""
    rows = []
    for variant in OF["models"]:
        found = finished_runs(args.runs, variant.name)
        if not found:
            continue
        name = of_augmentation(variant)
        if variant not in MODELS:
            name = "DWS 16 x 2" if name == "none" else f"DWS 16 x 2, {name}"
        rest = figures(found, ("test_loss", ".3f"), ("train_loss", ".2f"), ("parameters", ",.0f"))
        rows.append([name, plus_minus(*scored(found)), *rest, rate(found), str(len(found))])
    return whole_table(["model", "test accuracy, %", "test loss", "last training loss", *COST, "seeds"], rows)


def judged(args: argparse.Namespace, model: Path, split: str, view: int) -> float:
    """A model's accuracy in percent on one view of a split, which is kept beside the model."""
    kept = beside(model, f".{split}-{view}.json")
    if not kept.exists():
        store = args.store or args.runs / "store.h5"
        words = ["eval", "--quiet", "--model", model, "--store", store, "--split", split, "--views", view]
        done = subprocess.run(
            [str(args.polyview), *map(str, words)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"eval of {model}: status {done.returncode}\n{done.stderr}")
        with replaced(kept) as to:
            to.write_text(done.stdout.splitlines()[-1], encoding="utf-8")
    return 100 * as_number(json.loads(kept.read_text())["accuracy"])


def by_views(args: argparse.Namespace, variant: Variant) -> tuple[tuple[float, float], list[Run]]:
    """Accuracy on the unseen view of the training objects, and the runs."""
    models = [model_path(args.runs, variant, seed) for seed in args.seeds]
    found = [(run, model) for model in models if (run := last_done(runs_of(model), "train"))]
    inside = [judged(args, model, "train", args.unseen) for _, model in found]
    return mean_and_error(inside) if inside else (math.nan, math.nan), [run for run, _ in found]


def view_table(args: argparse.Namespace) -> str:
    """What an object's further views buy, on a view of it that these runs have not seen, and on other objects."""
    rows = []
    for variant in VIEWS:
        inside, found = by_views(args, variant)
        if not found:
            continue
        losses = figures(found, ("train_loss", ".2f"), ("test_loss", ".3f"))
        rows.append(
            [variant.meaning, plus_minus(*inside), plus_minus(*scored(found)), *losses, str(len(found))]
        )
    head = ["views and augmentation", "unseen view of training objects, %", "other objects, %"]
    return whole_table([*head, "last training loss", "test loss", "seeds"], rows)


def views(args: argparse.Namespace) -> None:
    """The same as a picture: accuracies against the number of views, a line an augmentation."""
    from ..figures import COLOURS, STYLE, save
    from matplotlib import pyplot as plt

    found = {variant: by_views(args, variant) for variant in VIEWS}
    scores = {variant: (inside, scored(runs)) for variant, (inside, runs) in found.items() if runs}
    if not scores:
        raise ValueError(f"'{args.runs}' holds none of these runs")
    names = list(dict.fromkeys(map(of_augmentation, scores)))
    counts = sorted({variant.views for variant in scores})
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.2), layout="constrained")
        for place, title in enumerate(("an unseen view of training objects", "other objects")):
            for colour, name in zip(COLOURS, names):
                line = [(v.views, *s[place]) for v, s in scores.items() if of_augmentation(v) == name]
                at = [count for count, _, _ in line]
                means, errors = [mean for _, mean, _ in line], drawn_errors([one[1:] for one in line])
                axes[place].errorbar(at, means, errors, color=colour, marker="o", markersize=3, label=name)
            axes[place].set(xlabel="views an object", title=title, xscale="log")
            axes[place].set_xticks(counts, [str(count) for count in counts])
            axes[place].minorticks_off()
        axes[0].set_ylabel("accuracy, %")
        axes[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=6)
        save(figure, args.output)


TABLES = {
    "augmentations": augmentation_table,
    "views": view_table,
    "models": model_table,
    "paper": augmentation_table,
    "paper-views": view_table,
}
OF = {
    "augmentations": AUGMENTATIONS,
    "views": VIEWS,
    "models": [
        *(NAMED[n] for n in ("one_view", "one_view_canonical_sign", "one_view_negation_mixup_signed_half")),
        *MODELS,
    ],
    "paper": list(dict.fromkeys([*AUGMENTATIONS, *VIEWS, *MODELS, *LARGE])),
    "paper-views": VIEWS,
}


def marks_of(name: str) -> tuple[str, str]:
    what = "polyview-tools table augment" + ("" if name == "augmentations" else f" --of {name}")
    return f"<!-- {what}: begin -->", f"<!-- {what}: end -->"


def replace_between_marks(path: Path, text: str, marks: tuple[str, str]) -> None:
    whole = path.read_text(encoding="utf-8")
    before, begin, rest = whole.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise ValueError(f"'{path}' lacks the lines '{marks[0]}' and '{marks[1]}'")
    with replaced(path) as to:
        to.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def mean_curve(runs: Path, variant: Variant, key: str) -> list[float]:
    """A figure of every epoch, averaged over the seeds."""
    curves = [
        series(read_metrics(path)[1], key) for path in sorted(runs.glob(f"{variant.name}-[0-9]*.h5.jsonl"))
    ]
    if not curves or len({len(c) for c in curves}) != 1:
        raise ValueError(f"'{runs}' holds no runs of {variant.name} of one length")
    return [float(np.mean(values)) for values in zip(*curves)]


def views_of(variant: Variant) -> str:
    return COUNTS[variant.views].replace("_", " ") if variant.views else "all views"


def of_augmentation(variant: Variant) -> str:
    """What it does whatever the number of views."""
    return variant.meaning.removesuffix(f", {views_of(variant)}")


def curved(runs: Path) -> list[Variant]:
    """The variants whose curves can be drawn."""
    finished = [v for v in VARIANTS if v.curves and finished_runs(runs, v.name)]
    return [v for v in finished if any(runs.glob(f"{v.name}-[0-9]*.h5.jsonl"))]


def curves(runs: Path, output: Path | BinaryIO) -> None:
    """Test losses with the fewest views an object and with the most, and training losses without augmentation."""
    from ..figures import COLOURS, STYLE, save
    from matplotlib import pyplot as plt

    shown = curved(runs)
    if not shown:
        raise ValueError(f"'{runs}' holds no runs with curves")
    counts = sorted({v.views for v in shown}, key=lambda views: views or math.inf)
    parts = [[v for v in shown if v.views == views] for views in dict.fromkeys((counts[0], counts[-1]))]
    with plt.rc_context(STYLE):
        size = (3.6 * len(parts) + 0.6, 3.1)
        figure, axes = plt.subplots(
            1, len(parts), figsize=size, sharey=True, layout="constrained", squeeze=False
        )
        for axis, part in zip(axes[0], parts):
            for colour, variant in zip(COLOURS, part):
                values = mean_curve(runs, variant, "test_loss")
                epochs = range(1, len(values) + 1)
                axis.plot(epochs, values, color=colour, linewidth=1.6, label=of_augmentation(variant))
                if variant.name == variant.bare:
                    values = mean_curve(runs, variant, "train_loss")
                    label = f"{of_augmentation(variant)}, training loss"
                    axis.plot(epochs, values, color=colour, linewidth=1, linestyle=":", label=label)
            axis.set(xlabel="epoch", title=f"test loss, {views_of(part[0])} an object")
        axes[0][0].legend(loc="upper right", fontsize=6)
        save(figure, output)


def barred(runs: Path) -> list[Variant]:
    """The main variants that were trained, with one view an object or with all; named as those of all."""
    return [v for v in MAIN if finished_runs(runs, v.name) or finished_runs(runs, of_views(1, v).name)]


def bars(runs: Path, output: Path | BinaryIO) -> None:
    """Test accuracies of the main variants with their standard errors, with one view an object and with all."""
    from ..figures import COLOURS, STYLE, save
    from matplotlib import pyplot as plt

    shown = barred(runs)
    series_of = {"one view an object": [of_views(1, variant) for variant in shown], "all views": shown}
    scores = {
        label: [scored(finished_runs(runs, v.name)) for v in chosen] for label, chosen in series_of.items()
    }
    scores = {label: each for label, each in scores.items() if any(math.isfinite(mean) for mean, _ in each)}
    if not scores:
        raise ValueError(f"'{runs}' holds none of these runs")
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(7.2, 3.4), layout="constrained")
        height = 0.76 / len(scores)
        for place, (colour, (label, each)) in enumerate(zip(COLOURS, scores.items())):
            down = (place - (len(scores) - 1) / 2) * height
            at = [-number - down for number in range(len(shown))]
            means, errors = [mean for mean, _ in each], drawn_errors(each)
            axis.barh(at, means, height, xerr=errors, color=colour, label=label)
        axis.set_yticks([-number for number in range(len(shown))], [variant.meaning for variant in shown])
        all_means = [mean for each in scores.values() for mean, _ in each]
        axis.set(xlabel="test accuracy, %", xlim=(0.9 * np.nanmin(all_means), 1.03 * np.nanmax(all_means)))
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
        save(figure, output)


def arguments(program: str, words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(program, description="Compares augmentations: trains, tabulates, draws.")
    commands = parser.add_subparsers(dest="command", required=True)
    runs = argparse.ArgumentParser(add_help=False)
    runs.add_argument("--runs", type=path_of, default=Path("runs/augment"), help="directory of the runs")
    which = argparse.ArgumentParser(add_help=False)
    which.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    which.add_argument(
        "--of",
        choices=TABLES,
        help="which of the tables (all but those of views and paper are trained by default)",
    )
    names = [v.name for v in VARIANTS]
    which.add_argument("--only", nargs="+", metavar="NAME", choices=names, help=f"rows: {', '.join(names)}")
    program_of = argparse.ArgumentParser(add_help=False)
    program_of.add_argument(
        "--store", type=path_of, help="the store (default: store.h5 in the runs' directory)"
    )
    program_of.add_argument("--polyview", type=program_path, default="build/polyview")
    unseen = argparse.ArgumentParser(add_help=False)
    unseen.add_argument("--unseen", type=int, default=3, help="the view that none of the runs has seen")
    command = commands.add_parser(
        "run", parents=[runs, which, program_of], help="train what is not yet trained"
    )
    command.add_argument("--config", type=path_of, default=Path("configs/augment.yaml"))
    command.add_argument("--jobs", type=int, default=2, help="runs side by side")
    command.add_argument("--set", action="append", default=[], help="key.path=value, for every run")
    command = commands.add_parser("task", parents=[runs, which], help="the words of one run")
    command.add_argument("number", type=int)
    command = commands.add_parser(
        "table", parents=[runs, which, program_of, unseen], help="Markdown of the results"
    )
    command.add_argument("--into", type=path_of, help="file whose table is replaced")
    command = commands.add_parser(
        "views", parents=[runs, which, program_of, unseen], help="draw what more views give"
    )
    command.add_argument("-o", "--output", type=path_of, required=True)
    for name, what in (("curves", "loss curves"), ("bars", "accuracies")):
        command = commands.add_parser(name, parents=[runs], help=what)
        command.add_argument("-o", "--output", type=path_of, required=True)
    return parser.parse_args(words)


def main(program: str, words: list[str]) -> int:
    args = arguments(program, words)
    if args.command == "run":
        return run(args)
    if args.command == "task":
        return task(args)
    if args.command == "views":
        views(args)
        return 0
    if args.command in ("curves", "bars"):
        (curves if args.command == "curves" else bars)(args.runs, args.output)
        return 0
    name = args.of or "augmentations"
    if args.into:
        replace_between_marks(args.into, TABLES[name](args), marks_of(name))
    else:
        print(TABLES[name](args))
    return 0
