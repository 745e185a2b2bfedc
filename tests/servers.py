"""Real servers for tests, on the loopback address, gone when the test is."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

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
        self, command: list[str], port: int, folder: Path, environment: Mapping[str, str]
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.log = port, folder / f"{Path(command[0]).name}-{port}.log"
        self._command, self._folder, self._environment = command, folder, dict(environment)
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
                start_new_session=True,
            )
        wait_until(self._answers)

    def kill(self) -> None:
        """SIGKILL to it and to the processes that it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, 9)
        self._process.wait()

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
