"""What the job files do around a run, with stand-ins for Slurm's programs (tests/slurm has the real ones)."""

import json
import os
import subprocess
import sys
from pathlib import Path

from harness import POLYVIEW, ROOT, check, environment, run_tests, write_config, write_images

sys.path.insert(0, str(ROOT / "analysis"))
from runs import runs_of  # noqa: E402

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
    site.write_text(f'. "{ROOT}/jobs/site.env"\nPOLYVIEW={POLYVIEW}\nPYTHON={sys.executable}\n')
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


if __name__ == "__main__":
    sys.exit(run_tests(energy_comes_from_the_account, a_site_without_energy_is_not_asked))
