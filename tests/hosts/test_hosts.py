"""Jobs on hosts of their own, joined by Ethernet: the same rows and results as on one host; disks that are not shared;
clocks that differ; two jobs for one store; hosts that are lost.

Needs root and takes some minutes, hence `make check-hosts` and not `make check`.
"""

import calendar
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "cli"), str(HERE)]
from harness import check, one_error, results, skip, some_rows, write_config  # noqa: E402
from hosts import Hosts, missing  # noqa: E402
from jobs import KEEPALIVE, LONG, LOSS_S, SHARED, Jobs, finished, rows  # noqa: E402
from lost_hosts import losses  # noqa: E402

AHEAD_S = 600  # clocks that differ
SILENT_S = 200  # a dead host's lock is held for 120, and taken over then
LIMIT_S = 2
OF_THE_RUN = ("second", "_per_s", "ranks", "nodes", "mib", "share", "remote", "flops")
LAYOUTS = ((2, 1), (3, 2), (4, 1))  # hosts, ranks on each
SMALL = {"train": {"micro_batch": 1}}

# ---- the same as on one host


def rows_do_not_depend_on_hosts(jobs: Jobs) -> None:
    config = write_config(jobs.work, "rows.yaml")
    made = {}
    for hosts, ranks in ((1, 2), *LAYOUTS):
        store = jobs.work / f"rows-{hosts}-{ranks}.h5"
        where = f"{ranks} rank(s) on each of {hosts} host(s)"
        finished(jobs.run("fit", "--config", config, "--store", store, on=hosts, ranks=ranks), f"{where} fit")
        run = jobs.run("extend", store, "--views", 3, on=hosts, ranks=ranks)
        check(run.status == 0, f"{where} extend", run)
        more = write_config(jobs.work, "more.yaml", fit={"views": 3})
        finished(
            jobs.run("fit", "--config", more, "--store", store, on=hosts, ranks=ranks), f"{where} fit more"
        )
        with h5py.File(store, "r+") as file:
            file["params"][1, 5, 0] += 1
        run = jobs.run("verify", store, "--repair", on=hosts, ranks=ranks)
        check(run.status == 0 and run.json.get("bad") == 1, f"{where} repair a damaged row", run)
        made[hosts, ranks] = rows(store)
    check(len(set(made.values())) == 1, "all make the same rows")


def numbers(result: object) -> list[float]:
    """All numbers of a result but those that are about the run."""
    if isinstance(result, dict):
        told = sorted(
            (key, value) for key, value in result.items() if not any(part in key for part in OF_THE_RUN)
        )
        return [number for _, value in told for number in numbers(value)]
    if isinstance(result, list):
        return [number for value in result for number in numbers(value)]
    return [float(result)] if isinstance(result, (int, float)) else []


def trainings_do_not_depend_on_hosts(jobs: Jobs) -> None:
    config = write_config(jobs.work, "train.yaml", store=str(jobs.work / "train.h5"), **SMALL)
    finished(jobs.run("fit", "--config", config, on=3), "rows to train on are fitted")
    for reduce in ("ordered", "fast"):
        for placement in ("node", "job"):
            seen = {}
            for hosts, ranks in ((1, 4), (2, 2), (4, 1)):
                out = jobs.work / f"{reduce}-{placement}-{hosts}.h5"
                words = [
                    "--config",
                    config,
                    "--set",
                    f"train.output={out}",
                    "--set",
                    f"train.reduce={reduce}",
                ]
                words += ["--set", f"train.placement={placement}", "--set", "augment=[{kind: mixup_aligned}]"]
                run = jobs.run("train", *words, on=hosts, ranks=ranks)
                finished(run, f"4 ranks on {hosts} host(s) train ({reduce}, {placement})")
                seen[hosts] = numbers(run.json)
            same = all(
                len(s) > 5 and np.allclose(s, seen[1], 0 if reduce == "ordered" else 1e-3, 0)
                for s in seen.values()
            )
            how = "bit for bit" if reduce == "ordered" else "but for rounding"
            check(same, f"with the same results {how} ({reduce}, {placement})", seen)


def other_commands_do_not_depend_on_hosts(jobs: Jobs) -> None:
    store, model = jobs.work / "train.h5", jobs.work / "ordered-node-1.h5"
    commands = {
        "eval": ["--model", model, "--store", store],
        "probe": ["--model", model, "--store", store, "--method", "ridge"],
        "align": [store],
        "verify": [store],
    }
    for command, words in commands.items():
        seen = {}
        for hosts, ranks in ((1, 2), (2, 1), (3, 1), (4, 2)):
            run = jobs.run(command, *words, on=hosts, ranks=ranks)
            finished(run, f"{command} by {ranks} rank(s) on each of {hosts} host(s)")
            seen[hosts] = numbers(run.json)
        same = all(len(s) > 3 and np.allclose(s, seen[1], 1e-4, 1e-7) for s in seen.values())
        check(same, f"{command} gives the same everywhere", seen)


