"""`ray up cluster.yaml` over SSH, on machines on which nothing runs yet.

A laptop, a head and a worker, each with its own processes and home, on one loopback network.
"""

import re
import shlex
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.hosts import ROOT, Host, check_hosts
from tests.support.searching import Searches
from tuner.results.trial import DONE, SEARCH

HEAD, WORKER = "127.0.0.1", "127.0.0.2"
JOIN_SECONDS = 90.0
# A worker that has lost its head gives up after a minute.
DOWN_SECONDS = 150.0
OPTIONS = {"scheduler": "none", "max_concurrent": 2, "address": "auto"}

# In place of `python3 -m venv` and `pip install -e '.[cluster]'`, which fetch gigabytes: an
# environment of its own that has the packages of this one, and the copied code.
PACKAGES = "lib/python{}.{}/site-packages".format(*sys.version_info)
RAY = "import ray.scripts.scripts as scripts; scripts.main()"
INSTALL = [
    f"{sys.executable} -m venv --without-pip ~/tuner-venv",
    f"printf '%s\\n' {sysconfig.get_path('purelib')} ~/tuner > ~/tuner-venv/{PACKAGES}/tuner.pth",
    f"printf '%s\\n' \"#!$HOME/tuner-venv/bin/python\" '{RAY}' > ~/tuner-venv/bin/ray",
    "chmod +x ~/tuner-venv/bin/ray",
]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Host]]:
    """The machines; the laptop's key opens the two others."""
    check_hosts("sshd", "ssh", "ssh-keygen", "rsync")
    folder = tmp_path_factory.mktemp("ray-up")
    laptop = Host("laptop", folder)
    machines = {"laptop": laptop}
    try:
        key = laptop.home / ".ssh" / "id_ed25519"
        key.parent.mkdir(mode=0o700)
        laptop.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
        for name, address in (("head", HEAD), ("worker", WORKER)):
            host = machines[name] = Host(name, folder, beside=laptop)
            (host.home / ".ssh").mkdir(mode=0o700)
            (host.home / ".ssh" / "authorized_keys").write_text(Path(f"{key}.pub").read_text())
            host.run("mkdir", "/run/sshd")
            options = [f"ListenAddress={address}", "StrictModes=no", "UsePAM=no", "PidFile=none"]
            sshd = ["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-h", str(key)]
            sshd += [word for option in options for word in ("-o", option)]
            host.start(sshd, output=host.home / "sshd.txt")
        yield machines
    finally:
        for host in machines.values():
            host.close()


def edited(key: Path) -> dict[str, Any]:
    """cluster.yaml with the user's values: machines, user, key; and how small the machines are.

    Other than that only the installation is another.
    """
    config: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    config["provider"] |= {"head_ip": HEAD, "worker_ips": [WORKER]}
    config |= {"min_workers": 1, "max_workers": 1}
    config["auth"] = {"ssh_user": Path.home().owner(), "ssh_private_key": str(key)}
    (venv, pip) = config["setup_commands"][-2:]
    assert "-m venv" in venv
    assert "pip install" in pip
    config["setup_commands"][-2:] = INSTALL
    for commands, address in (
        ("head_start_ray_commands", HEAD),
        ("worker_start_ray_commands", WORKER),
    ):
        small = f"--node-ip-address={address} --num-cpus=1 --object-store-memory=200000000"
        config[commands] = [
            command.replace("ray start", f"ray start {small}") for command in config[commands]
        ]
    return config


def test_the_shipped_file_starts_a_cluster_that_searches_and_ends(
    hosts: dict[str, Host], tmp_path: Path
) -> None:
    laptop = hosts["laptop"]
    shared = Searches(tmp_path / "shared" / "runs", str(tmp_path / "shared" / "data"))
    file = laptop.home / "cluster.yaml"
    file.write_text(yaml.safe_dump(edited(laptop.home / ".ssh" / "id_ed25519")))

    def ray(*arguments: str) -> str:
        # From the top of the repository, which is what file_mounts copies.
        line = shlex.join(["ray", *arguments])
        return laptop.run("bash", "-c", f"cd {ROOT} && {line}", env={"RAY_AUTH_MODE": "token"})

    def on_head(command: str) -> str:
        return ray("exec", str(file), f"cd ~/tuner && {command}")

    token = laptop.home / ".ray" / "auth_token"
    ray("get-auth-token", "--generate")
    token.chmod(0o600)
    ray("up", str(file), "-y", "--no-config-cache")
    deadline = time.monotonic() + JOIN_SECONDS
    status = "RAY_AUTH_MODE=token ~/tuner-venv/bin/ray status"
    while not re.search(r"/2\.0 CPU", printed := on_head(status)):
        assert time.monotonic() < deadline, printed
    # Only who has the token gets in.
    for host in hosts.values():
        copy = host.home / ".ray" / "auth_token"
        assert copy.read_text() == token.read_text()
        assert copy.stat().st_mode & 0o777 == 0o600
    laptop.run("bash", "-c", f"! RAY_AUTH_MODE=disabled ray status --address {HEAD}:6379")

    search = ["~/tuner-venv/bin/python", "-m", "tuner.search"]
    arguments = shlex.join(shared.arguments("executed", **OPTIONS))
    on_head(f"{' '.join(search)} {arguments} --quiet")
    check(shared, "executed")
    assert hosts["head"].trials_that_ran()
    assert hosts["worker"].trials_that_ran()

    dashboard = laptop.start(
        ["bash", "-c", f"cd {ROOT} && exec ray dashboard {file} --port 8266"],
        output=laptop.home / "dashboard.txt",
    )
    laptop.run(
        "bash",
        "-c",
        "until ray job list --address http://127.0.0.1:8266; do sleep 1; done",
        env={"RAY_AUTH_MODE": "token"},
    )
    arguments = shlex.join(shared.arguments("submitted", **OPTIONS))
    job = f"cd ~/tuner && {' '.join(search)} {arguments} --quiet"
    address = ["--address", "http://127.0.0.1:8266"]
    assert "succeeded" in ray("job", "submit", *address, "--", "bash", "-c", job)
    check(shared, "submitted")
    dashboard.kill()

    ray("down", str(file), "-y")
    assert not ray_processes(hosts["head"])
    deadline = time.monotonic() + DOWN_SECONDS
    while left := ray_processes(hosts["worker"]):
        assert time.monotonic() < deadline, left
        time.sleep(1)


def check(searches: Searches, name: str) -> None:
    """The search is done, and its results are in the shared folder."""
    assert [trial.status for trial in searches.record(name).trials_of(SEARCH)] == [DONE] * 4
    assert len(searches.table(name, "trials")) >= 4
    assert (searches.folder(name) / "best.yaml").exists()
    assert (searches.folder(name) / "report.html").exists()


def ray_processes(host: Host) -> list[str]:
    return [line for line in host.commands() if re.search(r"raylet|gcs_server|ray::", line)]
