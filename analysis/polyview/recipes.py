"""Which fits can be read: fits the same objects by many recipes and tells how well networks and probes read the weights.

    polyview-tools recipes run [--config configs/recipes.yaml] [--runs runs/recipes] [--ranks 2] [--only NAME ...]
    polyview-tools recipes table [--of starts | variants] [--runs runs/recipes] [--into docs/recipes.md]
    polyview-tools recipes figure [--runs runs/recipes] -o docs/pictures/recipes.png
    polyview-tools recipes names                                          (for a job array: a recipe a task)

`run` goes on where it was interrupted: fits resume, and what has a result is not made again.  For every recipe it makes
<runs>/<recipe>/store.h5, a second store of the INRs before their first step, models, and one JSON file a figure.  The table
is of SIRENs; that of starts is of every activation, from starts of their own and from a shared one; that of variants is of
the ranges that a SIREN's first weights are drawn from.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .tables.augment import mean_and_error, replace_between_marks, whole_table
from .tables.variants import SCALEGMN
from .store import Store
from ._paths import path_of, program_path, write_whole
from ._runs import last_done, runs_of

MARK = "<!-- polyview-tools recipes{of}: {end} -->"
DISTANCE_ROWS = 512  # objects over which the distance travelled is averaged


@dataclass(frozen=True)
class Recipe:
    """How INRs are fitted; `sets` holds what differs from the defaults of a SIREN 2-32-32-1 with w0 30."""

    steps: int
    rate: float
    sets: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        extra = [f"-{s.split('.')[1]}".translate(str.maketrans("=,", "-x", "[]")) for s in self.sets]
        return f"{self.steps}x{self.rate:.0e}".replace("e-0", "e-") + "".join(extra)

    @property
    def label(self) -> str:
        """The same to be read."""
        words = [s.split(".")[1].replace("=", " ") for s in self.sets]
        return ", ".join([f"{self.steps} x {self.rate:g}", *words])

    def samples(self, pixels: int) -> int:
        """What a fit computes: pixels a step, times steps."""
        batch = next((int(s.split("=")[1]) for s in self.sets if s.startswith("fit.batch=")), pixels)
        return self.steps * min(batch, pixels)

    def models(self) -> dict[str, list[str]]:
        """The options of `polyview train`, by what is trained.  Units of ReLU have scales where others have signs;
        the scale-equivariant network is of sines."""
        relu = "inr.activation=relu" in self.sets
        form = f"train.canonical={'scale' if relu else 'sign'}"
        matched = f"train.align={'permutation' if relu else 'signed'}"
        mlp = ["model.kind=mlp", "model.hidden=128"]
        models = {
            "dws": ["model.kind=dws"],
            "dws_canonical": ["model.kind=dws", form],
            "scalegmn": [*SCALEGMN, "train.schedule=cosine", "train.precision=bfloat16"],
            "mlp": mlp,
            "mlp_matched": [*mlp, matched],
        }
        if any(s.startswith("inr.activation=") for s in self.sets):
            del models["scalegmn"]
        return models

    def words(self) -> list[str]:
        sets = (f"fit.steps={self.steps}", f"fit.lr={self.rate:.4e}", *self.sets)
        return [word for value in sets for word in ("--set", value)]


# Those with BATCH differ from 4 000 steps at 1e-3, read best of those that start as the published sets do, by little
# else than they name.
BATCH, SHARED, FLAT = "fit.batch=64", "fit.init=shared", "inr.variant=flat"
RELU = ("inr.activation=relu", "inr.encoding=fourier", "inr.frequencies=4", "inr.sigma=1")
GAUSS = ("inr.activation=gauss", "inr.w0=3")
RECIPES = [
    Recipe(100, 5e-3),
    Recipe(300, 5e-3),
    Recipe(300, 2e-3),
    Recipe(300, 1e-3),
    Recipe(300, 5e-4),
    Recipe(600, 1e-3),
    Recipe(1000, 5e-4),
    Recipe(1000, 1e-3),
    Recipe(1000, 2e-3),
    Recipe(1000, 1e-3, ("fit.batch=256",)),
    Recipe(2000, 5e-4, ("fit.batch=128",)),
    Recipe(2000, 1e-3, ("fit.batch=128",)),
    Recipe(2000, 1e-3, ("fit.batch=64",)),
    Recipe(4000, 5e-4, ("fit.batch=128",)),
    Recipe(4000, 5e-4, ("fit.batch=64",)),
    Recipe(4000, 1e-3, ("fit.batch=64",)),
    Recipe(4000, 1e-3, ("fit.batch=32",)),
    Recipe(8000, 1e-3, ("fit.batch=32",)),
    Recipe(4000, 1e-3, (BATCH, "fit.schedule=cosine")),
    Recipe(4000, 2e-3, (BATCH, "fit.schedule=cosine")),
    Recipe(4000, 1e-3, (BATCH, SHARED)),
    Recipe(4000, 1e-3, (BATCH, "inr.w0=15")),
    Recipe(4000, 1e-3, (BATCH, "inr.w0=20")),
    Recipe(4000, 1e-3, (BATCH, "inr.variant=standard")),
    Recipe(4000, 1e-3, (BATCH, FLAT)),
    Recipe(4000, 5e-4, (BATCH, FLAT)),
    Recipe(4000, 5e-4, (BATCH, FLAT, SHARED)),
    Recipe(4000, 1e-3, (BATCH, FLAT, "fit.schedule=cosine")),
    Recipe(4000, 1e-3, (BATCH, "inr.hidden=[16,16]")),
    Recipe(4000, 1e-3, (BATCH, "inr.hidden=[64,64]")),
    Recipe(4000, 1e-3, (BATCH, "fit.precision=int16")),
    Recipe(4000, 1e-3, (BATCH, "fit.precision=bfloat16_amx", "fit.polish=100")),
    Recipe(4000, 1e-3, (BATCH, *RELU)),
    Recipe(4000, 1e-3, (BATCH, *RELU, SHARED)),
    Recipe(4000, 1e-3, (BATCH, *GAUSS)),
    Recipe(4000, 1e-3, (BATCH, *GAUSS, SHARED)),
]
OF_SINES = [recipe for recipe in RECIPES if not any("activation" in s for s in recipe.sets)]
INRS: dict[str, tuple[float, tuple[str, ...]]] = {
    "sine of w0 30": (1e-3, ()),
    "sine of w0 30, flat": (5e-4, (FLAT,)),
    "ReLU of 4 Fourier frequencies": (1e-3, RELU),
    "Gauss of w0 3": (1e-3, GAUSS),
}
STARTS: dict[str, tuple[str, ...]] = {"independent": (), "shared": (SHARED,)}
READINGS = "DWS, DWS canonical, ScaleGMN, MLP, MLP matched, ridge, ridge matched, kNN matched"

READERS = ("dws", "dws_canonical", "scalegmn", "mlp", "mlp_matched")
PROBES = {
    "ridge": ["--method", "ridge", "--features", "raw"],
    "ridge_matched": ["--method", "ridge", "--features", "aligned"],
    "knn_matched": ["--method", "knn", "--features", "aligned"],
}


def polyview(args: argparse.Namespace, words: list[str], ranks: int) -> dict[str, Any]:
    """Runs the program; its result."""
    launch = ["mpirun", "-n", str(ranks)] if ranks > 1 else []
    done = subprocess.run(
        [*launch, str(args.polyview), *words], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        raise ValueError(f"`polyview {' '.join(words)}` ended with status {done.returncode}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def kept(path: Path, make: Any) -> dict[str, Any]:
    """What `make` gives, made once."""
    if not path.is_file():
        result = make()
        part = path.with_suffix(".part")
        write_whole(part, json.dumps(result))
        part.replace(path)
    return dict(json.loads(path.read_text(encoding="utf-8")))


def fit(args: argparse.Namespace, recipe: Recipe, place: Path) -> dict[str, Any]:
    store, start = place / "store.h5", place / "start.h5"
    common = ["fit", "--quiet", "--config", str(args.config), "--store"]
    polyview(args, [*common, str(store), *recipe.words()], args.ranks)
    with Store(store) as fitted:
        rows = min(DISTANCE_ROWS, int(np.sum(fitted.split == 0)))
    # A step so small that it leaves the weights where they are.
    still = ["--set", "fit.steps=1", "--set", "fit.lr=1.0e-30"]
    few = ["--set", f"signal.train={rows}", "--set", "signal.val=0", "--set", "signal.test=0"]
    polyview(args, [*common, str(start), *recipe.words(), *still, *few], args.ranks)
    with Store(store) as fitted, Store(start) as first:
        here, there = fitted.block(0, 0, rows), first.block(0, 0, rows)
        moved = np.linalg.norm(here - there, axis=1) / np.linalg.norm(there, axis=1)
        psnr, pixels = float(np.mean(fitted.psnr[0])), fitted.height * fitted.width
    record = last_done(runs_of(store), "fit")
    rate = float(record.result["inr_steps_per_s"]) / recipe.steps if record else math.nan
    return {"psnr_db": psnr, "moved": float(np.mean(moved)), "views_per_s": rate, "pixels": pixels}


def study(args: argparse.Namespace, recipe: Recipe) -> None:
    place = args.runs / recipe.name
    place.mkdir(parents=True, exist_ok=True)
    store = ["--store", str(place / "store.h5")]
    kept(place / "fit.json", lambda: fit(args, recipe, place))
    for name, words in PROBES.items():
        kept(
            place / f"{name}.json",
            lambda w=words: polyview(args, ["probe", "--quiet", *store, *w], args.ranks),
        )
    for seed in args.seeds:
        for name, sets in recipe.models().items():
            own = [*sets, f"train.seed={seed}", f"train.output={place / f'{name}-{seed}.h5'}"]
            words = ["train", "--quiet", "--config", str(args.config), *store]
            words += [word for value in own for word in ("--set", value)]
            kept(place / f"{name}-{seed}.json", lambda w=words: polyview(args, w, args.ranks))
    print(f"{recipe.name}: done", file=sys.stderr, flush=True)


def result(runs: Path, recipe: Recipe, name: str) -> dict[str, Any] | None:
    path = runs / recipe.name / f"{name}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def accuracies(runs: Path, recipe: Recipe, model: str) -> list[float]:
    """In percent, a seed each."""
    paths = sorted((runs / recipe.name).glob(f"{model}-*.json"))
    return [100 * json.loads(path.read_text(encoding="utf-8"))["test_accuracy"] for path in paths]


def told(values: list[float]) -> str:
    if not values:
        return "-"
    mean, error = mean_and_error(values)
    return f"{mean:.1f}" if math.isnan(error) else f"{mean:.1f} ± {error:.1f}"


def readings(runs: Path, recipe: Recipe) -> list[str]:
    """Accuracies of the models and the probes, in words."""
    probes = [result(runs, recipe, name) for name in PROBES]
    cells = [told(accuracies(runs, recipe, name)) for name in READERS]
    return cells + [f"{100 * probe['test_accuracy']:.1f}" if probe else "-" for probe in probes]


def tabled(titles: str, rows: list[list[str]]) -> str:
    """Without the columns that no row has anything in."""
    names = titles.split(", ")
    kept = [i for i in range(len(names)) if not rows or any(row[i] != "-" for row in rows)]
    return whole_table([names[i] for i in kept], [[row[i] for i in kept] for row in rows])


def table_of_recipes(runs: Path) -> str:
    rows = []
    for recipe in OF_SINES:
        fitted = result(runs, recipe, "fit")
        if not fitted:
            continue
        extra = " ".join(s.replace("=", " ").split(".", 1)[1] for s in recipe.sets)
        samples = f"{recipe.samples(fitted['pixels']) / 1000:.0f}"
        head = [str(recipe.steps), f"{recipe.rate:g}", extra, samples]
        head += [f"{fitted['psnr_db']:.1f}", f"{fitted['moved']:.2f}"]
        rows.append([*head, *readings(runs, recipe)])
    return tabled(f"steps, rate, else, thousand samples, PSNR (dB), moved, {READINGS}", rows)


def table_of_starts(runs: Path) -> str:
    rows = []
    for inr, (rate, sets) in INRS.items():
        for start, shared in STARTS.items():
            recipe = Recipe(4000, rate, (BATCH, *sets, *shared))
            fitted = result(runs, recipe, "fit")
            if fitted:
                head = [inr, start, f"{fitted['psnr_db']:.1f}", f"{fitted['moved']:.2f}"]
                rows.append([*head, *readings(runs, recipe)])
    return tabled(f"INR, start, PSNR (dB), moved, {READINGS}", rows)


def table_of_variants(runs: Path) -> str:
    """Of the first weights' ranges, by 4 000 steps on 64 pixels."""
    rows = []
    for recipe in OF_SINES:
        fitted = result(runs, recipe, "fit")
        rest = [s for s in recipe.sets if s != BATCH]
        if not fitted or recipe.steps != 4000 or BATCH not in recipe.sets:
            continue
        if all(s.startswith(("inr.variant=", "fit.schedule=")) for s in rest):
            known = dict(s.split("=") for s in rest)
            head = [known.get("inr.variant", "dwsnets"), f"{recipe.rate:g}"]
            head += [known.get("fit.schedule", "constant")]
            head += [f"{fitted['psnr_db']:.1f}", f"{fitted['moved']:.2f}"]
            rows.append([*head, *readings(runs, recipe)])
    return tabled(f"variant, rate, schedule, PSNR (dB), moved, {READINGS}", rows)