# ---- disks and locks


def a_disk_of_one_host_is_not_taken_for_shared(jobs: Jobs) -> None:
    config = write_config(jobs.work, "local.yaml")
    for hosts, ranks in ((2, 1), (3, 2)):
        run = jobs.run("fit", "--config", config, "--store", "/tmp/local.h5", on=hosts, ranks=ranks)
        check(
            one_error(run, 1, "/tmp/local.h5", "host"),
            f"a store in the /tmp of {hosts} hosts is refused, with a host",
            run,
        )
    run = jobs.run(
        "train",
        "--config",
        config,
        "--set",
        "train.output=/tmp/model.h5",
        "--store",
        jobs.work / "train.h5",
        on=2,
    )
    check(run.status == 0, "a model is rank 0's alone and may be anywhere", run)


def lock_holder(store: Path) -> str:
    try:
        return json.loads(Path(f"{store}.lock").read_text())["host"]
    except (OSError, ValueError):
        return ""


def of_two_jobs_one_has_the_store(jobs: Jobs) -> None:
    """Whatever their clocks say, and where it is they that give files their times."""
    jobs.set_clocks(host1=0, host2=0, host3=AHEAD_S, host4=0)
    config = write_config(jobs.work, "two.yaml", **(LONG | {"fit": {"views": 2, "steps": 24000}}))
    pairs = {
        "a clock that is ahead": ("host1", "host3"),
        "the same clock": ("host1", "host2"),
        "a clock that is behind": ("host3", "host4"),
    }
    stores = {clock: jobs.work / f"two-{number}.h5" for number, clock in enumerate(pairs)}
    words = {clock: ["fit", "--config", config, "--store", store] for clock, store in stores.items()}
    first = {
        clock: jobs.start(*words[clock], on=[holder], own_clocks=True) for clock, (holder, _) in pairs.items()
    }
    for clock, (holder, other) in pairs.items():
        store = stores[clock]
        began = first[clock].wait_for(lambda: store.exists() and lock_holder(store) == holder)
        run = jobs.run(*words[clock], on=[other], own_clocks=True)
        check(
            began and one_error(run, 1, holder, "another run"),
            f"a second host's job is told who has the store ({clock})",
            run,
        )
    alive = [clock for clock, process in first.items() if process.process.poll() is None]
    check(len(alive) == len(pairs), "and none of the first jobs hears of it", alive)
    jobs.hosts.kill("host1")
    jobs.hosts.kill("host3")
    died = time.monotonic()
    for process in first.values():
        process.finish()
    later = {
        clock: jobs.start(*words[clock], on=[other], own_clocks=True) for clock, (_, other) in pairs.items()
    }
    for clock, process in later.items():
        other, store = pairs[clock][1], stores[clock]
        took = process.wait_for(lambda: lock_holder(store) == other, SILENT_S)
        seconds = time.monotonic() - died
        process.signal(signal.SIGUSR1)
        run = process.finish()
        check(
            took and run.status == 75 and "taking over" in run.stderr,
            f"it has it within {seconds:.0f} s of that one's death ({clock})",
            run,
        )


def clocks_may_differ(jobs: Jobs) -> None:
    longer = LONG | SMALL | {"fit": {"views": 2, "steps": 12000}}
    config = write_config(jobs.work, "clocks.yaml", store=str(jobs.work / "clocks.h5"), **longer)
    words = ["fit", "--config", config]
    finished(jobs.run(*words, "--store", jobs.work / "one-clock.h5", on=3), "a fit on hosts of one clock")
    jobs.set_clocks(host1=-AHEAD_S, host2=0, host3=AHEAD_S)
    run = jobs.run(*words, "--max-hours", LIMIT_S / 3600, on=3, own_clocks=True)
    check(run.status == 75 and run.seconds > LIMIT_S, "where clocks differ --max-hours is as long", run)
    finished(jobs.run(*words, on=3, own_clocks=True), "the fit goes on")
    check(rows(jobs.work / "clocks.h5") == rows(jobs.work / "one-clock.h5"), "and makes the same rows")
    began = time.time() - AHEAD_S
    run = jobs.run("train", "--config", config, "--set", "train.epochs=20", on=3, own_clocks=True)
    finished(run, "a training ends")
    with open(f"{json.loads(run.stdout.splitlines()[-1])['model']}.runs.jsonl") as records:
        record = json.loads(records.read().splitlines()[-1])
    told = calendar.timegm(time.strptime(record["started"], "%Y-%m-%dT%H:%M:%SZ"))
    check(-2 < told - began < run.seconds, "its record has rank 0's time", record["started"], began)
    check(0 < record["time"]["wall_s"] < run.seconds, "and took as long as it did", record["time"])


