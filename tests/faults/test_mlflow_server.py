"""Mirrors to an MLflow server with PostgreSQL: many trials, many searches, outages, passwords."""

import multiprocessing
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.support.by_hand import make_header
from tests.support.mirrors import begin, history, hurry, mirror_of, run_by_trial, train
from tests.support.searching import Searches, local_ray, runs_of, teach
from tests.support.servers import Proxy, Server, mlflow_server, postgresql, wait_until
from tuner.results.record import Record
from tuner.results.trial import DONE, FAILED
from tuner.storage.folder import Storage
from tuner.tracking import mirror as mirror_module
from tuner.tracking.publish import Outcome, publish

PASSWORD = "a/pass:word"
NUM_TRIALS, NUM_EPOCHS = 16, 20


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgresql(PASSWORD) as uri:
        yield uri


@pytest.fixture(scope="module")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = mlflow_server(database, tmp_path_factory.mktemp("mlflow"))
    yield server
    server.kill()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch, 0.2)
    for name in ("USERNAME", "PASSWORD", "TOKEN", "INSECURE_TLS", "SERVER_CERT_PATH"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)


def address(server: Server | Proxy) -> str:
    return f"http://127.0.0.1:{server.port}"


def new_record(folder: Path, search_id: str) -> Record:
    record = Record(Storage(str(folder / search_id)))
    record.open(make_header(id=search_id))
    return record


def train_trial(
    record: Record, trial: str, *, gate: Callable[[int], object] = lambda epoch: None
) -> None:
    """Writes a trial as the driver would; `gate` is called before each epoch."""
    begin(record, trial, setting={"weight": float(trial)}, num_epochs=NUM_EPOCHS)
    for epoch in range(1, NUM_EPOCHS + 1):
        gate(epoch)
        train(record, trial, [epoch])
    record.end(trial, DONE)


def train_all(record: Record, gate: Callable[[int], object] = lambda epoch: None) -> None:
    """Trains 16 trials at the same time."""
    with ThreadPoolExecutor(NUM_TRIALS) as pool:
        names = [f"{number:04}" for number in range(NUM_TRIALS)]
        list(pool.map(lambda name: train_trial(record, name, gate=gate), names))


def differences(uri: str, record: Record) -> tuple[int, int]:
    """Counts the record's runs and values that MLflow lacks, and those that it has twice."""
    client = MlflowClient(tracking_uri=uri)
    found = runs_of(client, record.header.id)
    names = [run.data.tags["tuner.trial"] for run in found]
    groups = {f"group:{trial.setting_label}" for trial in record.trials_of("final")}
    expected = {"", *record.trials, *groups}
    lost, repeated = len(expected - set(names)), len(names) - len(set(names))
    for run in found:
        trial = record.trials.get(run.data.tags["tuner.trial"])
        if trial is None:
            continue
        for name in ("val_accuracy", "seconds"):
            points = client.get_metric_history(run.info.run_id, name)
            values = {(point.step, point.value) for point in points}
            recorded = {(int(epoch["epoch"]), epoch[name]) for epoch in trial.epochs}
            lost += len(recorded - values)
            repeated += len(points) - len(recorded & values)
        lost += run.data.params.get("seed") != str(trial.seed)
        lost += run.info.status != "FINISHED" or run.data.tags["status"] != trial.status
    return lost, repeated


def test_of_sixteen_trials_side_by_side_everything_arrives_once(
    server: Server, tmp_path: Path
) -> None:
    record = new_record(tmp_path, "sixteen")
    with mirror_of(record, address(server)) as mirror:
        train_all(record)
    assert mirror.problem == ""
    assert differences(address(server), record) == (0, 0)


def mirror_a_search(folder: str, uri: str, search_id: str) -> str:
    """Runs in a process of its own; returns the mirror's problem."""
    record = new_record(Path(folder), search_id)
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch, 0.2)
        patch.setattr(mirror_module, "CLOSE_SECONDS", 120.0)
        with mirror_of(record, uri) as mirror:
            train_all(record)
    publish(mirror, Outcome(files={"a.txt": b"text"}, metrics={"x": 1.0}, note="said"))
    return mirror.problem


def test_of_searches_in_several_processes_everything_arrives_once(
    server: Server, tmp_path: Path
) -> None:
    ids = ["first", "second", "third"]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(ids), mp_context=spawn) as pool:
        problems = list(pool.map(mirror_a_search, [str(tmp_path)] * 3, [address(server)] * 3, ids))
    assert problems == ["", "", ""]
    for search_id in ids:
        record = Record.load(Storage(str(tmp_path / search_id)))
        assert len(record.trials) == NUM_TRIALS
        assert differences(address(server), record) == (0, 0)
        (own,) = [
            run
            for run in runs_of(MlflowClient(tracking_uri=address(server)), search_id)
            if run.data.tags["tuner.trial"] == ""
        ]
        files = MlflowClient(tracking_uri=address(server)).list_artifacts(own.info.run_id)
        assert [file.path for file in files] == ["a.txt"]


