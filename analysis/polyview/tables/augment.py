"""What augmentation does: trains the same network with each augmentation and several seeds, and tells what came of it.

    polyview-tools table augment run [--config configs/augment.yaml] [--runs runs/augment] [--jobs 2]
    polyview-tools table augment table [--of NAME] [--runs runs/augment] [--into docs/results.md]
    polyview-tools table augment curves [--runs runs/augment] -o docs/pictures/augment.png
    polyview-tools table augment bars [--runs runs/augment] -o docs/pictures/augment-accuracy.png
    polyview-tools table augment task NUMBER --runs runs/augment      (for jobs/array-augment.sbatch)

`run` trains what is not yet trained, one process a run, all variants of a seed before those of the next; interrupted and
started again it goes on.  `table` prints Markdown, or replaces what stands between the marks of the table in a file: the
augmentations, views against augmentation, models on the same rows, or all of it at the scale of the paper.  `views` also
judges models on views that they have not seen, of objects that they have, once, and keeps the results beside the runs.
`curves` draws the test losses without augmentation and with the best known ones, `bars` the accuracies of those.  `task`
names one run for whoever trains elsewhere: its model, then the options of `polyview train`, a word a line; beyond the last
run it fails and says how many there are.  A run's results are in its record, NAME-SEED.h5.runs.jsonl.
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
from .._paths import beside, path_of, replaced
from .._runs import Run, as_number, last_done, runs_of, told
from .variants import (
    ALL_VIEWS,
    AUGMENTATIONS,
    FEWER_VIEWS,
    MAIN,
    MODELS,
    NAMED,
    VARIANTS,
    Variant,
    of_one_view,
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
    chosen = [v for v in VARIANTS if not args.only or v.name in args.only]
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


def whole_table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def drawn_errors(scores: list[tuple[float, float]]) -> list[float]:
    """Of means and errors, what stands at the end of a bar: nothing where a single seed has no error."""
    return [error if math.isfinite(error) else 0.0 for _, error in scores]


def figures(found: list[Run], *wanted: tuple[str, str]) -> list[str]:
    """Means over the seeds, in words."""
    return [told(mean_and_error([r.figure(key) for r in found])[0], form) for key, form in wanted]


def augmentation_table(args: argparse.Namespace, variants: list[Variant] = AUGMENTATIONS) -> str:
    """Each augmentation beside the same views without."""
    bases = {one: scored(finished_runs(args.runs, "one_view" if one else "none"))[0] for one in (True, False)}
    rows = []
    for variant in variants:
        found = finished_runs(args.runs, variant.name)
        if not found:
            continue
        test, error = scored(found)
        gain = "" if variant in FEWER_VIEWS else told(test - bases[variant.one_view], "+.1f")
        rest = figures(
            found,
            ("test_loss", ".3f"),
            ("best_val_accuracy", ".3f"),
            ("best_epoch", ".0f"),
            ("train_loss", ".2f"),
        )
        rows.append([variant.meaning, plus_minus(test, error), gain, *rest, str(len(found))])
    head = ["augmentation", "test accuracy, %", "against none", "test loss", "validation accuracy"]
    return whole_table([*head, "best epoch", "last training loss", "seeds"], rows)


def paper_table(args: argparse.Namespace) -> str:
    """The same and fewer views, at the scale of the paper."""
    return augmentation_table(args, [*AUGMENTATIONS, *FEWER_VIEWS])


def model_table(args: argparse.Namespace) -> str:
    """Every kind of model, on one view an object."""
    rows = []
    dws = ["one_view", "one_view_canonical_sign", "one_view_negation_mixup_signed_half"]
    for variant in [*(NAMED[name] for name in dws), *MODELS]:
        found = finished_runs(args.runs, variant.name)
        if not found:
            continue
        name = variant.meaning.removesuffix(", one view")
        name = (
            f"DWS 16 x 2, {name}" if variant.name in dws[1:] else name if variant in MODELS else "DWS 16 x 2"
        )
        rest = figures(found, ("test_loss", ".3f"), ("train_loss", ".2f"), ("parameters", ",.0f"))
        rows.append([name, plus_minus(*scored(found)), *rest, str(len(found))])
    return whole_table(
        ["model", "test accuracy, %", "test loss", "last training loss", "parameters", "seeds"], rows
    )


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


def view_table(args: argparse.Namespace) -> str:
    """What an object's further views buy, on its last view, which these runs have not seen, and on other objects."""
    rows = []
    names = [
        "one_view",
        "two_views",
        "three_views",
        "five_views",
        "one_view_negation",
        "one_view_negation_mixup_signed_half",
    ]
    for variant in [NAMED[name] for name in names]:
        models = [model_path(args.runs, variant, seed) for seed in args.seeds]
        found = [(run, model) for model in models if (run := last_done(runs_of(model), "train"))]
        if not found:
            continue
        inside = mean_and_error([judged(args, model, "train", args.unseen) for _, model in found])
        outside = scored([run for run, _ in found])
        losses = figures([run for run, _ in found], ("train_loss", ".2f"), ("test_loss", ".3f"))
        rows.append([variant.meaning, plus_minus(*inside), plus_minus(*outside), *losses, str(len(found))])
    head = ["views and augmentation", "unseen view of training objects, %", "other objects, %"]
    return whole_table([*head, "last training loss", "test loss", "seeds"], rows)


