"""The trainable: what it reports, when it reads the test split, and how it resumes."""

import re
from types import SimpleNamespace
from typing import Any

import pytest

from search_spaces import SPACES
from tests.support.trainings import digits, small_workload, untrained_network
from tuner.config.method import source_digests
from tuner.config.step_mode import FLOAT32
from tuner.orchestration import trainable
from tuner.orchestration.result_keys import FAILURE, NOTES, STORAGE
from tuner.orchestration.trainable import Job, train
from tuner.storage.folder import Storage
from tuner.teacher_cache import OutputsPlan
from tuner.training.teachers import digest_if_whole, write_network


class Tune:
    """Stands in for ray.tune: keeps what is reported."""

    Checkpoint = SimpleNamespace(from_directory=lambda folder: "a checkpoint")

    def __init__(self) -> None:
        self.reports: list[dict[str, Any]] = []
        self.checkpoints: list[int] = []  # the numbers of the reports that came with one

    def get_context(self) -> Any:
        return SimpleNamespace(get_trial_id=lambda: "0000")

    def get_checkpoint(self) -> None:
        return None

    def report(self, metrics: dict[str, Any], checkpoint: object = None) -> None:
        if checkpoint is not None:
            self.checkpoints.append(len(self.reports))
        self.reports.append(metrics)


@pytest.fixture
def storage(tmp_path) -> Storage:
    storage = Storage(str(tmp_path / "search"))
    write_network(storage, untrained_network())
    return storage


@pytest.fixture
def run(data_dir, storage, monkeypatch):
    """Trains a trial of two epochs and returns the `Tune` that it reported to."""
    data = digits(data_dir)
    monkeypatch.setattr(trainable, "_data", lambda workload: data)
    workload = small_workload(data_dir=data_dir)

    def call(method: str = "kd", *, kind: str = "search", **changes: Any) -> Tune:
        tune = Tune()
        monkeypatch.setattr(trainable, "tune", tune)
        pins = {"initial_epochs": "1"} if method == "ft" else {}
        setting = {} if method == "plain" else SPACES[method].narrow(pins).published()
        job = {
            "workload": workload,
            "fingerprint": data[0].fingerprint,
            "code": tuple(source_digests(workload, "")),
            "storage_uri": storage.uri,
            "patience_seconds": 0.0,
            "ranks_on_test": False,
            "perturbation_interval": None,
            "cooldown_epochs": (),
            "num_threads": 1,
            "step_mode": FLOAT32,
            "outputs": OutputsPlan(),
            "space_name": "",
        }
        config = {"kind": kind, "method": method, "setting": setting, "seed": 0, "data_seed": 0}
        train(config | {"gpus": 0}, Job(**(job | changes)))
        return tune

    return call


def epochs_of(tune: Tune) -> list[float]:
    return [report["epoch"] for report in tune.reports if "epoch" in report]


def test_every_epoch_is_reported_with_the_names_of_its_metrics(run):
    tune = run("ft")
    assert [report.get("initial_epoch") for report in tune.reports] == [1.0, None, None]
    assert epochs_of(tune) == [1.0, 2.0]
    for report in tune.reports:
        assert report["reported"] == [name for name in report if name not in ("reported", NOTES)]
        assert report[NOTES] == []


@pytest.mark.parametrize(
    ("kind", "ranks_on_test", "tested"),
    [
        ("search", False, [False, False]),
        ("search", True, [True, True]),
        ("final", False, [False, True]),
    ],
)
def test_the_test_split_is_read_once_unless_trials_are_ranked_on_it(
    run, kind, ranks_on_test, tested
):
    initial, *epochs = run("ft", kind=kind, ranks_on_test=ranks_on_test).reports
    assert "test_accuracy" not in initial
    assert ["test_accuracy" in report for report in epochs] == tested


def test_a_teacher_is_trained_by_its_own_schedule_and_written(run, storage, data_dir):
    storage.delete("teacher.pt")
    workload = small_workload(data_dir=data_dir, teacher_epochs=3)
    tune = run("plain", kind="teacher", workload=workload)
    assert epochs_of(tune) == [1.0, 2.0, 3.0]
    assert "test_accuracy" in tune.reports[-1]
    assert digest_if_whole(storage) is not None


def test_resumed_it_reports_the_epochs_of_its_checkpoint_again(run):
    first, again = run("ft", kind="final"), run("ft", kind="final")
    assert again.reports == first.reports


def test_a_damaged_checkpoint_restarts_the_trial_with_a_note(run, storage):
    first = run()
    content = bytearray(storage.read("checkpoints/0000.pt"))
    content[len(content) // 2] ^= 1
    storage.write("checkpoints/0000.pt", bytes(content))
    again = run()
    (note,) = again.reports[0][NOTES]
    assert note == (
        "the checkpoint of 0000 is damaged (the checksum differs); restarted from the first epoch"
    )
    assert again.reports[1][NOTES] == []
    assert [r["val_loss"] for r in again.reports] == [r["val_loss"] for r in first.reports]


@pytest.mark.parametrize(
    ("kind", "interval", "reports"), [("search", 1, [1, 2]), ("search", 2, [2]), ("final", 1, [])]
)
def test_population_based_training_may_copy_trials_of_the_search(run, kind, interval, reports):
    """Report 0 is the initial stage's."""
    assert run("ft", kind=kind, perturbation_interval=interval).checkpoints == reports


@pytest.mark.parametrize(("kind", "cooled"), [("search", [True, False]), ("final", [False, False])])
def test_a_trial_of_the_search_is_cooled_down_where_it_is_compared(run, storage, kind, cooled):
    undisturbed = run("ft", kind=kind)
    storage.delete("checkpoints/0000.pt")
    tune = run("ft", kind=kind, cooldown_epochs=(1,))
    epochs = [report for report in tune.reports if "epoch" in report]
    assert ["cooldown_accuracy" in report["reported"] for report in epochs] == cooled
    expected = [report for report in undisturbed.reports if "epoch" in report]
    assert [one["val_loss"] for one in epochs] == [one["val_loss"] for one in expected]
    # A session that continues from the last checkpoint reports it again.
    again = run("ft", kind=kind, cooldown_epochs=(1,))
    assert [report.get("cooldown_accuracy") for report in again.reports] == [
        report.get("cooldown_accuracy") for report in tune.reports
    ]


def test_a_training_that_diverges_fails_with_its_reason(run, data_dir):
    (report,) = run("kd", workload=small_workload(data_dir=data_dir, lr=1e30)).reports
    assert re.match(r"diverged: .* became ", report[FAILURE])


def test_a_damaged_teacher_ends_the_search_not_the_trial(run, storage, data_dir):
    storage.write("teacher.pt", b"no teacher")
    (report,) = run("kd", workload=small_workload(data_dir=data_dir, weight_decay=0.1)).reports
    assert report[FAILURE].startswith(f"{storage.uri}/teacher.pt is damaged")
    assert report[STORAGE]


def test_data_that_changed_since_the_search_began_are_refused(run):
    with pytest.raises(RuntimeError, match=r"digits has changed since .*; restore it"):
        run(fingerprint="another")


def test_a_custom_file_that_changed_since_the_search_began_is_refused(run):
    with pytest.raises(RuntimeError, match="file of a custom network or method has changed"):
        run(code=("another",))
