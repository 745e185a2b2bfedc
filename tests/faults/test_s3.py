"""Searches in a bucket of a real S3 server: written, read, killed and resumed as in a folder."""

import io
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

import tuner.report
from tests.support.faults import Watch, is_in_epoch, lost_trials, repeated_runs
from tests.support.searching import Driver, Searches, local_ray, runs_of, same_results, teach
from tests.support.servers import Bucket, free_port, s3_bucket
from tuner.search import main
from tuner.storage.folder import Storage, read_file
from tuner.storage.object_store import check_no_credentials
from tuner.text.errors import RequestError

KEYS = {
    "AWS_ACCESS_KEY_ID": "a key",
    "AWS_SECRET_ACCESS_KEY": "a secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="module", autouse=True)
def keys() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        for name, value in KEYS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def bucket(keys: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with s3_bucket(tmp_path_factory.mktemp("s3")) as bucket:
        yield bucket


def test_objects_are_written_replaced_found_and_deleted(bucket: Bucket) -> None:
    storage = Storage(bucket.uri("files")).sub("a")
    assert not storage.exists()
    storage.write("b/f", b"1")
    storage.write("b/f", b"22")
    assert storage.exists()
    assert storage.exists("b")
    assert storage.exists("b/f")
    assert not storage.exists("b/g")
    assert storage.read("b/f") == read_file(storage.path("b/f")) == b"22"
    with pytest.raises(FileNotFoundError):
        storage.read("b/g")
    storage.write("b/g", b"")
    storage.delete("b/f")
    storage.delete("b/f")
    assert [key for key in bucket.names() if not key.endswith("/")] == ["files/a/b/g"]
    storage.delete("b")
    storage.delete("b")
    assert not storage.exists("b")
    assert [key for key in bucket.names() if not key.endswith("/")] == []


def test_a_small_object_is_one_request(bucket: Bucket) -> None:
    storage = Storage(bucket.uri("requests"))
    before = len(bucket.requests())
    storage.write("f", b"content")
    storage.sub("inner").write("f", b"content")
    assert bucket.requests()[before:] == ["PUT /bucket/requests/f", "PUT /bucket/requests/inner/f"]


def test_an_object_of_many_parts_is_whole(bucket: Bucket) -> None:
    content = bytes(range(256)) * 100_000  # 26 MB
    storage = Storage(bucket.uri("large"))
    storage.write("f", content)
    assert storage.read("f") == content
    assert bucket.client().head_object(Bucket="bucket", Key="large/f")["ContentLength"] == len(
        content
    )


def test_asking_whether_a_bucket_can_be_written_leaves_nothing_behind(bucket: Bucket) -> None:
    before = bucket.names()
    Storage(bucket.uri("asked")).check_writable()
    # At most pyarrow's mark of the folder, in which another search may have begun meanwhile.
    assert set(bucket.names()) - set(before) <= {"asked/"}


def test_a_bucket_that_is_not_there_is_refused(
    bucket: Bucket, capsys: pytest.CaptureFixture[str], data_dir: str
) -> None:
    uri = bucket.uri().replace("//bucket", "//nowhere")
    assert _search(uri, data_dir) == 2
    _is_one_sentence(capsys, "there is no such bucket: create it first")


def test_a_key_that_the_server_does_not_know_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data_dir: str
) -> None:
    with s3_bucket(tmp_path, demands_keys=True) as strict:
        assert _search(strict.uri(), data_dir) == 2
        _is_one_sentence(capsys, "access is denied: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACC")


def test_a_server_that_is_away_is_refused_within_seconds(
    capsys: pytest.CaptureFixture[str], data_dir: str
) -> None:
    uri = f"s3://bucket/runs?endpoint_override=127.0.0.1:{free_port()}&scheme=http"
    began = time.monotonic()
    assert _search(uri, data_dir) == 2
    assert time.monotonic() - began < 30
    _is_one_sentence(capsys, "it does not answer: check address and network")
    assert tuner.report.main(["none", "--runs-dir", uri]) == 2
    _is_one_sentence(capsys, "it does not answer: check address and network")


def test_a_server_that_says_nothing_is_refused_within_a_minute() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        uri = f"s3://bucket/runs?endpoint_override=127.0.0.1:{silent.getsockname()[1]}&scheme=http"
        began = time.monotonic()
        with pytest.raises(RequestError, match="it does not answer"):
            Storage(uri).check_writable()
        assert time.monotonic() - began < 60


def test_a_report_of_a_search_that_is_not_there_is_refused(
    bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tuner.report.main(["none", "--runs-dir", bucket.uri()]) == 2
    _is_one_sentence(capsys, "there is no search named 'none'")


class BucketSearches(Searches):
    """The same in a bucket; MLflow's store is beside the data."""

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.data_dir}/mlflow.db"


@pytest.fixture(scope="module")
def searches(bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BucketSearches]:
    data_dir = str(tmp_path_factory.mktemp("data"))
    teach(data_dir)
    with local_ray():
        yield BucketSearches(bucket.uri(), data_dir)


@pytest.fixture(scope="module")
def straight(searches: BucketSearches, bucket: Bucket) -> str:
    """A search that nothing disturbed."""
    before = len(bucket.requests())
    assert searches.run("straight", "--quiet") == 0
    # Those of the heartbeat depend on how busy the machine is.
    heartbeat = ("/driver.json", "/stop/", "/search.yaml")
    requests = [
        request
        for request in bucket.requests()[before:]
        if not any(name in request for name in heartbeat)
    ]
    # Four trials and three final trainings of three epochs: 160 when this was written.
    assert len(requests) < 250
    return "straight"


def test_a_whole_search_in_a_bucket_leaves_whole_objects(
    searches: BucketSearches, straight: str, bucket: Bucket
) -> None:
    storage, record = searches.storage(straight), searches.record(straight)
    keys = [key for key in bucket.names() if key.startswith("runs/") and key[-1] != "/"]
    kept = {key.removeprefix(f"runs/{straight}/") for key in keys if "/ledger/" not in key}
    assert sum("/ledger/" in key for key in keys) == len(record.trials_of("final"))
    finals = {f"checkpoints/{trial.name}.pt" for trial in record.trials_of("final")}
    files = {"search.yaml", "journal.jsonl", "teacher.pt", "best.yaml", "report.html"}
    files |= {"driver.json", "model-card.md", "trials.parquet", "epochs.parquet"}
    beside_report = {name for name in kept if name.startswith(("figures/", "tables/"))}
    assert {name.rpartition(".")[2] for name in beside_report} == {"png", "svg", "csv", "parquet"}
    assert kept - beside_report == files | finals
    for name in (*finals, "teacher.pt"):
        assert torch.load(io.BytesIO(storage.read(name)), weights_only=True)["model"]
    assert pq.read_table(io.BytesIO(storage.read("trials.parquet"))).num_rows == len(record.trials)
    assert storage.read("report.html").rstrip().endswith(b"</html>")
    assert storage.read("journal.jsonl").endswith(b"\n")


def test_a_report_is_made_again_from_a_bucket(
    searches: BucketSearches, straight: str, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = searches.storage(straight)
    storage.delete("report.html")
    capsys.readouterr()
    assert tuner.report.main([straight, "--runs-dir", searches.runs]) == 0
    (location,) = capsys.readouterr().out.splitlines()
    assert location == storage.path("report.html")
    assert read_file(location) == storage.read("report.html")
    assert f"--config &#39;{storage.path('search.yaml')}&#39;".replace(
        "&scheme", "&amp;scheme"
    ) in (storage.read("report.html").decode())


def test_what_a_search_wrote_to_a_bucket_feeds_the_next_one(
    searches: BucketSearches, straight: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = searches.storage(straight).path("search.yaml")
    assert main(["--config", path, "--dry-run", "--data-dir", searches.data_dir]) == 0
    assert "resnet8" in capsys.readouterr().out


def test_a_killed_driver_resumes_from_the_bucket(
    searches: BucketSearches, straight: str, tmp_path: Path
) -> None:
    length = searches.journal(straight).count(b"\n")
    driver = Driver(searches.arguments("killed", "--quiet"), tmp_path)
    try:
        driver.wait_until(lambda: searches.journal("killed").count(b"\n") >= length // 2)
        driver.send(signal.SIGKILL)
    finally:
        driver.reap()
    assert main([*searches.resume_arguments("killed"), "--quiet"]) == 0
    same_results(searches, straight, "killed")
    record = searches.record("killed")
    names = [run.data.tags["tuner.trial"] for run in runs_of(searches.client(), record.header.id)]
    groups = {f"group:{trial.setting_label}" for trial in record.trials_of("final")}
    assert sorted(names) == sorted(["", *record.trials, *groups])
    assert not searches.storage("killed").exists("ray")


def test_a_bucket_that_says_nothing_for_a_while_is_waited_for(
    searches: BucketSearches,
    straight: str,
    bucket: Bucket,
    tmp_path: Path,
    fault_row: Callable[..., None],
) -> None:
    watch = Watch(searches, "silent")
    driver = Driver(searches.arguments("silent", "--quiet"), tmp_path)
    try:
        driver.wait_until(is_in_epoch(searches, "silent", "0001", 1))
        with bucket.server.silent():
            time.sleep(45)  # longer than the library itself tries
        watch.until_it_continues(driver)
        assert driver.wait() == 0, driver.err
    finally:
        driver.reap()
    lost = lost_trials(None, searches.record("silent"))
    repeated = repeated_runs(searches, "silent")
    fault_row(
        "bucket silent for 45 s",
        injected=1,
        lost=lost,
        repeated=repeated,
        recovery_seconds=watch.median,
    )
    assert (lost, repeated) == (0, 0)
    same_results(searches, straight, "silent")


@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKIAKEY:MARKER@bucket/runs",
        "s3://AKIAKEY:MAR/KER@bucket/runs",
        "s3://AKIAKEY@bucket/runs",
        "s3://bucket/runs?access_key=AKIAKEY&secret_key=MARKER",
        "gs://user:MARKER@bucket/runs",
    ],
)
def test_a_key_in_the_address_is_refused_and_not_repeated(
    uri: str, capsys: pytest.CaptureFixture[str], data_dir: str
) -> None:
    assert _search(uri, data_dir) == 2
    error = capsys.readouterr().err
    assert "contains a credential; leave it out and set AWS_ACCESS_KEY_ID" in error
    assert not {"MARKER", "MAR/", "AKIAKEY"} & set(error.replace(":", " ").split())
    assert "AKIA" not in error


@pytest.mark.parametrize("uri", ["s3://bucket/a@b:c", "gs://anonymous@bucket/runs", "file:///a:b"])
def test_an_address_without_a_key_is_not_taken_for_one(uri: str) -> None:
    check_no_credentials(uri)


def test_a_google_bucket_that_does_not_answer_is_refused_within_a_minute() -> None:
    # Its server is not here; what is ours is how long we wait for it.
    began = time.monotonic()
    with pytest.raises(RequestError, match="it does not answer"):
        Storage(
            f"gs://anonymous@bucket/runs?scheme=http&endpoint_override=127.0.0.1:{free_port()}"
            "&retry_limit_seconds=2"
        ).check_writable()
    assert time.monotonic() - began < 60


def test_an_option_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(RequestError, match=r"unknown option 'endpoint'; known: endpoint_override"):
        Storage("s3://bucket/runs?endpoint=127.0.0.1")


def _search(uri: str, data_dir: str) -> int:
    options = ["--space", "itrd", "--limit", "200", "--trials", "4", "--data-dir", data_dir]
    return main([*options, "--runs-dir", uri])


def _is_one_sentence(capsys: pytest.CaptureFixture[str], part: str) -> None:
    error = capsys.readouterr().err
    assert error.startswith("tuner: ")
    assert error.count("\n") == 1
    assert part in error