TABLES = {"recipes": table_of_recipes, "starts": table_of_starts, "variants": table_of_variants}


def scattered(axis: Any, points: list[tuple[float, float, Recipe]]) -> None:
    """Accuracy against something, coloured by the rate, each with the recipe's number."""
    from .figures import COLOURS

    for colour, rate in zip(COLOURS, sorted({recipe.rate for _, _, recipe in points})):
        of_rate = [(x, y) for x, y, recipe in points if recipe.rate == rate]
        axis.scatter(*zip(*of_rate), color=colour, s=14, label=f"{rate:g}")
    for number, (x, y, _) in enumerate(points, 1):
        axis.annotate(str(number), (x, y), fontsize=5.5, xytext=(2, 2), textcoords="offset points")


def figure(runs: Path, output: Path) -> None:
    """Of SIRENs, accuracy against PSNR and against how far the weights moved, coloured by the rate."""
    from matplotlib import pyplot as plt

    from .figures import STYLE, save

    found = [(r, result(runs, r, "fit"), accuracies(runs, r, "dws")) for r in OF_SINES]
    shown = [(r, f, statistics.fmean(a)) for r, f, a in found if f and a]
    if not shown:
        raise ValueError(f"'{runs}' holds no results: start with `polyview-tools recipes run`")
    with plt.rc_context(STYLE):
        drawing, axes = plt.subplots(
            1, 3, figsize=(9, 3.4), width_ratios=(3, 3, 2), sharey=True, layout="constrained"
        )
        for axis, key, name in zip(
            axes, ("psnr_db", "moved"), ("PSNR, dB", "distance moved / norm at the start")
        ):
            scattered(axis, [(f[key], accuracy, r) for r, f, accuracy in shown])
            axis.set(xlabel=name)
        axes[0].set(ylabel="test accuracy of DWS, %")
        axes[1].legend(title="learning rate", fontsize=6, title_fontsize=6)
        names = "\n".join(f"{number}  {r.label}" for number, (r, _, _) in enumerate(shown, 1))
        axes[2].set_axis_off()
        axes[2].text(0, 1, names, fontsize=5.5, va="top", transform=axes[2].transAxes)
        save(drawing, output)


