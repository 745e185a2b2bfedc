"""Passwords and tokens are used, and neither printed nor written anywhere."""

import base64
import io
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.searching import Driver, Searches, runs_of
from tests.support.servers import Proxy, mlflow_server


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
