"""Builds the outcome of a finished search for MLflow."""

import shlex
import sys

from models import short_name
from tuner.planning.search import Search
from tuner.reports.final_trainings import winners_finals
from tuner.reports.model_card import CARD_FILE, model_card
from tuner.reports.settings import Row, verdict
from tuner.reports.statistics import Accuracy
from tuner.results.record import Record
from tuner.results.tables import EPOCHS_FILE, TRIALS_FILE
from tuner.results.trial import PUBLISHED, TUNED, Trial
from tuner.storage.checkpoint import DamagedCheckpointError
from tuner.storage.folder import BEST_FILE, SEARCH_FILE
from tuner.tracking.publish import FAILED, Outcome
from tuner.tracking.registered_model import TrainedModel, trained_model
from tuner.training.workload_data import open_data


def outcome_of(
    search: Search, best: Trial | None, rows: list[Row], model: TrainedModel | None
) -> Outcome:
    """The outcome of a finished search; `model`: see `winning_model`."""
    if best is None:
        return Outcome(status=FAILED, files=_files(search))
    settings = {row.label: _metrics(row) for row in rows}
    winner = rows[0].label if rows else ""  # the first in the table of settings
    return Outcome(
        note=verdict(rows, search.request.select_on),
        metrics=settings[winner] if winner in (TUNED, PUBLISHED) else {},
        files=_files(search),
        settings=settings,
        model=model,
    )


def winning_model(search: Search, record: Record, rows: list[Row]) -> TrainedModel | None:
    """The winning student with its card; None where no intact final training of it is there."""
    final = _final_of_winner(record)
    if final is None:
        return None
    name = f"{short_name(search.workload.student)}-{search.space.method}"
    request = search.request.model_dump(mode="json", exclude_none=True)  # as search.yaml holds it
    card = model_card(name, record, request, rows, final, _commands_of(search))
    dataset, _ = open_data(search.workload)
    checkpoint = search.storage.read(f"checkpoints/{final.name}.pt")
    try:
        return trained_model(name, checkpoint, search.workload.student, dataset, card)
    except DamagedCheckpointError as error:
        sentence = f"tuner: no model is registered: {final.name}.pt is damaged ({error})"
        print(sentence, file=sys.stderr)  # noqa: T201
        return None


def seed_metrics(
    num_seeds: int, val_accuracy: Accuracy | None, test_accuracy: Accuracy | None
) -> dict[str, float]:
    """Metrics of a setting: means and deviations over its seeds, in percent."""
    metrics = {"num_seeds": float(num_seeds)}
    for name, accuracy in (("val_accuracy", val_accuracy), ("test_accuracy", test_accuracy)):
        if accuracy is not None:
            metrics[name] = accuracy.mean
            if accuracy.std is not None:
                metrics[f"{name}_std"] = accuracy.std
    return metrics


def _metrics(row: Row) -> dict[str, float]:
    """The metrics of a row, with the setting's paired differences."""
    metrics = seed_metrics(row.num_seeds, row.val_accuracy, row.test_accuracy)
    for name, found in (("minus_plain", row.to_plain), ("minus_published", row.to_published)):
        if found is not None:
            metrics[name] = found.mean
    return metrics


def _commands_of(search: Search) -> dict[str, str]:
    """Commands that reproduce the model from the files of the search."""
    best, request = (shlex.quote(search.storage.path(name)) for name in (BEST_FILE, SEARCH_FILE))
    return {
        "The student, with this setting": f"tuner distill --config {best} --test",
        "The search": f"python -m tuner.search --config {request} --name "
        f"{shlex.quote(f'{search.name}-again')}",
    }


def _final_of_winner(record: Record) -> Trial | None:
    """Of the final trainings of the winning setting, the one that validates best."""
    finished = [trial for trial in winners_finals(record) if trial.is_full_length]
    return max(finished, key=lambda trial: trial.last("val_accuracy") or 0.0, default=None)


def _files(search: Search) -> dict[str, bytes]:
    from tuner.reports.page import report_files  # matplotlib: not before it is needed

    names = (SEARCH_FILE, BEST_FILE, CARD_FILE, TRIALS_FILE, EPOCHS_FILE)
    there = [name for name in names if search.storage.exists(name)]
    return {name: search.storage.read(name) for name in [*there, *report_files(search.storage)]}