def test_a_server_that_is_killed_in_the_middle_misses_nothing(
    server: Server, tmp_path: Path, fault_row: Callable[..., None]
) -> None:
    record = new_record(tmp_path, "outage")
    is_first_half_sent, is_away = threading.Event(), threading.Event()

    def gate(epoch: int) -> None:
        if epoch == NUM_EPOCHS // 4:
            assert is_first_half_sent.wait(120)
        if epoch == NUM_EPOCHS // 2:
            assert is_away.wait(120)

    client = MlflowClient(tracking_uri=address(server))
    with mirror_of(record, address(server)) as mirror:
        trials = threading.Thread(target=train_all, args=(record, gate))
        trials.start()
        wait_until(lambda: len(runs_of(client, "outage")) > NUM_TRIALS // 2)
        server.kill()  # some of the trials have runs
        is_first_half_sent.set()
        wait_until(lambda: mirror.problem != "")
        is_away.set()
        trials.join(60)
        # The trials went on and ended; none of them waited for MLflow.
        assert {trial.status for trial in record.trials.values()} == {DONE}
        assert mirror.problem.startswith(f"MLflow at {address(server)} does not answer: ")
        server.start()
        began = time.monotonic()
        wait_until(lambda: not mirror.problem and mirror.is_complete)
        seconds = time.monotonic() - began
    lost, repeated = differences(address(server), record)
    fault_row(
        "tracking server killed, 16 trials running",
        injected=1,
        lost=lost,
        repeated=repeated,
        recovery_seconds=seconds,
    )
    assert (lost, repeated) == (0, 0)


def test_what_a_server_missed_arrives_when_it_is_back(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/mlflow.db"
    server = mlflow_server(store, tmp_path)
    server.kill()  # it is away from the start
    record = new_record(tmp_path, "missed")
    try:
        with mirror_of(record, address(server)) as mirror:
            begin(record, "0000")
            train(record, "0000", range(1, 3))
            wait_until(lambda: bool(mirror.problem))
            server.start()
            wait_until(lambda: not mirror.problem)
            wait_until(lambda: "0000" in run_by_trial(store, record))
            server.kill()
            train(record, "0000", range(3, 4))
            record.end("0000", DONE)
            begin(record, "0001")
            wait_until(lambda: bool(mirror.problem))
            server.start()
            record.end("0001", FAILED, "no reason")
            wait_until(lambda: not mirror.problem)
    finally:
        server.kill()
    runs = run_by_trial(store, record)
    assert history(store, runs["0000"]) == [(1, 10.0), (2, 20.0), (3, 30.0)]
    assert {name: run.info.status for name, run in runs.items()} == {
        "": "RUNNING",
        "0000": "FINISHED",
        "0001": "FAILED",
    }


def test_a_run_whose_answer_is_lost_on_the_way_is_not_made_twice(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault_row: Callable[..., None],
) -> None:
    # MLflow itself sends a request again whose answer it did not get.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    asked: list[str] = []

    def loses_answer(path: str) -> bool:
        if path.endswith(("runs/create", "runs/log-batch")):
            asked.append(path)
            return len(asked) % 2 == 1
        return False

    record = new_record(tmp_path, "lost answers")
    with (
        Proxy(server, loses_answer=loses_answer) as proxy,
        mirror_of(record, address(proxy)) as mirror,
    ):
        train_all(record)
        wait_until(lambda: mirror.is_complete and not mirror.problem)
    lost, repeated = differences(address(server), record)
    fault_row(
        "answer of the tracking server lost",
        injected=(len(asked) + 1) // 2,
        lost=lost,
        repeated=repeated,
        recovery_seconds=None,
    )
    assert (lost, repeated) == (0, 0)


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory, data_dir: str) -> Iterator[Searches]:
    teach(data_dir)
    with local_ray():
        yield Searches(tmp_path_factory.mktemp("runs"), data_dir)


def test_a_search_continues_while_its_server_is_away(
    searches: Searches,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault_row: Callable[..., None],
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    moments: dict[str, float] = {}

    def disturb() -> None:
        wait_until(lambda: b'"trial": "0001"' in searches.journal("away"))
        server.kill()
        moments["down"] = time.time()
        wait_until(lambda: b'"trial": "0002"' in searches.journal("away"))
        server.start()
        moments["up"] = time.time()

    thread = threading.Thread(target=disturb)
    thread.start()
    flags = ("--quiet", "--tracking-uri", address(server))
    assert searches.run("away", *flags, scheduler="none", trials=8, epochs=30) == 0
    thread.join()
    record = searches.record("away")
    ended = [trial.ended or 0 for trial in record.trials.values()]
    assert any(moments["down"] < moment < moments["up"] for moment in ended)
    assert "does not answer" not in capsys.readouterr().out  # it was back before the end
    lost, repeated = differences(address(server), record)
    fault_row(
        "tracking server away during a search",
        injected=1,
        lost=lost,
        repeated=repeated,
        recovery_seconds=None,
    )
    assert (lost, repeated) == (0, 0)


def test_a_server_that_demands_a_password_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("flask_wtf", reason="needs mlflow[auth]")
    config = tmp_path / "auth.ini"
    config.write_text(
        "[mlflow]\ndefault_permission = READ\n"
        f"database_uri = sqlite:///{tmp_path}/users.db\n"
        "admin_username = me\nadmin_password = the right password\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    strict = mlflow_server(
        f"sqlite:///{tmp_path}/mlflow.db",
        tmp_path,
        "--app-name",
        "basic-auth",
        environment={
            "MLFLOW_AUTH_CONFIG_PATH": str(config),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "any",
        },
    )
    try:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a wrong one")
        record = new_record(tmp_path, "password")
        with mirror_of(record, address(strict)) as mirror:
            train_trial(record, "0000")
            wait_until(lambda: mirror.problem != "")
            assert mirror.problem == (
                f"MLflow at {address(strict)} refuses the password: check MLFLOW_TRACKING_USERNAME "
                "and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            )
            monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "the right password")
            wait_until(lambda: mirror.problem == "" and mirror.is_complete)
        assert differences(address(strict), record) == (0, 0)
    finally:
        strict.kill()


def test_a_server_that_demands_a_token_gets_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(server, authorization="Bearer the right token") as proxy:
        record = new_record(tmp_path, "token")
        with mirror_of(record, address(proxy)) as mirror:
            train_trial(record, "0000")
            wait_until(lambda: mirror.problem != "")
            assert "refuses the password: check" in mirror.problem
            assert proxy.num_refused > 0
            monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "the right token")
            wait_until(lambda: mirror.problem == "" and mirror.is_complete)
    assert differences(address(server), record) == (0, 0)


@pytest.fixture(scope="module")
def tls_server(
    database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Path]]:
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    try:
        subprocess.run(
            [*command, "-keyout", key, "-out", certificate], check=True, capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("needs openssl")
    options = f"--ssl-keyfile {key} --ssl-certfile {certificate}"
    server = mlflow_server(database, folder, "--uvicorn-opts", options)
    yield server, certificate
    server.kill()


def test_an_untrusted_certificate_is_refused_and_the_remedy_named(
    tls_server: tuple[Server, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, certificate = tls_server
    uri = f"https://127.0.0.1:{server.port}"
    record = new_record(tmp_path, "certificate")
    with mirror_of(record, uri) as mirror:
        train_trial(record, "0000")
        wait_until(lambda: mirror.problem != "")
        assert mirror.problem == (
            f"MLflow at {uri} has a certificate that is not trusted: set "
            "MLFLOW_TRACKING_SERVER_CERT_PATH to the certificate file of its authority"
        )
        assert record.trials["0000"].status == DONE
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
        wait_until(lambda: mirror.problem == "" and mirror.is_complete)
    publish(mirror, Outcome(files={"a.txt": b"text"}))
    assert mirror.problem == ""
    assert differences(uri, record) == (0, 0)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_certificate_need_not_be_trusted_where_the_user_says_so(
    tls_server: tuple[Server, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"https://127.0.0.1:{tls_server[0].port}"
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
    record = new_record(tmp_path, "insecure")
    with mirror_of(record, uri) as mirror:
        train_trial(record, "0000")
    assert mirror.problem == ""
    assert differences(uri, record) == (0, 0)


def test_a_search_that_writes_to_the_database_itself_hides_its_password(
    searches: Searches,
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)  # MLflow may put a folder there
    assert searches.run("direct", tracking_uri=database, experiment="direct") == 0
    shown = capfd.readouterr()
    secret = database.partition("mlflow:")[2].partition("@")[0]
    assert f"mlflow ui --backend-store-uri '{database.replace(secret, '***')}'" in shown.out
    assert differences(database, searches.record("direct")) == (0, 0)
    texts = [path.read_bytes().decode("latin-1") for path in files_in(searches.folder("direct"))]
    for text in (shown.out, shown.err, *texts):
        assert secret not in text
        assert PASSWORD not in text


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
