"""A Slurm of several nodes on one machine, for tests: real daemons from Debian's packages, stopped again at the end.

Each node has a process namespace and a host name of its own, so that killing its first process is what a
machine without power is to the others.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

CONF = Path("/etc/slurm/slurm.conf")  # srun inside a job finds it nowhere else
MARK = "# written by tests/cluster/slurm.py"
PACKAGES = ("slurm-wlm", "munge")
SETTINGS = """{mark}
ClusterName=golf
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
SlurmdTimeout=15
JobRequeue=1
DefMemPerCPU=500
MinJobAge=300
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdSpoolDir={folder}/spool/%n
"""


class Missing(Exception):
    """Why there can be no Slurm here, in one line."""


class Slurm:
    """folder: for state, spool and logs. nodes: their number, each with `cpus` CPUs and 4 GB."""

    def __init__(self, folder: Path, nodes: int = 2, cpus: int = 2) -> None:
        self.folder, self.cpus = folder, cpus
        self.names = [f"n{number + 1}" for number in range(nodes)]
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._munged = False

    def start(self) -> None:
        """Start all daemons. Raises Missing where that cannot be."""
        _packages()
        if CONF.exists() and MARK not in CONF.read_text():
            raise Missing(f"{CONF} is there already, and not this test's")
        if CONF.exists() and not subprocess.run(["scontrol", "ping"], capture_output=True).returncode:
            raise Missing("another test's Slurm is at work on this machine")
        host = socket.gethostname().split(".")[0]
        lines = [SETTINGS.format(mark=MARK, host=host, folder=self.folder)]
        lines += [
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={17001 + at} CPUs={self.cpus} "
            "RealMemory=4000\n"
            for at, name in enumerate(self.names)
        ]
        lines.append(f"PartitionName=main Nodes={','.join(self.names)} Default=YES State=UP\n")
        (self.folder / "state").mkdir(parents=True, exist_ok=True)
        CONF.parent.mkdir(exist_ok=True)
        CONF.write_text("".join(lines))
        if subprocess.run(["munge", "-n"], capture_output=True).returncode:
            subprocess.run(
                ["install", "-d", "-o", "munge", "-g", "munge", "-m", "755", "/run/munge"], check=True
            )
            subprocess.run(["runuser", "-u", "munge", "--", "munged"], check=True)
            self._munged = True
        self._running["slurmctld"] = self._daemon(["slurmctld", "-i", "-D"])
        time.sleep(2)
        for name in self.names:
            self.start_node(name)
        self.wait_for(self.names)

    def start_node(self, name: str) -> None:
        (self.folder / "spool" / name).mkdir(parents=True, exist_ok=True)
        inside = f"hostname {name}; slurmd -N {name} -D; exit"  # the shell takes the ended jobs off the list
        apart = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts", "sh", "-c"]
        self._running[name] = self._daemon([*apart, inside])

    def kill_node(self, name: str) -> None:
        """As if its power were cut; Slurm is told at once, where it would find out in half a minute."""
        process = self._running.pop(name)
        process.kill()
        process.wait()
        self.control("update", f"nodename={name}", "state=down", "reason=killed")

    def wait_for(self, names: Sequence[str], seconds: float = 60) -> None:
        """Until these nodes take jobs."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            listed = subprocess.run(["sinfo", "-hN", "-o", "%N %T"], capture_output=True, text=True).stdout
            ready = {line.split()[0] for line in listed.splitlines() if line.split()[1] in ("idle", "mixed")}
            if set(names) <= ready:
                return
            time.sleep(0.5)
        raise Missing(f"the nodes {', '.join(names)} did not come up; see {self.folder}")

    def control(self, *words: str) -> None:
        subprocess.run(["scontrol", *words], check=True, capture_output=True)

    def jobs(self, state: str = "RUNNING") -> list[tuple[str, str, str]]:
        """Number, node and comment of the jobs in a state; Snakemake's comment names rule and wildcards."""
        command = ["squeue", "-h", "-t", state, "-o", "%i|%N|%k"]
        listed = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
        found = [line.split("|", 2) for line in listed]
        return [(number, node, comment) for number, node, comment in found]

    def stop(self) -> None:
        """Stop all that `start` started."""
        for name in [*self.names, "slurmctld"]:
            if process := self._running.pop(name, None):
                process.send_signal(signal.SIGKILL if name in self.names else signal.SIGTERM)
                process.wait()
        if self._munged:
            subprocess.run(
                ["runuser", "-u", "munge", "--", "munged", "--stop"], check=False, capture_output=True
            )
        if CONF.exists() and str(self.folder) in CONF.read_text():
            CONF.unlink()

    def _daemon(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self.folder / "daemons.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def _packages() -> None:
    """Debian's packages, installed where they are missing. Raises Missing."""
    if os.geteuid():
        raise Missing("the daemons of Slurm need root")
    if all(map(shutil.which, ("slurmctld", "slurmd", "munged"))):
        return
    if not shutil.which("apt-get"):
        raise Missing("slurm-wlm and munge are not installed, and there is no apt-get to bring them")
    command = ["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        told = done.stderr.strip().splitlines() or ["no reason"]
        raise Missing(f"apt-get cannot install {' and '.join(PACKAGES)}: {told[-1]}")


@contextlib.contextmanager
def slurm(folder: Path, nodes: int = 2, cpus: int = 2) -> Iterator[Slurm]:
    """A Slurm that is stopped at the end, however that comes."""
    cluster = Slurm(folder, nodes, cpus)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
