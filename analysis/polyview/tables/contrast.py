"""What learning without labels gives: encoders trained with each augmentation and several seeds, judged by probes.

    polyview-tools table contrast run [--store STORE] [--config configs/contrast.yaml] [--runs runs/contrast] [--jobs 2]
    polyview-tools table contrast table [--runs runs/contrast] [--into docs/results.md]
    polyview-tools table contrast bars [--runs runs/contrast] -o docs/pictures/contrast.png

`run` trains and probes what is not there yet, all variants of a seed before those of the next; interrupted and started
again it goes on.  `table` prints Markdown, or replaces what stands between the marks of the table in a file; `bars` draws it.
"""

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from .augment import drawn_errors, mean_and_error, plus_minus, replace_between_marks, whole_table
from .._paths import path_of, program_path, replaced
from .._runs import as_number, told

BEGIN, END = "<!-- polyview-tools table contrast: begin -->", "<!-- polyview-tools table contrast: end -->"
RANDOM = "random"


@dataclass(frozen=True)
class Variant:
    name: str
    meaning: str
    augment: str = ""  # the entries of the config's list
    positives: str = "both"
    sets: tuple[str, ...] = ()


VARIANTS = [
    Variant(RANDOM, "untrained encoder"),
    Variant("views", "two views, no augmentation", positives="views"),
    Variant("translate", "two views, translate", "{kind: translate}"),
    Variant("rotate", "two views, rotate", "{kind: rotate}"),
    Variant("scale", "two views, scale", "{kind: scale}"),
    Variant("noise", "two views, Gaussian noise", "{kind: noise}"),
    Variant("dropout", "two views, dropout of weights", "{kind: dropout}"),
    Variant("negation", "two views, SIREN negation", "{kind: negation}"),
    Variant(
        "mixup_view",
        "two views, aligned MixUp with a view of the same image",
        "{kind: mixup_aligned, partner: view}",
    ),
    Variant(
        "mixup_view_signed",
        "two views, signed-aligned MixUp with a view of the same image",
        "{kind: mixup_aligned, signs: true, partner: view}",
    ),
    Variant("mixup_any", "two views, aligned MixUp with any", "{kind: mixup_aligned}"),
    Variant("canonical", "two views, canonical signs", positives="views", sets=("train.canonical=sign",)),
]