def arguments(program: str, words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        program, description="Compares recipes of fits by how well their weights are read."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    runs = argparse.ArgumentParser(add_help=False)
    runs.add_argument("--runs", type=path_of, default=Path("runs/recipes"), help="directory of the runs")
    command = commands.add_parser("run", parents=[runs], help="fit, train and probe what has no result yet")
    command.add_argument("--config", type=path_of, default=Path("configs/recipes.yaml"))
    command.add_argument("--polyview", type=program_path, default="build/polyview")
    command.add_argument("--ranks", type=int, default=1)
    command.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    known = [r.name for r in RECIPES]
    command.add_argument(
        "--only", nargs="+", metavar="NAME", choices=known, help="names of recipes (`recipes names`)"
    )
    command = commands.add_parser("table", parents=[runs], help="Markdown of the results")
    command.add_argument("--of", choices=TABLES, default="recipes", help="which table")
    command.add_argument("--into", type=path_of, help="file whose table is replaced")
    command = commands.add_parser("figure", parents=[runs], help="accuracy against PSNR and distance")
    command.add_argument("-o", "--output", type=path_of, required=True)
    commands.add_parser("names", help="the recipes, a line each")
    return parser.parse_args(words)


def main(program: str, words: list[str]) -> int:
    args = arguments(program, words)
    if args.command == "run":
        for recipe in RECIPES:
            if not args.only or recipe.name in args.only:
                study(args, recipe)
    elif args.command == "names":
        print(*(recipe.name for recipe in RECIPES), sep="\n")
    elif args.command == "figure":
        figure(args.runs, args.output)
    elif args.into:
        of = "" if args.of == "recipes" else f" --of {args.of}"
        marks = MARK.format(of=of, end="begin"), MARK.format(of=of, end="end")
        replace_between_marks(args.into, TABLES[args.of](args.runs), marks)
    else:
        print(TABLES[args.of](args.runs))
    return 0
