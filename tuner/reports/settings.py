"""Is the tuned setting better than the published one and than no distillation at all?

The final trainings of a seed share their initial weights, images and order, so two
settings are compared by the differences within each seed, which vary much less than
the accuracies do. Intervals cover the seeds, not the choice of the test images.

The winner of a search is trained again with seeds that did not choose it, so that it was the best
of many trials favours it no longer. Where the same trainings choose the best of several and
compare it with the others (methods, searches), it does: m intervals are then made wider, so that
with a probability of 95 % all of them hold (Bonferroni: each covers 1 - 0.05 / m). Any of them
might have been the best, so m counts all pairs, not only those that are looked at in the end:
the best is chosen to lie far from the worst (17 equal methods: 10 to 16 % instead of 5 %).
"""

from dataclasses import dataclass

from tuner.reports.statistics import Accuracy, Difference, accuracy_of, difference, sentence
from tuner.results.record import Record
from tuner.results.trial import FAILED, FINAL, TEACHER, Setting, Trial

LABELS = ("tuned", "published", "plain", "teacher")  # the order of the rows
SELECTED_ON_TEST = (
    "Settings were selected on the test set (the papers' protocol), so these test accuracies"
    " are optimistic."
)


@dataclass(frozen=True)
class Row:
    """The final trainings of one setting; what has no finished training is None."""

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
    """A row per setting that was trained in full, and the teacher's if it was trained here.

    A training that has not reached its last epoch does not count.
    """
    groups: dict[str, list[Trial]] = {}
    for trial in [*record.trials_of(FINAL), *record.trials_of(TEACHER)]:
        groups.setdefault(trial.setting_label, []).append(trial)
    rows = []
    for label in sorted(groups, key=_rank):
        trials = groups[label]
        is_student = trials[0].role == FINAL
        finished = [trial for trial in trials if trial.is_full_length]
        rows.append(
            Row(
                label=label,
                method=trials[0].method,
                setting=trials[0].setting,
                num_seeds=len(finished),
                num_failed=sum(trial.status == FAILED for trial in trials),
                val_accuracy=accuracy_of(finished, "val_accuracy"),
                test_accuracy=accuracy_of(finished, "test_accuracy"),
                to_plain=(
                    difference(trials, groups.get("plain", []))
                    if is_student and label != "plain"
                    else None
                ),
                to_published=(
                    difference(trials, groups.get("published", [])) if label == "tuned" else None
                ),
            )
        )
    return rows


def verdict(rows: list[Row], select_on: str = "val") -> str:
    """What the final trainings say, in one to three plain sentences."""
    by_label = {row.label: row for row in rows}
    best = by_label.get("tuned") or by_label.get("published")
    if best is None:
        return "The final trainings have not begun, so nothing is compared yet."
    sentences = []
    if best.label == "published":
        sentences.append("The published setting won the search.")
    if best.num_seeds == 0:
        sentences.append(f"No final training of the {best.label} setting has finished yet.")
    else:
        for other, found in (("plain", best.to_plain), ("published", best.to_published)):
            if found is not None:
                sentences.append(sentence(best.label.capitalize(), other, found))
        if best.to_plain is None:
            sentences.append("No final training of the plain student has finished to compare with.")
    if select_on == "test":
        sentences.append(SELECTED_ON_TEST)
    return " ".join(sentences)


def _rank(label: str) -> int:
    return LABELS.index(label) if label in LABELS else len(LABELS)
