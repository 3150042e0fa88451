"""What the job files do around a run, with stand-ins for Slurm's programs (tests/slurm has the real ones)."""

import json
import mmap
import os
import subprocess
import sys
from pathlib import Path

from harness import POLYVIEW, ROOT, check, environment, run_tests, write_config, write_images

sys.path.insert(0, str(ROOT / "analysis"))
from polyview._runs import runs_of  # noqa: E402

PROGRAMS = {
    "srun": 'while [ "${1#-}" != "$1" ]; do shift; done\nSLURM_STEP_ID=3 exec "$@"\n',
    "scontrol": 'echo "AcctGatherEnergyFreq    = 0 sec"\necho "AcctGatherEnergyType    = acct_gather_energy/$PLUGIN"\n',
    # the account has the step only when asked for the second time
    "sacct": 'echo "$@" >>asked\n[ "$(wc -l <asked)" = 1 ] || echo 1234\n',
}


def job(work: Path, name: str, *words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a job file as a batch step of job 77 would."""
    programs = work / "programs"
    programs.mkdir(exist_ok=True)
    for program, text in PROGRAMS.items():
        (programs / program).write_text(f"#!/bin/bash\n{text}")
        (programs / program).chmod(0o755)
    site = work / "site.env"
    own = variables.pop("SITE", f'. "{ROOT}/jobs/site.env"\nPOLYVIEW={POLYVIEW}\nPYTHON={sys.executable}\n')
    site.write_text(f"{own}LAUNCH={variables.pop('LAUNCHER', 'srun')}\n")
    inside = {
        "POLYVIEW_HOME": str(ROOT),
        "POLYVIEW_SITE": str(site),
        "SLURM_JOB_ID": "77",
        "SLURM_NTASKS": "1",
    }
    inside["PATH"] = f"{programs}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", f"{ROOT}/jobs/{name}", *map(str, words)],
        env=environment() | inside | variables,
        cwd=work,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def own_energy(store: Path) -> object:
    """What the program itself read from a counter; few machines let it."""
    return json.loads(Path(f"{store}.runs.jsonl").read_text().splitlines()[-1])["energy_j"]


def energy_comes_from_the_account(work: Path) -> None:
    write_images(work / "images")
    config, store = write_config(work), work / "store.h5"
    done = job(work, "fit.sbatch", config, store, PLUGIN="rapl")
    note = Path(f"{store}.energy.jsonl")
    check(
        done.returncode == 0
        and note.read_text() == '{"job_id": "77", "restart_count": "0", "step_id": "3", "energy_j": 1234}\n'
        and "--jobs=77.3" in (work / "asked").read_text(),
        "what Slurm's account says of a run is noted, though it comes late",
        done,
    )
    own = own_energy(store)
    run = runs_of(store)[0]
    check(
        run.record["energy_j"] == (1234 if own is None else own),
        "whoever reads the records finds it where the program had no counter",
        run,
    )
    job(work, "fit.sbatch", config, store, PLUGIN="none", SLURM_RESTART_COUNT="1")
    check(
        len(runs_of(store)) == 2 and runs_of(store)[1].record["energy_j"] == own_energy(store),
        "the job's other starts are not given that energy",
        runs_of(store),
    )


def a_site_without_energy_is_not_asked(work: Path) -> None:
    write_images(work / "images")
    config, store = write_config(work), work / "store.h5"
    done = job(work, "fit.sbatch", config, store, PLUGIN="none")
    check(
        done.returncode == 0 and not (work / "asked").exists() and not Path(f"{store}.energy.jsonl").exists(),
        "where Slurm measures no energy, its account is not asked",
        done,
    )


def ended_with(
    work: Path, program: str, *words: object, **variables: str
) -> subprocess.CompletedProcess[str]:
    """A fit whose ranks are a shell script; Slurm never requeues."""
    ranks = work / "ranks"
    ranks.write_text(f"#!/bin/bash\n{program}\n")
    ranks.chmod(0o755)
    (work / "store.h5.restarts").unlink(missing_ok=True)
    PROGRAMS["sleep"] = '[ "$1" -gt 60 ] || exec /bin/sleep "$1"\n'
    site = f'. "{ROOT}/jobs/site.env"\nPOLYVIEW={ranks}\n'
    return job(
        work, "fit.sbatch", "config.yaml", work / "store.h5", *words, SITE=site, PLUGIN="none", **variables
    )


def ends_are_told_apart(work: Path) -> None:
    for program, status, requeued, words in (
        ("exit 75", 75, True, "stopped early"),
        ("kill -KILL $$", 137, True, "the ranks died"),
        ("kill -TERM $$", 143, True, "the ranks died"),
        ("kill -SEGV $$", 139, False, "crashed (status 139, signal 11)"),
        ("kill -ABRT $$", 134, False, "crashed (status 134, signal 6)"),
        ("exit 1", 1, False, "failed with status 1"),
        ("exit 3", 3, False, "failed with status 3"),
        ("exec /nonexistent", 127, False, "cannot be run (status 127)"),
    ):
        done = ended_with(work, program)
        check(
            done.returncode == status and ("requeueing" in done.stdout) == requeued and words in done.stdout,
            f"{program}: {words}, {'requeued' if requeued else 'not requeued'}",
            done,
        )


def a_dead_lock_is_outlasted(work: Path) -> None:
    lock = work / "store.h5.lock"
    once = f'[ -e "{work}/tried" ] && exit 0; touch "{work}/tried"; exit '
    for status in (1, 75):
        lock.write_text("{}")
        done = ended_with(work, f"{once}{status}", LOCK_LIMIT_S="2")
        check(
            done.returncode == 0 and "silent for" in done.stdout,
            f"status {status} beside the lock of a dead run: waited for, tried again",
            done,
        )
        (work / "tried").unlink()
    lock.unlink()
    done = ended_with(work, "exit 1")
    check(done.returncode == 1 and "silent" not in done.stdout, "without a lock, status 1 is final", done)
    lock.write_text("{}")
    beating = f'(for i in 1 2 3 4 5 6 7 8; do /bin/sleep 1; touch -c "{lock}"; done) >/dev/null 2>&1 & exit 1'
    done = ended_with(work, beating)
    check(
        done.returncode == 1 and "failed with status 1" in done.stdout,
        "a run that lives is not waited for",
        done,
    )


def an_mpirun_without_ranks_is_ended(work: Path) -> None:
    for body, status, words in (
        ("exec /bin/sleep 50", 137, "without ranks"),
        ("/bin/sleep 9", 0, "done"),
        ("/bin/true & exec /bin/sleep 50", 137, "without ranks"),
    ):
        PROGRAMS["mpirun"] = f"{body}\n"
        done = ended_with(work, "", LAUNCHER="mpirun", WATCH_S="1")
        check(
            done.returncode == status and words in done.stdout, f"an mpirun that does '{body}': {words}", done
        )


def what_dead_jobs_left_in_shared_memory_goes(work: Path) -> None:
    dead, live, young = (Path(f"/dev/shm/osc_sm.polyview-test.{os.getpid()}.{name}") for name in "abc")
    try:
        for path in (dead, live, young):
            path.write_bytes(bytes(4096))
            os.utime(path, (0, 0) if path != young else None)
        with live.open("r+b") as file, mmap.mmap(file.fileno(), 4096):
            ended_with(work, "exit 0")
            check(dead.exists(), "a first start removes nothing")
            done = ended_with(work, "exit 0", SLURM_RESTART_COUNT="1")
            check(
                (dead.exists(), live.exists(), young.exists()) == (False, True, True),
                "a restart removes what nobody has mapped, unless it is young",
                done,
            )
    finally:
        for path in (dead, live, young):
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(
        run_tests(
            energy_comes_from_the_account,
            a_site_without_energy_is_not_asked,
            ends_are_told_apart,
            a_dead_lock_is_outlasted,
            an_mpirun_without_ranks_is_ended,
            what_dead_jobs_left_in_shared_memory_goes,
        )
    )
