"""What MLflow gets of a search that has ended, as plain data."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tuner.driver.search_outcome import outcome_of, seed_metrics
from tuner.reports.settings import Row
from tuner.reports.statistics import Accuracy
from tuner.results.trial import SEARCH, Trial
from tuner.storage.folder import SEARCH_FILE, Storage
from tuner.tracking.publish import FAILED, FINISHED

BEST = Trial("0000", SEARCH, "", "kd", {"weight": 1.0}, seed=0, num_epochs=1, started=0.0)


def search_in(folder: Path) -> Any:
    """As much of a search as is looked at."""
    storage = Storage(str(folder))
    storage.write(SEARCH_FILE, b"space: kd\n")
    return SimpleNamespace(storage=storage, request=SimpleNamespace(select_on="val"))


def row(label: str, mean: float) -> Row:
    return Row(label, "kd", {}, 2, 0, Accuracy(mean, 0.5), None, None, None)


def test_the_search_has_the_metrics_of_its_winner(tmp_path: Path) -> None:
    rows = [row("tuned", 91.0), row("published", 90.0), row("teacher", 95.0)]
    outcome = outcome_of(search_in(tmp_path), BEST, rows, None)
    assert outcome.status == FINISHED
    assert outcome.metrics == {"num_seeds": 2.0, "val_accuracy": 91.0, "val_accuracy_std": 0.5}
    assert outcome.settings["published"]["val_accuracy"] == 90.0
    assert outcome.settings.keys() == {"tuned", "published", "teacher"}
    assert outcome.files == {SEARCH_FILE: b"space: kd\n"}
    assert outcome.note


def test_a_search_without_final_trainings_of_its_winner_has_no_metrics(tmp_path: Path) -> None:
    assert outcome_of(search_in(tmp_path), BEST, [row("plain", 80.0)], None).metrics == {}
    assert outcome_of(search_in(tmp_path), BEST, [], None).metrics == {}


def test_a_search_in_which_nothing_finished_has_failed(tmp_path: Path) -> None:
    outcome = outcome_of(search_in(tmp_path), None, [], None)
    assert (outcome.status, outcome.metrics, outcome.note) == (FAILED, {}, "")
    assert outcome.files.keys() == {SEARCH_FILE}


def test_of_one_seed_there_is_no_deviation() -> None:
    assert seed_metrics(1, Accuracy(91.0, None), None) == {"num_seeds": 1, "val_accuracy": 91.0}
