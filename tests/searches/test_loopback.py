"""What docs/security.md promises of the network: nothing listens beyond the loopback address."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# Prints what a search's own Ray listens on, by the processes below the driver.
DRIVER = """
    import os
    from pathlib import Path

    from tuner.orchestration.cluster import ray_for
    from tuner.config.environment import set_library_defaults
    from tuner.planning.search import plan_search
    from tuner.config.options import SearchRequest

    set_library_defaults()
    import ray

    def below(pid):
        yield pid
        for folder in Path("/proc").iterdir():
            try:
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            except (OSError, IndexError):
                continue
            if folder.name.isdigit() and int(parent) == pid:
                yield from below(int(folder.name))

    def sockets(pid):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                yield os.readlink(link)
            except OSError:
                continue  # just closed

    with ray_for(plan_search(SearchRequest(space="kd"))):
        ray.get(ray.remote(lambda: 1).remote())  # a worker is there
        for pid in below(os.getpid()):
            own = set(sockets(pid))
            for file in ("tcp", "tcp6"):
                for line in Path(f"/proc/{pid}/net/{file}").read_text().splitlines()[1:]:
                    _, local, _, state, *_, = fields = line.split()
                    if state == "0A" and f"socket:[{fields[9]}]" in own:
                        name = Path(f"/proc/{pid}/comm").read_text().strip()
                        print("listens", local.partition(":")[0], name)
"""
LOOPBACK = (
    "0100007F",  # 127.0.0.1
    "0000000000000000FFFF00000100007F",  # the same, mapped to IPv6
    "00000000000000000000000001000000",  # ::1
)


def test_a_searchs_own_ray_listens_on_the_loopback_address_only(tmp_path):
    if not Path("/proc/self/net/tcp").exists():
        pytest.skip("needs /proc/net, which lists the sockets")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DRIVER)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines() if "listens" in line]
    assert len(lines) >= 4, done.stderr  # the driver, the store of the cluster's state, ...
    assert {name for _, address, name in lines if address not in LOOPBACK} == set()
