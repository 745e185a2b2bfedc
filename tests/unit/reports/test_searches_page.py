"""The page that compares several searches."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.searched import make_search
from tuner.reports.searches_page import write_searches_report
from tuner.storage.folder import Storage


@pytest.fixture
def page(tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    searches = [
        make_search("a", (60.0, 61.0, 63.0), select_on="test"),
        make_search("b", (70.0, 71.5, 72.0), student="resnet14", trials=5),
    ]
    path = write_searches_report(Storage("runs/a+b"), "a+b", searches)
    assert path == str(Path("runs/a+b/report.html").absolute())
    return Path(path).read_text()


def test_the_page_compares_requests_and_results(page):
    assert '<a href="../b/report.html">b</a>' in page
    assert "<td>student</td><td>resnet8</td><td>resnet14</td>" in page
    assert "<td>teacher</td>" not in page  # the same in both
    assert page.count("<svg") == 2
    assert sorted(one.name for one in Path("runs/a+b/figures").iterdir()) == [
        "best-so-far.png",
        "best-so-far.svg",
        "final-accuracies.png",
        "final-accuracies.svg",
    ]
    table = pq.read_table("runs/a+b/tables/searches.parquet").to_pydict()
    assert table["search"] == ["b", "a"]
    assert table["to_best_low"][1] < table["to_best_mean"][1] < table["to_best_high"][1]
    assert table["plain_mean"] == [51.0, 51.0]
    # One selected on the test set, the other on the validation split.
    assert "Settings were selected on the test set" in page
    assert "Best ranking accuracy by epochs trained" in page
