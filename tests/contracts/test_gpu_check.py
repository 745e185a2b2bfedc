"""The GPU check survives the failure of a section, and stops in time."""

import json
from pathlib import Path

import torch

from benchmarks.gpu.check import Check


def failing(check: Check) -> None:
    raise RuntimeError("no such kernel")


def passing(check: Check) -> None:
    check.add("passing", "one", 1, "ok")


def test_a_section_that_fails_is_a_finding_and_the_next_one_runs(tmp_path: Path) -> None:
    check = Check(torch.device("cpu"), 100, tmp_path)
    check.run({"failing": failing, "passing": passing})
    rows = json.loads((tmp_path / "gpu.json").read_text())
    assert [(row["section"], row["verdict"]) for row in rows] == [
        ("failing", "FAIL"),
        ("passing", "ok"),
    ]
    assert rows[0]["value"].startswith("RuntimeError: no such kernel at check.py:")
    assert [finding.section for finding in check.failures] == ["failing"]


def test_a_section_without_time_is_skipped(tmp_path: Path) -> None:
    check = Check(torch.device("cpu"), 0, tmp_path)
    check.run({"passing": passing})
    assert [(one.what, one.verdict) for one in check.findings] == [
        ("out of time at passing", "SKIP")
    ]
