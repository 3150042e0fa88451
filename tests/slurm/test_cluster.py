"""The job files on a real Slurm cluster of virtual nodes: time limits, preemption, a lost node, arrays, scaling.

Takes some minutes, hence `make check-slurm` and not `make check`.
"""

import json
import os
import re
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "cli"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import h5py  # noqa: E402
from cluster import Cluster, missing  # noqa: E402
from harness import POLYVIEW, ROOT, check, polyview, run_tests, skip, write_config, write_images  # noqa: E402

ENDED = ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "PREEMPTED", "DEADLINE", "OUT_OF_MEMORY")
LONG_S = 900.0
# About a minute of one core: long enough to be interrupted.
FIT = {"fit": {"views": 2, "steps": 2500}, "inr": {"hidden": [32, 32]}}


def site(work: Path, name: str, *lines: str) -> Path:
    """The site file of this cluster: the project's own, where things are here, and more lines."""
    path, part = work / f"site-{name}.env", work / f"site-{name}.{threading.get_ident()}"
    text = [
        f'. "{ROOT}/jobs/site.env"',
        f"POLYVIEW={POLYVIEW}",
        f"PYTHON={sys.executable}",
        "PARALLEL_OPTIONS=(--nodes=2 --ntasks-per-node=1 --time=10)",
        "SERIAL_OPTIONS=(--nodes=1 --ntasks-per-node=2 --time=10)",
        "MPIRUN_OPTIONS=(--oversubscribe)",
        *lines,
    ]
    part.write_text("\n".join(text) + "\n")
    part.replace(path)  # a job may be reading it
    return path