TABLES = {
    "augmentations": augmentation_table,
    "views": view_table,
    "models": model_table,
    "paper": paper_table,
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


def curved(runs: Path) -> list[Variant]:
    """The variants whose curves can be drawn."""
    finished = [v for v in VARIANTS if v.curves and finished_runs(runs, v.name)]
    return [v for v in finished if any(runs.glob(f"{v.name}-[0-9]*.h5.jsonl"))]


def curves(runs: Path, output: Path | BinaryIO) -> None:
    """Test losses, where an object has one view and where it has all; what was not trained is left out."""
    from ..figures import COLOURS, STYLE, save
    from matplotlib import pyplot as plt

    shown = curved(runs)
    parts = [part for one in (True, False) if (part := [v for v in shown if v.one_view == one])]
    if not parts:
        raise ValueError(f"'{runs}' holds no runs with curves")
    with plt.rc_context(STYLE):
        size = (3.6 * len(parts) + 0.6, 3.1)
        figure, axes = plt.subplots(
            1, len(parts), figsize=size, sharey=True, layout="constrained", squeeze=False
        )
        for axis, part in zip(axes[0], parts):
            for colour, variant in zip(COLOURS, part):
                values = mean_curve(runs, variant, "test_loss")
                label = variant.meaning.removesuffix(", one view")
                axis.plot(range(1, len(values) + 1), values, color=colour, linewidth=1.6, label=label)
            views = "one view" if part[0].one_view else "all views"
            axis.set(xlabel="epoch", title=f"test loss, {views} an object")
        axes[0][0].legend(loc="upper right", fontsize=6)
        save(figure, output)


def barred(runs: Path) -> list[Variant]:
    """The main variants that were trained, with one view an object or with all; named as those of all."""
    return [v for v in MAIN if finished_runs(runs, v.name) or finished_runs(runs, of_one_view(v).name)]


def bars(runs: Path, output: Path | BinaryIO) -> None:
    """Test accuracies of the main variants with their standard errors, with one view an object and with all."""
    from ..figures import COLOURS, STYLE, save
    from matplotlib import pyplot as plt

    shown = barred(runs)
    series_of = {"one view an object": [of_one_view(variant) for variant in shown], "all views": shown}
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
    which.add_argument("--only", nargs="+", help="names of variants", choices=[v.name for v in VARIANTS])
    program_of = argparse.ArgumentParser(add_help=False)
    program_of.add_argument(
        "--store", type=path_of, help="the store (default: store.h5 in the runs' directory)"
    )
    program_of.add_argument("--polyview", type=path_of, default=Path("build/polyview"))
    command = commands.add_parser(
        "run", parents=[runs, which, program_of], help="train what is not yet trained"
    )
    command.add_argument("--config", type=path_of, default=Path("configs/augment.yaml"))
    command.add_argument("--jobs", type=int, default=2, help="runs side by side")
    command.add_argument("--set", action="append", default=[], help="key.path=value, for every run")
    command = commands.add_parser("task", parents=[runs, which], help="the words of one run")
    command.add_argument("number", type=int)
    command = commands.add_parser("table", parents=[runs, which, program_of], help="Markdown of the results")
    command.add_argument("--of", choices=TABLES, default="augmentations", help="which of the tables")
    command.add_argument("--unseen", type=int, default=3, help="views: the view that they are judged on")
    command.add_argument("--into", type=path_of, help="file whose table is replaced")
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
    if args.command in ("curves", "bars"):
        (curves if args.command == "curves" else bars)(args.runs, args.output)
    elif args.into:
        replace_between_marks(args.into, TABLES[args.of](args), marks_of(args.of))
    else:
        print(TABLES[args.of](args))
    return 0
