"""The study of recipes: a recipe is fitted, trained on and probed once, and told in a table and a figure."""

import json
import re
import subprocess
import sys
from pathlib import Path

from harness import BUILD, TOOLS, check, environment, run_tests, write_config, write_images

NAME = "100x5e-3"
FLAT = "4000x5e-4-batch-64-variant-flat"
RELU = "4000x1e-3-batch-64-activation-relu-encoding-fourier-frequencies-4-sigma-1-init-shared"


def recipes(work: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [*TOOLS, "recipes", *map(str, words)]
    return subprocess.run(command, cwd=work, env=environment(), capture_output=True, text=True, timeout=200)


def a_recipe_is_judged_once(work: Path) -> None:
    write_images(work / "images", train=160, test=60)
    config = write_config(work, signal={"train": 120, "val": 30, "test": 50}, fit={"views": 1})
    words = ["run", "--config", config, "--runs", work / "runs", "--polyview", BUILD / "polyview"]
    words += ["--only", NAME, "--seeds", 1, 2]
    first = recipes(work, *words)
    check(first.returncode == 0, "a recipe is fitted, trained on and probed", first.stderr)
    made = {path: path.stat().st_mtime_ns for path in (work / "runs" / NAME).iterdir()}
    second = recipes(work, *words)
    check(
        second.returncode == 0 and made == {path: path.stat().st_mtime_ns for path in made},
        "what has a result is not made again",
        second.stderr,
    )
    fitted = json.loads((work / "runs" / NAME / "fit.json").read_text())
    check(
        0 < fitted["moved"] < 10 and fitted["psnr_db"] > 5,
        "weights have moved, and INRs draw something",
        fitted,
    )

    page = work / "page.md"
    page.write_text(
        "before\n<!-- polyview-tools recipes: begin -->\nold\n<!-- polyview-tools recipes: end -->\nafter\n"
    )
    told = recipes(work, "table", "--runs", work / "runs", "--into", page)
    text = page.read_text()
    scores = [
        json.loads(path.read_text())["test_accuracy"] for path in (work / "runs" / NAME).glob("dws-[12].json")
    ]
    check(
        told.returncode == 0
        and re.search(rf"\| 100 \| 0.005 \|.*\| {50 * sum(scores):.1f} ± ", text) is not None
        and "old" not in text
        and text.startswith("before")
        and text.endswith("after\n"),
        "the table takes the place of the one before it, with the mean of the seeds",
        text,
        told.stderr,
    )
    words[-4:] = [RELU, "--seeds", 1]
    other = recipes(work, *words)
    told = recipes(work, "table", "--of", "starts", "--runs", work / "runs")
    check(
        other.returncode == 0
        and told.stdout.splitlines()[-1].startswith("| ReLU of 4 Fourier frequencies | shared |"),
        "INRs of another activation are read by the forms that their units have",
        other.stderr,
        told.stdout,
    )
    words[-3:] = [FLAT, "--seeds", 1]
    other = recipes(work, *words)
    told = recipes(work, "table", "--of", "variants", "--runs", work / "runs")
    check(
        other.returncode == 0
        and told.stdout.splitlines()[-1].startswith("| flat | 0.0005 | constant |")
        and (work / "runs" / FLAT / "scalegmn-1.json").is_file(),
        "SIRENs that start by another variant have a table of their own, and the network that knows signs",
        other.stderr,
        told.stdout,
    )
    drawn = recipes(work, "figure", "--runs", work / "runs", "-o", work / "recipes.png")
    check(
        drawn.returncode == 0 and (work / "recipes.png").stat().st_size > 5000,
        "the figure is drawn",
        drawn.stderr,
    )


if __name__ == "__main__":
    sys.exit(run_tests(a_recipe_is_judged_once))
