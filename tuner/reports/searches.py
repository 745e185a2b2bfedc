"""Compares searches made at any time: which found the better setting, if that can be decided.

Searches with the same data, split and seeds are compared by the differences within each seed,
winner against winner; others are only shown side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces import Setting
from tuner.reports.final_trainings import (
    SELECTED_ON_TEST,
    finals_of,
    num_finished,
    published_won,
    winners_finals,
    winners_setting,
)
from tuner.reports.request import is_selected_on_test
from tuner.reports.statistics import (
    Accuracy,
    Difference,
    accuracy_of,
    difference,
    num_pairs,
    sentence,
    validation_mean,
)
from tuner.results.header import Header
from tuner.results.record import Record
from tuner.results.trial import PLAIN, PUBLISHED, TEACHER, Trial

# Options that must be equal for trainings of equal seed to be pairs, and their names in sentences.
PAIRED_BY = {
    "data": "data",
    "image_size": "image size",
    "limit": "number of training images",
    "validation_fraction": "validation split",
    "seed": "seed",
}


@dataclass(frozen=True)
class Searched:
    """A search that has begun, as its folder holds it."""

    name: str
    request: dict[str, Any]
    record: Record
    header: Header | None = None  # None without a journal

    @property
    def winner(self) -> list[Trial]:
        """The final trainings of the setting that won."""
        return winners_finals(self.record)


@dataclass(frozen=True)
class SearchRow:
    """One search; None where no training has finished."""

    search: str
    method: str
    setting: Setting  # of the winner: what trials vary or the user pinned
    is_published: bool  # whether the published setting won
    num_seeds: int
    val_accuracy: Accuracy | None
    test_accuracy: Accuracy | None
    published: Accuracy | None  # test accuracy
    plain: Accuracy | None  # test accuracy
    to_plain: Difference | None  # the winner minus plain of the same search
    to_best: Difference | None  # minus the winner of the best search that it pairs with


def search_rows(searches: Sequence[Searched]) -> list[SearchRow]:
    """One row per search; searches that pair stand together, the best of them first."""
    rows = []
    for group in pairable(searches):
        finished = sum(num_finished(search.winner) > 0 for search in group)
        rows += [_row(search, group[0], num_pairs(finished)) for search in group]
    return rows


def pairable(searches: Sequence[Searched]) -> list[list[Searched]]:
    """Groups of searches with the same data, split and seeds, best validation accuracy first."""
    groups: list[list[Searched]] = []
    for search in searches:
        # It must pair with each: without a journal it could pair with two that differ.
        mine = next((g for g in groups if not any(differing(search, one) for one in g)), None)
        if mine is None:
            groups.append([search])
        else:
            mine.append(search)
    return [
        sorted(group, key=lambda search: validation_mean(search.winner), reverse=True)
        for group in groups
    ]


def differing(one: Searched, other: Searched) -> list[str]:
    """What keeps two searches from being paired, in words; empty if they pair."""
    reasons = [
        what for key, what in PAIRED_BY.items() if one.request.get(key) != other.request.get(key)
    ]
    # The same name may stand for other images elsewhere; the journal knows what was read.
    contents = {search.header.data for search in (one, other) if search.header is not None}
    return ["data", *reasons] if len(contents) > 1 and "data" not in reasons else reasons


def searches_findings(searches: Sequence[Searched], rows: Sequence[SearchRow]) -> list[str]:
    """What the rows show: a paragraph per group of searches, then why groups are not compared."""
    by_name = {row.search: row for row in rows}
    groups = pairable(searches)
    paragraphs = [
        paragraph
        for group in groups
        if len(group) > 1
        for paragraph in _group_findings([by_name[search.name] for search in group])
    ]
    first, *others = (group[0] for group in groups)
    for other in others:
        reasons = " and ".join(differing(first, other))
        paragraphs.append(
            f"{first.name} and {other.name} cannot be paired because they differ in {reasons}:"
            " their accuracies are shown side by side, without a difference."
        )
    optimistic = [search.name for search in searches if is_selected_on_test(search.request)]
    if optimistic:
        paragraphs.append(f"{', '.join(optimistic)}: {SELECTED_ON_TEST}")
    return paragraphs


def _group_findings(rows: list[SearchRow]) -> list[str]:
    best, *others = rows
    if best.num_seeds == 0:
        names = ", ".join(row.search for row in rows)
        return [f"No final training of {names} has finished, so they are not compared."]
    first = (
        f"Of {len(rows)} searches with the same data, split and seeds, {best.search} has the"
        " highest validation accuracy in its final trainings."
    )
    sentences = [
        f"{row.search} has no finished final training to compare with."
        if row.to_best is None
        else sentence(best.search, row.search, row.to_best.reversed())
        for row in others
    ]
    if len(sentences) == 1:
        return [f"{first} {sentences[0]}"]
    return [first, " ".join(sentences)]


def _row(search: Searched, best: Searched, num_comparisons: int) -> SearchRow:
    trials, record = search.winner, search.record
    plain = finals_of(record, PLAIN)
    return SearchRow(
        search=search.name,
        method=_method(record),
        setting=winners_setting(record),
        is_published=published_won(record),
        num_seeds=num_finished(trials),
        val_accuracy=accuracy_of(trials, "val_accuracy"),
        test_accuracy=accuracy_of(trials, "test_accuracy"),
        published=accuracy_of(finals_of(record, PUBLISHED), "test_accuracy"),
        plain=accuracy_of(plain, "test_accuracy"),
        to_plain=difference(trials, plain),
        to_best=None if search is best else difference(trials, best.winner, num_comparisons),
    )


def _method(record: Record) -> str:
    methods = (trial.method for trial in record.trials.values() if trial.role != TEACHER)
    return next((method for method in methods if method != PLAIN), "")
