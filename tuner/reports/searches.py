"""Which of several searches found the better setting, where that can be told.

Searches of the same data, split and seeds are compared by the differences within each seed, the
winner of one against the winner of another; others are only shown beside each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tuner.reports.methods import PLAIN, chosen, shown_setting
from tuner.reports.settings import SELECTED_ON_TEST
from tuner.reports.statistics import (
    Accuracy,
    Difference,
    accuracy_of,
    difference,
    num_pairs,
    sentence,
)
from tuner.results.record import Record
from tuner.results.trial import FINAL, Setting, Trial

# What has to be the same for trainings of equal seed to be pairs, and what it is called.
PAIRED_BY = {
    "data": "data",
    "image_size": "size of the images",
    "limit": "number of training images",
    "validation_fraction": "validation split",
    "seed": "seed of the split and of the trainings",
}


@dataclass(frozen=True)
class Searched:
    """A search that has begun: its name, what was asked for, what came of it."""

    name: str
    request: dict[str, Any]
    record: Record

    def finals(self, label: str) -> list[Trial]:
        return [trial for trial in self.record.trials_of(FINAL) if trial.setting_label == label]

    @property
    def winner(self) -> list[Trial]:
        """The final trainings of the setting that won."""
        return chosen(self.record)


@dataclass(frozen=True)
class SearchRow:
    """One search; what has no finished training is None."""

    search: str
    method: str
    setting: Setting  # of the winner: what was searched, and what differs from published
    is_published: bool  # whether the published setting won
    num_seeds: int
    val_accuracy: Accuracy | None
    test_accuracy: Accuracy | None
    published: Accuracy | None  # test accuracy
    plain: Accuracy | None
    to_plain: Difference | None  # the winner minus plain of the same search
    to_best: Difference | None  # minus the winner of the best search that it can be paired with


def compare_searches(searches: Sequence[Searched]) -> list[SearchRow]:
    """A row a search, those that can be paired together, the best of them first."""
    rows = []
    for group in pairable(searches):
        finished = sum(_num_finished(search) > 0 for search in group)
        rows += [_row(search, group[0], num_pairs(finished)) for search in group]
    return rows


def pairable(searches: Sequence[Searched]) -> list[list[Searched]]:
    """Groups of searches of the same data, split and seeds, best validation accuracy first."""
    groups: list[list[Searched]] = []
    for search in searches:
        # With all of them: one whose journal is gone could pair with both of two that differ.
        mine = next((g for g in groups if not any(differing(search, one) for one in g)), None)
        if mine is None:
            groups.append([search])
        else:
            mine.append(search)
    return [sorted(group, key=_validation, reverse=True) for group in groups]


def differing(one: Searched, other: Searched) -> list[str]:
    """What keeps two searches from being paired, in words."""
    reasons = [
        what for key, what in PAIRED_BY.items() if one.request.get(key) != other.request.get(key)
    ]
    # One name may stand for other images elsewhere; the journal knows what was read.
    contents = {search.record.header.data for search in (one, other) if search.record.is_open}
    return ["data", *reasons] if len(contents) > 1 and "data" not in reasons else reasons


def searches_findings(searches: Sequence[Searched], rows: Sequence[SearchRow]) -> list[str]:
    """What the rows say, in paragraphs: a group of searches each, then why there are several."""
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
        reasons = differing(first, other)
        paragraphs.append(
            f"{first.name} and {other.name} cannot be paired, for they differ in"
            f" {' and '.join(reasons)}: their accuracies stand beside each other, and no"
            " difference is claimed."
        )
    optimistic = [s.name for s in searches if s.request.get("select_on") == "test"]
    if optimistic:
        paragraphs.append(f"{', '.join(optimistic)}: {SELECTED_ON_TEST}")
    return paragraphs


def _group_findings(rows: list[SearchRow]) -> list[str]:
    best, *others = rows
    if best.num_seeds == 0:
        names = ", ".join(row.search for row in rows)
        return [f"No final training of {names} has finished, so they are not compared."]
    first = (
        f"Of {len(rows)} searches with the same data, split and seeds,"
        f" {best.search} has the highest validation accuracy after its final trainings."
    )
    sentences = []
    for row in others:
        if row.to_best is None:
            sentences.append(f"{row.search} has no finished final training to compare with.")
        else:
            sentences.append(sentence(best.search, row.search, _reversed(row.to_best)))
    if len(sentences) == 1:
        return [f"{first} {sentences[0]}"]
    return [first, " ".join(sentences)]


def _reversed(found: Difference) -> Difference:
    low = None if found.high is None else -found.high
    high = None if found.low is None else -found.low
    return Difference(-found.mean, low, high, found.num_seeds, found.num_comparisons)


def _row(search: Searched, best: Searched, num_comparisons: int) -> SearchRow:
    trials = search.winner
    finished = [trial for trial in trials if trial.is_full_length]
    return SearchRow(
        search=search.name,
        method=_method(search),
        setting=shown_setting(search.record, trials),
        is_published=bool(trials) and trials[0].setting_label == "published",
        num_seeds=len(finished),
        val_accuracy=accuracy_of(finished, "val_accuracy"),
        test_accuracy=accuracy_of(finished, "test_accuracy"),
        published=_accuracy(search.finals("published")),
        plain=_accuracy(search.finals(PLAIN)),
        to_plain=difference(trials, search.finals(PLAIN)),
        to_best=(None if search is best else difference(trials, best.winner, num_comparisons)),
    )


def _method(search: Searched) -> str:
    methods = (t.method for t in search.record.trials.values() if t.role != "teacher")
    return next((method for method in methods if method != PLAIN), "")


def _accuracy(trials: list[Trial]) -> Accuracy | None:
    return accuracy_of([trial for trial in trials if trial.is_full_length], "test_accuracy")


def _validation(search: Searched) -> float:
    finished = [trial for trial in search.winner if trial.is_full_length]
    found = accuracy_of(finished, "val_accuracy")
    return -1.0 if found is None else found.mean


def _num_finished(search: Searched) -> int:
    return sum(trial.is_full_length for trial in search.winner)
