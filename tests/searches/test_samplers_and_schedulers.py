"""Every sampler and every scheduler, in searches as small as possible."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search_spaces import SPACES
from tests.contracts.test_bring_your_own import FILES
from tests.support.searching import Searches, local_ray
from tuner.results.trial import DONE, FINAL, RUNNING, SEARCH, STOPPED

QUICK = {"epochs": 2, "trials": 4}


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory, data_dir: str) -> Iterator[Searches]:
    with local_ray():
        yield Searches(tmp_path_factory.mktemp("methods"), data_dir)


def statuses(searches: Searches, name: str) -> list[str]:
    return [trial.status for trial in searches.record(name).trials_of(SEARCH)]


# tpe is in the test of --deterministic.
@pytest.mark.parametrize("algo", ["random", "grid", "gp", "cmaes", "qmc"])
def test_every_algorithm_runs_all_trials_to_the_end(searches: Searches, algo: str) -> None:
    # Six trials: GP and CMA-ES propose settings themselves from the fifth on.
    assert searches.run(algo, "--quiet", algo=algo, scheduler="none", epochs=1, trials=6) == 0
    trials = searches.record(algo).trials_of(SEARCH)
    assert [trial.status for trial in trials] == [DONE] * 6
    assert trials[0].setting == SPACES["itrd"].published()
    settings = {json.dumps(trial.setting) for trial in trials}
    assert len(settings) == 6


def test_hyperband_with_mimkd(searches: Searches) -> None:
    options = {"space": "mimkd", "scheduler": "hyperband", "epochs": 4, "trials": 5}
    assert searches.run("hyperband", "--quiet", **options) == 0
    assert set(statuses(searches, "hyperband")) <= {DONE, STOPPED}
    (published, *_) = searches.record("hyperband").trials_of(SEARCH)
    assert published.setting["lambda_l"] == 0.8
    assert published.setting["width"] == 64  # the digits' cheap critics


def test_the_median_rule_ranking_on_the_test_split(
    searches: Searches, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"scheduler": "median", "select_on": "test", "trials": 5}
    assert searches.run("median", "--quiet", **options) == 0
    assert set(statuses(searches, "median")) <= {DONE, STOPPED}
    assert "optimistic" in capsys.readouterr().out
    record = searches.record("median")
    full = [trial for trial in record.trials_of(SEARCH) if trial.is_full_length]
    best = max(full, key=lambda trial: trial.last("test_accuracy") or 0.0)
    finals = [
        trial for trial in record.trials_of(FINAL) if trial.setting_label in ("tuned", "published")
    ]
    assert best.setting in [trial.setting for trial in finals]
    report = (searches.folder("median") / "report.html").read_text()
    assert "optimistic" in report
    tags = [run.data.tags["select_on"] for run in searches.mlflow_runs("median")]
    assert set(tags) == {"test"}


def test_pbt_changes_settings_and_copies_better_trials(searches: Searches) -> None:
    options: dict[str, Any] = {"scheduler": "pbt", "algo": "random", "trials": 4, "epochs": 4}
    assert searches.run("pbt", "--quiet", max_concurrent=2, **options) == 0
    record = searches.record("pbt")
    assert statuses(searches, "pbt") == [DONE] * 4
    changes = [event for event in record.events if event["event"] == "change"]
    assert changes
    begun = {e["trial"]: e["setting"] for e in record.events if e["event"] == "begin"}
    for change in changes:
        assert change["setting"] != begun[change["trial"]]
        assert change["setting"].keys() == SPACES["itrd"].published().keys()
    for trial in record.trials_of(SEARCH):  # weights come with their history, so no epoch is lost
        assert [epoch["epoch"] for epoch in trial.epochs] == [1, 2, 3, 4]
    assert record.trials[changes[-1]["trial"]].setting == changes[-1]["setting"]


def test_a_time_budget_ends_the_search_early(searches: Searches) -> None:
    options = {"time_budget": "12s", "trials": 400, "epochs": 3}
    assert searches.run("budget", "--quiet", **options) == 0
    trials = searches.record("budget").trials_of(SEARCH)
    assert 1 <= len(trials) < 400
    assert all(trial.status != RUNNING for trial in trials)
    assert trials[-1].reason.startswith("time budget") or trials[-1].status == DONE
    full = [trial for trial in trials if trial.is_full_length]
    finals = {trial.setting_label: trial for trial in searches.record("budget").trials_of(FINAL)}
    assert all(final.is_full_length for final in finals.values())
    if full:  # a truncated trial never wins against a full-length one
        best = max(full, key=lambda trial: trial.last("val_accuracy") or 0.0)
        assert best.setting == finals.get("tuned", finals["published"]).setting


def test_deterministic_gives_the_same_settings_twice_with_two_at_a_time(
    searches: Searches, tmp_path: Path
) -> None:
    options = {"scheduler": "none", "trials": 6, "epochs": 1, "max_concurrent": 2}
    for name in ("one", "other"):
        assert searches.run(name, "--quiet", "--deterministic", **options) == 0
        assert statuses(searches, name) == [DONE] * 6
    one, other = (
        {
            trial.name: (trial.setting, trial.last("val_accuracy"))
            for trial in record.trials_of(SEARCH)
        }
        for record in (searches.record("one"), searches.record("other"))
    )
    assert one == other
    # Both workers were busy: two trials begin before the first one ends.
    events = [
        event["event"] for event in searches.record("one").events if event["event"] != "epoch"
    ]
    assert "begin begin end" in " ".join(events)


def test_the_users_own_networks_and_method(
    searches: Searches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """The files of docs/bring-your-own.md, in another folder than the workers'."""
    for name, code in FILES.items():
        (tmp_path / name).write_text(code)
    monkeypatch.chdir(tmp_path)
    options = {
        "space": "./my_method.py",
        "teacher": "my_net:small",
        "student": "./my_net.py:small#layer1,layer3",
        "epochs": 1,
        "trials": 2,
    }
    assert searches.run("own", "--quiet", **options) == 0
    assert {trial.status for trial in searches.record("own").trials_of(SEARCH)} == {DONE}
    client = searches.client()
    assert any(
        model.name.startswith("my_net-small-") for model in client.search_registered_models()
    )
    # The file that the search began with has changed.
    with (tmp_path / "my_net.py").open("a") as file:
        file.write("\nEXTRA = 1\n")
    assert searches.resume("own") == 2
    assert "custom network or method has changed since own began" in capsys.readouterr().err
