"""Processes that open the same data set at the same time."""

import multiprocessing
import os
import time
from pathlib import Path

from tuner.data import open_dataset
from tuner.data.sources.digits import Digits
from tuner.data.sources.raw_data import RawData


def open_and_note_builds(folder: Path, barrier: object) -> None:
    """Opens the digits when the other process does; leaves a file per build, and one at the end."""
    load = Digits.load

    def slow(self: Digits, image_size: int | None) -> RawData:
        (folder / f"built-by-{os.getpid()}").touch()
        time.sleep(0.3)
        return load(self, image_size)

    Digits.load = slow
    barrier.wait(timeout=120)
    dataset = open_dataset("digits", folder)
    (folder / f"opened-by-{os.getpid()}").write_text(dataset.fingerprint)


def test_of_two_processes_one_builds(tmp_path, monkeypatch):
    monkeypatch.setattr(Digits, "load", Digits.load)  # puts it back afterwards
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    other = context.Process(target=open_and_note_builds, args=(tmp_path, barrier))
    other.start()
    open_and_note_builds(tmp_path, barrier)
    other.join(timeout=120)
    assert other.exitcode == 0
    assert len(list(tmp_path.glob("built-by-*"))) == 1
    assert len({path.read_text() for path in tmp_path.glob("opened-by-*")}) == 1
    assert len(list(tmp_path.glob("opened-by-*"))) == 2
