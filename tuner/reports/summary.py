"""What a search found, in words."""

from typing import Any

from tuner.reports.settings import Row, verdict
from tuner.results.record import Record
from tuner.results.tables import seconds_of
from tuner.results.trial import FAILED, FINAL, RUNNING, SEARCH, STOPPED, Trial
from tuner.text.formatting import count_text, duration_text, setting_text, value_text


def metric_of(request: dict[str, Any]) -> str:
    """The accuracy that trials were ranked on."""
    return f"{request.get('select_on', 'val')}_accuracy"


def axis_of(request: dict[str, Any]) -> str:
    """The same, as a figure's axis names it."""
    return "test accuracy" if request.get("select_on") == "test" else "validation accuracy"


def findings(
    record: Record, request: dict[str, Any], rows: list[Row], winner: Trial | None
) -> list[str]:
    """The verdict, the winner and the trials, a paragraph each."""
    paragraphs = [verdict(rows, request.get("select_on", "val"))] if rows_of_students(rows) else []
    paragraphs.append(_winner(record, request, winner))
    paragraphs.append(_trials(record, request))
    return paragraphs


def rows_of_students(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row.label != "teacher"]


def workload_text(request: dict[str, Any]) -> list[tuple[str, str]]:
    """Data, networks and schedule, as far as search.yaml holds them: (what, value)."""
    teacher, _, checkpoint = str(request.get("teacher", "")).partition("@")
    data = str(request.get("data", ""))
    if "limit" in request:
        data += f", {count_text(request['limit'], 'training image')}"
    if "validation_fraction" in request:
        share = value_text(100.0 * request["validation_fraction"])
        data += f", {share} % of the training set held out for validation"
    ranked = (
        "the test set (the papers' protocol; the accuracies below are optimistic)"
        if request.get("select_on") == "test"
        else "the validation split; the test set is read after the final trainings only"
    )
    algorithm = f"{request.get('algo', 'tpe')} with {request.get('scheduler', 'asha')}"
    values = [
        ("Data", data),
        ("Teacher", teacher + (f", from {checkpoint}" if checkpoint else "")),
        ("Student", str(request.get("student", ""))),
        ("Schedule", _schedule(request)),
        ("Search", f"{request.get('space', '')}, {algorithm}, seed {request.get('seed', 0)}"),
        ("Ranked on", ranked),
    ]
    return [(name, value) for name, value in values if value]


def _schedule(request: dict[str, Any]) -> str:
    parts = [count_text(request["epochs"], "epoch")] if "epochs" in request else []
    if "batch_size" in request:
        parts.append(f"batches of {request['batch_size']}")
    if "lr" in request:
        parts.append(f"learning rate {value_text(request['lr'])}")
    return ", ".join(parts)


def _winner(record: Record, request: dict[str, Any], winner: Trial | None) -> str:
    if winner is None:
        return "No trial has won, for none ran to its last epoch."
    setting = setting_text(winner.setting) or "no hyperparameters"
    value = winner.last(metric_of(request))
    accuracy = "" if value is None else f", {value:.2f} % {axis_of(request)} with one seed"
    text = f"Winner: trial {winner.name} ({setting}){accuracy}."
    num_ranked = sum(trial.is_full_length for trial in record.trials_of(SEARCH))
    if num_ranked > 1:
        # The largest of several noisy numbers is too large on average.
        text += (
            f" As the best of {num_ranked}, that accuracy flatters it;"
            " the final trainings use fresh seeds."
        )
    return text


def _trials(record: Record, request: dict[str, Any]) -> str:
    trials = record.trials_of(SEARCH)
    counts = [
        (sum(trial.is_full_length for trial in trials), "ran to the end"),
        (sum(trial.status == STOPPED for trial in trials), "stopped early"),
        (sum(trial.status == FAILED for trial in trials), "failed"),
        (sum(trial.status == RUNNING for trial in trials), "not finished"),
    ]
    text = ", ".join(f"{number} {what}" for number, what in counts if number)
    seconds = sum(seconds_of(trial) for trial in trials)
    text = f"{count_text(len(trials), 'trial')}{': ' + text if text else ''}."
    text += f" Training time of all trials together: {duration_text(seconds)}."
    if is_interrupted(record, request):
        text += " The search is not finished: the command at the end continues it."
    return text


def is_interrupted(record: Record, request: dict[str, Any]) -> bool:
    """Whether something is left to train, as far as the tables show."""
    searched, finals = record.trials_of(SEARCH), record.trials_of(FINAL)
    if any(trial.status == RUNNING for trial in record.trials.values()):
        return True
    if not finals:
        has_results = any(trial.epochs and trial.status != FAILED for trial in searched)
        return has_results or len(searched) < request.get("trials", 1)
    planned = request.get("seeds", 1)
    labels = {trial.setting_label for trial in finals} | {"published", "plain"}
    return any(sum(trial.setting_label == label for trial in finals) < planned for label in labels)
