"""The page that compares methods, and its table."""

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.searched import make_method
from tuner.config.options import SearchRequest
from tuner.reports.methods_page import METHODS_FILE, write_methods_report
from tuner.storage.folder import Storage


def test_page_and_table_hold_every_method_and_the_figure_plain_once(tmp_path):
    storage = Storage(str(tmp_path / "comparison"))
    records = {
        "kd": make_method(tmp_path, "kd", tuned=(60.0, 61.5, 62.0), published=(59.0, 60.0, 61.0)),
        "at": make_method(tmp_path, "at", published=(55.0, 56.0, 57.1)),
        "sp": make_method(tmp_path, "sp"),
    }
    request = SearchRequest(
        space="kd,at,sp", name="<b>mine</b>", trials=2, seeds=1, set={"weight": "7"}
    )
    path, _ = write_methods_report(storage, request, records)
    page = Path(path).read_text()
    assert "&lt;b&gt;mine&lt;/b&gt;" in page
    assert '<a href="kd/report.html">kd</a>' in page
    assert "plain/report.html" not in page
    assert "at most 2 trials, then final trainings with 1 seed that no search used." in page
    assert "Pinned: weight=7." in page
    table = pq.read_table(tmp_path / "comparison" / METHODS_FILE).to_pydict()
    assert table["method"] == ["kd", "at", "sp", "plain"]
    assert table["to_best_mean"][:2] == [None, pytest.approx(-5.1333, abs=1e-3)]
    assert table["test_accuracy_mean"][2] is None
    assert storage.files("figures") == ["final-accuracies.png", "final-accuracies.svg"]


def test_whatever_is_named_a_page_holds_no_markup_but_its_own(tmp_path):
    word = """</td><script>alert(1)</script>"'&"""
    pages = []
    for name in ("word", word):
        storage = Storage(str(tmp_path / f"page-{len(pages)}"))
        records = {
            name: make_method(tmp_path / f"{len(pages)}", "kd", published=(50.0, 51.0, 52.0))
        }
        request = SearchRequest(space="kd,at", name=name, set={name: name}, data=name, student=name)
        write_methods_report(storage, request, records)
        pages.append(storage.read("report.html").decode())
    assert "<script" not in pages[1]
    calm, hostile = (re.sub("<svg.*?</svg>", "", page, flags=re.DOTALL) for page in pages)
    assert hostile.count("<") == calm.count("<")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in hostile
