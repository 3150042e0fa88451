"""Every run leaves its record beside what it made."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import POLYVIEW, check, polyview, run_tests, skip, write_config, write_images

SPLIT = ("compute_s", "io_s", "communication_s", "idle_s")


def records(output: object) -> list[dict]:
    return [json.loads(line) for line in Path(f"{output}.runs.jsonl").read_text().splitlines()]


def plain(result: dict) -> dict:
    """A result without its numbers of limited precision, and hashable."""
    return {key: value for key, value in result.items() if not isinstance(value, (float, list, dict))}


def adds_up(record: dict) -> bool:
    time = record["time"]
    parts = [time[part] for part in SPLIT]
    return min(parts) >= 0 and abs(sum(parts) - time["wall_s"]) < 1e-3 + 0.01 * time["wall_s"]


def every_command_leaves_one(work: Path) -> None:
    write_images(work / "images")
    config, store, model = write_config(work), work / "store.h5", work / "model.h5"
    runs = [
        polyview("fit", "--config", config, ranks=2, SLURM_JOB_ID="4711", SLURM_RESTART_COUNT="1"),
        polyview("extend", store, "--views", 3),
        polyview("fit", "--store", store, ranks=3, POLYVIEW_NODE_RANKS=1),
        polyview("verify", store),
        polyview("align", store, "--objects", 4, ranks=2),
        polyview("probe", "--store", store, "--method", "knn", "--neighbours", 1, "--features", "raw"),
    ]
    runs += [
        polyview("train", "--config", config, ranks=2),
        polyview("eval", "--model", model, "--store", store),
        polyview("probe", "--store", store, "--method", "knn", "--neighbours", 1, "--model", model, ranks=2),
    ]
    check(all(run.status == 0 for run in runs), "the runs succeed", *runs)
    ours, others = records(store), records(model)
    commands = [record["command"] for record in ours + others]
    check(
        commands == ["fit", "extend", "fit", "verify", "align", "probe", "train", "eval", "probe"],
        "every run adds one record, to the store or the model it is about",
        commands,
    )
    for record, run in zip(ours + others, runs):
        name = record["command"]
        check(adds_up(record), f"the time of {name} is split into parts that add up", record)
        told = plain(run.json)
        same = told.items() <= {"command": name, "status": "done", **plain(record["result"])}.items()
        check(
            same and record["end"] == "done" and record["exit_status"] == 0 and len(record["result"]) > 3,
            f"the record of {name} holds its result",
            record,
            run,
        )
    version = polyview("--version").stdout.split()[1]
    check(
        all(record["code_version"] == version and record["peak_memory_mib"] > 0 for record in ours + others),
        "a record names the code that ran",
        version,
        ours,
    )
    check(ours[0]["slurm"] == {"job_id": "4711", "restart_count": "1"}, "and the Slurm job", ours[0])
    check(
        ours[2]["nodes"] == 3 and [host["ranks"] for host in ours[2]["hosts"]] == [1, 1, 1],
        "and every node with its ranks",
        ours[2],
    )
    check(
        ours[0]["config_hash"] == others[0]["config_hash"] and ours[0]["words"][:1] == ["--config"],
        "runs of one config have the same hash",
        ours[0],
        others[0],
    )
    changed = write_config(work, "other.yaml", train={"epochs": 4, "output": str(work / "other.h5")})
    polyview("train", "--config", changed)
    check(
        records(work / "other.h5")[0]["config_hash"] != others[0]["config_hash"],
        "another value of a key, another hash",
    )


def a_stopped_or_failed_run_is_recorded(work: Path) -> None:
    write_images(work / "images")
    config = write_config(work, fit={"views": 50, "steps": 200000})
    run = polyview("fit", "--config", config, "--max-hours", 2 / 3600, ranks=2)
    record = records(work / "store.h5")[-1]
    check(
        run.status == 75 and record["exit_status"] == 75 and record["end"] == "stopped early",
        "a stopped run is recorded as stopped",
        run,
        record,
    )
    check(
        record["time"]["compute_s"] > 0.2,
        "its ranks computed",
        record,
    )


def bound_ranks_are_told_from_others(work: Path) -> None:
    write_images(work / "images")
    config = write_config(work)
    if len(os.sched_getaffinity(0)) < 2:
        skip("bound ranks", "there is one CPU only")
        return
    for policy, shared in (("core", False), ("none", True)):
        run = polyview("fit", "--config", config, ranks=2, OMPI_MCA_hwloc_base_binding_policy=policy)
        record = records(work / "store.h5")[-1]
        cpus = sum(host["cpus"] for host in record["hosts"])
        check(
            run.status == 0 and record["cpus_shared"] is shared and 2 <= cpus <= len(os.sched_getaffinity(0)),
            f"the record of ranks bound to '{policy}' says whether they share CPUs",
            run,
            record,
        )


def records_at_once_stay_whole(work: Path) -> None:
    write_images(work / "images")
    polyview("fit", "--config", write_config(work))
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: polyview("verify", work / "store.h5"), range(8)))
    kept = records(work / "store.h5")
    check(
        all(run.status == 0 for run in runs) and len(kept) == 9 and all(map(adds_up, kept)),
        "runs that end at once do not cut each other's records",
        len(kept),
    )


def what_cannot_be_recorded_is_a_warning(work: Path) -> None:
    write_images(work / "images")
    polyview("fit", "--config", write_config(work))
    path = Path(f"{work / 'store.h5'}.runs.jsonl")
    path.unlink()
    path.mkdir()
    run = polyview("verify", work / "store.h5", ranks=2)
    check(
        run.status == 0 and "is not recorded" in run.stderr and run.json["bad"] == 0,
        "a record that cannot be written does not fail the run",
        run,
    )


if __name__ == "__main__":
    assert Path(POLYVIEW).exists()
    sys.exit(
        run_tests(
            every_command_leaves_one,
            a_stopped_or_failed_run_is_recorded,
            bound_ranks_are_told_from_others,
            records_at_once_stay_whole,
            what_cannot_be_recorded_is_a_warning,
        )
    )
