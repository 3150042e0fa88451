"""The studies of augmentations and of learning without labels: each run is trained once, and told in tables and pictures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py

from harness import BUILD, TOOLS, check, make_store, polyview, run_tests, write_config, write_images

PNG = b"\x89PNG\r\n\x1a\n"


def table(work: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [*TOOLS, "table", *map(str, words)]
    return subprocess.run(command, cwd=work, env=os.environ, capture_output=True, text=True, timeout=200)


def study(work: Path, which: str, *words: object) -> subprocess.CompletedProcess[str]:
    return table(
        work,
        which,
        "run",
        *("--config", work / "config.yaml", "--store", work / "store.h5", "--runs", work / "runs"),
        *("--polyview", BUILD / "polyview", "--jobs", 2, *words),
    )


def times(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in directory.iterdir()}


def lines_of(done: subprocess.CompletedProcess[str]) -> dict[str, list[str]]:
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in done.stdout.splitlines()]
    return {row[0]: row[1:] for row in rows}


def augmentations_are_trained_once(work: Path) -> None:
    make_store(work)
    runs = work / "runs"
    chosen = ("--only", "one_view", "two_views", "one_view_canonical_sign", "one_view_negation")
    first = study(work, "augment", *chosen, "--seeds", 1, 2)
    check(
        first.returncode == 0 and len(list(runs.glob("*.runs.jsonl"))) == 8,
        "every variant is trained with every seed",
        first.stderr,
    )
    made = times(runs)
    second = study(work, "augment", *chosen, "--seeds", 1, 2)
    check(second.returncode == 0 and times(runs) == made, "what is trained is not trained again", second)
    configs = {}
    for path in runs.glob("*-2.h5"):
        with h5py.File(path) as file:
            configs[path.stem.removesuffix("-2")] = str(file.attrs["config"])
    check(
        "views: 2" in configs["two_views"]
        and "views: 1" in configs["one_view"]
        and "canonical: sign" in configs["one_view_canonical_sign"]
        and "kind: negation" in configs["one_view_negation"],
        "by what its name says",
        configs,
    )
    told = table(work, "augment", "table", "--of", "paper", "--runs", runs)
    rows = lines_of(told)
    records = [json.loads(path.read_text().splitlines()[-1]) for path in runs.glob("two_views-*.runs.jsonl")]
    scores = [one["result"]["test_accuracy"] for one in records]
    trained = sum(one["result"]["samples"] * one["result"]["epochs"] for one in records)
    seconds = sum(one["time"]["cpu_s"] * one["ranks"] for one in records)
    check(
        told.returncode == 0
        and rows["none, two views"][0].startswith(f"{50 * sum(scores):.1f}")
        and rows["none, two views"][1] == "+0.0"
        and rows["none, one view"][-1] == "2"
        and rows["none, two views"][-3:-1]
        == [f"{records[0]['result']['parameters']:,}", f"{trained / seconds:,.0f}"],
        "the table has the mean of the seeds, beside as many views without, and what they cost",
        told,
    )
    seen = ("--seeds", 1, 2, "--unseen", 1, "--store", work / "store.h5", "--polyview", BUILD / "polyview")
    inside = table(work, "augment", "table", "--of", "views", "--runs", runs, *seen)
    judged = [json.loads(path.read_text()) for path in runs.glob("one_view-[12].h5.train-1.json")]
    check(
        len(judged) == 2
        and all(one["generalisation"] == "internal" and one["samples"] == 21 for one in judged)
        and lines_of(inside)["none, one view"][0].startswith(
            f"{50 * sum(one['accuracy'] for one in judged):.1f}"
        ),
        "the table of views judges models on the view that they have not seen",
        inside,
        judged,
    )
    page = work / "page.md"
    marks = [
        f"<!-- polyview-tools table augment --of {of}: {at} -->"
        for of in ("views", "paper-views")
        for at in ("begin", "end")
    ]
    page.write_text("\n".join(marks) + "\n")
    placed = table(work, "augment", "table", "--of", "paper-views", "--runs", runs, *seen, "--into", page)
    check(
        placed.returncode == 0
        and page.read_text() == "\n".join([*marks[:3], inside.stdout.rstrip("\n"), marks[3]]) + "\n",
        "and that of the paper's scale has its own place on a page",
        placed,
        page.read_text(),
    )
    pictures = {
        "views": table(work, "augment", "views", "--runs", runs, *seen, "-o", work / "views.png"),
        "curves": table(work, "augment", "curves", "--runs", runs, "-o", work / "curves.png"),
        "bars": table(work, "augment", "bars", "--runs", runs, "-o", work / "bars.png"),
    }
    check(
        all(
            (work / f"{name}.png").read_bytes()[:8] == PNG
            for name, done in pictures.items()
            if not done.returncode
        )
        and not any(done.returncode for done in pictures.values()),
        "and there are pictures of all of it",
        *pictures.values(),
    )
    failing = study(work, "augment", "--only", "five_views", "one_view", "--seeds", 1, 3)
    check(
        failing.returncode == 1
        and "five_views, seed 1: status 2" in failing.stderr
        and "views 0-4 are asked for" in failing.stderr
        and (runs / "one_view-3.h5").exists(),
        "a variant that the store is too small for is named, and the others are trained",
        failing,
    )


def encoders_are_trained_and_probed_once(work: Path) -> None:
    write_images(work / "images", train=90, test=30)
    config = write_config(
        work,
        signal={"train": 60, "val": 20, "test": 30},
        train={"task": "simclr", "views": 2, "epochs": 2},
    )
    polyview("fit", "--config", config)
    runs = work / "runs"
    chosen = ("--only", "random", "views", "canonical", "negation", "--seeds", 1)
    first = study(work, "contrast", *chosen)
    results = {path.stem: json.loads(path.read_text()) for path in runs.glob("*.json")}
    check(
        first.returncode == 0
        and set(results) == {"random-1", "views-1", "canonical-1", "negation-1"}
        and results["random-1"]["train"] == {}
        and all(
            0 <= one[method]["test_accuracy"] <= 1 for one in results.values() for method in ("ridge", "knn")
        ),
        "every encoder is trained and probed",
        first.stderr,
        results,
    )
    made = times(runs)
    second = study(work, "contrast", *chosen)
    check(second.returncode == 0 and times(runs) == made, "once", second)
    rows = lines_of(table(work, "contrast", "table", "--runs", runs))
    check(
        rows["two views, canonical signs"][0]
        == f"{100 * results['canonical-1']['ridge']['test_accuracy']:.1f}"
        and rows["untrained encoder"][2] == "",
        "and told in the table",
        rows,
    )
    (work / "store.h5").unlink()
    failing = study(work, "contrast", "--only", "noise", "--seeds", 1)
    check(
        failing.returncode == 1 and "noise-1: " in failing.stderr and "store.h5" in failing.stderr,
        "without the store it fails, and says which run and why",
        failing,
    )


if __name__ == "__main__":
    sys.exit(run_tests(augmentations_are_trained_once, encoders_are_trained_and_probed_once))
