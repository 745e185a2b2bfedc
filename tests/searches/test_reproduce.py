"""A reproduction resumes after any interruption, and trains nothing twice."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import tuner.report
import tuner.reproduce
import tuner.search
import tuner.status
import tuner.stop
import tuner.teach
from tests.support.searching import Driver, Searches, as_flags, local_ray, runs_of
from tuner.results.record import Record
from tuner.results.trial import DONE, FINAL

SMALL = {
    "data": "digits",
    "limit": 200,
    "teacher": "resnet8",
    "teacher_epochs": 1,
    "student": "resnet8",
    "epochs": 2,
    "seeds": 2,
    "max_concurrent": 1,
}
PAIR = "resnet8-resnet8"


class Reproductions(Searches):
    """A folder of reproductions, and of searches beside them."""

    def options(self, name: str, **options: Any) -> list[str]:
        """Everything behind the reproduction's name."""
        values = {**SMALL, "name": name, "runs_dir": self.runs, "data_dir": self.data_dir}
        return as_flags({**values, **options})

    def reproduce(self, reproduction: str, *flags: str, name: str = "", **options: Any) -> int:
        """`tuner reproduce` in this process."""
        arguments = self.options(name or reproduction, **options)
        return tuner.reproduce.main([reproduction, *arguments, *flags])

    def pair(self, name: str) -> Record:
        """The record of a reproduction's only pair."""
        return self.record(f"{name}/{PAIR}")

    def tables(self, name: str) -> dict[str, pd.DataFrame]:
        """All tables beside a report."""
        folder = Path(self.runs, name, "tables")
        return {path.stem: pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}


@pytest.fixture(scope="module")
def reproductions(
    tmp_path_factory: pytest.TempPathFactory, data_dir: str
) -> Iterator[Reproductions]:
    options = {name: SMALL[name] for name in ("data", "limit", "teacher", "teacher_epochs")}
    assert tuner.teach.main([*as_flags(options), "--data-dir", data_dir]) == 0
    with local_ray():
        yield Reproductions(tmp_path_factory.mktemp("reproductions"), data_dir)


@pytest.fixture(scope="module")
def kernel(reproductions: Reproductions) -> str:
    """Table 2, run without an interruption."""
    assert reproductions.reproduce("itrd-kernel", "--quiet") == 0
    return "itrd-kernel"


def times(record: Record, label: str) -> list[tuple[float, float | None]]:
    """When the trainings of a label ran; equal times mean the same trainings."""
    return [(t.started, t.ended) for t in record.trials_of(FINAL) if t.setting_label == label]


def test_its_folder_has_the_report_its_parts_and_a_folder_for_the_pair(
    reproductions: Reproductions, kernel: str
) -> None:
    names = {path.name for path in reproductions.folder(kernel).iterdir()}
    assert names == {
        "search.yaml", "id", "left_out.json", "report.html", "tables", "measured", PAIR,
    }  # fmt: skip
    assert {t.status for t in reproductions.pair(kernel).trials_of(FINAL)} == {DONE}
    request = (reproductions.folder(kernel) / "search.yaml").read_text()
    assert "reproduction: itrd-kernel" in request
    assert "name:" not in request


def test_the_same_command_again_changes_nothing(reproductions: Reproductions, kernel: str) -> None:
    journal = reproductions.journal(f"{kernel}/{PAIR}")
    page = (reproductions.folder(kernel) / "report.html").read_bytes()
    assert reproductions.reproduce("itrd-kernel", "--quiet") == 0
    assert reproductions.journal(f"{kernel}/{PAIR}") == journal
    assert (reproductions.folder(kernel) / "report.html").read_bytes() == page


