"""A search on two machines of a network, one of which is lost in the middle.

Whatever happens, the search ends as if nothing had happened: each trial begins once and ends
once, has one MLflow run, and reports what it would have reported undisturbed.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
import yaml

import tuner.teach
from tests.support.hosts import ROOT, Switch, switch
from tests.support.searching import Searches, same_mlflow_runs
from tuner.results.trial import RUNNING, SEARCH

HEAD, WORKER = "10.77.0.1", "10.77.0.2"
ADDRESS = f"{HEAD}:6379"
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "of-the-two-nodes-0123456789abcdef"}
STRAIGHT = "straight"
TRAINING = {"teacher": "resnet8", "teacher_epochs": 1, "limit": 1150}
# Two trials at a time, one on each machine; either machine has room for both. Nothing
# depends on which of them is faster.
OPTIONS = {
    **TRAINING,
    "algo": "random",
    "scheduler": "none",
    "epochs": 24,
    "trials": 4,
    "seeds": 0,
    "max_concurrent": 2,
    "address": ADDRESS,
}
DEADLINE_SECONDS = 240.0
FaultRow = Callable[..., None]


class Cluster:
    """Ray on a head and a worker, and searches that are written to a folder of both."""

    def __init__(self, network: Switch, searches: Searches) -> None:
        self.network, self.searches = network, searches
        self.head = network.host("head", HEAD)
        self.worker = network.host("worker", WORKER)

    def start(self) -> None:
        """Starts Ray on both, as `ray up` does, in place of what is left of it there."""
        options = ["--num-cpus=2", "--object-store-memory=200000000"]
        for host in (self.worker, self.head):
            host.run("ray", "stop", "--force")
        head = ["ray", "start", "--head", "--port=6379", "--include-dashboard=false", *options]
        self.head.run(*head, env=TOKEN | health_checks())
        self.worker.run("ray", "start", f"--address={ADDRESS}", *options, env=TOKEN)

    def search(self, arguments: list[str]) -> "Driver":
        """`tuner search` on the head, in the background."""
        return Driver(self, arguments)

    def reasons(self) -> list[str]:
        """Why trials have failed, in all searches so far."""
        names = [path.parent.name for path in self.searches.runs.glob("*/journal.jsonl")]
        trials = [trial for name in names for trial in self.searches.record(name).trials.values()]
        return [f"{trial.name}: {trial.reason}" for trial in trials if trial.reason]

    def interrupted(self, name: str, driver: "Driver") -> str:
        """Waits for a trial to be in the middle of its training on the worker."""
        driver.wait_until(lambda: bool(self._on_worker(name)))
        return self._on_worker(name)[0]

    def _on_worker(self, name: str) -> list[str]:
        if not self.searches.journal(name):
            return []
        there = self.worker.trials_that_ran()
        return [
            trial.name
            for trial in self.searches.record(name).trials_of(SEARCH)
            if trial.status == RUNNING and 3 <= len(trial.epochs) < 18 and trial.name in there
        ]

    def seconds_until_it_continues(self, name: str, trial: str, driver: "Driver") -> float:
        """From now to the next epoch that a lost trial reports."""
        start = time.monotonic()
        time.sleep(0.5)  # what was on its way to the driver has arrived
        before = self._num_epochs(name, trial)
        driver.wait_until(lambda: self._num_epochs(name, trial) > before)
        return time.monotonic() - start

    def _num_epochs(self, name: str, trial: str) -> int:
        return len(self.searches.record(name).trials[trial].epochs)


class Driver:
    """A search that runs on the head."""

    def __init__(self, cluster: Cluster, arguments: list[str]) -> None:
        self._cluster = cluster
        self._printed = cluster.searches.runs / f"driver-{time.monotonic_ns()}.txt"
        command = ["python", "-m", "tuner.search", *arguments, "--quiet"]
        self._process = cluster.head.start(command, env=TOKEN, output=self._printed)

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Waits for something that the search does."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not is_so():
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"it ended or timed out before:\n{self._printed()}")
            time.sleep(0.05)

    def wait(self) -> int:
        """The exit status; what it printed is shown if it is not 0."""
        status = self._process.wait(timeout=DEADLINE_SECONDS)
        if status:
            print(self._printed())  # noqa: T201
        return status

    def _printed(self) -> str:
        return "\n".join([self._printed.read_text(), *self._cluster.reasons()])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, data_dir: str) -> Iterator[Cluster]:
    options = [f"--{name.replace('_', '-')}={value}" for name, value in TRAINING.items()]
    folder = tmp_path_factory.mktemp("two-nodes")
    with switch(folder / "hosts") as network:
        # The teacher first, in no search: the first search would have its training as a row.
        assert tuner.teach.main([*options, "--data-dir", data_dir]) == 0
        runs = folder / "runs"
        runs.mkdir()
        yield Cluster(network, Searches(runs, data_dir))


@pytest.fixture(scope="module")
def straight(cluster: Cluster) -> str:
    """A search that nothing disturbed."""
    cluster.start()
    driver = cluster.search(cluster.searches.arguments(STRAIGHT, **OPTIONS))
    assert driver.wait() == 0
    assert cluster.worker.trials_that_ran()  # else no test here shows anything
    assert cluster.head.trials_that_ran()
    return STRAIGHT


def test_a_search_continues_when_all_processes_of_a_machine_are_killed(
    cluster: Cluster, straight: str, fault_row: FaultRow
) -> None:
    cluster.start()
    driver = cluster.search(cluster.searches.arguments("killed", **OPTIONS))
    trial = cluster.interrupted("killed", driver)
    cluster.worker.kill_everything()
    seconds = cluster.seconds_until_it_continues("killed", trial, driver)
    assert driver.wait() == 0
    lost, repeated = lost_and_repeated(cluster.searches, "killed")
    fault_row(
        "all processes of a machine killed",
        injected=1,
        lost=lost,
        repeated=repeated,
        recovery_seconds=seconds,
    )
    same_as(cluster.searches, straight, "killed")


def test_a_search_continues_when_a_machine_is_cut_off_and_comes_back(
    cluster: Cluster, straight: str, fault_row: FaultRow
) -> None:
    cluster.start()
    driver = cluster.search(cluster.searches.arguments("cut-off", **OPTIONS))
    trial = cluster.interrupted("cut-off", driver)
    cluster.network.unplug(cluster.worker)
    try:
        seconds = cluster.seconds_until_it_continues("cut-off", trial, driver)
    finally:
        # Its processes are alive, and train what another machine trains by now.
        cluster.network.plug(cluster.worker)
    assert driver.wait() == 0
    lost, repeated = lost_and_repeated(cluster.searches, "cut-off")
    fault_row(
        "a machine cut off from the network, then back",
        injected=1,
        lost=lost,
        repeated=repeated,
        recovery_seconds=seconds,
    )
    same_as(cluster.searches, straight, "cut-off")


def test_a_search_is_resumed_when_the_head_was_restarted(
    cluster: Cluster, straight: str, fault_row: FaultRow
) -> None:
    cluster.start()
    driver = cluster.search(cluster.searches.arguments("headless", **OPTIONS))
    trial = cluster.interrupted("headless", driver)
    cluster.head.kill_everything()
    start = time.monotonic()
    cluster.start()
    driver = cluster.search(cluster.searches.resume_arguments("headless"))
    cluster.seconds_until_it_continues("headless", trial, driver)
    seconds = time.monotonic() - start
    assert driver.wait() == 0
    lost, repeated = lost_and_repeated(cluster.searches, "headless")
    fault_row(
        "the head killed, Ray started anew, the search resumed",
        injected=1,
        lost=lost,
        repeated=repeated,
        recovery_seconds=seconds,
    )
    same_as(cluster.searches, straight, "headless")


def health_checks() -> dict[str, str]:
    """What cluster.yaml sets on its head, so that it is measured."""
    commands = yaml.safe_load((ROOT / "cluster.yaml").read_text())["head_start_ray_commands"]
    found = dict(re.findall(r"(RAY_health_check_\w+)=(\d+)", " ".join(commands)))
    assert found
    return found


def lost_and_repeated(searches: Searches, name: str) -> tuple[int, int]:
    """Trials that have not begun once and ended once; MLflow runs that are one too many."""
    record = searches.record(name)
    events = Counter((event["event"], event["trial"]) for event in record.events)
    lost = [
        trial for trial in record.trials if (events["begin", trial], events["end", trial]) != (1, 1)
    ]
    runs = Counter(run.data.tags["tuner.trial"] for run in searches.mlflow_runs(name))
    return len(lost), sum(runs.values()) - len(runs)


def same_as(searches: Searches, straight: str, name: str) -> None:
    """Nothing is lost, nothing was done twice, and all numbers are the undisturbed search's."""
    assert lost_and_repeated(searches, name) == (0, 0)
    same_mlflow_runs(searches, name)
    assert epochs_of(searches, name) == epochs_of(searches, straight)


def epochs_of(searches: Searches, name: str) -> dict[str, list[dict[str, float]]]:
    """What each trial reported, without the seconds."""
    return {
        trial.name: [
            {key: value for key, value in epoch.items() if not key.endswith("seconds")}
            for epoch in trial.epochs
        ]
        for trial in searches.record(name).trials.values()
    }
