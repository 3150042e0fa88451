#!/usr/bin/env python3
"""The job files' scaling study on hosts that links of a rate join: `hosts_study.py --mbit 1000 strong DIRECTORY --set ...`.

Runs jobs/scaling-strong.sbatch, or jobs/scaling-weak.sbatch, without Slurm on hosts made of namespaces (tests/hosts; root) with one
rank each, and keeps what it leaves in DIRECTORY.  The hosts share this machine's cores: more hosts than cores compute no faster.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "hosts")]
from hosts import Hosts, missing  # noqa: E402
from hosts_scaling import CONFIG, memory  # noqa: E402
from jobs import Jobs  # noqa: E402

HOME = HERE.parent.parent
SITE = """POLYVIEW={program}
PYTHON={python}
LAUNCH=mpirun
MPIRUN_OPTIONS=(--mca plm_rsh_agent {agent} --host {where} --bind-to none)
"""


def study(jobs: Jobs, words: list[str]) -> int:
    names = jobs.hosts.names
    site = jobs.work / "site.env"
    where = ",".join(f"{name}:1" for name in names)
    agent = jobs.hosts.place / "agent"
    site.write_text(SITE.format(program=jobs.program, python=sys.executable, agent=agent, where=where))
    variables = {
        "POLYVIEW_HOME": str(HOME),
        "POLYVIEW_SITE": str(site),
        "SLURM_NTASKS": str(len(names)),
        "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_JOB_NUM_NODES": str(len(names)),
        "OMPI_MCA_mpi_yield_when_idle": str(int(len(names) > (os.cpu_count() or 1))),
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    }
    job = [*jobs.hosts.enter(names[0]), "bash", *words]
    return subprocess.run(job, env=os.environ | variables).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--hosts", type=int, default=4)
    parser.add_argument("--mbit", type=int, default=0, help="0: no limit")
    parser.add_argument("kind", choices=["strong", "weak"])
    parser.add_argument("directory", type=Path)
    args, rest = parser.parse_known_args()
    if missing():
        print(f"hosts_study: {missing()}", file=sys.stderr)
        return 1
    with memory() as work, Hosts(args.hosts, work) as hosts:
        jobs = Jobs(work, hosts)
        hosts.set_links(args.mbit)
        job = HOME / "jobs" / f"scaling-{args.kind}.sbatch"
        return study(jobs, [str(job), str(CONFIG), str(args.directory.resolve()), *rest])


if __name__ == "__main__":
    sys.exit(main())
