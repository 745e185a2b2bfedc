"""Passwords and tokens are used, and neither shown nor written anywhere."""

import base64
import io
import os
import shlex
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.searching import Driver, Searches, runs_of
from tests.support.servers import Proxy, mlflow_server
from tuner.config.options import SearchRequest
from tuner.config.run_folder import resume_command
from tuner.storage.folder import Storage
from tuner.text.secrets import has_secret, shown, without_secrets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql+psycopg2://u:pw@h:5432/db", "postgresql+psycopg2://u:***@h:5432/db"),
        ("https://u:p@s:s/w@h/path", "https://u:***@h/path"),
        ("https://ghp_token@h", "https://***@h"),
        ("https://tok/en@h/path", "https://***@h/path"),
        ("mysql://h/db?user=u&passwd=pw&pwd=qw", "mysql://h/db?user=u&passwd=***&pwd=***"),
        (
            "https://h/c?sv=1&sig=s&X-Amz-Signature=t",
            "https://h/c?sv=1&sig=***&X-Amz-Signature=***",
        ),
        ("http://h/?auth=pw", "http://h/?auth=***"),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
        ("postgresql://h/db?user=u&password=pw&x=1", "postgresql://h/db?user=u&password=***&x=1"),
        ("a: https://u:pw@h\nb: mysql://v:qw@i\n", "a: https://u:***@h\nb: mysql://v:***@i\n"),
        ("API request to 'http://u:pw@h/api' failed", "API request to 'http://u:***@h/api' failed"),
        ("http://127.0.0.1:5000/#/experiments/1", "http://127.0.0.1:5000/#/experiments/1"),
        ("sqlite:////a/b@c/mlflow.db", "sqlite:////a/b@c/mlflow.db"),
        ("s3://bucket/runs?endpoint_override=h:1", "s3://bucket/runs?endpoint_override=h:1"),
        ("resnet20@./a.pth", "resnet20@./a.pth"),
    ],
)
def test_the_secrets_of_an_address_are_hidden(text: str, expected: str) -> None:
    assert without_secrets(text) == expected


@pytest.mark.parametrize("sign", ["'", '"', "<", " "])
def test_a_secret_of_a_whole_address_ends_at_no_quote_or_space(sign: str) -> None:
    assert shown(f"mysql://u:p{sign}w@h/db?password=p{sign}w") == "mysql://u:***@h/db?password=***"
    assert has_secret(f"mysql://u:p{sign}w@h/db")
    assert not has_secret(f"sqlite:////my{sign}runs/mlflow.db")
    assert shown(f"sqlite:////my{sign}runs/mlflow.db") == f"sqlite:////my{sign}runs/mlflow.db"


def test_who_is_to_give_an_address_again_is_shown_where_its_secret_belongs() -> None:
    def command(uri: str | None) -> list[str]:
        request = SearchRequest(space="kd", tracking_uri=uri)
        return shlex.split(resume_command(Storage("/runs/mine"), request))

    assert command("http://me:MARKER@h:5000")[-2:] == ["--tracking-uri", "http://me:***@h:5000"]
    assert command("http://h:5000")[-2:] == command(None)[-2:] == ["--runs-dir", "/runs"]


@pytest.mark.slow
def test_no_secret_is_printed_or_written(
    tmp_path: Path, data_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches = Searches(tmp_path / "runs", data_dir)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    for name in ("AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.setenv(name, "MARKER")
    authorization = "Basic " + base64.b64encode(b"me:MARKER").decode()
    store = f"sqlite:///{tmp_path}/mlflow.db"
    server = mlflow_server(store, tmp_path)  # its database and its files lie there too
    try:
        with Proxy(server, authorization=authorization) as proxy:
            address = f"http://me:MARKER@127.0.0.1:{proxy.port}"
            for name, uri in (("told", address), ("away", "http://me:MARKER@127.0.0.1:9")):
                arguments = searches.arguments(name, tracking_uri=uri)
                driver = Driver(arguments, tmp_path / "printed")
                try:
                    assert driver.wait() == 0, driver.err
                finally:
                    driver.reap()
                assert "http://me:***@127.0.0.1" in driver.out
            assert proxy.num_refused == 0
    finally:
        server.kill()
    # It was not hidden by never arriving.
    from mlflow import MlflowClient

    record = searches.record("told")
    assert len(runs_of(MlflowClient(tracking_uri=store), record.header.id)) > 4
    assert len(list(tmp_path.rglob("report.html"))) == 3  # two searches', and one in MLflow
    assert os.environ["MLFLOW_TRACKING_TOKEN"] == "MARKER"
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert "MARKER" not in text_of(path), path


def text_of(path: Path) -> str:
    """What a file holds, as text; Parquet compresses its columns."""
    content = path.read_bytes()
    if path.suffix == ".parquet":
        return str(pq.read_table(io.BytesIO(content)).to_pylist())
    return content.decode("latin-1")
