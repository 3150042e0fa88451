"""The metrics of a training: what `polyview train` leaves in <output>.jsonl, a JSON object a line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._runs import as_number


def records_of(path: Path) -> Iterator[dict[str, Any]]:
    """All records in order, but for a last line that is not whole, of a run that was killed or still writes."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield dict(json.loads(line))
        except json.JSONDecodeError as error:
            if number == len(lines):
                return
            raise ValueError(f"'{path}' line {number} is not JSON: {error}") from error


def read_metrics(path: Path) -> tuple[str, list[dict[str, Any]]]:
    """(model kind, epochs in order).  A resumed run repeats epochs: the last record of an epoch counts."""
    model, epochs = "", {}
    for record in records_of(path):
        if record.get("event") == "start":
            model = str(record.get("model", ""))
        elif record.get("event") == "epoch":
            epochs[int(record["epoch"])] = record
    if not epochs:
        raise ValueError(f"'{path}' holds no epoch")
    return model or path.stem, [epochs[epoch] for epoch in sorted(epochs)]


def series(epochs: list[dict[str, Any]], key: str) -> NDArray[np.float64]:
    """The values of a key, NaN where a run has none."""
    return np.array([as_number(e.get(key)) for e in epochs])
