"""MLflow's pages as the user sees them: one real search, a real server, a real browser."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.support.browser import Page, browser, chromium
from tests.support.servers import mlflow_server
from tuner.results.record import Record
from tuner.results.trial import SEARCH
from tuner.storage.folder import Storage

pytestmark = pytest.mark.skipif(
    chromium() is None, reason="needs Chromium: apt-get install chromium"
)
HEADINGS = "[...document.querySelectorAll('[role=columnheader]')].map(one => one.innerText.trim())"
NAME, SEARCHED = "mine", ("alpha", "beta_corr", "beta_mi")
OPTIONS = "--space itrd --trials 4 --epochs 4 --scheduler none --limit 200 --seeds 1 --quiet"


@dataclass(frozen=True)
class Site:
    """A server with one finished search."""

    address: str
    experiment: str
    run: str  # of the search
    trials: dict[str, str]  # runs, by trial
    folder: Path  # of the search
    record: Record

    def runs_page(self, view: str) -> str:
        return (
            f"{self.address}/#/experiments/{self.experiment}/runs"
            f"?workflowType=machine_learning&viewStateShareKey={view}"
        )

    def run_page(self, run: str, tab: str = "") -> str:
        return f"{self.address}/#/experiments/{self.experiment}/runs/{run}{tab}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, data_dir: str) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "tuner.search", *OPTIONS.split(), "--name", NAME]
    command += ["--runs-dir", str(folder / "runs"), "--data-dir", data_dir]
    subprocess.run([*command, "--teacher-epochs", "2"], check=True, cwd=folder, timeout=300)
    store = f"sqlite:///{folder}/runs/mlflow.db"
    client = MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("tuner").experiment_id
    runs = client.search_runs([experiment])
    by_trial = {run.data.tags["tuner.trial"]: run.info.run_id for run in runs}
    search = folder / "runs" / NAME
    record = Record.load(Storage(str(search)))
    server = mlflow_server(store, folder)
    try:
        address = f"http://127.0.0.1:{server.port}"
        trials = {trial.name: by_trial[trial.name] for trial in record.trials_of(SEARCH)}
        yield Site(address, experiment, by_trial[""], trials, search, record)
    finally:
        server.kill()


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser(1700, 1000) as page:
        yield page


def headings_of(page: Page) -> set[str]:
    """Of the columns of the table of runs."""
    return set(page.evaluate(HEADINGS))


def names_of_rows(page: Page) -> list[str]:
    """Of the table of runs, without the columns beside them."""
    links = "[...document.querySelectorAll('[role=row] a[href*=\"/runs/\"]')]"
    return list(page.evaluate(f"{links}.map(link => link.innerText.trim())"))


def has(text: str) -> str:
    return f"document.body.innerText.includes({json.dumps(text)})"


def test_a_search_is_one_row_that_unfolds(site: Site, page: Page) -> None:
    page.open(site.runs_page("tuner-searches"))
    page.wait_for(has("matching runs"))
    page.wait_for(has(NAME))
    assert names_of_rows(page) == [NAME]
    page.wait_for(f"{HEADINGS}.includes('accuracy')")
    assert {"accuracy", "test_accuracy", "num_seeds", "status", "method"} <= headings_of(page)
    unfold(page)
    page.wait_for(has("0003"))
    settings = {
        trial.setting_label for trial in site.record.trials.values() if trial.role == "final"
    }
    assert set(names_of_rows(page)) == {NAME, *site.trials, *settings, "teacher"}


def test_without_a_view_mlflow_shows_no_accuracy(site: Site, page: Page) -> None:
    """The views are undocumented tags: where MLflow shows metrics by itself, they may go."""
    page.open(f"{site.address}/#/experiments/{site.experiment}/runs?workflowType=machine_learning")
    page.wait_for(has(NAME))
    assert "Duration" in headings_of(page)
    assert "accuracy" not in headings_of(page)


def unfold(page: Page) -> None:
    page.wait_for(
        "(button => button && (button.click(), true))"
        "(document.querySelector('[role=row] [col-id*=\"Run Name\"] button'))"
    )


def test_a_view_ranks_the_trials(site: Site, page: Page) -> None:
    page.open(site.runs_page("tuner-trials"))
    page.wait_for(has("0003"))
    page.wait_for(has("Sort: accuracy"))
    accuracies = {
        trial.name: trial.last("val_accuracy") or 0.0 for trial in site.record.trials_of(SEARCH)
    }
    shown = names_of_rows(page)
    assert [accuracies[name] for name in shown] == sorted(accuracies.values(), reverse=True)


def wait_for_curves(site: Site, page: Page) -> None:
    """One of the charts has, as near as it draws, a line for each trial."""
    curves = [[e["val_accuracy"] for e in trial.epochs] for trial in site.record.trials_of(SEARCH)]
    page.wait_for(
        "[...document.querySelectorAll('.js-plotly-plot')].some(chart => "
        f"{json.dumps(curves)}.every(curve => chart.data.some("
        "line => line.y?.length === curve.length"
        " && curve.every((value, epoch) => Math.abs(value - line.y[epoch]) < 0.05))))"
    )


def test_the_same_view_has_the_curves_of_the_trials(site: Site, page: Page) -> None:
    page.open(f"{site.runs_page('tuner-trials')}&compareRunsMode=CHART")
    wait_for_curves(site, page)


def test_a_link_leads_to_the_ranked_trials_of_the_search_with_their_curves(
    site: Site, page: Page
) -> None:
    page.open(site.run_page(site.run))
    page.follow("Accuracy by epoch")
    wait_for_curves(site, page)
    page.wait_for(has("Sort: accuracy"))
    assert set(names_of_rows(page)) == set(site.trials)


def test_the_description_of_a_search_leads_to_everything_else(site: Site, page: Page) -> None:
    page.open(site.run_page(site.run))
    for link, arrived in (
        ("Report", "report.html"),
        ("Compare all trials", "Parallel Coordinates Plot"),
        ("Accuracy by epoch", "Sort: accuracy"),
        ("Model card", "model-card.md"),
    ):
        page.open(site.run_page(site.run))
        page.follow(link)
        page.wait_for(has(arrived))


def test_trials_are_compared_by_what_was_searched_and_the_accuracy(site: Site, page: Page) -> None:
    page.open(site.run_page(site.run))
    page.follow("Compare all trials")
    labels = "[...document.querySelectorAll('.parcoords .axis-title')].map(one => one.textContent)"
    axes = page.wait_for(f"(found => found.length > 3 && found)({labels})")
    assert axes == [*SEARCHED, "accuracy"]
    assert page.evaluate(has(f"Comparing {len(site.trials)} Runs"))
    page.click("Contour Plot")
    page.wait_for("!!document.querySelector('.contourlayer path, .heatmaplayer image, .contour')")
    titles = "[...document.querySelectorAll('.xtitle, .ytitle')].map(one => one.textContent)"
    assert set(page.wait_for(f"(found => found.length > 1 && found)({titles})")) <= set(SEARCHED)


def test_a_trial_has_a_chart_of_its_accuracy_by_epoch(site: Site, page: Page) -> None:
    page.open(site.run_page(site.trials["0000"], "/model-metrics"))
    first = "document.querySelector('.js-plotly-plot')"
    accuracies = [epoch["val_accuracy"] for epoch in site.record.trials["0000"].epochs]
    # While the page is drawn, the first chart may be another metric's for a moment.
    page.wait_for(f"Math.abs({first}?.data?.[0].y[0] - {accuracies[0]}) < 1e-6")
    shown = page.evaluate(
        f"({{x: Array.from({first}.data[0].x), y: Array.from({first}.data[0].y)}})"
    )
    assert shown["x"] == [1, 2, 3, 4]
    assert shown["y"] == pytest.approx(accuracies)
    points = "document.querySelector('.js-plotly-plot').querySelectorAll('.points path').length"
    assert page.wait_for(points) == 4


def test_the_report_is_shown_where_it_lies(site: Site, page: Page) -> None:
    page.open(site.run_page(site.run, "/artifacts/report.html"))
    page.wait_for("!!document.querySelector('iframe')")
    seen = page.wait_for(
        "(heading => heading && ({heading: heading.innerText,"
        " figures: [...document.querySelectorAll('svg')].filter(one => one.clientWidth > 200)"
        ".length}))(document.querySelector('h1'))",
        in_frame=True,
    )
    assert seen["heading"] == NAME
    assert seen["figures"] >= 3


def test_the_registered_model_has_its_card(site: Site, page: Page) -> None:
    page.open(f"{site.address}/#/models/resnet8-itrd/versions/1")
    page.wait_for(has("Accuracies"))
    for heading in ("Limits", "Reproduce"):
        assert page.evaluate(has(heading))
    cells: Any = page.evaluate(
        "[...document.querySelectorAll('td')].map(one => one.innerText.trim())"
    )
    assert {"Data", "Teacher", "Setting", "plain"} <= set(cells)


def test_the_card_is_among_the_files_too(site: Site) -> None:
    card = (site.folder / "model-card.md").read_text()
    assert card.startswith("# resnet8-itrd\n")
    assert "tuner distill --config" in card
