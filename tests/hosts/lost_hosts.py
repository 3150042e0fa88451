"""Hosts that are lost at random instants of a fit: one of three, that of rank 0 and mpirun too, by its power or its processes.

The job must end within seconds, wherever its ranks are; every row marked fitted must pass its checksum; the next start, on
the hosts that remain, must go on without losing one, and that on all hosts must end with the rows of a fit which lost nothing.
"""

import os
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "fault")]
from harness import HUNG, Run, check, write_config  # noqa: E402
from jobs import KEEPALIVE, LONG, LOSS_S, Jobs, finished, rows  # noqa: E402
from kills import bad_rows, columns, fitted  # noqa: E402

HOSTS = ["host1", "host2", "host3"]
SOON_S = 0.8  # the start on the hosts that remain ends early, which leaves something to all
LONG_AGO_S = 2 * 3600  # a dead host's lock would be waited for in every trial


@dataclass
class Plan:
    """What is fitted, and how long that takes if nothing happens."""

    words: list[object]
    total: int  # of the rows
    whole: bytes
    seconds: float


@dataclass
class Loss:
    """What happens in a trial."""

    host: str
    how: str  # a method of Hosts
    share: float | None  # of the rows that are written before; None: at any time
    after: float  # seconds

    def __str__(self) -> str:
        since = f" from {self.share:.0%} of the rows on" if self.share is not None else ""
        return f"{self.how} {self.host} after {self.after:.2f} s{since}"


def any_loss(plan: Plan, rng: random.Random) -> Loss:
    """Mostly while rows are written, however fast the machine is; else while a job starts or ends, too."""
    host, how = rng.choice(HOSTS), rng.choice(["lose", "kill"])
    if rng.random() < 0.75:
        return Loss(host, how, rng.random(), rng.uniform(0, 0.03))
    return Loss(host, how, None, rng.uniform(0.1, 1) * plan.seconds)


def present(store: Path) -> int:
    """Rows marked fitted."""
    try:
        return fitted(columns(store))
    except (OSError, KeyError):
        return 0


def ranks_on(jobs: Jobs, hosts: list[str]) -> list[int]:
    found = []
    for pid in (pid for host in hosts for pid in jobs.hosts.processes(host)):
        try:
            found += [pid] if Path(f"/proc/{pid}/comm").read_text() == "polyview\n" else []
        except OSError:
            continue
    return found


def run_until(jobs: Jobs, plan: Plan, store: Path, loss: Loss, seen: Counter[str]) -> str:
    """Runs the job on all hosts and takes one away: what is wrong."""
    process = jobs.start(*plan.words, store, on=HOSTS, **KEEPALIVE)
    if loss.share is not None:
        written = loss.share * plan.total
        process.wait_for(lambda: present(store) >= written)
    time.sleep(loss.after)
    running, starting = process.process.poll() is None, not ranks_on(jobs, HOSTS)
    getattr(jobs.hosts, loss.how)(loss.host)
    start = time.monotonic()
    run = process.finish(LOSS_S)
    remain = [host for host in HOSTS if host != loss.host]
    while (left := ranks_on(jobs, remain)) and time.monotonic() - start < LOSS_S:
        time.sleep(0.1)
    if loss.how == "lose":
        jobs.hosts.kill(loss.host)
        jobs.hosts.plug(loss.host)
    seen["hit a running job"] += running
    if (
        running and starting and run.status == HUNG
    ):  # mpirun, whatever it starts: the job files' watchdog ends it
        seen["hit mpirun before it had ranks, which waited for ever"] += 1
    elif running and run.status <= 0 and loss.host != HOSTS[0] and present(store) < plan.total:
        return f"the job did not end as one that failed: {run}"
    return f"ranks are left after {LOSS_S} s: {left}" if left else ""


def go_on(jobs: Jobs, plan: Plan, store: Path, loss: Loss) -> str:
    """Starts again on the hosts that remain, then on all: what is wrong."""
    before = present(store)
    wrong = bad_rows(columns(store)) if store.exists() else set()
    if wrong:
        return f"rows marked fitted fail their checksums: {sorted(wrong)}"
    lock = Path(f"{store}.lock")
    if lock.exists():
        os.utime(lock, (time.time() - LONG_AGO_S,) * 2)
    remain = [host for host in HOSTS if host != loss.host]
    run = jobs.run(*plan.words, store, "--max-hours", SOON_S / 3600, on=remain)
    # on a busy machine it may end before it has counted them
    if run.status not in (0, 75) or run.json.get("present", before) != before:
        return f"the hosts that remain do not go on: {run}"
    run = jobs.run(*plan.words, store, on=HOSTS)
    if run.status != 0 or run.json["present"] < before:
        return f"all hosts do not go on: {run}"
    return "" if rows(store) == plan.whole else "the rows are not those of a fit that lost nothing"


def trial(jobs: Jobs, plan: Plan, store: Path, rng: random.Random, seen: Counter[str]) -> str:
    loss = any_loss(plan, rng)
    wrong = run_until(jobs, plan, store, loss, seen)
    written = present(store)
    between = 0 < written < plan.total
    seen["between its rows"] += between
    seen[f"of {loss.host}"] += 1
    seen["by power" if loss.how == "lose" else "by its processes"] += 1
    wrong = wrong or go_on(jobs, plan, store, loss)
    for path in store.parent.glob(f"{store.name}*"):
        path.unlink()
    return f"{loss}: {wrong}" if wrong else ""


def undisturbed(jobs: Jobs) -> Plan:
    config = write_config(jobs.work, "losses.yaml", **LONG)
    words: list[object] = ["fit", "--config", config, "--store"]
    store = jobs.work / "lost-nothing.h5"
    run: Run = jobs.run(*words, store, on=HOSTS)
    finished(run, "a fit that loses nothing")
    return Plan(words, run.json["rows"], rows(store), run.seconds)


def losses(jobs: Jobs, trials: int, seed: int) -> None:
    rng, seen, wrong = random.Random(seed), Counter[str](), list[str]()
    plan = undisturbed(jobs)
    for number in range(trials):
        fault = trial(jobs, plan, jobs.work / f"loss-{number}.h5", rng, seen)
        wrong += [fault] if fault else []
        if number % 10 == 9 or fault:
            print(f"# {number + 1} losses, {len(wrong)} wrong, so far {dict(seen)} {fault}", flush=True)
    told = ", ".join(f"{count} {what}" for what, count in sorted(seen.items()))
    check(not wrong, f"{trials} random losses of a host of three: no row is lost or wrong ({told})", *wrong)
    check(seen["between its rows"] > trials // 4, "many of them come between rows", told)
