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


def find_program(name: str) -> str | None:
    """The path of a program: beside the running interpreter, else on the PATH, else None.

    Another environment may come earlier on the PATH and have a program of the same name.
    """
    beside = Path(sys.executable).parent
    return shutil.which(name, path=f"{beside}{os.pathsep}{os.environ['PATH']}")


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait_until(is_so: Callable[[], bool], seconds: float = DEADLINE_SECONDS) -> None:
    """Waits until a server or a thread has done something; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"timed out after {seconds} s"
        time.sleep(0.05)


class Server:
    """A process that listens on a port; it can be killed and started again."""

    def __init__(
        self,
        command: list[str],
        port: int,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        """`user`: the account that runs it, by default this one."""
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.log = port, folder / f"{Path(command[0]).name}-{port}.log"
        self._command, self._folder, self._user = command, folder, user
        self._environment = dict(environment or {})
        self.start()

    def start(self) -> None:
        """Starts the process and waits until the port answers."""
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
        """Sends SIGKILL to the process and to those that it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, 9)
        self._process.wait()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Lets the server hang: it accepts connections and never answers."""
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
    """A bucket of an S3 server (`moto_server`) without TLS."""

    def __init__(self, server: Server, name: str) -> None:
        self.server, self.name = server, name

    def uri(self, folder: str = "runs") -> str:
        """The value of --runs-dir."""
        return (
            f"s3://{self.name}/{folder}?endpoint_override=127.0.0.1:{self.server.port}&scheme=http"
        )

    def requests(self) -> list[str]:
        """Every request so far, such as "PUT /bucket/key"."""
        lines = self.server.log.read_text(errors="replace").splitlines()
        found = (re.search(r"\b([A-Z]+ /\S*) HTTP/", line) for line in lines)
        return [match[1] for match in found if match]

    def names(self) -> list[str]:
        """The keys of all objects, including those that stand for folders."""
        listed = self.client().list_objects_v2(Bucket=self.name).get("Contents", [])
        return [item["Key"] for item in listed]

    def client(self):  # type: ignore[no-untyped-def]
        """A client that is independent of the code under test."""
        boto3 = pytest.importorskip("boto3")
        return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self.server.port}")


@contextmanager
def s3_bucket(folder: Path, *, demands_keys: bool = False) -> Iterator[Bucket]:
    """An S3 server with one bucket; with `demands_keys` it rejects keys that it does not know."""
    program = find_program("moto_server")
    if program is None:
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
    """A server with one empty database; yields its URI, which holds the password."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = str(programs[-1] / "initdb") if programs else find_program("initdb")
    if found is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    pytest.importorskip("psycopg2")
    # PostgreSQL refuses to run as root, and its account may not enter pytest's folder.
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
    """`mlflow server`, started as the documentation does."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", *options]
    without = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return Server(command, port, folder, without | dict(environment or {}))


class Proxy:
    """Forwards requests to a server; can demand authorization and drop answers.

    `loses_answer` is called with the path of each request that the server has carried out, and
    says whether its answer is dropped.
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
                    return  # as if nothing listened here either
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