class Bench:
    """The cluster with a data set and configs."""

    def __init__(self, work: Path, cluster: Cluster) -> None:
        self.work, self.cluster = work, cluster
        write_images(work / "images", train=120, test=20, side=28)
        signal = {"train": 80, "val": 20, "test": 20}
        self.small = write_config(
            work,
            "small.yaml",
            signal=signal,
            fit={"steps": 100, "views": 1},
            train={"epochs": 3, "batch": 16},
        )
        self.long = write_config(work, "long.yaml", signal=signal, **FIT)

    def submit(self, *words: object, launcher: str = "srun", lines: tuple[str, ...] = ()) -> str:
        """Submits a job file; `lines` are added to the site file."""
        out = f"--output={self.work}/%x-%j.out"
        path = site(self.work, f"{launcher}-{abs(hash(lines))}", f"LAUNCH={launcher}", *lines)
        environment = {"POLYVIEW_HOME": str(ROOT), "POLYVIEW_SITE": str(path)}
        return self.cluster.run("sbatch", "--parsable", out, *words, cwd=self.work, **environment).strip()

    def log(self, number: str) -> str:
        return "\n".join(path.read_text(errors="replace") for path in self.work.glob(f"**/*-{number}*.out"))

    def end(self, number: str, seconds: float = LONG_S) -> dict[str, str]:
        return self.cluster.wait_job(number, ENDED, seconds)

    def wait_rows(self, store: Path, seconds: float = 120) -> bool:
        """Until some rows are fitted."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                with h5py.File(store, "r") as file:
                    if file["view/status"][()].any():
                        return True
            except OSError:
                pass
            time.sleep(0.5)
        return False


def rows_of(store: Path) -> dict[str, bytes]:
    """The bytes of what was fitted: weights, and of every row its status, checksum and PSNR.  Not of the whole file,
    which also holds what HDF5 notes for itself."""
    with h5py.File(store, "r") as file:
        return {
            name: file[name][()].tobytes() for name in ("params", "view/status", "view/checksum", "view/psnr")
        }


def starts(job: dict[str, str]) -> int:
    return 1 + int(job.get("Restarts", 0))


def a_pipeline_runs_from_nothing_to_its_report(bench: Bench) -> None:
    out = bench.work / "pipeline"
    environment = {"POLYVIEW_HOME": str(ROOT), "POLYVIEW_SITE": str(site(bench.work, "pipeline"))}
    said = bench.cluster.run(f"{ROOT}/jobs/pipeline.sh", bench.small, out, cwd=bench.work, **environment)
    numbers = [
        word.strip(",")
        for word in said.split("submitted:")[1].split("\n")[0].split()
        if word.strip(",").isdigit()
    ]
    ends = [bench.end(number) for number in numbers]
    states = [job["JobState"] for job in ends]
    check(
        len(numbers) == 4 and states == ["COMPLETED"] * 4,
        "fit, train, eval and report run one after the other",
        said,
        states,
        *(bench.log(number) for number in numbers),
    )
    runs = [json.loads(line) for line in (out / "store.h5.runs.jsonl").read_text().splitlines()]
    check(
        runs[0]["nodes"] == 2
        and len({host["host"] for host in runs[0]["hosts"]}) == 2
        and runs[0]["slurm"]["job_id"] == numbers[0],
        "the fit ran on two nodes, and its record says which and in which job",
        runs,
    )
    text = (out / "report.html").read_text()
    check(
        "store.h5.runs.jsonl:1" in text
        and "model.h5.runs.jsonl:2" in text
        and text.count("data:image/png") >= 5,
        "the report shows figures and names their records",
        len(text),
    )
    check(
        'src="http' not in text and 'href="http' not in text and "@import" not in text,
        "the report needs no network",
    )


def a_failed_job_takes_those_after_it_along(bench: Bench) -> None:
    out = bench.work / "broken"
    broken = write_config(bench.work, "broken.yaml", signal={"path": str(bench.work / "nowhere")})
    environment = {"POLYVIEW_HOME": str(ROOT), "POLYVIEW_SITE": str(site(bench.work, "pipeline"))}
    said = bench.cluster.run(f"{ROOT}/jobs/pipeline.sh", broken, out, cwd=bench.work, **environment)
    numbers = [
        word.strip(",")
        for word in said.split("submitted:")[1].split("\n")[0].split()
        if word.strip(",").isdigit()
    ]
    states = [bench.end(number, 120)["JobState"] for number in numbers]
    check(
        states == ["FAILED", "CANCELLED", "CANCELLED", "CANCELLED"]
        and "requeueing" not in bench.log(numbers[0]),
        "an error is not retried, and what depends on it leaves the queue",
        states,
        bench.log(numbers[0]),
    )


def a_time_limit_is_survived(bench: Bench, launcher: str, reference: dict[str, bytes]) -> None:
    store = bench.work / f"limit-{launcher}" / "store.h5"
    words = ["--nodes=2", "--ntasks-per-node=1", "--time=2", "--signal=B:USR1@70", f"{ROOT}/jobs/fit.sbatch"]
    number = bench.submit(*words, bench.long, store, launcher=launcher)
    job = bench.end(number)
    log = bench.log(number)
    check(
        job["JobState"] == "COMPLETED" and starts(job) > 1 and "everything is saved" in log,
        f"a fit that meets its time limit requeues itself and completes ({launcher})",
        job,
        log,
    )
    check(
        rows_of(store) == reference, f"its rows are those of an undisturbed run, byte for byte ({launcher})"
    )
    check(
        not Path(f"{store}.restarts").exists() and not Path(f"{store}.lock").exists(),
        "nothing is left beside it",
    )


def a_preempted_job_resumes(bench: Bench, reference: dict[str, bytes]) -> None:
    store = bench.work / "preempted" / "store.h5"
    words = ["--partition=low", "--nodes=2", "--ntasks-per-node=1", "--time=15", "--exclusive"]
    number = bench.submit(*words, f"{ROOT}/jobs/fit.sbatch", bench.long, store)
    began = bench.wait_rows(store)
    nodes = bench.cluster.job(number).get("NodeList", "")
    urgent = bench.work / "urgent.sh"
    urgent.write_text("#!/bin/bash\nsleep 5\n")
    above = bench.submit(f"--nodelist={nodes}", "--nodes=2", "--exclusive", "--time=5", urgent)
    check(bench.end(above)["JobState"] == "COMPLETED", "a job of a higher partition takes the nodes", nodes)
    job = bench.end(number)
    check(
        began and job["JobState"] == "COMPLETED" and starts(job) > 1,
        "the preempted fit is requeued and completes",
        job,
        bench.log(number),
    )
    check(rows_of(store) == reference, "its rows are those of an undisturbed run, byte for byte")


def a_lost_node_is_survived(bench: Bench, reference: dict[str, bytes]) -> None:
    store = bench.work / "lost" / "store.h5"
    words = ["--nodes=2", "--ntasks-per-node=1", "--time=15", "--exclusive", f"{ROOT}/jobs/fit.sbatch"]
    number = bench.submit(*words, bench.long, store)
    began = bench.wait_rows(store)
    nodes = bench.cluster.run("scontrol", "show", "hostnames", bench.cluster.job(number)["NodeList"]).split()
    killed = bench.cluster.fail_node(nodes[-1])
    check(began and killed > 0, "a node loses its power in the middle of a fit", nodes, killed)
    job = bench.end(number)
    check(
        job["JobState"] == "COMPLETED" and starts(job) > 1,
        "the job is requeued and completes on other nodes",
        job,
        bench.log(number),
    )
    check(
        rows_of(store) == reference,
        "the weights, status, checksum and PSNR of all rows are those of an undisturbed run, byte for byte",
    )
    bench.cluster.restore_node(nodes[-1])
    run = polyview("verify", store)
    check(run.status == 0, "and verify finds them whole", run)


def fruitless_starts_come_to_an_end(bench: Bench) -> None:
    """A program that dies at once, whatever is tried."""
    store, fake = bench.work / "fruitless" / "store.h5", bench.work / "dies"
    fake.write_text("#!/bin/bash\nkill -9 $$\n")
    fake.chmod(0o755)
    words = ["--nodes=1", "--ntasks-per-node=1", "--time=10", f"{ROOT}/jobs/fit.sbatch", bench.long, store]
    number = bench.submit(*words, lines=(f"POLYVIEW={fake}", "MAX_FRUITLESS=2"))
    job = bench.end(number, 240)
    check(
        job["JobState"] == "FAILED" and starts(job) == 3 and "giving up" in bench.log(number),
        "a job that gets nowhere gives up after its share of starts",
        job,
        bench.log(number),
    )


def an_array_trains_four_variants(bench: Bench) -> None:
    out, store = bench.work / "pipeline" / "augment", bench.work / "pipeline" / "store.h5"
    words = ["--array=0-3%2", "--nodes=1", "--ntasks-per-node=1", "--time=10"]
    words += [f"{ROOT}/jobs/array-augment.sbatch", bench.small, store, out]
    number = bench.submit(*words, 2, "none", "negation")
    states = [bench.end(f"{number}_{task}")["JobState"] for task in range(4)]
    made = sorted(path.name for path in out.glob("*.h5"))
    check(
        states == ["COMPLETED"] * 4 and made == ["negation-1.h5", "negation-2.h5", "none-1.h5", "none-2.h5"],
        "an array of four runs trains each variant with each seed",
        states,
        made,
        bench.log(number),
    )
    runs = [json.loads(Path(f"{out / name}.runs.jsonl").read_text()) for name in made]
    check(
        sorted(run["slurm"]["array_task_id"] for run in runs) == ["0", "1", "2", "3"]
        and {run["slurm"]["array_job_id"] for run in runs} == {number},
        "each record says which task it was",
        runs,
    )
    command = [sys.executable, f"{ROOT}/analysis/polyview-tools", "table", "augment", "table", "--runs", out]
    rows = [line.split("|")[1:-1] for line in bench.cluster.run(*command).splitlines()[2:]]
    told = {row[0].strip(): (float(row[1].split()[0]), int(row[-1])) for row in rows}
    mean = {
        name: sum(100 * run["result"]["test_accuracy"] for run in runs if f"{name}-" in run["output"]) / 2
        for name in ("none", "negation")
    }
    check(
        set(told) == {"none", "SIREN negation"}
        and all(count == 2 for _, count in told.values())
        and abs(told["none"][0] - mean["none"]) < 0.06
        and abs(told["SIREN negation"][0] - mean["negation"]) < 0.06,
        "and the table shows the means of their seeds",
        told,
        mean,
    )
    number = bench.submit("--array=4", *words[1:], 2, "none", "negation")
    job = bench.end(f"{number}_4")
    check(
        job["JobState"] == "FAILED" and "4 runs are numbered from 0" in bench.log(number),
        "a task beyond the last run fails, and says so",
        job,
        bench.log(number),
    )


def a_scaling_study_draws_itself(bench: Bench, kind: str, *amounts: int) -> None:
    out = bench.work / "pipeline" / "scaling"
    words = ["--nodes=2", "--ntasks-per-node=2", "--time=15", f"{ROOT}/jobs/scaling-{kind}.sbatch"]
    number = bench.submit(*words, bench.small, out, *amounts)
    job = bench.end(number)
    counts = sorted(int(path.name.split("-")[1]) for path in out.glob(f"{kind}-*"))
    picture = out / f"{kind}.png"
    check(
        job["JobState"] == "COMPLETED" and counts == [1, 2, 4] and picture.stat().st_size > 10000,
        f"{kind} scaling over 1, 2 and 4 ranks gives its plot",
        job,
        counts,
        bench.log(number),
    )
    plans = [json.loads((out / f"{kind}-{n}" / "plan.json").read_text().splitlines()[-1]) for n in counts]
    check(
        [plan["nodes"] * plan["ranks_per_node"] for plan in plans] == counts
        and all(plan["fit"]["wall_s"] > 0 and plan["train"]["wall_s"] > 0 for plan in plans),
        "with the plan's predictions for the same ranks",
        plans,
    )
    runs = [
        [
            json.loads((out / f"{kind}-{n}" / f"{name}.h5.runs.jsonl").read_text())
            for name in ("store", "model")
        ]
        for n in counts
    ]
    work = [(fit["result"]["fitted"], train["result"]["samples"]) for fit, train in runs]
    grows = amounts[0] if amounts else 0
    check(
        [(fit["ranks"], train["ranks"], fit["nodes"]) for fit, train in runs]
        == [(1, 1, 1), (2, 2, 1), (4, 4, 2)]
        and work == [(grows * n, grows * n) if grows else (120, 80) for n in counts],
        "the records say how much was fitted and trained on how many ranks and nodes",
        work,
        runs,
    )


def ranks_are_bound_to_cores(work: Path) -> None:
    """On one node of two CPUs that are the machine's: several virtual nodes would all bind to the same two."""
    if len(os.sched_getaffinity(0)) < 2:
        skip("ranks bound to cores", "there is one CPU only")
        return
    cluster = Cluster(work, nodes=1, binds=True)
    try:
        cluster.start()
        bench = Bench(work, cluster)
        for launcher, options in (
            ("srun", "SRUN_OPTIONS+=(--cpu-bind=verbose,cores)"),
            ("mpirun", "MPIRUN_OPTIONS=(--bind-to core --map-by core)"),
        ):
            store = work / launcher / "store.h5"
            words = ["--nodes=1", "--ntasks-per-node=2", "--time=5", f"{ROOT}/jobs/fit.sbatch"]
            number = bench.submit(*words, bench.small, store, launcher=launcher, lines=(options,))
            job = bench.end(number, 240)
            record = json.loads(Path(f"{store}.runs.jsonl").read_text().splitlines()[-1])
            check(
                job["JobState"] == "COMPLETED"
                and record["hosts"] == [{"host": "node1", "ranks": 2, "cpus": 2}]
                and record["cpus_shared"] is False,
                f"each rank of a job has a core of its own, says its record ({launcher})",
                record,
                bench.log(number),
            )
            if launcher == "srun":
                masks = set(re.findall(r"mask (0x[0-9a-f]+) set", bench.log(number).lower()))
                check(len(masks) == 2, "and says Slurm", bench.log(number))
    finally:
        cluster.stop()


