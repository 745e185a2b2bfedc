"""Hosts for tests, each with its own processes, home, /tmp/ray, shared memory and network.

They are Linux namespaces: `ray stop`, which kills by name, and a pulled cable reach nothing
else, and everything ends with the test's process. The hosts share all files, as machines with
a common folder do.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.searching import LIBRARY_VARIABLES

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 240.0

# A shell stays as the first process and reaps orphans, as init does.
_FIRST_PROCESS = """
set -e
ip link set lo up
mkdir -p /tmp/ray
for folder in /tmp/ray /dev/shm /run; do mount -t tmpfs tmpfs $folder; done
mount --bind "$1/passwd" /etc/passwd
echo ready
while :; do sleep 1 & wait $! || true; done 2> /dev/null
"""
_UNSHARE = ["--fork", "--pid", "--mount", "--mount-proc", "--kill-child=KILL"]
_UNSHARE += ["bash", "-c", _FIRST_PROCESS]


class Host:
    """One host; with `beside` it shares the network of another, with all addresses."""

    def __init__(self, name: str, folder: Path, *, beside: "Host | None" = None) -> None:
        self.name = name
        self.home = folder / name  # its `~`
        self.home.mkdir(parents=True)
        # The real home stays where it is: this Python may live in it.
        users = Path("/etc/passwd").read_text()
        (self.home / "passwd").write_text(users.replace(f":{Path.home()}:", f":{self.home}:"))
        network = ["unshare", "--net"]
        if beside is not None:
            network = ["nsenter", f"--net=/proc/{beside.pid}/ns/net", "unshare"]
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *network, *_UNSHARE, name, str(self.home)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", name
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        self.pid = int(children.read_text())  # of its first process, as seen from here

    def start(
        self, command: Sequence[str], *, env: Mapping[str, str] | None = None, output: Path
    ) -> subprocess.Popen[bytes]:
        """Starts a command in the host's home; `output` receives everything it prints."""
        with output.open("ab") as file:
            return subprocess.Popen(
                self._entering(command),
                env=environment() | {"HOME": str(self.home)} | dict(env or {}),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def run(
        self,
        *command: str,
        env: Mapping[str, str] | None = None,
        seconds: float = DEADLINE_SECONDS,
    ) -> str:
        """Runs a command in the host's home and returns what it printed.

        Fails the test if the command fails or takes longer than `seconds`.
        """
        output = self.home / "output.txt"
        output.unlink(missing_ok=True)
        process = self.start(command, env=env, output=output)
        try:
            status: int | str = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            status = f"too slow, more than {seconds} s"
        printed = output.read_text(errors="replace")
        if status != 0:
            pytest.fail(f"{' '.join(command)} on {self.name}: {status}\n{printed}")
        return printed

    def kill_everything(self) -> None:
        """Sends SIGKILL to every process; the host itself stays on the network."""
        # It kills its own shell, too.
        self.start(["bash", "-c", "kill -KILL -1"], output=self.home / "output.txt").wait()

    def commands(self) -> list[str]:
        """The command lines of all processes on the host."""
        return self.run("ps", "-ww", "-e", "-o", "args=").splitlines()

    def trials_that_ran(self) -> set[str]:
        """The names of all trials that began on the host since Ray was last started."""
        folders = "/tmp/ray/session_latest/artifacts/*/*/working_dirs/*/"
        found = self.run("bash", "-c", f"shopt -s nullglob; echo {folders}").split()
        return {Path(folder).name for folder in found}

    def close(self) -> None:
        """Ends the host and everything on it."""
        self._process.kill()
        self._process.communicate()

    def _entering(self, command: Sequence[str]) -> list[str]:
        into = ["nsenter", f"--target={self.pid}", "--pid", "--mount", "--net"]
        return [*into, "env", f"--chdir={self.home}", *command]


class Switch:
    """An isolated network and the hosts that are plugged into it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._host = Host("switch", folder)
        self._host.run("ip", "link", "add", "switch", "type", "bridge")
        self._host.run("ip", "link", "set", "switch", "up")
        self.hosts: list[Host] = []

    def host(self, name: str, address: str) -> Host:
        """Adds a host with this address, whose default route is this network."""
        host = Host(name, self._folder)
        self.hosts.append(host)
        # Both commands see this process's /proc: a namespace is named by a process id of here.
        ends = ["ip", "link", "add", name, "type", "veth", "peer", "name", "eth0"]
        network = ["nsenter", f"--net=/proc/{self._host.pid}/ns/net"]
        subprocess.run([*network, *ends, "netns", str(host.pid)], check=True)
        self._host.run("ip", "link", "set", name, "master", "switch", "up")
        host.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
        host.run("ip", "link", "set", "eth0", "up")
        host.run("ip", "route", "add", "default", "dev", "eth0")
        return host

    def unplug(self, host: Host) -> None:
        """Pulls the cable: packets to and from the host are lost silently."""
        self._host.run("ip", "link", "set", host.name, "down")

    def plug(self, host: Host) -> None:
        """Plugs the cable in again."""
        self._host.run("ip", "link", "set", host.name, "up")

    def close(self) -> None:
        """Ends the hosts and the network."""
        for host in (*self.hosts, self._host):
            host.close()


@contextmanager
def switch(folder: Path) -> Iterator[Switch]:
    """A network for one test; skips it where namespaces cannot be made."""
    check_hosts()
    network = Switch(folder)
    try:
        yield network
    finally:
        network.close()


def environment() -> dict[str, str]:
    """The environment of commands on the hosts: this code and this Python come first."""
    kept = {name: value for name, value in os.environ.items() if name not in LIBRARY_VARIABLES}
    path = f"{Path(sys.executable).parent}:{kept['PATH']}:/usr/sbin:/sbin"
    return kept | {"PYTHONPATH": str(ROOT), "PATH": path}


def check_hosts(*programs: str) -> None:
    """Skips the test where namespaces cannot be made or a program is missing."""
    needed = ("unshare", "nsenter", "setpriv", "ip", "ps", *programs)
    missing = [name for name in needed if shutil.which(name, path=environment()["PATH"]) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not on this machine")
    attempt = ["unshare", "--fork", "--pid", "--mount", "--net", "true"]
    if subprocess.run(attempt, capture_output=True).returncode:
        pytest.skip("this user may not make namespaces")
