"""Hosts of their own on one machine, for tests: each has a name, a network interface, /dev/shm and /tmp for itself,
and shares the rest of the disk, which stands for the cluster's file system.

A host is a set of Linux namespaces that a sleeping process holds; a switch, in a network namespace too, joins their
interfaces.  All is gone when the holders are.  Needs root, and Debian's iproute2 and util-linux.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

RESENT = 5  # times that a host sends again what is not answered, as docs/cluster.md has it: for some 13 seconds
PROGRAMS = ("ip", "tc", "unshare", "nsenter", "mpirun")
NAMESPACES = ("--mount", "--uts", "--net", "--ipc")
START_S = 10
QUEUE, BURST_MS = "2mb", 2  # of a slow link: what waits there before it is lost; what may leave at once

HOLDER = """
mount --make-rprivate / && hostname {name} && mount --bind {hosts} /etc/hosts &&
mount -t tmpfs -o size=512m tmpfs /dev/shm && mount -t tmpfs tmpfs /tmp && ip link set lo up && exec sleep infinity
"""

# What ssh is between real hosts: HOST COMMAND...  It does not hear of the end of a host that is lost.
AGENT = """#!/bin/sh
host=$1
shift
nsenter --target "$(cat '{place}/'"$host".pid)" {namespaces} -- /bin/sh -c "$*" <&0 &
wait $!
status=$?
exec > /dev/null 2>&1
while [ -e '{place}/'"$host".lost ]; do sleep 0.2; done
exit $status
"""


def missing() -> str:
    """Why there can be no hosts here, "" if they can."""
    absent = [name for name in PROGRAMS if not shutil.which(name)]
    if absent:
        return f"no {', '.join(absent)}"
    tried = subprocess.run(
        ["unshare", *NAMESPACES, "ip", "link", "add", "pv0", "type", "bridge"], capture_output=True
    )
    return "" if tried.returncode == 0 else "namespaces and bridges need root"


def run(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True, capture_output=True, timeout=START_S)


def network_of(pid: int | str) -> str:
    return os.readlink(f"/proc/{pid}/ns/net")


class Hosts:
    """host1, host2, ...; `place` is a directory that they share: not below /tmp."""

    def __init__(self, count: int, place: Path) -> None:
        self.names = [f"host{n + 1}" for n in range(count)]
        self.place = place
        self.holders: dict[str, subprocess.Popen] = {}
        self.networks: dict[str, str] = {}

    def __enter__(self) -> "Hosts":
        signal.signal(
            signal.SIGTERM, lambda *_: sys.exit(1)
        )  # or the hosts would outlive who is asked to end
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name, holder in self.holders.items():
            self.kill(name)
            holder.kill()
            holder.wait()

    def start(self) -> None:
        table = self.place / "hosts"
        table.write_text(
            "127.0.0.1 localhost\n"
            + "".join(f"10.77.0.{n + 1} {name}\n" for n, name in enumerate(self.names))
        )
        agent = self.place / "agent"
        agent.write_text(AGENT.format(place=self.place, namespaces=" ".join(NAMESPACES)))
        agent.chmod(0o755)
        self.hold("switch", ["unshare", "--net", "sleep", "infinity"])
        self.inside("switch", "ip", "link", "add", "bridge", "type", "bridge")
        self.inside("switch", "ip", "link", "set", "bridge", "up")
        for number, name in enumerate(self.names):
            script = HOLDER.format(name=name, hosts=table)
            self.hold(name, ["unshare", *NAMESPACES, "--", "sh", "-c", script])
            pid = self.holders[name].pid
            (self.place / f"{name}.pid").write_text(str(pid))
            self.inside(
                "switch", "ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", pid
            )
            self.inside("switch", "ip", "link", "set", name, "master", "bridge", "up")
            self.inside(name, "ip", "address", "add", f"10.77.0.{number + 1}/24", "dev", "eth0")
            self.inside(name, "ip", "link", "set", "eth0", "up")
            self.inside(name, "sh", "-c", f"echo {RESENT} >/proc/sys/net/ipv4/tcp_retries2")

    def hold(self, name: str, command: list[str]) -> None:
        """Starts a holder, and waits until it sleeps in namespaces of its own."""
        holder = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        self.holders[name] = holder
        until = time.monotonic() + START_S
        while Path(f"/proc/{holder.pid}/comm").read_text() != "sleep\n":
            if holder.poll() is not None or time.monotonic() > until:
                raise OSError(f"the holder of {name} did not start")
            time.sleep(0.01)
        self.networks[name] = network_of(holder.pid)

    def inside(self, name: str, *words: object) -> None:
        run(*self.enter(name), *words)

    def enter(self, name: str) -> list[str]:
        namespaces = ("--net",) if name == "switch" else NAMESPACES
        return ["nsenter", "--target", str(self.holders[name].pid), *namespaces, "--"]

    def mpirun(self, words: list[object], on: list[str], per_host: int) -> list[str]:
        """The command that starts ranks on the hosts, from the first of them, as a user would who has logged in there."""
        where = ",".join(f"{name}:{per_host}" for name in on)
        start = [
            "mpirun",
            "--mca",
            "plm_rsh_agent",
            self.place / "agent",
            "--host",
            where,
            "--bind-to",
            "none",
        ]
        return [*self.enter(on[0]), *map(str, [*start, *words])]

    def set_clock(self, name: str, seconds: int) -> None:
        """How far a host's clock is ahead, for programs that clock.c is loaded into."""
        self.inside(name, "sh", "-c", f"echo {seconds} > /tmp/clock")

    def set_links(self, mbit: int) -> None:
        """How many megabits a second go to each host and from each at most; 0: as many as there are."""
        burst = mbit * BURST_MS * 125  # bytes: less would not keep the link busy
        for name in self.names:
            for place, device in (("switch", name), (name, "eth0")):
                with suppress(subprocess.CalledProcessError):  # it has had no rate
                    self.inside(place, "tc", "qdisc", "delete", "dev", device, "root")
                if mbit:
                    shape = ["rate", f"{mbit}mbit", "burst", f"{burst}b", "limit", QUEUE]
                    self.inside(place, "tc", "qdisc", "add", "dev", device, "root", "tbf", *shape)

    # ---- what befalls hosts

    def processes(self, name: str) -> list[int]:
        """All that runs on a host, but its holder."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and network_of(entry.name) == self.networks[name]:
                    found.append(int(entry.name))
            except OSError:
                continue
        return [pid for pid in found if pid != self.holders[name].pid]

    def kill(self, name: str) -> None:
        for pid in self.processes(name):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def unplug(self, name: str) -> None:
        (self.place / f"{name}.lost").touch()
        self.inside("switch", "ip", "link", "set", name, "down")

    def plug(self, name: str) -> None:
        self.inside("switch", "ip", "link", "set", name, "up")
        (self.place / f"{name}.lost").unlink()

    def lose(self, name: str) -> None:
        """As when the power goes: nobody hears of it."""
        self.unplug(name)
        self.kill(name)