def the_report_holds_it_all(bench: Bench) -> None:
    out = bench.work / "pipeline"
    bench.cluster.run(sys.executable, f"{ROOT}/analysis/polyview-tools", "report", out)
    text = (out / "report.html").read_text()
    named = [f"augment/none-{seed}" for seed in (1, 2)]
    named += [
        f"scaling/{kind}-{ranks}/{output}"
        for kind in ("strong", "weak")
        for ranks in (1, 2, 4)
        for output in ("store", "model")
    ]
    check(
        all(f"{name}.h5.runs.jsonl:1" in text for name in named),
        "the report afterwards shows the array and both scaling studies, from their records",
        [name for name in named if f"{name}.h5.runs.jsonl:1" not in text],
    )


def all_on_one_cluster(work: Path) -> None:
    cluster = Cluster(work, nodes=8)
    try:
        cluster.start()
        bench = Bench(work, cluster)
        run = polyview(
            "fit", "--config", bench.long, "--store", work / "undisturbed.h5", timeout=600, ranks=2
        )
        check(run.status == 0, "the undisturbed run", run)
        reference = rows_of(work / "undisturbed.h5")
        with ThreadPoolExecutor(4) as pool:
            disturbed = [
                pool.submit(a_time_limit_is_survived, bench, "srun", reference),
                pool.submit(a_preempted_job_resumes, bench, reference),
                pool.submit(a_lost_node_is_survived, bench, reference),
            ]
            for each in disturbed:
                each.result()
            others = [
                pool.submit(a_time_limit_is_survived, bench, "mpirun", reference),
                pool.submit(fruitless_starts_come_to_an_end, bench),
                pool.submit(a_failed_job_takes_those_after_it_along, bench),
            ]
            a_pipeline_runs_from_nothing_to_its_report(bench)
            an_array_trains_four_variants(bench)
            for each in others:
                each.result()
        a_scaling_study_draws_itself(bench, "strong")
        a_scaling_study_draws_itself(bench, "weak", 30, 8)
        the_report_holds_it_all(bench)
    finally:
        keep = os.environ.get("POLYVIEW_SLURM_KEEP")
        cluster.stop()
        if keep:
            shutil.copytree(work, keep, ignore_dangling_symlinks=True)
    left = [p for p in Path("/proc").glob("[0-9]*") if str(work) in read(p / "environ")]
    check(not left, "no process is left behind", left)


def read(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def main() -> int:
    if os.geteuid() != 0 or missing():
        skip("the job files on a Slurm cluster", f"needs root and {', '.join(missing()) or 'Slurm'}")
        return 0
    return run_tests(ranks_are_bound_to_cores, all_on_one_cluster)


if __name__ == "__main__":
    sys.exit(main())
