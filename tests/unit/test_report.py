"""`tuner report`: which report a name gets, and the folders of comparisons of several searches."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

import tuner.report
from tests.support.searched import make_search


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_search_is_rebuilt_from_its_journal_or_else_from_its_tables(capsys):
    make_search("a", (60.0, 61.0, 63.0))
    page = Path("runs/a/report.html")
    assert tuner.report.main(["a"]) == 0
    assert capsys.readouterr().out.strip() == str(page.absolute())
    content = page.read_text()
    page.unlink()
    Path("runs/a/journal.jsonl").unlink()
    assert tuner.report.main(["a"]) == 0
    assert page.read_text() == content


def test_a_comparison_of_methods_is_rebuilt_from_the_searches_that_have_begun(capsys):
    Path("runs/several").mkdir(parents=True)
    for name, content in (("search.yaml", "space: kd,at"), ("id", "1")):
        Path("runs/several", name).write_text(content)
    assert tuner.report.main(["several"]) == 2
    assert "no search of 'several' has started" in capsys.readouterr().err
    make_search("several/kd", (60.0, 61.0, 63.0))
    assert tuner.report.main(["several"]) == 0
    table = pq.read_table("runs/several/methods.parquet").to_pydict()
    assert table["method"] == ["kd", "plain"]


def test_several_searches_get_a_folder_named_after_them_or_as_asked(capsys):
    make_search("a", (60.0, 61.0, 63.0))
    make_search("b", (70.0, 71.5, 72.0))
    assert tuner.report.main(["a", "b"]) == 0
    assert capsys.readouterr().out.strip() == str(Path("runs/a+b/report.html").absolute())
    assert tuner.report.main(["a", "b", "--name", "both"]) == 0
    assert tuner.report.main(["b", "a", "--name", "both"]) == 0  # again
    assert Path("runs/both/report.html").exists()


def test_the_searches_of_a_comparison_of_methods_are_compared_with_others():
    make_search("several/kd", (60.0, 61.0, 63.0))
    make_search("b", (70.0, 71.5, 72.0))
    for name, content in (("search.yaml", "space: kd,at"), ("id", "1")):
        Path("runs/several", name).write_text(content)
    assert tuner.report.main(["several", "b"]) == 0
    page = Path("runs/several+b/report.html").read_text()
    assert '<a href="../several/kd/report.html">several/kd</a>' in page


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a", "none"], "there is no search named 'none' in "),
        (["a", "a"], "'a' is named twice; name each search once"),
        (["a", "b", "--name", "a"], "'a' is the folder of a search; choose another --name"),
        (["a", "b", "--name", "../x"], "../x"),
        (["a", "--name", "x"], "--name is for the report of several searches; leave it out"),
        (["a", "b" * 99], "there is no search named"),
    ],
)
def test_what_cannot_be_compared_is_refused_and_nothing_written(arguments, sentence, capsys):
    make_search("a", (60.0, 61.0, 63.0))
    make_search("b", (70.0, 71.5, 72.0))
    before = sorted(Path("runs").rglob("*"))
    assert tuner.report.main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("tuner: ")
    assert sentence in err
    assert err.count("\n") == 1
    assert sorted(Path("runs").rglob("*")) == before


def test_names_that_are_too_long_together_are_refused(capsys):
    names = ["a" * 60, "b" * 60]
    for name in names:
        make_search(name, (60.0, 61.0, 63.0))
    assert tuner.report.main(names) == 2
    assert "give one with --name" in capsys.readouterr().err
    assert tuner.report.main([*names, "--name", "short"]) == 0


def test_other_files_of_the_user_are_left_alone(capsys):
    for name in "ab":
        make_search(name, (60.0, 61.0, 63.0))
    own = Path("runs/thesis/figures/own.png")
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    assert tuner.report.main(["a", "b", "--name", "thesis"]) == 2
    assert "already holds other files" in capsys.readouterr().err
    assert own.read_bytes() == b"mine"
