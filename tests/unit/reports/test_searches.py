"""Searches that were made at any time, compared with each other."""

from dataclasses import replace

import pytest

from tests.support.by_hand import make_header
from tests.support.searched import make_search
from tuner.reports.searches import differing, pairable, search_rows, searches_findings


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_winners_are_paired_by_seed_and_corrected_for_having_chosen_the_best():
    searches = [
        make_search("a", (60.0, 61.0, 63.0)),
        make_search("b", (70.0, 71.5, 72.0), epochs=2, trials=8),
        make_search("c", (69.0, 70.5, 72.0)),
    ]
    rows = search_rows(searches)
    assert [row.search for row in rows] == ["b", "c", "a"]  # by validation accuracy
    best, second, third = rows
    assert best.to_best is None
    assert best.setting == {"weight": 2.0}
    assert best.test_accuracy.mean == pytest.approx(71.1667, abs=1e-4)
    assert best.plain.mean == 51.0
    assert (best.to_plain.num_comparisons, second.to_best.num_comparisons) == (1, 3)
    assert second.to_best.mean == pytest.approx(-2 / 3)
    assert third.to_best.mean == pytest.approx(-9.8333, abs=1e-4)
    first, others = searches_findings(searches, rows)
    assert first == (
        "Of 3 searches with the same data, split and seeds, b has the highest validation accuracy"
        " in its final trainings."
    )
    # Differences 1, 1, 0: deviation 0.577, standard error 1/3, and t is 7.649.
    assert others.startswith(
        "b and c differ within noise: +0.67 points of test accuracy"
        " (95 % interval -1.88 to 3.22, corrected for 3 comparisons, 3 seeds). b beats a by 9.83"
    )


def test_a_search_without_a_journal_does_not_make_pairs_of_other_images():
    searches = [
        replace(make_search(name, (60.0, 61.0, 63.0)), header=header)
        for name, header in (
            ("a", None),
            ("b", make_header(data="some")),
            ("c", make_header(data="other")),
        )
    ]
    groups = [[one.name for one in group] for group in pairable(searches)]
    assert groups == [["a", "b"], ["c"]]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"limit": 500}, "number of training images"),
        ({"seed": 7}, "seed"),
        ({"validation_fraction": 0.1}, "validation split"),
        ({"data": "cifar10"}, "data"),
    ],
)
def test_what_cannot_be_paired_is_said_with_its_reason(given, why):
    searches = [make_search("a", (60.0, 61.0, 63.0)), make_search("b", (70.0, 71.5, 72.0), **given)]
    assert differing(*searches) == [why]
    rows = search_rows(searches)
    assert [row.to_best for row in rows] == [None, None]
    (paragraph,) = searches_findings(searches, rows)
    assert paragraph == (
        f"a and b cannot be paired because they differ in {why}: their accuracies are shown side by"
        " side, without a difference."
    )


def test_data_of_one_name_and_other_content_are_no_pair():
    one = replace(make_search("a", (60.0, 61.0, 63.0)), header=make_header(data="1234"))
    other = make_search("b", (70.0, 71.5, 72.0))  # as if only its tables were kept
    assert differing(one, other) == []
    assert differing(one, replace(other, header=make_header(data="5678"))) == ["data"]


def test_a_search_without_final_trainings_is_shown_and_not_compared():
    searches = [make_search("a", (), plain=()), make_search("b", (70.0, 71.5, 72.0))]
    rows = search_rows(searches)
    assert [row.search for row in rows] == ["b", "a"]
    assert "a has no finished final training to compare with." in " ".join(
        searches_findings(searches, rows)
    )
