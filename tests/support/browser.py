"""Drives headless Chromium through its DevTools protocol, over a pipe."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

DEADLINE_SECONDS = 60.0  # of a page that draws itself
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
    # The page and what it holds in frames are one process, which one pipe can look into.
    *("--disable-site-isolation-trials", "--disable-features=IsolateSandboxedIframes"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--remote-debugging-pipe",
)


def chromium() -> str | None:
    """The path of the program; None if it is not installed."""
    return shutil.which("chromium") or shutil.which("google-chrome")


class Page:
    """One tab. The results of scripts must be JSON."""

    def __init__(self, connection: "_Connection", session: str) -> None:
        self._connection, self._session = connection, session
        for domain in ("Page", "Runtime"):
            self._call(f"{domain}.enable")

    def open(self, address: str) -> None:
        """Opens an address; what scripts draw appears later."""
        self._call("Page.navigate", url="about:blank")  # or another "#" would be the same page
        self._call("Page.navigate", url=address)

    def resize(self, width: int, height: int) -> None:
        """Sets the window's size, in pixels."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def evaluate(self, script: str, *, in_frame: bool = False) -> Any:
        """The value of a script, run on the page or in its first frame."""
        options: dict[str, Any] = {}
        if in_frame:
            world = self._call("Page.createIsolatedWorld", frameId=self._first_frame())
            options["contextId"] = world["executionContextId"]
        answer = self._call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, **options
        )
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait_for(self, script: str, seconds: float = DEADLINE_SECONDS, **options: Any) -> Any:
        """Runs a script again and again until its value is true; returns that value."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                value = self.evaluate(script, **options)
            except (AssertionError, LookupError, RuntimeError):
                value = None  # an element is still missing
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"in vain: {script}\n{self.text()}")
            time.sleep(0.1)

    def text(self) -> str:
        """The visible text of the page."""
        return str(self.evaluate("document.body.innerText"))

    def click(self, text: str) -> None:
        """Clicks the innermost element that has exactly this text, once it exists."""
        x, y = self.wait_for(
            "(one => { if (!one) return null; one.scrollIntoView({block: 'center'});"
            "const box = one.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })"
            "([...document.querySelectorAll('body *')].filter(one => one.getClientRects().length"
            f" && one.innerText?.trim() === {json.dumps(text)}).at(-1))"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def follow(self, text: str) -> None:
        """Follows the link with this text, in this tab even if it would open another."""
        links = f"[...document.links].filter(one => one.innerText.trim() === {json.dumps(text)})"
        self.open(self.wait_for(f"{links}.at(-1)?.href"))

    def picture(self, path: Path, left: int, top: int, width: int, height: int) -> None:
        """Writes a rectangle of the window as PNG; all numbers are pixels."""
        clip = {"x": left, "y": top, "width": width, "height": height, "scale": 1}
        answer = self._call("Page.captureScreenshot", format="png", clip=clip)
        path.write_bytes(base64.b64decode(answer["data"]))

    def _first_frame(self) -> str:
        for tree in self._call("Page.getFrameTree")["frameTree"].get("childFrames", []):
            return str(tree["frame"]["id"])
        raise LookupError("the page holds no frame")

    def _call(self, method: str, **params: Any) -> Any:
        return self._connection.call(method, params, self._session)


@contextmanager
def browser(width: int = 1300, height: int = 1000) -> Iterator[Page]:
    """An empty page in a new browser with an empty profile, which ends with the block."""
    program = chromium()
    assert program is not None
    with TemporaryDirectory(prefix="tuner-browser-", ignore_cleanup_errors=True) as profile:
        connection = _Connection([program, *FLAGS, f"--user-data-dir={profile}", "about:blank"])
        try:
            target = connection.call("Target.createTarget", {"url": "about:blank"})["targetId"]
            attach = {"targetId": target, "flatten": True}
            page = Page(connection, connection.call("Target.attachToTarget", attach)["sessionId"])
            page.resize(width, height)
            yield page
        finally:
            connection.close()


class _Connection:
    """Messages to the browser and its answers: JSON, each terminated by a zero byte."""

    def __init__(self, command: list[str]) -> None:
        (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
        # The browser reads from 3 and writes to 4, which may be in use here; above 9 is free.
        fds = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (theirs_in, theirs_out)]
        redirected = f'exec "$@" 3<&{fds[0]} 4>&{fds[1]}'
        self._process = subprocess.Popen(
            ["bash", "-c", redirected, "-", *command],
            pass_fds=fds,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for fd in (theirs_in, theirs_out, *fds):
            os.close(fd)
        self._in, self._out = ours_in, ours_out
        self._number, self._received = 0, b""

    def call(self, method: str, params: dict[str, Any], session: str | None = None) -> Any:
        """Raises RuntimeError with the browser's message if it refuses."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass  # an event
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        """Ends the browser and all its processes."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, 9)
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._in], [], [], DEADLINE_SECONDS)
            assert ready, "the browser does not answer"
            some = os.read(self._in, 1 << 20)
            assert some, "the browser has ended"
            self._received += some
        line, _, self._received = self._received.partition(b"\0")
        answer: dict[str, Any] = json.loads(line)
        return answer
