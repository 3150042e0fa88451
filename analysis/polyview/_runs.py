"""Run records: what every run of Polyview left in <output>.runs.jsonl (docs/formats.md)."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._paths import beside

PARTS = {"compute_s": "computing", "io_s": "files", "communication_s": "communication", "idle_s": "waiting"}


def as_number(value: Any) -> float:
    """A number of a record, a result or a metric; NaN where it is null, as what is not finite is written."""
    return math.nan if value is None else float(value)


def told(value: float, form: str = ".1f", unit: str = "") -> str:
    """A figure in words that do not pretend to be a number where it is none."""
    return f"{value:{form}}{unit}" if math.isfinite(value) else "not finite"


@dataclass(frozen=True)
class Run:
    path: Path
    line: int  # from 1
    record: dict[str, Any]

    @property
    def command(self) -> str:
        return str(self.record["command"])

    @property
    def result(self) -> dict[str, Any]:
        return dict(self.record.get("result", {}))

    def figure(self, key: str) -> float:
        """A number of the result; NaN where it is null or not there."""
        return as_number(self.result.get(key))

    @property
    def wall(self) -> float:
        return as_number(self.record["time"]["wall_s"])

    @property
    def ranks(self) -> int:
        return int(self.record["ranks"])

    @property
    def core_seconds(self) -> float:
        """Of all ranks together, while they computed; NaN of a record without them."""
        return as_number(self.record.get("ranks")) * as_number(self.record.get("time", {}).get("cpu_s"))

    @property
    def nodes(self) -> int:
        return int(self.record["nodes"])

    @property
    def done(self) -> bool:
        return int(self.record["exit_status"]) == 0

    def share(self, part: str) -> float:
        share = as_number(self.record["time"][part]) / self.wall if self.wall > 0 else 0.0
        return share if math.isfinite(share) else 0.0

    def name(self, directory: Path) -> str:
        """Where the record is, for whoever wants to follow a figure back to it."""
        path = self.path.relative_to(directory) if self.path.is_relative_to(directory) else self.path
        return f"{path}:{self.line}"


def read_runs(path: Path) -> list[Run]:
    """All records of a file, in order; [] if there is none.  A last line that is not whole is left out."""
    if not path.is_file():
        return []
    found = []
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise ValueError(f"'{path}' line {number} is not JSON: {error}") from error
        if record.get("polyview_run") != 1:
            raise ValueError(f"'{path}' line {number} is not a run record of version 1")
        found.append(Run(path, number, record))
    return found


def of_step(slurm: dict[str, Any]) -> tuple[str, str, str]:
    """What tells a run from all others of a cluster."""
    return slurm.get("job_id", ""), slurm.get("restart_count", "0"), slurm.get("step_id", "")


def runs_of(output: Path) -> list[Run]:
    """The records beside a store or a model.  Where the program could read no energy counter, the energy is what Slurm's
    accounting told the job afterwards, if it did (jobs/lib.sh)."""
    found = read_runs(beside(output, ".runs.jsonl"))
    notes = beside(output, ".energy.jsonl")
    if notes.is_file():
        lines = [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]
        joules = {of_step(line): line["energy_j"] for line in lines}
        for run in found:
            if run.record.get("energy_j") is None and "slurm" in run.record:
                run.record["energy_j"] = joules.get(of_step(run.record["slurm"]))
    return found


def last_done(runs: list[Run], command: str) -> Run | None:
    done = [run for run in runs if run.command == command and run.done]
    return done[-1] if done else None
