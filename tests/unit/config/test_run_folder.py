"""A run's folder: its request as YAML, the command that resumes it, MLflow's place beside it."""

import shlex
from pathlib import Path

import pytest

from tuner.config.command_line import ENVIRONMENT, read_request
from tuner.config.options import ReproduceRequest, RunRequest, SearchRequest
from tuner.config.run_folder import (
    artifact_folder,
    check_unchanged,
    default_tracking_uri,
    is_reproduction,
    request_yaml,
    resume_command,
)
from tuner.config.yaml_file import load_yaml
from tuner.storage.folder import SEARCH_FILE, Storage
from tuner.text.errors import RequestError

SEARCH = SearchRequest(space="kd", name="mine", lr=0.1, set={"temperature": "4"})
REPRODUCTION = ReproduceRequest(reproduction="itrd-alpha", name="mine", epochs=4)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ENVIRONMENT.values():
        monkeypatch.delenv(variable, raising=False)


def written(folder: Path, request: RunRequest) -> Storage:
    storage = Storage(str(folder))
    storage.write(SEARCH_FILE, request_yaml(request))
    return storage


@pytest.mark.parametrize("request_", [SEARCH, REPRODUCTION])
def test_a_request_comes_back_from_its_yaml_under_any_name(request_: RunRequest) -> None:
    content = load_yaml(request_yaml(request_))
    assert {"name", "runs_dir"}.isdisjoint(content)
    assert read_request(type(request_), {"name": "mine"}, base=content) == request_


def test_an_address_with_a_secret_is_not_written_but_asked_for_again(tmp_path: Path) -> None:
    request = SEARCH.model_copy(update={"tracking_uri": "http://me:MARKER@h"})
    assert b"tracking_uri" not in request_yaml(request)
    command = shlex.split(resume_command(written(tmp_path / "mine", request), request))
    assert command[-2:] == ["--tracking-uri", "http://me:***@h"]


def test_the_command_that_resumes_is_the_runs_own(tmp_path: Path) -> None:
    search = written(tmp_path / "a search", SEARCH)
    at_runs = ["--runs-dir", str(tmp_path)]
    command = ["python", "-m", "tuner.search", "--resume", "a search", *at_runs]
    assert shlex.split(resume_command(search)) == command
    elsewhere = SEARCH.model_copy(update={"address": "auto"})
    assert shlex.split(resume_command(search, elsewhere)) == [*command, "--address", "auto"]

    reproduction = written(tmp_path / "paper", REPRODUCTION)
    config = ["--config", str(tmp_path / "paper" / SEARCH_FILE), "--name", "paper"]
    command = ["python", "-m", "tuner.reproduce", *config, *at_runs]
    assert shlex.split(resume_command(reproduction)) == command
    not_started = Storage(str(tmp_path / "next"))
    assert "tuner.reproduce" in resume_command(not_started, REPRODUCTION)
    pair = written(tmp_path / "paper" / "pair", SEARCH)
    assert shlex.split(resume_command(pair)) == command


def test_a_reproduction_is_distinguished_from_a_search(tmp_path: Path) -> None:
    assert is_reproduction(written(tmp_path / "paper", REPRODUCTION))
    assert not is_reproduction(written(tmp_path / "search", SEARCH))
    assert not is_reproduction(Storage(str(tmp_path / "nothing")))
    damaged = Storage(str(tmp_path / "damaged"))
    damaged.write(SEARCH_FILE, b"reproduction: [")
    assert not is_reproduction(damaged)


def test_only_options_that_decide_where_a_run_works_may_change() -> None:
    elsewhere = {"address": "auto", "max_concurrent": 2, "time_budget": 60.0}
    check_unchanged("mine", SEARCH, SEARCH.model_copy(update=elsewhere), "choose")
    with pytest.raises(RequestError, match=r"^lr is 0.2 but mine began with 0.1; choose$"):
        check_unchanged("mine", SEARCH, SEARCH.model_copy(update={"lr": 0.2}), "choose")
    with pytest.raises(RequestError, match=r"^lr is not given but mine"):
        check_unchanged("mine", SEARCH, SEARCH.model_copy(update={"lr": None}), "choose")


def test_mlflow_is_kept_beside_the_runs_or_with_the_data_if_they_are_in_a_bucket(
    tmp_path: Path,
) -> None:
    runs = Storage(str(tmp_path))
    assert default_tracking_uri(runs, "/data") == f"sqlite:///{tmp_path}/mlflow.db"
    assert artifact_folder(runs, "/data") == f"{tmp_path}/mlartifacts"
    bucket = Storage("s3://bucket/runs?region=us-east-1")
    assert default_tracking_uri(bucket, "/data") == "sqlite:////data/mlflow.db"
    assert artifact_folder(bucket, "/data") == "/data/mlartifacts"
