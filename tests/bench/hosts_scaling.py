#!/usr/bin/env python3
"""How good the plan is, and what a fit and a training take, on hosts that slow links join: `hosts_scaling.py --help`.

The hosts are made of namespaces (tests/hosts; root), with one rank each, and share this machine's cores: more hosts than cores
compute no faster.  On each number of hosts and each rate it runs `bench comm`, `plan`, and the fit and the training that were
planned; every round is a line in the file of results, and a table of medians over all of its rounds ends the output.
The table says which share of the cores others, and mpirun, had while fit and training ran: --quiet leaves out rounds with more than that.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "hosts")]
from hosts import Hosts, missing  # noqa: E402
from jobs import SHARED, Jobs  # noqa: E402

CONFIG = HERE.parent.parent / "configs" / "fmnist.yaml"  # DWS of 32 x 4: 1.28 MB of gradients a step
SIZES = {
    "signal.train": 1024,
    "signal.val": 128,
    "signal.test": 128,
    "fit.views": 1,
    "fit.steps": 100,
    "train.views": 1,
    "train.epochs": 4,
}
PATIENCE_S = 600
Round = dict[str, Any]


@contextmanager
def memory() -> Iterator[Path]:
    """A directory for the hosts to share that no disk slows down."""
    with tempfile.TemporaryDirectory(prefix="polyview-links-", dir=SHARED) as work:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", work], check=True)
        try:
            yield Path(work)
        finally:
            subprocess.run(["umount", "--lazy", work], check=True)


def cpu_seconds() -> float:
    """Of all programs on this machine."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:4]]
    return sum(ticks) / os.sysconf("SC_CLK_TCK")


def run(jobs: Jobs, command: list[object], hosts: int, words: list[object]) -> dict[str, Any]:
    crowded: dict[str, Any] = {
        "OMPI_MCA_mpi_yield_when_idle": int(hosts > (os.cpu_count() or 1)),
    }
    done = jobs.start(*command, *words, on=hosts, **crowded).finish(PATIENCE_S)
    if done.status != 0:
        raise SystemExit(str(done))
    print(f"# {hosts} hosts, {command[0]}: {done.seconds:.0f} s", file=sys.stderr, flush=True)
    return done.json


def last_record(output: Path) -> dict[str, Any]:
    """The times of the run that made it."""
    lines = Path(f"{output}.runs.jsonl").read_text(encoding="utf-8").splitlines()
    return json.loads(lines[-1])["time"]


def one_round(jobs: Jobs, hosts: int, mbit: int, sets: list[str]) -> Round:
    store, model = jobs.work / "scaling.h5", jobs.work / "scaling-model.h5"
    for path in jobs.work.glob("scaling*"):
        path.unlink()
    settings = [f"{key}={value}" for key, value in SIZES.items()] + sets + [f"train.output={model}"]
    words: list[object] = ["--config", CONFIG, *(w for setting in settings for w in ("--set", setting))]
    jobs.hosts.set_links(mbit)
    comm = run(jobs, ["bench", "comm", "--json"], hosts, [*words, "--dir", jobs.work])
    plan = run(jobs, ["plan", "--json"], hosts, [*words, "--dir", jobs.work])
    began, busy = time.monotonic(), cpu_seconds()
    run(jobs, ["fit"], hosts, [*words, "--store", store])
    trained = run(jobs, ["train"], hosts, [*words, "--store", store])
    cores = (os.cpu_count() or 1) * (time.monotonic() - began)
    measured = {"fit": last_record(store), "train": last_record(model)}
    others = cpu_seconds() - busy - sum(hosts * each["cpu_s"] for each in measured.values())
    parts = ("wall_s", "compute_s", "io_s", "communication_s", "idle_s")
    return {
        "hosts": hosts,
        "mbit": mbit,
        "sets": sets,
        "others": max(0, others) / cores,
        "gradient_ms": comm["allreduce_gradient_us"] / 1e3,
        "figures": plan["figures"],
        "planned": {what: {part: plan[what][part] for part in parts} for what in ("fit", "train")},
        "measured": measured,
        "samples_per_s": trained["samples_per_s"],
    }


