"""Plans of reproductions, and results with made-up accuracies."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from search_spaces import SpaceError
from tests.support.by_hand import add_training
from tuner.config.options import ReproduceRequest
from tuner.planning.plan import FinalTraining
from tuner.reports.document import Document, Table
from tuner.reproductions.artefacts.artefact import Artefact
from tuner.reproductions.catalogue import CATALOGUE
from tuner.reproductions.measuring import Measurer
from tuner.reproductions.page import document_of
from tuner.reproductions.planning import Reproduction, plan_reproduction
from tuner.reproductions.results import Results
from tuner.results.record import Record
from tuner.results.trial import FINAL, TEACHER
from tuner.text.errors import RequestError

SMALL = {"data": "digits", "teacher": "resnet20", "student": "resnet8", "epochs": 4, "seeds": 2}
ALPHAS = ("α = 1.01", "α = 1.5", "α = 2", "α = 3", "α = 4", "α = 5", "α = 10")
EXPERIMENTS = {name: entry.experiment for name, entry in CATALOGUE.items()}
every_experiment = pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=lambda e: e.name)


def plan(name: str, /, runs: Path | str = "runs", **options: Any) -> Reproduction:
    """The plan of a request; mimkd-imagenet gets the folder that it needs."""
    if name == "mimkd-imagenet":
        options = {"data": "imagenet:x"} | options
    request = ReproduceRequest(reproduction=name, runs_dir=str(runs), **options)
    return plan_reproduction(CATALOGUE[name].experiment, request)


def refused(name: str, /, **options: Any) -> str:
    """The sentence with which a request is refused."""
    with pytest.raises((RequestError, SpaceError)) as refusal:
        plan(name, **options)
    return str(refusal.value)


def results(
    name: str,
    accuracies: Mapping[str, Iterable[float]],
    runs: Path,
    *,
    teacher: float | None = 90.0,
    **options: Any,
) -> Results:
    """Trainings of every pair with these test accuracies by label, one per seed.

    Validation accuracy is one point above; nothing is measured.
    """
    planned = plan(name, runs=runs, **options)
    records = {}
    for pair, task in planned.tasks_by_pair.items():
        record = records[pair] = Record(task.storage)
        if teacher is not None:
            fields = {"role": TEACHER, "setting_label": "teacher", "method": "plain"}
            add_training(record, "teacher", [{"test_accuracy": teacher}], setting={}, **fields)
        for training in task.trainings:
            by_seed = dict(enumerate(accuracies.get(training.setting_label, ()), 1))
            if training.seed in by_seed:
                _add_training(record, training, by_seed[training.seed])
        record.close()
    teachers = {} if teacher is None else dict.fromkeys(records, teacher)
    return Results(planned, records, teachers, Measurer(planned.storage, None))


def table_named(artefact: Artefact | Document, name: str) -> Table:
    """The only table of this name."""
    (found,) = (p for p in artefact.parts if isinstance(p, Table) and p.name == name)
    return found


def artefact_of(found: Results) -> Artefact:
    """The artefact of an experiment."""
    return CATALOGUE[found.experiment.name].artefact(found)


def report_of(found: Results) -> Document:
    """The report of an experiment."""
    return document_of(found, artefact_of(found))


def _add_training(record: Record, training: FinalTraining, accuracy: float) -> None:
    """Two epochs, of which the first has half the accuracy."""
    epochs = [
        {"test_accuracy": test, "val_accuracy": test + 1, "seconds": 1.0}
        for test in (accuracy / 2, accuracy)
    ]
    fields = {"setting_label": training.setting_label, "method": training.method}
    fields |= {"setting": training.setting, "seed": training.seed}
    add_training(record, training.name, epochs, role=FINAL, **fields)
