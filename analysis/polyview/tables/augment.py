"""What augmentation does: trains the same network with each augmentation and several seeds, and tells what came of it.

    polyview-tools table augment run [--config configs/augment.yaml] [--runs runs/augment] [--jobs 2]
    polyview-tools table augment table [--runs runs/augment] [--into docs/results.md]
    polyview-tools table augment curves [--runs runs/augment] -o docs/pictures/augment.png
    polyview-tools table augment bars [--runs runs/augment] -o docs/pictures/augment-accuracy.png
    polyview-tools table augment task NUMBER --runs runs/augment      (for jobs/array-augment.sbatch)

`run` trains what is not yet trained, one process a run, all variants of a seed before those of the next; interrupted and
started again it goes on.  `table` prints Markdown, or replaces what stands between the marks of the table in a file.
`curves` draws the test losses without augmentation and with the best known ones, `bars` the accuracies of those.  `task` names one run for
whoever trains elsewhere: its model, then the options of `polyview train`, a word a line; beyond the last run it fails and
says how many there are.  A run's results are in its record, <name>-<seed>.h5.runs.jsonl.
"""

import argparse
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .._metrics import read_metrics, series
from .._paths import path_of, replaced
from .._runs import Run, last_done, runs_of, told

BEGIN, END = "<!-- polyview-tools table augment: begin -->", "<!-- polyview-tools table augment: end -->"


@dataclass(frozen=True)
class Variant:
    name: str
    meaning: str
    augment: str = ""  # the entries of the config's list
    sets: tuple[str, ...] = ()
    curves: bool = False  # scored on the test split after every epoch

    @property
    def one_view(self) -> bool:
        return ONE_VIEW[0] in self.sets


ONE_VIEW = ("train.views=1",)

ALL_VIEWS = [
    Variant("none", "none", curves=True),
    Variant("mixup", "MixUp", "{kind: mixup}"),
    Variant("mixup_aligned", "aligned MixUp", "{kind: mixup_aligned}", curves=True),
    Variant(
        "mixup_aligned_signed", "signed-aligned MixUp", "{kind: mixup_aligned, signs: true}", curves=True
    ),
    Variant("negation", "SIREN negation", "{kind: negation}", curves=True),
    Variant(
        "negation_mixup_signed_half",
        "negation, signed-aligned MixUp of one half",
        "{kind: negation}, {kind: mixup_aligned, signs: true, p: 0.5}",
        curves=True,
    ),
    Variant(
        "negation_mixup_signed",
        "negation, signed-aligned MixUp",
        "{kind: negation}, {kind: mixup_aligned, signs: true}",
    ),
    Variant("canonical_sign", "canonical signs", sets=("train.canonical=sign",)),
    Variant(
        "canonical_mixup_aligned",
        "canonical signs, aligned MixUp",
        "{kind: mixup_aligned}",
        ("train.canonical=sign",),
    ),
    Variant(
        "mixup_reference",
        "signed-aligned MixUp, by one network",
        "{kind: mixup_aligned, signs: true, match: reference}",
    ),
    Variant("mixup_aligned_view", "aligned MixUp of two views", "{kind: mixup_aligned, partner: view}"),
    Variant("mixup_perm", "MixUp after a random permutation", "{kind: mixup_perm}"),
    Variant("weights_only", "MixUp, label of the larger share", "{kind: weights_only}"),
    Variant("self_aligned", "aligned MixUp with an augmented copy of itself", "{kind: self_aligned}"),
    Variant("combine", "translate, noise, negation, aligned MixUp", "{kind: combine}"),
    Variant("negation_noise", "negation, noise", "{kind: negation}, {kind: noise}"),
    Variant("permute", "permutation", "{kind: permute}"),
    Variant("phase", "SIREN phase", "{kind: phase}"),
    Variant("translate", "translate", "{kind: translate}"),
    Variant("translate_deep", "translate, deeper layers", "{kind: translate_deep}"),
    Variant("rotate", "rotate", "{kind: rotate}"),
    Variant("scale", "scale", "{kind: scale}"),
    Variant("noise", "Gaussian noise", "{kind: noise}"),
    Variant("dropout", "dropout of weights", "{kind: dropout}"),
    Variant("quantile_dropout", "quantile dropout", "{kind: quantile_dropout}"),
    Variant("label_smoothing", "label smoothing", "{kind: label_smoothing}"),
    Variant("canonical_phase", "canonical phases", sets=("train.canonical=phase",)),
    Variant("canonical_both", "canonical signs and phases", sets=("train.canonical=both",)),
]


def of_one_view(variant: Variant) -> Variant:
    name = "one_view" if variant.name == "none" else f"one_view_{variant.name}"
    meaning = f"{variant.meaning}, one view"
    return Variant(name, meaning, variant.augment, (*ONE_VIEW, *variant.sets), variant.curves)


