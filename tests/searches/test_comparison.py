"""Several methods in one search: equal budgets, one table, one parent run in MLflow."""

import contextlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.searching import Searches, local_ray
from tuner.report import main as report
from tuner.results.trial import DONE, FINAL, SEARCH, TEACHER

NAME = "several"
SPACES = "kd,ft,fsp"
OPTIONS = {"space": SPACES, "epochs": 2, "trials": 2, "scheduler": "none", "seeds": 2}


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory, data_dir: str) -> Iterator[Searches]:
    with local_ray():
        yield Searches(tmp_path_factory.mktemp("comparison"), data_dir)


@pytest.fixture(scope="module")
def result(searches: Searches) -> dict:
    """The result that the comparison prints last."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        assert searches.run(NAME, "--json", **OPTIONS) == 0
    return json.loads(text.getvalue().splitlines()[-1])


def test_every_method_has_a_row_and_plain_is_trained_once(searches: Searches, result: dict) -> None:
    methods = [row["method"] for row in result["methods"]]
    assert sorted(methods[:-1]) == ["fsp", "ft", "kd"]
    assert methods[-1] == "plain"
    assert all(row["num_seeds"] == 2 for row in result["methods"])
    assert all(row["cost"] > 0 for row in result["methods"])
    kd, ft, fsp = (searches.record(f"{NAME}/{method}") for method in SPACES.split(","))
    assert [len(record.trials_of(SEARCH)) for record in (kd, ft, fsp)] == [
        2,
        2,
        1,
    ]  # fsp varies nothing
    # Another search's plain trainings are taken over, with their times.
    for seed in (1, 2):
        plain = [record.trials[f"plain-{seed}"] for record in (kd, ft, fsp)]
        assert plain[0] == plain[1] == plain[2]
    assert not ft.trials_of(TEACHER)
    assert kd.header.step_mode == ft.header.step_mode
    assert ft.header.reasons[-1] == "student: as in the first search of the comparison"


def test_initial_stages_are_recorded_and_in_the_tables(searches: Searches, result: dict) -> None:
    trial = searches.record(f"{NAME}/ft").trials["0000"]
    assert [metrics["initial_epoch"] for metrics in trial.initial_epochs] == [1.0]
    assert trial.initial_epochs[0]["initial_reconstruction"] > 0
    table = searches.table(f"{NAME}/ft", "epochs")
    rows = table[(table.trial == "0000") & table.initial_epoch.notna()]
    assert len(rows) == 1
    assert rows.epoch.isna().all()


def test_the_comparison_has_its_own_folder_page_and_table(searches: Searches, result: dict) -> None:
    folder = searches.folder(NAME)
    assert {path.name for path in folder.iterdir()} == {
        "search.yaml",
        "id",
        "report.html",
        "methods.parquet",
        "figures",
        "tables",
        "kd",
        "ft",
        "fsp",
    }
    page = (folder / "report.html").read_text()
    for method in ("kd", "ft", "fsp"):
        assert f'href="{method}/report.html"' in page
        assert (folder / method / "report.html").exists()
        assert (folder / method / "best.yaml").exists()


def test_mlflow_has_the_comparison_as_parent_of_its_searches(
    searches: Searches, result: dict
) -> None:
    client = searches.client()
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    (above,) = client.search_runs(experiments, "tags.`tuner.comparison` != ''")
    assert above.info.run_name == NAME
    assert above.info.status == "FINISHED"
    assert above.data.metrics["kd_test_accuracy"] > 0
    below = client.search_runs(experiments, f"tags.`mlflow.parentRunId` = '{above.info.run_id}'")
    assert sorted(run.info.run_name for run in below) == ["fsp", "ft", "kd"]


def test_a_finished_comparison_resumes_to_the_same_table(
    searches: Searches, result: dict, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {m: searches.journal(f"{NAME}/{m}") for m in ("kd", "ft", "fsp")}
    assert searches.resume(NAME, "--json") == 0
    assert {m: searches.journal(f"{NAME}/{m}") for m in before} == before
    *_, last = capsys.readouterr().out.splitlines()
    assert json.loads(last)["methods"] == result["methods"]
    client = searches.client()
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    assert len(client.search_runs(experiments, "tags.`tuner.comparison` != ''")) == 1


def test_a_comparison_that_lost_its_last_search_resumes(
    searches: Searches, result: dict, capsys: pytest.CaptureFixture[str]
) -> None:
    before = searches.journal(f"{NAME}/kd")
    shutil.rmtree(searches.folder(f"{NAME}/fsp"))
    assert searches.resume(NAME, "--json") == 0
    assert searches.journal(f"{NAME}/kd") == before
    *_, last = capsys.readouterr().out.splitlines()
    assert [row["test_accuracy"] for row in json.loads(last)["methods"]] == [
        row["test_accuracy"] for row in result["methods"]
    ]
    assert all(t.status == DONE for t in searches.record(f"{NAME}/fsp").trials_of(FINAL))


def test_the_report_of_a_comparison_is_rebuilt(searches: Searches, result: dict) -> None:
    page = searches.folder(NAME) / "report.html"
    content = page.read_text()
    page.unlink()
    assert report([NAME, "--runs-dir", str(searches.runs)]) == 0
    assert page.read_text() == content


def test_a_named_method_that_does_not_fit_is_refused_before_anything_is_written(
    searches: Searches, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"space": "kd,fsp", "teacher": "vgg8"}
    assert searches.run("refused", **options) == 2
    assert capsys.readouterr().err.startswith("tuner: fsp: ")
    assert not Path(searches.folder("refused")).exists()
