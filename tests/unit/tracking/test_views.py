"""Views and links, as far as they can be seen without MLflow's pages; see tests/browser."""

import json

from tuner.tracking.publish import MAX_COMPARED
from tuner.tracking.views import experiment_tags, file_links, page_of, trial_links


def test_links_to_as_many_trials_as_are_compared_fit_into_a_description() -> None:
    trials = [f"{number:032x}" for number in range(MAX_COMPARED)]
    links = trial_links("1", "0" * 32, trials)
    links += file_links(page_of("1", "0" * 32), ["report.html", "model-card.md"])
    assert len(" · ".join(links)) < 7500  # of 8,000, with room for the verdict


def test_links_lead_only_to_what_exists() -> None:
    assert trial_links("1", "a", []) == []
    assert file_links(page_of("1", "a"), ["search.yaml"]) == []
    (link,) = file_links(page_of("1", "a"), ["search.yaml", "report.html"])
    assert link.startswith("[Report](#/experiments/1/runs/a/artifacts/report.html")


def test_the_views_are_what_mlflow_reads() -> None:
    views = {k: json.loads(v) for k, v in experiment_tags().items() if "sharedViewState" in k}
    assert [view["name"] for view in views.values()] == ["Searches", "Trials by accuracy"]
    for view in views.values():
        assert "metrics.`accuracy`" in json.loads(view["state"])["selectedColumns"]
