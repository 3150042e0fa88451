"""The program on hosts of their own: mpirun started on the first of them, as a user would, and what the hosts share."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "cli"), str(HERE)]
from harness import POLYVIEW, Process, Run, check, write_images  # noqa: E402
from hosts import Hosts  # noqa: E402

SHARED = "/var/tmp"  # every host has a /tmp of its own
LOSS_S = 30  # within which a job ends that has lost a host
# How soon mpirun's daemons miss each other: after SILENCE_S without a word they ask every second, three times.
SILENCE_S = 3
KEEPALIVE: dict[str, Any] = {
    "OMPI_MCA_oob_tcp_keepalive_time": SILENCE_S,
    "OMPI_MCA_oob_tcp_keepalive_intvl": 1,
    "OMPI_MCA_oob_tcp_keepalive_probes": 3,
}
# Some seconds of several cores: long enough to lose a host meanwhile.
LONG: dict[str, Any] = {"inr": {"hidden": [32, 32]}, "fit": {"views": 2, "steps": 4000}}


class Jobs:
    """Runs the program on hosts; what they share is in `work`."""

    def __init__(self, work: Path, hosts: Hosts) -> None:
        self.work, self.hosts = work, hosts
        self.program = work / "polyview"
        shutil.copy(POLYVIEW, self.program)
        self.clock = work / "clock.so"
        build = ["cc", "-shared", "-fPIC", "-O1", "-o", str(self.clock), str(HERE / "clock.c"), "-ldl"]
        subprocess.run(build, check=True)
        write_images(work / "images")

    def set_clocks(self, **ahead: int) -> None:
        """Seconds by host, for jobs with clocks of their own."""
        for name, seconds in ahead.items():
            self.hosts.set_clock(name, seconds)

    def start(
        self,
        *words: object,
        on: int | list[str] = 1,
        ranks: int = 1,
        own_clocks: bool = False,
        **variables: Any,
    ) -> Process:
        names = self.hosts.names[:on] if isinstance(on, int) else on
        clocks = ["env", f"LD_PRELOAD={self.clock}", "CLOCK_STAMPS=1"] if own_clocks else []
        command = self.hosts.mpirun([*clocks, self.program, *words], names, ranks)
        return Process(command, **({"OMPI_MCA_odls_base_sigkill_timeout": 0} | variables))

    def run(self, *words: object, **how: Any) -> Run:
        return self.start(*words, **how).finish()


def rows(store: Path) -> bytes:
    """All that a fit has made of the objects."""
    with h5py.File(store) as file:
        return b"".join(
            file[name][()].tobytes() for name in ("params", "view/status", "view/psnr", "view/checksum")
        )


def finished(run: Run, what: str) -> None:
    check(run.status == 0 and run.json.get("status") == "done", what, run)
