"""Unit tests run in this process alone: they start neither Ray nor a server nor a command."""

import multiprocessing.process
import os
import subprocess
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a test that starts a process, as Ray and servers do."""
    start = subprocess.Popen.__init__

    def refuse(*arguments: Any, **options: Any) -> None:
        pytest.fail("a unit test starts no other process: move it to tests/searches")

    def refuse_command(self: Any, args: Any, *arguments: Any, **options: Any) -> None:
        if args[0] != "fc-list":  # Matplotlib lists the fonts when it is first imported
            refuse()
        start(self, args, *arguments, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse_command)
    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", refuse)
    monkeypatch.setattr(os, "fork", refuse)
