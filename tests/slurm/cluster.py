"""A real Slurm cluster of virtual nodes on this machine, for tests: munged, slurmctld and a slurmd for every node.

Everything lives in one directory and in the session's processes; nothing of the system's own Slurm or munge is touched.
Needs root (slurmd starts jobs as their owners) and Debian's slurmctld, slurmd, slurm-client and munge.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel", "sinfo")
START_S = 90
# The nodes share one host: shared memory between "nodes" would crash, and only the loopback carries their messages.
MPI = {
    "OMPI_MCA_pml": "ob1",
    "OMPI_MCA_osc": "^ucx",
    "OMPI_MCA_btl": "self,tcp",
    "OMPI_MCA_btl_tcp_if_include": "lo",
    "OMPI_MCA_oob_tcp_if_include": "lo",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
}

CONF = """
ClusterName=polyview
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
AuthType=auth/munge
CredType=cred/munge
# cred_expire is also how long a requeued job waits before it starts again
AuthInfo=socket={dir}/munge.sock,cred_expire=5
SlurmUser=root
SlurmdUser=root
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/spool/%n
SlurmctldPidFile={dir}/slurmctld.pid
SlurmdPidFile={dir}/slurmd-%n.pid
SlurmctldLogFile={dir}/log/slurmctld
SlurmdLogFile={dir}/log/%n
# a directory a node: the PMIx servers of two nodes would collide in /tmp
TmpFS={dir}/tmp/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/{binding}
SwitchType=switch/none
MpiDefault=pmix
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={dir}/jobs.txt
# more CPUs than the machine has
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=5
MinJobAge=3600
ReturnToService=2
SlurmdTimeout=15
BatchStartTimeout=30
UnkillableStepTimeout=30
CompleteWait=0
MailProg=/bin/true
PartitionName=main Nodes=ALL Default=YES PriorityTier=10 PreemptMode=OFF DefaultTime=10 MaxTime=INFINITE State=UP
PartitionName=low Nodes=ALL PriorityTier=1 PreemptMode=REQUEUE GraceTime=20 DefaultTime=10 MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return [program for program in PROGRAMS if not shutil.which(program, path=path)]


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Cluster:
    def __init__(self, directory: Path, nodes: int, cpus: int = 2, binds: bool = False) -> None:
        """With `binds` every node is given the machine's first CPUs, and slurmd binds tasks to them as srun asks."""
        if len(str(directory)) > 60:
            raise ValueError(f"the sockets below '{directory}' would have too long a path")
        self.directory, self.names = directory, [f"node{i}" for i in range(1, nodes + 1)]
        self.daemons: dict[str, subprocess.Popen] = {}
        self.environment = os.environ | MPI | {"SLURM_CONF": str(directory / "slurm.conf")}
        self.environment["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
        for name in ("log", "state", "spool", "tmp"):
            (directory / name).mkdir()
        (directory / "munge.key").write_bytes(os.urandom(1024))
        (directory / "munge.key").chmod(0o400)
        host, ports = socket.gethostname().split(".")[0], free_ports(nodes + 1)
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
        lines = [
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory={memory}"
            for name, port in zip(self.names, ports[1:])
        ]
        text = CONF.format(
            host=host, port=ports[0], dir=directory, binding="affinity" if binds else "none"
        ).split("PartitionName", 1)
        (directory / "slurm.conf").write_text(text[0] + "\n".join(lines) + "\nPartitionName" + text[1])
        # without its own file slurmd would read the system's
        (directory / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")

    # ---- daemons

    def launch(self, name: str, *command: str) -> None:
        """A daemon in the foreground, its output in the log; what it starts carries the mark of its name."""
        with (self.directory / "log" / f"{name}.out").open("ab") as log:
            self.daemons[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment | {"POLYVIEW_TEST_DAEMON": f"{self.directory}/{name}"},
                start_new_session=True,
            )

    def start(self) -> None:
        d = self.directory
        munge = [
            "--key-file",
            f"{d}/munge.key",
            "--socket",
            f"{d}/munge.sock",
            "--seed-file",
            f"{d}/munge.seed",
        ]
        munge += ["--pid-file", f"{d}/munged.pid", "--log-file", f"{d}/log/munged"]
        self.launch("munged", "munged", "--foreground", "--force", *munge)
        self.wait_for(lambda: (d / "munge.sock").exists(), "munged")
        self.launch("slurmctld", "slurmctld", "-D", "-f", f"{d}/slurm.conf")
        for name in self.names:
            self.start_node(name)
        self.wait_for(lambda: all(self.node_is_up(name) for name in self.names), "the nodes")

    def start_node(self, name: str) -> None:
        for part in ("spool", "tmp"):
            (self.directory / part / name).mkdir(exist_ok=True)
        self.launch(name, "slurmd", "-D", "-N", name, "-f", f"{self.directory}/slurm.conf")

    def wait_for(self, event, what: str, seconds: float = START_S) -> None:
        end = time.monotonic() + seconds
        while not event():
            if time.monotonic() > end:
                raise ValueError(f"{what} did not come up in {seconds} s\n{self.logs()}")
            time.sleep(0.2)

    def node_is_up(self, name: str) -> bool:
        state = self.run("sinfo", "-h", "-N", "-p", "main", "-n", name, "-o", "%T").strip()
        return state in ("idle", "mixed", "allocated", "completing")

    def fail_node(self, name: str) -> int:
        """Power off: slurmd first, so that it tells nobody, then all that ran on the node.  Returns how many those were."""
        self.daemons[name].kill()
        self.daemons.pop(name).wait()
        return self.kill_marked(f"{self.directory}/{name}")

    def restore_node(self, name: str) -> None:
        """As after a reboot with an empty spool."""
        shutil.rmtree(self.directory / "spool" / name)
        shutil.rmtree(self.directory / "tmp" / name)
        self.start_node(name)
        self.wait_for(lambda: self.node_is_up(name), name)

    def kill_marked(self, mark: str) -> int:
        """Kills every process that carries the mark, and all their descendants: tasks have an environment of their own."""
        children: dict[int, list[int]] = {}
        marked = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
                variables = (entry / "environ").read_bytes().split(b"\0")
                if any(v.startswith(b"POLYVIEW_TEST_DAEMON=" + mark.encode()) for v in variables):
                    marked.append(int(entry.name))
            except OSError:
                continue  # it has ended meanwhile
        doomed: set[int] = set()
        while marked:
            pid = marked.pop()
            if pid not in doomed and pid != os.getpid():
                doomed.add(pid)
                marked += children.get(pid, [])
        for pid in doomed:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return len(doomed)

    def stop(self) -> None:
        if self.daemons.get("slurmctld") and self.daemons["slurmctld"].poll() is None:
            self.run("scancel", "--full", "--user", "root")
        for name in [*self.names, "slurmctld", "munged"]:
            daemon = self.daemons.pop(name, None)
            if not daemon:
                continue
            daemon.terminate()
            try:
                daemon.wait(15)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self.kill_marked(f"{self.directory}/")

    # ---- clients

    def run(self, *command: object, cwd: Path | None = None, **variables: str) -> str:
        """The output of a client; ValueError if it fails."""
        words = [str(word) for word in command]
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            cwd=cwd,
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode != 0 and words[0] not in ("sinfo", "scancel"):
            raise ValueError(f"{' '.join(words)}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def job(self, number: str) -> dict[str, str]:
        """What scontrol knows of a job."""
        words = self.run("scontrol", "--oneliner", "show", "job", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def wait_job(self, number: str, states: tuple[str, ...], seconds: float) -> dict[str, str]:
        """Waits until the job is in one of the states; gives what it is then, or at the end of the time."""
        end = time.monotonic() + seconds
        while True:
            job = self.job(number)
            if job.get("JobState") in states or time.monotonic() > end:
                return job
            time.sleep(0.5)

    def logs(self) -> str:
        """The ends of all logs."""
        text = []
        for path in sorted((self.directory / "log").iterdir()):
            lines = path.read_text(errors="replace").splitlines()[-8:]
            text += [f"--- {path.name}", *lines]
        return "\n".join(text)
