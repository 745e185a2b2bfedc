"""Which method is best, each with the setting that its own search chose?

All searches of a comparison share data, splits, seeds and budgets, so two methods are
compared by the differences within each seed, as `comparison` does with settings.
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

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
from tuner.results.tables import seconds_of
from tuner.results.trial import FINAL, SEARCH, Setting, Trial

PLAIN = "plain"


@dataclass(frozen=True)
class MethodRow:
    """The final trainings of a method's best setting; what has no finished training is None."""

    method: str
    setting: Setting  # what was searched, and what differs from the published setting
    is_published: bool  # whether the published setting won its search
    num_seeds: int
    val_accuracy: Accuracy | None
    test_accuracy: Accuracy | None
    to_plain: Difference | None  # this minus plain
    to_best: Difference | None  # this minus the best method; of the best itself None
    cost: float | None  # time of an epoch relative to plain training, see `_cost`


def compare_methods(records: Mapping[str, Record]) -> list[MethodRow]:
    """A row a method, best validation accuracy first, then plain training, which has no method.

    The best method is chosen by validation accuracy; differences are of test accuracy. The
    trainings that are compared are those that chose it, so intervals are corrected: for all
    methods where each is compared with plain, for all pairs of them where the best is.
    """
    trainings = {method: chosen(record) for method, record in records.items()}
    plain = plain_trainings(records)
    ranked = sorted(trainings, key=lambda method: -_validation(trainings[method]))
    best = trainings[ranked[0]]
    num_methods = sum(any(t.is_full_length for t in trials) for trials in trainings.values())
    rows = []
    for method in ranked:
        trials = trainings[method]
        to_plain = difference(trials, plain, max(num_methods, 1))
        is_best = method == ranked[0]
        to_best = None if is_best else difference(trials, best, num_pairs(num_methods))
        rows.append(_row(method, trials, records[method], plain, to_plain, to_best))
    return [*rows, _row(PLAIN, plain, None, plain, None, difference(plain, best, num_methods or 1))]


def methods_verdict(rows: list[MethodRow], select_on: str = "val") -> str:
    """What the table says, in a few plain sentences."""
    return " ".join(methods_findings(rows, select_on))


def methods_findings(rows: list[MethodRow], select_on: str = "val") -> list[str]:
    """The same in paragraphs: the best method, then the others beside it, then what limits it."""
    best, *others = (row for row in rows if row.method != PLAIN)
    if best.num_seeds == 0:
        return ["No method has a finished final training, so nothing is compared."]
    first = [f"{best.method} has the highest validation accuracy of the methods."]
    if best.to_plain is not None:
        first.append(sentence(best.method, PLAIN, best.to_plain))
    compared = [(row.method, row.to_best) for row in others if row.to_best is not None]
    within = [method for method, found in compared if found.is_noise]
    behind = [method for method, found in compared if not found.is_noise and found.mean < 0]
    ahead = [method for method, found in compared if not found.is_noise and found.mean > 0]
    second = []
    if behind:
        second.append(f"It beats {', '.join(behind)} on the test set.")
    if ahead:
        second.append(f"It loses to {', '.join(ahead)} on the test set.")
    if within:
        one_seed = best.num_seeds == 1
        what = "One seed cannot tell it from" if one_seed else "Within noise of it"
        second.append(f"{what}: {', '.join(within)}.")
    unfinished = [row.method for row in others if row.num_seeds == 0]
    if unfinished:
        second.append(f"Without a finished final training: {', '.join(unfinished)}.")
    third = []
    if compared and best.num_seeds > 1:
        third.append(
            "These trainings also picked the best method, so intervals are corrected: those of"
            " its differences from the other methods hold together with 95 %."
        )
    if select_on == "test":
        third.append(SELECTED_ON_TEST)
    return [" ".join(sentences) for sentences in (first, second, third) if sentences]


def _row(
    method: str,
    trials: list[Trial],
    record: Record | None,
    plain: list[Trial],
    to_plain: Difference | None,
    to_best: Difference | None,
) -> MethodRow:
    finished = [trial for trial in trials if trial.is_full_length]
    return MethodRow(
        method=method,
        setting={} if record is None else shown_setting(record, trials),
        is_published=bool(trials) and trials[0].setting_label == "published",
        num_seeds=len(finished),
        val_accuracy=accuracy_of(finished, "val_accuracy"),
        test_accuracy=accuracy_of(finished, "test_accuracy"),
        to_plain=to_plain,
        to_best=to_best,
        cost=_cost(finished, plain, record),
    )


def _finals(record: Record, label: str) -> list[Trial]:
    return [trial for trial in record.trials_of(FINAL) if trial.setting_label == label]


def plain_trainings(records: Mapping[str, Record]) -> list[Trial]:
    """One for each seed, of the first search that finished it: the others have taken it over."""
    by_seed: dict[int, Trial] = {}
    for record in records.values():
        for trial in _finals(record, PLAIN):
            known = by_seed.get(trial.seed)
            if known is None or not known.is_full_length:
                by_seed[trial.seed] = trial
    return list(by_seed.values())


def chosen(record: Record) -> list[Trial]:
    """The final trainings of the setting that won the search."""
    return _finals(record, "tuned") or _finals(record, "published")


def shown_setting(record: Record, trials: list[Trial]) -> Setting:
    """Of the setting of a search's final trainings: what trials vary, or a person has pinned."""
    setting = trials[0].setting if trials else {}
    published = [trial.setting for trial in _finals(record, "published")]
    settings = [setting, *published, *(trial.setting for trial in record.trials_of(SEARCH))]
    return {
        name: value
        for name, value in setting.items()
        if value is not None and len({one.get(name) for one in settings}) > 1
    }


def _validation(trials: list[Trial]) -> float:
    found = accuracy_of([trial for trial in trials if trial.is_full_length], "val_accuracy")
    return -1.0 if found is None else found.mean


def _cost(trials: list[Trial], plain: list[Trial], record: Record | None) -> float | None:
    """Seconds an epoch relative to plain training, an initial stage included.

    The teacher's share is the least that an epoch of the search had: many fill the cache for
    those after them, final trainings above all, whose seeds are new.
    """
    seconds, plain_seconds = _epoch_seconds(trials), _epoch_seconds(plain)
    if seconds is None or not plain_seconds:
        return None
    teacher = [
        epoch["teacher_seconds"]
        for trial in ([] if record is None else record.trials.values())
        for epoch in trial.epochs
        if "teacher_seconds" in epoch
    ]
    return (seconds + min(teacher, default=0.0)) / plain_seconds


def _epoch_seconds(trials: list[Trial]) -> float | None:
    """The median over the finished trainings, without what the teacher took."""
    seconds = [
        (seconds_of(trial) - sum(epoch.get("teacher_seconds", 0.0) for epoch in trial.epochs))
        / len(trial.epochs)
        for trial in trials
        if trial.is_full_length
    ]
    return statistics.median(seconds) if seconds else None
