"""What makes MLflow's pages short to use, as far as it can be seen without them."""

import json

from mlflow import MlflowClient

from tests.unit.tracking.test_mirror import begin, record, store, track, train, trial_runs
from tuner.results.record import Record
from tuner.results.trial import DONE
from tuner.tracking.views import RANKED, experiment_tags, links, with_ranked

__all__ = ["record", "store"]  # fixtures


def test_a_note_with_as_many_trials_as_are_compared_is_not_cut_off():
    trials = [f"{number:032x}" for number in range(80)]
    note = links("1", "0" * 32, trials, has_report=True, has_card=True)
    assert len(note) < 7500  # of 8,000, with room for the verdict


def test_links_are_only_to_what_is_there():
    assert links("1", "a", [], has_report=False, has_card=False) == ""
    assert links("1", "a", [], has_report=True, has_card=False).count("](") == 1


def test_a_mean_has_the_name_of_what_it_is_the_mean_of():
    metrics = {"val_accuracy_mean": 1.0, "test_accuracy_std": 2.0}
    expected = {"accuracy": 1.0, "val_accuracy": 1.0, "test_accuracy_std": 2.0}
    assert with_ranked(metrics, "val_accuracy") == expected
    assert with_ranked({"num_seeds": 1.0}, "val_accuracy") == {"num_seeds": 1.0}


def test_what_trials_are_ranked_on_comes_first_and_the_experiment_says_so(
    record: Record, store: str
) -> None:
    tracking = track(record, store)
    begin(record, "0000")
    train(record, "0000", range(1, 4))
    record.end("0000", DONE)
    tracking.close()
    run = trial_runs(store)["0000"]
    assert min(run.data.metrics) == RANKED
    assert run.data.metrics[RANKED] == run.data.metrics["val_accuracy"] == 30.0
    tags = MlflowClient(store).get_experiment_by_name("tests").tags
    assert experiment_tags().items() <= tags.items()


def test_an_experiment_that_is_there_keeps_what_a_person_wrote(record: Record, store: str) -> None:
    MlflowClient(store).create_experiment("tests", tags={"mlflow.note.content": "mine"})
    tracking = track(record, store)
    tracking.close()
    tags = MlflowClient(store).get_experiment_by_name("tests").tags
    assert tags["mlflow.note.content"] == "mine"


def test_the_views_are_what_mlflow_reads():
    views = {k: json.loads(v) for k, v in experiment_tags().items() if "sharedViewState" in k}
    assert [view["name"] for view in views.values()] == ["Searches", "Trials by accuracy"]
    for view in views.values():
        assert "metrics.`accuracy`" in json.loads(view["state"])["selectedColumns"]
