"""Unit tests run in this process alone: they start neither Ray nor a server nor a command."""

import multiprocessing.process
import os
import subprocess

import pytest


@pytest.fixture(autouse=True)
def _no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a test that starts a process, as Ray and servers do."""

    def refuse(*arguments: object, **options: object) -> None:
        pytest.fail("a unit test starts no other process: move it to tests/searches")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", refuse)
    monkeypatch.setattr(os, "fork", refuse)
