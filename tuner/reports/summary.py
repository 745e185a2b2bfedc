"""What a search found, in words: the verdict, the winner, the trials."""

from collections.abc import Mapping
from typing import Any

from tuner.reports.request import axis_of, metric_of
from tuner.reports.settings import Row, rows_of_students, verdict
from tuner.results.record import Record, ranked
from tuner.results.trial import FAILED, FINAL, PLAIN, PUBLISHED, RUNNING, SEARCH, STOPPED, Trial
from tuner.text.formatting import count_text, duration_text, setting_text


def findings(
    record: Record, request: Mapping[str, Any], rows: list[Row], winner: Trial | None
) -> list[str]:
    """One paragraph each for the verdict (once there are final trainings), winner and trials."""
    paragraphs = [verdict(rows, request.get("select_on", "val"))] if rows_of_students(rows) else []
    paragraphs.append(_winner(record, request, winner))
    paragraphs.append(_trials(record, request))
    return paragraphs


def is_interrupted(record: Record, request: Mapping[str, Any]) -> bool:
    """Whether the tables show that something is left to train."""
    searched, finals = record.trials_of(SEARCH), record.trials_of(FINAL)
    if any(trial.status == RUNNING for trial in record.trials.values()):
        return True
    if not finals:
        has_results = any(trial.epochs and trial.status != FAILED for trial in searched)
        return has_results or len(searched) < request.get("trials", 1)
    planned = request.get("seeds", 1)
    labels = {trial.setting_label for trial in finals} | {PUBLISHED, PLAIN}
    return any(sum(trial.setting_label == label for trial in finals) < planned for label in labels)


def _winner(record: Record, request: Mapping[str, Any], winner: Trial | None) -> str:
    if winner is None:
        return "There is no best trial: none ran to its last epoch."
    setting = setting_text(winner.setting) or "no hyperparameters"
    value = winner.last(metric_of(request))
    accuracy = "" if value is None else f", {value:.2f} % {axis_of(request)} with one seed"
    text = f"Best trial: {winner.name} ({setting}){accuracy}."
    num_ranked = len(ranked(record))
    if num_ranked > 1:
        # The largest of several noisy numbers is too large on average.
        text += (
            f" As the best of {num_ranked}, this accuracy is optimistic;"
            " the final trainings use fresh seeds."
        )
    return text


def _trials(record: Record, request: Mapping[str, Any]) -> str:
    trials = record.trials_of(SEARCH)
    counts = [
        (sum(trial.is_full_length for trial in trials), "ran to the end"),
        (sum(trial.status == STOPPED for trial in trials), "stopped early"),
        (sum(trial.status == FAILED for trial in trials), "failed"),
        (sum(trial.status == RUNNING for trial in trials), "not finished"),
    ]
    text = ", ".join(f"{number} {what}" for number, what in counts if number)
    seconds = sum(trial.seconds for trial in trials)
    text = f"{count_text(len(trials), 'trial')}{': ' + text if text else ''}."
    text += f" Training time of all trials: {duration_text(seconds)}."
    if is_interrupted(record, request):
        text += " The search is unfinished; the command at the end of this page resumes it."
    return text
