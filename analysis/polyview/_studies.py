"""What a report says of the studies beside a pipeline: augmentations, and learning without labels."""

import functools
import math
from pathlib import Path

from ._page import Report
from ._runs import Run, told
from .tables import augment, contrast
from .tables.augment import finished_runs, mean_and_error, plus_minus
from .tables.variants import VARIANTS, Variant


def augmentation_rows(found: dict[Variant, list[Run]]) -> list[list[str]]:
    """The best first; each beside what the same views give without, if that was trained."""

    def over_seeds(variant: Variant, key: str, factor: float = 1) -> tuple[float, float]:
        return mean_and_error([factor * run.figure(key) for run in found[variant]])

    test = {variant: over_seeds(variant, "test_accuracy", 100) for variant in found}
    bases = {variant.name: test[variant][0] for variant in found if variant.name == variant.bare}
    rows = []
    for variant in sorted(found, key=lambda v: (math.isnan(test[v][0]), -test[v][0])):
        gain = test[variant][0] - bases[variant.bare] if variant.bare in bases else math.nan
        rows.append(
            [
                variant.meaning,
                plus_minus(*test[variant]),
                "" if variant.bare not in bases else told(gain, "+.1f"),
                told(over_seeds(variant, "best_val_accuracy", 100)[0]),
                told(over_seeds(variant, "test_loss")[0], ".3f"),
                str(len(found[variant])),
            ]
        )
    return rows


def augmentations(report: Report, directory: Path) -> None:
    """Errors are standard errors over the seeds."""
    found = {variant: finished_runs(directory, variant.name) for variant in VARIANTS}
    found = {variant: runs for variant, runs in found.items() if runs}
    if not found:
        return
    runs = [run for each in found.values() for run in each]
    report.section("Augmentations")
    if augment.barred(directory):
        draw, caption = functools.partial(augment.bars, directory), "Test accuracy with its standard error."
        words: list[str | Path] = ["table", "augment", "bars", "--runs", directory]
        report.add(report.picture("augmentations", draw, "accuracies", caption, [], words))
    if augment.curved(directory):
        draw, caption = functools.partial(augment.curves, directory), "Test loss, epoch by epoch."
        words = ["table", "augment", "curves", "--runs", directory]
        try:
            report.add(report.picture("losses", draw, "test losses", caption, [], words))
        except ValueError as error:  # runs of one name that are not alike
            report.add(report.note(f"No picture of the losses: {error}.", []))
    head = [
        "augmentation",
        "test accuracy, %",
        "against none",
        "validation, %",
        "test loss",
        "seeds",
    ]
    report.add(report.table(head, augmentation_rows(found), runs, numbers=5))


def contrasts(report: Report, directory: Path) -> None:
    """Encoders that were trained without labels, judged by probes."""
    outcomes = contrast.outcomes(directory)
    if not outcomes:
        return
    report.section("Learning without labels")
    draw = functools.partial(contrast.bars, directory)
    words: list[str | Path] = ["table", "contrast", "bars", "--runs", directory]
    caption = "Test accuracy of a ridge probe on frozen encoders, with its standard error."
    report.add(report.picture("contrast", draw, "accuracies of probes", caption, [], words))
    rows = [one.row for one in sorted(outcomes, key=lambda one: -one.ridge[0])]
    report.add(report.table(contrast.HEAD, rows, [], numbers=4))
