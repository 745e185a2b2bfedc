"""Compares the settings of one search: tuned, published, and plain training without a teacher."""

from dataclasses import dataclass

from search_spaces import Setting
from tuner.reports.final_trainings import SELECTED_ON_TEST, num_finished, winners_finals
from tuner.reports.statistics import Accuracy, Difference, accuracy_of, difference, sentence
from tuner.results.record import Record
from tuner.results.trial import FAILED, FINAL, PLAIN, PUBLISHED, TEACHER, TUNED, Trial

LABELS = (TUNED, PUBLISHED, PLAIN, TEACHER)  # the order of the rows


@dataclass(frozen=True)
class Row:
    """The final trainings of one setting; None where no training has finished."""

    label: str  # "tuned", "published", "plain" or "teacher"
    method: str
    setting: Setting
    num_seeds: int  # finished
    num_failed: int
    val_accuracy: Accuracy | None
    test_accuracy: Accuracy | None
    to_plain: Difference | None  # this minus plain
    to_published: Difference | None  # this minus published; of "tuned" only


def compare(record: Record) -> list[Row]:
    """One row per setting, the winner's first, and one for the teacher if the search trained it.

    Only trainings that reached their last epoch count.
    """
    groups: dict[str, list[Trial]] = {}
    for trial in [*record.trials_of(FINAL), *record.trials_of(TEACHER)]:
        groups.setdefault(trial.setting_label, []).append(trial)
    winner = [trial.setting_label for trial in winners_finals(record)][:1]
    labels = sorted(groups, key=lambda label: (label not in winner, _rank(label)))
    return [_row(label, groups) for label in labels]


def verdict(rows: list[Row], select_on: str = "val") -> str:
    """States in one to three sentences what the final trainings show."""
    best = rows[0] if rows else None
    if best is None or best.label not in (TUNED, PUBLISHED):
        return "The final trainings have not begun, so nothing is compared yet."
    sentences = []
    tuned = next((row for row in rows if row.label == TUNED), None)
    if best.label == PUBLISHED and tuned is None:
        sentences.append("The published setting won the search.")
    elif best.label == PUBLISHED and tuned is not None and tuned.num_seeds == 0:
        sentences.append("All final trainings of the tuned setting failed.")
    elif best.label == PUBLISHED:
        sentences.append("The published setting validates better than the tuned one.")
    if best.num_seeds == 0:
        sentences.append(f"No final training of the {best.label} setting has finished yet.")
    else:
        if best.to_plain is not None:
            sentences.append(sentence(best.label.capitalize(), PLAIN, best.to_plain))
        if tuned is not None and tuned.to_published is not None:
            sentences.append(sentence(TUNED.capitalize(), PUBLISHED, tuned.to_published))
        if best.to_plain is None:
            sentences.append("No final training of the plain student has finished to compare with.")
    if select_on == "test":
        sentences.append(SELECTED_ON_TEST)
    return " ".join(sentences)


def rows_of_students(rows: list[Row]) -> list[Row]:
    """All rows but the teacher's."""
    return [row for row in rows if row.label != TEACHER]


def _row(label: str, groups: dict[str, list[Trial]]) -> Row:
    trials = groups[label]
    compares_with_plain = trials[0].role == FINAL and label != PLAIN
    return Row(
        label=label,
        method=trials[0].method,
        setting=trials[0].setting,
        num_seeds=num_finished(trials),
        num_failed=sum(trial.status == FAILED for trial in trials),
        val_accuracy=accuracy_of(trials, "val_accuracy"),
        test_accuracy=accuracy_of(trials, "test_accuracy"),
        to_plain=difference(trials, groups.get(PLAIN, [])) if compares_with_plain else None,
        to_published=difference(trials, groups.get(PUBLISHED, [])) if label == TUNED else None,
    )


def _rank(label: str) -> int:
    return LABELS.index(label) if label in LABELS else len(LABELS)
