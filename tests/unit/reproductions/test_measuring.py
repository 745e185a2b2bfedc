"""Measurements are made once, and only read where a report is rebuilt."""

import pytest

from tuner.reproductions.measuring import Measurer, NotMeasuredError
from tuner.storage.folder import Storage


def test_what_is_measured_once_is_read_later(tmp_path) -> None:
    storage, calls = Storage(str(tmp_path / "itrd-cost")), []

    def call(function):
        calls.append(function)
        return function()

    measured = {"x": 0.1 + 0.2}
    assert Measurer(storage, call)("cost-kd", lambda: measured) == measured
    assert Measurer(storage, call)("cost-kd", dict) == measured
    assert Measurer(storage, None)("cost-kd", dict) == measured
    assert len(calls) == 1


def test_what_is_not_measured_cannot_be_read(tmp_path) -> None:
    storage = Storage(str(tmp_path / "itrd-cost"))
    with pytest.raises(NotMeasuredError, match=r"cost-kd is not measured yet; resume with `python"):
        Measurer(storage, None)("cost-kd", dict)