# ---- lost hosts


def a_lost_host_ends_the_job(jobs: Jobs) -> None:
    config = write_config(jobs.work, "lost.yaml", **LONG)
    whole = jobs.work / "whole.h5"
    finished(jobs.run("fit", "--config", config, "--store", whole, on=3), "a fit on three hosts")
    for lost in ("host3", "host2"):
        for how in ("lose", "unplug"):
            store = jobs.work / f"{how}-{lost}.h5"
            words = ["fit", "--config", config, "--store", store]
            process = jobs.start(*words, on=3, **KEEPALIVE)
            began = process.wait_for(lambda: some_rows(store))
            getattr(jobs.hosts, how)(lost)
            start = time.monotonic()
            run = process.finish(LOSS_S)
            seconds = time.monotonic() - start
            check(began and run.status > 0, f"{lost} is gone ({how}): the job ends ({seconds:.0f} s)", run)
            while jobs.hosts.processes(lost) and time.monotonic() - start < LOSS_S:
                time.sleep(0.2)
            left = jobs.hosts.processes(lost)
            check(not left, f"and so do its ranks there ({time.monotonic() - start:.0f} s)", left)
            jobs.hosts.kill(lost)
            jobs.hosts.plug(lost)
            again = [name for name in jobs.hosts.names if name != lost]
            run = jobs.start(*words, on=again, ranks=2).finish(240)
            finished(
                run, f"the others go on ({run.json.get('present')} of {run.json.get('rows')} rows were there)"
            )
            check(rows(store) == rows(whole), "and make the same rows")


def a_training_that_lost_a_host_goes_on(jobs: Jobs) -> None:
    config = write_config(
        jobs.work, "go-on.yaml", store=str(jobs.work / "go-on.h5"), train={"micro_batch": 1}
    )
    finished(jobs.run("fit", "--config", config, on=4), "rows to train on are fitted")
    words = ["train", "--config", config, "--set", "train.reduce=ordered", "--set", "train.epochs=60"]
    whole = jobs.run(*words, "--set", f"train.output={jobs.work / 'whole-model.h5'}", on=4)
    finished(whole, "a training on four hosts")
    words += ["--set", f"train.output={jobs.work / 'lost-model.h5'}"]
    process = jobs.start(*words, on=4, **KEEPALIVE)
    began = process.wait_for(lambda: (jobs.work / "lost-model.h5.ckpt").exists())
    jobs.hosts.lose("host4")
    run = process.finish(LOSS_S)
    check(
        began and run.status > 0,
        f"host4 is gone: the training ends ({run.seconds:.0f} s after its start)",
        run,
    )
    jobs.hosts.plug("host4")
    run = jobs.run(*words, on=2)
    finished(run, "two hosts go on")
    same = np.array_equal(numbers(run.json), numbers(whole.json))
    check(same, "with the same results bit for bit", numbers(run.json), numbers(whole.json))


def hosts_may_be_lost_at_any_time(jobs: Jobs) -> None:
    losses(jobs, int(os.environ.get("HOST_KILLS", 4)), seed=3)


TESTS = (
    rows_do_not_depend_on_hosts,
    trainings_do_not_depend_on_hosts,
    other_commands_do_not_depend_on_hosts,
    a_disk_of_one_host_is_not_taken_for_shared,
    of_two_jobs_one_has_the_store,
    clocks_may_differ,
    a_lost_host_ends_the_job,
    a_training_that_lost_a_host_goes_on,
    hosts_may_be_lost_at_any_time,
)


def on_hosts() -> None:
    chosen = [
        test for test in TESTS if not sys.argv[1:] or any(part in test.__name__ for part in sys.argv[1:])
    ]
    with tempfile.TemporaryDirectory(prefix="polyview-hosts-", dir=SHARED) as work, Hosts(
        4, Path(work)
    ) as four:
        jobs = Jobs(Path(work), four)
        for test in chosen:
            test(jobs)


def main() -> int:
    why = missing()
    if why:
        skip("jobs on several hosts", why)
        return 0
    try:
        on_hosts()
    except (OSError, KeyError, ValueError) as error:
        check(False, "the tests run to their end", f"{type(error).__name__}: {error}")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
