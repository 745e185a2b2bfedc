"""Compares methods, each with the setting that its own search chose.

All searches of a comparison share data, splits, seeds and budgets, so methods are compared by the
differences within each seed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from search_spaces import Setting
from tuner.reports.cost import relative_cost
from tuner.reports.final_trainings import (
    SELECTED_ON_TEST,
    num_finished,
    plain_finals,
    published_won,
    winner_text,
    winners_finals,
    winners_setting,
)
from tuner.reports.statistics import (
    Accuracy,
    Difference,
    accuracy_of,
    accuracy_text,
    difference,
    difference_text,
    num_pairs,
    sentence,
    validation_mean,
)
from tuner.results.record import Record
from tuner.results.trial import PLAIN, Trial
from tuner.text.formatting import NOTHING

COLUMNS = ("method", "setting", "validation (%)", "test (%)", "− plain", "− best", "cost")


@dataclass(frozen=True)
class MethodRow:
    """The final trainings of a method's best setting; None where no training has finished."""

    method: str
    setting: Setting  # what trials vary or the user pinned
    is_published: bool  # whether the published setting won the method's search
    num_seeds: int
    val_accuracy: Accuracy | None
    test_accuracy: Accuracy | None
    to_plain: Difference | None  # this minus plain
    to_best: Difference | None  # this minus the best method; None for the best itself
    cost: float | None  # time of an epoch relative to plain training


def compare_methods(records: Mapping[str, Record]) -> list[MethodRow]:
    """One row per method, best validation accuracy first; then plain training.

    Differences are of test accuracy. The trainings that are compared also chose the best method,
    so intervals are corrected: for the number of methods in comparisons with plain, for the number
    of their pairs in comparisons with the best.
    """
    finals = {method: winners_finals(record) for method, record in records.items()}
    plain = plain_finals(records.values())
    ranked = sorted(finals, key=lambda method: -validation_mean(finals[method]))
    best = finals[ranked[0]]
    num_methods = sum(num_finished(trials) > 0 for trials in finals.values())
    rows = []
    for method in ranked:
        trials = finals[method]
        to_plain = difference(trials, plain, max(num_methods, 1))
        is_best = method == ranked[0]
        to_best = None if is_best else difference(trials, best, num_pairs(num_methods))
        rows.append(_row(method, trials, plain, records[method], to_plain, to_best))
    to_best = difference(plain, best, max(num_methods, 1))
    return [*rows, _row(PLAIN, plain, plain, None, None, to_best)]


def methods_findings(rows: list[MethodRow], select_on: str = "val") -> list[str]:
    """Paragraphs: the best method, the others compared with it, the limits."""
    best, *others = (row for row in rows if row.method != PLAIN)
    if best.num_seeds == 0:
        return ["No final training of any method has finished, so nothing is compared."]
    first = [f"{best.method} has the highest validation accuracy of the methods."]
    if best.to_plain is not None:
        first.append(sentence(best.method, PLAIN, best.to_plain))
    limits = []
    if best.num_seeds > 1 and any(row.to_best is not None for row in others):
        limits.append(
            "These trainings also chose the best method, so intervals are corrected: its"
            " differences from the other methods hold simultaneously at 95 %."
        )
    if select_on == "test":
        limits.append(SELECTED_ON_TEST)
    paragraphs = (first, _others(best, others), limits)
    return [" ".join(sentences) for sentences in paragraphs if sentences]


def row_texts(row: MethodRow) -> tuple[str, ...]:
    """A row's cells, in the order of `COLUMNS`."""
    return (
        row.method,
        winner_text(row.setting, is_published=row.is_published),
        accuracy_text(row.val_accuracy),
        accuracy_text(row.test_accuracy),
        difference_text(row.to_plain),
        difference_text(row.to_best),
        NOTHING if row.cost is None else f"{row.cost:.2f}",
    )


def _others(best: MethodRow, others: list[MethodRow]) -> list[str]:
    compared = [(row.method, row.to_best) for row in others if row.to_best is not None]
    within = [method for method, found in compared if found.is_noise]
    behind = [method for method, found in compared if not found.is_noise and found.mean < 0]
    ahead = [method for method, found in compared if not found.is_noise and found.mean > 0]
    unfinished = [row.method for row in others if row.num_seeds == 0]
    sentences = []
    if behind:
        sentences.append(f"It beats {', '.join(behind)} on the test set.")
    if ahead:
        sentences.append(f"It loses to {', '.join(ahead)} on the test set.")
    if within:
        one_seed = best.num_seeds == 1
        what = "One seed cannot distinguish it from" if one_seed else "Within noise of it"
        sentences.append(f"{what}: {', '.join(within)}.")
    if unfinished:
        sentences.append(f"No final training of {', '.join(unfinished)} has finished.")
    return sentences


def _row(
    method: str,
    trials: list[Trial],
    plain: list[Trial],
    record: Record | None,
    to_plain: Difference | None,
    to_best: Difference | None,
) -> MethodRow:
    return MethodRow(
        method=method,
        setting={} if record is None else winners_setting(record),
        is_published=record is not None and published_won(record),
        num_seeds=num_finished(trials),
        val_accuracy=accuracy_of(trials, "val_accuracy"),
        test_accuracy=accuracy_of(trials, "test_accuracy"),
        to_plain=to_plain,
        to_best=to_best,
        cost=relative_cost(trials, plain, record),
    )