def beside(jobs: Jobs, hosts: int, mbit: int, sets: list[str], others: list[str]) -> str:
    """A training with `sets` alone and with each of `others` more, in turn: samples a second, and how many times the first's."""
    store, model = jobs.work / "scaling.h5", jobs.work / "scaling-model.h5"
    rates: dict[str, float] = {}
    jobs.hosts.set_links(mbit)
    store.unlink(missing_ok=True)
    for more in ["", *others]:
        settings = [f"{key}={value}" for key, value in SIZES.items()] + sets + more.split()
        settings.append(f"train.output={model}")
        words: list[object] = ["--config", CONFIG, *(w for each in settings for w in ("--set", each))]
        if not store.exists():
            run(jobs, ["fit"], hosts, [*words, "--store", store])
        for path in jobs.work.glob("scaling-model*"):
            path.unlink()
        trained = run(jobs, ["train"], hosts, [*words, "--store", store])
        rates[more] = trained["samples_per_s"]
    told = (f"{more or 'as it is'}: {rate:.0f} ({rate / rates['']:.2f})" for more, rate in rates.items())
    return f"{hosts} hosts, {mbit} Mbit/s: {'; '.join(told)}\n"


def median(rounds: list[Round], value: Any) -> float:
    return statistics.median(value(each) for each in rounds)


def ratio(each: Round, what: str) -> float:
    return each["planned"][what]["wall_s"] / each["measured"][what]["wall_s"]


def row_of(rounds: list[Round], what: str) -> list[str]:
    """Planned and measured seconds, and the ratio's median and range."""
    ratios = [ratio(each, what) for each in rounds]
    planned = median(rounds, lambda each: each["planned"][what]["wall_s"])
    measured = median(rounds, lambda each: each["measured"][what]["wall_s"])
    told = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return [f"{planned:.1f}", f"{measured:.1f}", told]


def table(results: Path, quiet: float) -> str:
    cells: dict[tuple[str, int, int], list[Round]] = {}
    for line in results.read_text(encoding="utf-8").splitlines():
        each = json.loads(line)
        if each["others"] <= quiet:
            cells.setdefault((" ".join(each["sets"]), each["mbit"], each["hosts"]), []).append(each)
    head = ["settings", "link", "hosts", "rounds", "others", "fit, planned", "measured", "ratio"]
    head += ["train, planned", "measured", "ratio", "samples/s", "in MPI", "gradient, ms"]
    rows = [head, ["---"] * len(head)]
    for (sets, mbit, hosts), rounds in sorted(cells.items()):
        mpi = median(rounds, lambda each: each["measured"]["train"]["communication_s"])
        idle = median(rounds, lambda each: each["measured"]["train"]["idle_s"])
        rate = median(rounds, lambda each: each["samples_per_s"])
        link = f"{mbit} Mbit/s" if mbit else "no limit"
        rows.append(
            [sets, link, str(hosts), str(len(rounds)), f"{median(rounds, lambda each: each['others']):.2f}"]
            + row_of(rounds, "fit")
            + row_of(rounds, "train")
            + [f"{rate:.0f}", f"{mpi + idle:.1f}", f"{median(rounds, lambda each: each['gradient_ms']):.1f}"]
        )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--hosts", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--mbit", type=int, nargs="*", default=[100, 1000, 0], help="0: no limit")
    parser.add_argument("--set", dest="sets", action="append", default=[], help="as for polyview")
    parser.add_argument("--results", type=Path, default=Path("hosts-scaling.jsonl"))
    parser.add_argument("--quiet", type=float, default=1, help="share of the cores that others may have had")
    parser.add_argument(
        "--beside", action="append", help="settings, such as 'train.reduce=ordered': trains with and without"
    )
    args = parser.parse_args()
    if args.hosts and missing():
        print(f"hosts_scaling: {missing()}", file=sys.stderr)
        return 1
    with memory() as work, Hosts(max(args.hosts, default=0), work) as hosts:
        jobs = Jobs(work, hosts)
        for count in args.hosts:
            for mbit in args.mbit if count > 1 else [0]:
                if args.beside:
                    print(beside(jobs, count, mbit, args.sets, args.beside), end="", flush=True)
                    continue
                each = one_round(jobs, count, mbit, args.sets)
                with args.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(each) + "\n")
    if not args.beside:
        print(table(args.results, args.quiet), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
