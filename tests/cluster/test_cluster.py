"""A cluster of two nodes on this machine: what a dry run says of it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from tests.support.searching import Driver, Searches

NODE = {"num_cpus": 1, "object_store_memory": 200_000_000}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    head = NODE | {"include_dashboard": False}
    cluster = Cluster(initialize_head=True, connect=False, head_node_args=head)
    try:
        cluster.add_node(**NODE)
        yield cluster
    finally:
        cluster.shutdown()


def seconds_of(text: str) -> float:
    units = {"h": 3600.0, "min": 60.0, "s": 1.0}
    return sum(float(n) * units[unit] for n, unit in re.findall(r"([\d.]+) (h|min|s)\b", text))


def test_a_dry_run_says_what_fits_and_how_long_it_takes(
    cluster: Cluster, tmp_path: Path, data_dir: str
) -> None:
    searches = Searches(tmp_path / "runs", data_dir)
    options = {"address": cluster.address, "epochs": 30, "trials": 20, "max_concurrent": 2}
    driver = Driver(searches.arguments("none", "--dry-run", **options), tmp_path)
    try:
        assert driver.wait() == 0, driver.err
    finally:
        driver.reap()
    out = " ".join(driver.out.split())
    assert "2 machines with 2 CPUs: 2 trials at a time, each with 1 CPU" in out
    (training,) = re.findall(r"ms per step, (.*?) per training of 30 epochs", out)
    (most,) = re.findall(r"the whole search of itrd: at most (.*?), [\d.]+ CPU-hours", out)
    (likely,) = re.findall(r"with trials stopped early: about (.*?), [\d.]+ CPU-hours", out)
    # 20 trials and 3 final trainings, two at a time.
    assert seconds_of(most) == pytest.approx(12 * seconds_of(training), rel=0.2)
    assert seconds_of(training) < seconds_of(likely) < seconds_of(most)
    assert not searches.runs.exists()