# Those that matter most come first, with one view an object and with all: a study that is cut short has them.
MAIN = 10
VARIANTS = [*map(of_one_view, ALL_VIEWS[:MAIN]), *ALL_VIEWS]


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


def table(runs: Path) -> str:
    """Each variant beside the same without augmentation."""
    rows = []
    bases = {
        one_view: scored(finished_runs(runs, "one_view" if one_view else "none"))[0]
        for one_view in (True, False)
    }
    for variant in VARIANTS:
        found = finished_runs(runs, variant.name)
        if not found:
            continue
        test, error = scored(found)
        rest = (
            ("test_loss", ".3f"),
            ("best_val_accuracy", ".1f"),
            ("best_epoch", ".0f"),
            ("train_loss", ".2f"),
        )
        means = {key: mean_and_error([r.figure(key) for r in found])[0] for key, _ in rest}
        means["best_val_accuracy"] *= 100
        cells = [
            plus_minus(test, error),
            told(test - bases[variant.one_view], "+.1f"),
            *(told(means[key], form) for key, form in rest),
        ]
        rows.append(f"| {' | '.join([variant.meaning, *cells, str(len(found))])} |")
    head = [
        "| augmentation | test accuracy, % | against none | test loss | validation accuracy, % | best epoch "
        "| last training loss | seeds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join(head + rows)


def replace_between_marks(path: Path, text: str, marks: tuple[str, str] = (BEGIN, END)) -> None:
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


def curves(runs: Path, output: Path) -> None:
    """Test losses, where an object has one view and where it has all."""
    from ..figures import COLOURS, STYLE, save
    from matplotlib import pyplot as plt

    shown = [v for v in VARIANTS if v.curves and finished_runs(runs, v.name)]
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.1), sharey=True, layout="constrained")
        for axis, one_view in zip(axes, (True, False)):
            for colour, variant in zip(COLOURS, (v for v in shown if v.one_view == one_view)):
                values = mean_curve(runs, variant, "test_loss")
                label = variant.meaning.removesuffix(", one view")
                axis.plot(range(1, len(values) + 1), values, color=colour, linewidth=1.6, label=label)
            axis.set(xlabel="epoch", title=f"test loss, {'one view' if one_view else 'all views'} an object")
        axes[0].legend(loc="upper right", fontsize=6)
        save(figure, output)


def bars(runs: Path, output: Path) -> None:
    """Test accuracies of the main variants with their standard errors, with one view an object and with all."""
    from ..figures import COLOURS, STYLE, save
    from matplotlib import pyplot as plt

    pairs = list(zip(VARIANTS[:MAIN], ALL_VIEWS[:MAIN]))
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(7.2, 3.4), layout="constrained")
        for colour, offset, label, chosen in (
            (COLOURS[0], -0.2, "one view an object", [one for one, _ in pairs]),
            (COLOURS[1], 0.2, "all views", [many for _, many in pairs]),
        ):
            scores = [scored(finished_runs(runs, variant.name)) for variant in chosen]
            places = [number - offset for number in range(len(chosen))]
            axis.barh(
                [-place for place in places],
                [mean for mean, _ in scores],
                0.38,
                xerr=[error for _, error in scores],
                color=colour,
                label=label,
            )
        axis.set_yticks([-number for number in range(MAIN)], [many.meaning for _, many in pairs])
        means = [scored(finished_runs(runs, one.name))[0] for pair in pairs for one in pair]
        axis.set(xlabel="test accuracy, %", xlim=(0.9 * np.nanmin(means), 1.03 * np.nanmax(means)))
        axis.legend(loc="lower right")
        save(figure, output)


def arguments(program: str, words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(program, description="Compares augmentations: trains, tabulates, draws.")
    commands = parser.add_subparsers(dest="command", required=True)
    runs = argparse.ArgumentParser(add_help=False)
    runs.add_argument("--runs", type=path_of, default=Path("runs/augment"), help="directory of the runs")
    which = argparse.ArgumentParser(add_help=False)
    which.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    which.add_argument("--only", nargs="+", help="names of variants", choices=[v.name for v in VARIANTS])
    command = commands.add_parser("run", parents=[runs, which], help="train what is not yet trained")
    command.add_argument("--config", type=path_of, default=Path("configs/augment.yaml"))
    command.add_argument("--store", type=path_of, help="the store (default: store.h5 in the runs' directory)")
    command.add_argument("--polyview", type=path_of, default=Path("build/polyview"))
    command.add_argument("--jobs", type=int, default=2, help="runs side by side")
    command.add_argument("--set", action="append", default=[], help="key.path=value, for every run")
    command = commands.add_parser("task", parents=[runs, which], help="the words of one run")
    command.add_argument("number", type=int)
    command = commands.add_parser("table", parents=[runs], help="Markdown of the results")
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
        replace_between_marks(args.into, table(args.runs))
    else:
        print(table(args.runs))
    return 0