def polyview(args: argparse.Namespace, *words: object) -> dict[str, Any]:
    done = subprocess.run(
        [str(args.polyview), *map(str, words), "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(done.args)}: status {done.returncode}\n{done.stderr}")
    return dict(json.loads(done.stdout))


def train(args: argparse.Namespace, variant: Variant, seed: int) -> tuple[list[object], dict[str, Any]]:
    """How `probe` gets the encoder, and what training said."""
    if variant.name == RANDOM:
        return ["--untrained", args.config, "--seed", seed], {}
    model = args.runs / f"{variant.name}-{seed}.h5"
    sets = [
        f"augment=[{variant.augment}]",
        f"train.positives={variant.positives}",
        f"train.output={model}",
        f"train.seed={seed}",
        *variant.sets,
        *args.set,
    ]
    words = [word for value in sets for word in ("--set", value)]
    return ["--model", model], polyview(args, "train", "--config", args.config, "--store", args.store, *words)


def train_and_probe(args: argparse.Namespace, variant: Variant, seed: int) -> str:
    """Does it unless its results are there; returns what went wrong."""
    path = args.runs / f"{variant.name}-{seed}.json"
    if path.exists():
        return ""
    try:
        encoder, trained = train(args, variant, seed)
        probes = {
            method: polyview(args, "probe", "--store", args.store, "--method", method, *encoder)
            for method in ("ridge", "knn")
        }
    except RuntimeError as error:
        return f"{path.stem}: {error}"
    with replaced(path) as to:
        to.write_text(json.dumps({"train": trained, **probes}), encoding="utf-8")
    score = told(as_number(probes["ridge"]["test_accuracy"]), ".4f")
    print(f"{path.stem}: {score}", file=sys.stderr, flush=True)
    return ""


def run(args: argparse.Namespace) -> int:
    args.runs.mkdir(parents=True, exist_ok=True)
    chosen = [v for v in VARIANTS if not args.only or v.name in args.only]
    pairs = [(variant, seed) for seed in args.seeds for variant in chosen]
    with ThreadPoolExecutor(args.jobs) as pool:
        failures = [text for text in pool.map(lambda pair: train_and_probe(args, *pair), pairs) if text]
    for text in failures:
        print(text, file=sys.stderr)
    return 1 if failures else 0


HEAD = ["positives", "ridge probe, test %", "nearest neighbours, test %", "validation loss", "seeds"]


@dataclass(frozen=True)
class Outcome:
    """What came of a variant: mean and standard error over the seeds of each probe's test accuracy in percent."""

    variant: Variant
    ridge: tuple[float, float]
    knn: tuple[float, float]
    loss: float | None  # of the validation objects, where something was trained
    seeds: int

    @property
    def row(self) -> list[str]:
        loss = "" if self.loss is None else told(self.loss, ".3f")
        return [self.variant.meaning, plus_minus(*self.ridge), plus_minus(*self.knn), loss, str(self.seeds)]


def outcomes(runs: Path) -> list[Outcome]:
    """Of all variants of which a seed is done."""
    done = []
    for variant in VARIANTS:
        found = [json.loads(path.read_text()) for path in sorted(runs.glob(f"{variant.name}-[0-9]*.json"))]
        if not found:
            continue
        ridge, knn = (
            mean_and_error([100 * as_number(one[method]["test_accuracy"]) for one in found])
            for method in ("ridge", "knn")
        )
        losses = [as_number(one["train"]["best_val_loss"]) for one in found if one["train"]]
        loss = mean_and_error(losses)[0] if losses else None
        done.append(Outcome(variant, ridge, knn, loss, len(found)))
    return done


def table(runs: Path) -> str:
    return whole_table(HEAD, [one.row for one in outcomes(runs)])


def bars(runs: Path, output: Path | BinaryIO) -> None:
    """Accuracies of the ridge probe with their standard errors, beside that of bare views."""
    from ..figures import COLOURS, INK, STYLE, save
    from matplotlib import pyplot as plt

    shown = outcomes(runs)
    if not shown:
        raise ValueError(f"'{runs}' holds none of these runs")
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(6.4, 0.9 + 0.26 * len(shown)), layout="constrained")
        at = [-number for number in range(len(shown))]
        means, errors = [one.ridge[0] for one in shown], drawn_errors([one.ridge for one in shown])
        colours = [COLOURS[5 if one.variant.name in (RANDOM, "views") else 0] for one in shown]
        axis.barh(at, means, 0.7, xerr=errors, color=colours, ecolor=INK)
        axis.set_yticks(at, [one.variant.meaning for one in shown])
        for one in shown:
            if one.variant.name == "views":
                axis.axvline(one.ridge[0], color=INK, linewidth=0.8, linestyle=":")
        axis.set(xlabel="test accuracy of a ridge probe, %")
        save(figure, output)


def main(program: str, words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        program, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("run", "table", "bars"))
    parser.add_argument("--polyview", type=program_path, default="build/polyview")
    parser.add_argument("--config", type=path_of, default=Path("configs/contrast.yaml"))
    parser.add_argument("--store", type=path_of, default=Path("runs/augment/store.h5"))
    parser.add_argument("--runs", type=path_of, default=Path("runs/contrast"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    names = [v.name for v in VARIANTS]
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, help=f"rows: {', '.join(names)}")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    parser.add_argument("--set", action="append", default=[], help="key=value of the config, as of polyview")
    parser.add_argument("--into", type=path_of, help="file whose table is replaced")
    parser.add_argument("-o", "--output", type=path_of, help="bars: the picture")
    args = parser.parse_args(words)
    if args.command == "run":
        return run(args)
    if args.command == "bars":
        if not args.output:
            parser.error("bars needs -o")
        bars(args.runs, args.output)
        return 0
    if args.into:
        replace_between_marks(args.into, table(args.runs), (BEGIN, END))
    else:
        print(table(args.runs))
    return 0