def test_two_tables_compute_their_shared_setting_once(
    reproductions: Reproductions, kernel: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproductions.reproduce("itrd-log", "--dry-run") == 0
    printed = capsys.readouterr().out
    assert "4 trainings: 2 finished already, 2 to run" in printed
    assert "of disk" in printed
    assert not reproductions.folder("itrd-log").exists()
    assert reproductions.reproduce("itrd-log", "--quiet") == 0
    log = reproductions.pair("itrd-log")
    assert times(log, "without log2") == times(reproductions.pair(kernel), "polynomial")
    assert all(
        seconds not in times(reproductions.pair(kernel), "polynomial")
        for seconds in times(log, "with log2")
    )
    # The ledger names the folder that has their weights: that of the one that trained them.
    ledger = pd.read_parquet(reproductions.folder("ledger"))
    by_folder = ledger["made_by"].str.split("/").str[-2].value_counts()
    assert by_folder.to_dict() == {"itrd-kernel": 6, "itrd-log": 2}
    assert reproductions.reproduce("itrd-log", "--dry-run") == 0
    assert "4 trainings: 4 finished already, 0 to run" in capsys.readouterr().out


def test_weights_that_are_needed_come_from_where_they_were_made(
    reproductions: Reproductions, kernel: str
) -> None:
    options = {"methods": "plain,itrd", "seeds": 1}
    assert reproductions.reproduce("crd-benchmark", "--quiet", **options) == 0
    assert not (reproductions.folder("crd-benchmark") / PAIR / "checkpoints").joinpath("x").exists()
    assert reproductions.reproduce("itrd-transfer", "--quiet", probe_data="digits", **options) == 0
    ours, theirs = reproductions.pair("itrd-transfer"), reproductions.pair("crd-benchmark")
    for label in ("plain", "itrd"):
        assert times(ours, label) == times(theirs, label)
        weights = [
            (reproductions.folder(name) / PAIR / "checkpoints" / f"{label}-1.pt").read_bytes()
            for name in ("itrd-transfer", "crd-benchmark")
        ]
        assert weights[0] == weights[1]
    table = reproductions.tables("itrd-transfer")["transfer-digits"]
    assert table["method"].tolist() == ["plain", "itrd", "teacher"]


def test_a_searchs_final_trainings_are_found(
    reproductions: Reproductions, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"space": "kd", "trials": 1, "scheduler": "none", "epochs": 3, "seeds": 2}
    assert reproductions.run("search", "--quiet", **options) == 0
    capsys.readouterr()
    chosen = {"methods": "plain,kd", "epochs": 3, "name": "found"}
    assert reproductions.reproduce("crd-benchmark", "--dry-run", **chosen) == 0
    assert "4 trainings: 4 finished already, 0 to run" in capsys.readouterr().out
    assert reproductions.reproduce("crd-benchmark", "--quiet", **chosen) == 0
    found, search = reproductions.pair("found"), reproductions.record("search")
    assert times(found, "plain") == times(search, "plain")
    assert times(found, "kd") == times(search, "published")


def test_mlflow_has_it_above_its_pairs(reproductions: Reproductions, kernel: str) -> None:
    client = reproductions.client()
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    (above,) = client.search_runs(experiments, f"attributes.run_name = '{kernel}'")
    assert above.info.status == "FINISHED"
    assert above.data.metrics[f"polynomial/{PAIR}"] > 0
    artifacts = {artifact.path for artifact in client.list_artifacts(above.info.run_id)}
    assert {"report.html", "search.yaml", "tables"} <= artifacts
    below = client.search_runs(experiments, f"tags.`mlflow.parentRunId` = '{above.info.run_id}'")
    assert [run.info.run_name for run in below] == [PAIR]
    runs = runs_of(client, reproductions.pair(kernel).header.id)
    names = {run.info.run_name for run in runs}
    assert {"polynomial", "RBF, h = 1", "RBF, h = 5"} <= names, names


def test_its_report_is_rebuilt_without_training(reproductions: Reproductions, kernel: str) -> None:
    page = reproductions.folder(kernel) / "report.html"
    content, journal = page.read_bytes(), reproductions.journal(f"{kernel}/{PAIR}")
    page.unlink()
    assert tuner.report.main([kernel, "--runs-dir", str(reproductions.runs)]) == 0
    assert page.read_bytes() == content
    assert reproductions.journal(f"{kernel}/{PAIR}") == journal


def test_status_tells_of_its_pairs(
    reproductions: Reproductions, kernel: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tuner.status.main([kernel, "--runs-dir", str(reproductions.runs)]) == 0
    printed = capsys.readouterr().out
    assert f"{PAIR}: done" in printed
    assert "6 done, of 6" in printed
    assert "none has begun" not in printed


def test_a_search_does_not_go_on_with_a_reproduction(
    reproductions: Reproductions, kernel: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (kernel, f"{kernel}/{PAIR}"):
        assert reproductions.resume(name) == 2
        printed = capsys.readouterr().err
        assert printed.count("\n") == 1
        command = "python -m tuner.reproduce"
        assert f"{name} is a reproduction, not a search; resume it with `{command}" in printed
    arguments = [kernel, "other", "--runs-dir", str(reproductions.runs)]
    assert tuner.report.main(arguments) == 2
    assert "is a reproduction, which chooses no setting" in capsys.readouterr().err


def test_the_folder_of_a_reproduction_is_no_place_for_a_search(
    reproductions: Reproductions, kernel: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproductions.run(kernel) == 2
    assert "exists" in capsys.readouterr().err


def test_what_it_prints_for_programs_ends_with_the_result(
    reproductions: Reproductions, kernel: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproductions.reproduce("itrd-kernel", "--json") == 0
    *_, last = capsys.readouterr().out.splitlines()
    result = json.loads(last)
    assert result["reproduction"] == kernel
    assert result["findings"][0].startswith("Of 3 settings")
    assert result["labels"][0] == "data digits instead of cifar100"
    assert Path(result["report"]).is_file()


def test_killed_in_the_middle_it_trains_what_is_missing(
    reproductions: Reproductions, kernel: str, tmp_path: Path
) -> None:
    # Another folder: in this one the ledger has everything.
    killed = Reproductions(tmp_path, reproductions.data_dir)
    arguments = ["itrd-kernel", *killed.options("killed"), "--quiet"]

    def ended() -> int:
        return killed.journal(f"killed/{PAIR}").count(b'"event": "end"')

    driver = Driver(arguments, tmp_path / "driver", command="reproduce")
    try:
        driver.wait_until(lambda: ended() >= 2)
        driver.send(signal.SIGKILL)
    finally:
        driver.reap()
    before = {t.name: t.started for t in killed.pair("killed").trials_of(FINAL) if t.status == DONE}
    assert 2 <= len(before) < 6
    assert tuner.reproduce.main(arguments) == 0
    after = {t.name: t.started for t in killed.pair("killed").trials_of(FINAL)}
    assert len(after) == 6
    assert {trial: after[trial] for trial in before} == before
    for name, table in killed.tables("killed").items():
        pd.testing.assert_frame_equal(table, reproductions.tables(kernel)[name], check_exact=True)


@pytest.mark.parametrize("how", ["Ctrl-C", "tuner stop"])
def test_interrupted_it_says_how_to_go_on(
    reproductions: Reproductions, tmp_path: Path, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = Reproductions(tmp_path, reproductions.data_dir)
    arguments = ["itrd-alpha", *stopped.options("stopped", epochs=4, seeds=3), "--quiet"]
    driver = Driver(arguments, tmp_path / "driver", command="reproduce")
    try:
        driver.wait_until(lambda: b'"event": "epoch"' in stopped.journal(f"stopped/{PAIR}"))
        if how == "Ctrl-C":
            driver.send(signal.SIGINT)
        else:
            assert tuner.stop.main(["stopped", "--runs-dir", str(tmp_path)]) == 0
            assert "stopped has stopped; resume with `python -m tuner.reproduce" in (
                capsys.readouterr().err
            )
        assert driver.wait() == 130
    finally:
        assert driver.reap() == []
    config = stopped.folder("stopped") / "search.yaml"
    resumed = f"python -m tuner.reproduce --config {config}"
    assert f"continue from their last epoch; resume with\n  {resumed}" in driver.err
    assert " trainings have ended and are kept" in driver.err
    assert tuner.status.main(["stopped", "--runs-dir", str(tmp_path)]) == 0
    assert f"resume with `python -m tuner.reproduce --config {config}" in capsys.readouterr().out
    # The command that it prints resumes.
    *_, command = driver.err.strip().splitlines()
    words = command.split()[3:]
    assert tuner.reproduce.main([*words, "--dry-run"]) == 0
    # What is finished has a report already.
    assert tuner.report.main(["stopped", "--runs-dir", str(tmp_path)]) == 0
