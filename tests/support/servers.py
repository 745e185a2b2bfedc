"""Real servers for tests, on the loopback address, gone when the test is."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

DEADLINE_SECONDS = 120.0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait_until(is_so: Callable[[], bool], seconds: float = DEADLINE_SECONDS) -> None:
    """Waits for something that a server or a thread does."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it has not come to that"
        time.sleep(0.05)


class Server:
    """A process that listens on a port, and may be killed and started again."""

    def __init__(
        self,
        command: list[str],
        port: int,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        """`user`: whom it runs as, where it is not us."""
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.log = port, folder / f"{Path(command[0]).name}-{port}.log"
        self._command, self._folder, self._user = command, folder, user
        self._environment = dict(environment or {})
        self.start()

    def start(self) -> None:
        """Starts it and waits until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=os.environ | self._environment,
                stdout=log,
                stderr=log,
                user=self._user,
                start_new_session=True,
            )
        wait_until(self._answers)

    def kill(self) -> None:
        """SIGKILL to it and to the processes that it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, 9)
        self._process.wait()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Takes connections and says nothing, as one that hangs."""
        os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self._process.pid, signal.SIGCONT)

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


class Bucket:
    """A bucket of an S3 server, `moto_server`, that speaks plain HTTP."""

    def __init__(self, server: Server, name: str) -> None:
        self.server, self.name = server, name

    def uri(self, folder: str = "runs") -> str:
        """What a person gives as --runs-dir."""
        return (
            f"s3://{self.name}/{folder}?endpoint_override=127.0.0.1:{self.server.port}&scheme=http"
        )

    def requests(self) -> list[str]:
        """Every request so far, such as "PUT /bucket/key"."""
        lines = self.server.log.read_text(errors="replace").splitlines()
        found = (re.search(r"\b([A-Z]+ /\S*) HTTP/", line) for line in lines)
        return [match[1] for match in found if match]

    def names(self) -> list[str]:
        """All objects, those that stand for folders too."""
        listed = self.client().list_objects_v2(Bucket=self.name).get("Contents", [])
        return [item["Key"] for item in listed]

    def client(self):  # type: ignore[no-untyped-def]
        """Another program's view of it."""
        boto3 = pytest.importorskip("boto3")
        return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self.server.port}")


@contextmanager
def s3_bucket(folder: Path, *, demands_keys: bool = False) -> Iterator[Bucket]:
    """An S3 server with one bucket. It takes every key, unless it `demands_keys` that exist."""
    program = shutil.which("moto_server") or str(Path(sys.executable).with_name("moto_server"))
    if not Path(program).exists():
        pytest.skip("needs moto_server: pip install 'moto[server]'")
    port = free_port()
    environment = {"INITIAL_NO_AUTH_ACTION_COUNT": "1"} if demands_keys else {}
    server = Server([program, "-H", "127.0.0.1", "-p", str(port)], port, folder, environment)
    try:
        bucket = Bucket(server, "bucket")
        bucket.client().create_bucket(Bucket=bucket.name)
        yield bucket
    finally:
        server.kill()


@contextmanager
def postgresql(password: str) -> Iterator[str]:
    """A database cluster with one empty database; yields its URI, with the password in it."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = str(programs[-1] / "initdb") if programs else shutil.which("initdb")
    if found is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    pytest.importorskip("psycopg2")
    # It does not run as root; not in pytest's folder, which only its owner may enter.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="tuner-postgresql-") as name:
        folder = Path(name)
        (folder / "password").write_text(password)
        if user is not None:
            shutil.chown(folder, user)
            shutil.chown(folder / "password", user)
        data = str(folder / "data")
        command = [found, "--pgdata", data, "--username", "mlflow", "--auth", "scram-sha-256"]
        command += ["--pwfile", str(folder / "password"), "--no-sync"]
        subprocess.run(command, user=user, cwd=folder, check=True, capture_output=True)
        port = free_port()
        command = [str(Path(found).with_name("postgres")), "-D", data, "-p", str(port)]
        for option in ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"):
            command += ["-c", option]
        server = Server(command, port, folder, user=user)
        try:
            yield f"postgresql+psycopg2://mlflow:{quote(password)}@127.0.0.1:{port}/postgres"
        finally:
            server.kill()


def mlflow_server(
    store: str, folder: Path, *options: str, environment: Mapping[str, str] | None = None
) -> Server:
    """`mlflow server` as the documents start it."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", *options]
    without = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return Server(command, port, folder, without | dict(environment or {}))


class Proxy:
    """Stands before a server: demands a token or a password, and may lose an answer.

    `loses_answer` is asked, of each request that the server has carried out, with its path.
    """

    def __init__(
        self,
        server: Server,
        *,
        authorization: str | None = None,
        loses_answer: Callable[[str], bool] = lambda path: False,
    ) -> None:
        self.num_refused = 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(handler) -> None:  # noqa: N805
                handler.raw_requestline = handler.rfile.readline(65537)
                is_request = bool(handler.raw_requestline) and handler.parse_request()
                handler.close_connection = True
                if not is_request:
                    return
                body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
                if authorization and handler.headers.get("Authorization") != authorization:
                    self.num_refused += 1
                    handler._answer(401, "text/plain", b"You are not authenticated.")
                    return
                connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
                try:
                    connection.request(handler.command, handler.path, body, _passed_on(handler))
                    answer = connection.getresponse()
                    content = answer.read()
                except OSError:
                    return  # as if nobody listened here either
                finally:
                    connection.close()
                if not loses_answer(handler.path):
                    kind = answer.headers.get("Content-Type", "application/json")
                    handler._answer(answer.status, kind, content)

            def _answer(handler, status: int, kind: str, content: bytes) -> None:  # noqa: N805
                handler.send_response(status)
                handler.send_header("Content-Type", kind)
                handler.send_header("Content-Length", str(len(content)))
                handler.send_header("Connection", "close")
                handler.end_headers()
                handler.wfile.write(content)

            def log_message(handler, *arguments: object) -> None:  # noqa: N805
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)

    def __enter__(self) -> "Proxy":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._http.shutdown()
        self._http.server_close()


def _passed_on(handler: BaseHTTPRequestHandler) -> dict[str, str]:
    names = ("Content-Type", "Accept")
    return {name: handler.headers[name] for name in names if name in handler.headers}
