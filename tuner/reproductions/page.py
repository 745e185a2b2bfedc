"""The report of a reproduction: what was found, the artefact, and how it was made."""

from tuner.orchestration.record import FAILED
from tuner.reports.document import Document, Facts, Table, Text
from tuner.reports.formatting import duration_text, setting_text
from tuner.reports.page import write_document
from tuner.reports.tables import seconds_of
from tuner.reproductions.published import published
from tuner.reproductions.results import Results
from tuner.resuming import reproduce_command
from tuner.workload import Workload


def document_of(results: Results) -> Document:
    """Words first, then the artefact, then what is assumed and what was trained."""
    reproduction, experiment = results.reproduction, results.experiment
    artefact = experiment.artefact(results)
    entry = published(experiment.name)
    labels = [f"scaled down: {'; '.join(reproduction.labels)}"] if reproduction.labels else []
    parts = list(artefact.parts)
    failed = _failures(results)
    if failed:
        parts.append(failed)
    parts.append(Text("Published", [f"{entry.source}: {entry.what}.", *entry.notes]))
    assumed = [*entry.assumed, *experiment.assumed]
    if assumed:
        parts.append(Text("Assumed, where the paper is silent", assumed))
    parts.append(Facts("Protocol", _protocol(results)))
    if results.records:
        parts.append(_settings(results))
    parts.append(Text("Run it again", [reproduce_command(reproduction.storage)], is_code=True))
    return Document(
        title=experiment.title,
        findings=[text for text in artefact.findings if text],
        parts=parts,
        labels=labels,
    )


def write_report(results: Results) -> tuple[str, Document]:
    """Writes the report into the reproduction's folder; returns the page's path."""
    document = document_of(results)
    return write_document(results.reproduction.storage, document), document


def _protocol(results: Results) -> list[tuple[str, str]]:
    facts = []
    reproduction = results.reproduction
    for pair in results.experiment.pairs:
        accuracy = results.teachers.get(pair)
        told = "" if accuracy is None else f" (the teacher's test accuracy: {accuracy:.2f} %)"
        facts.append(("Networks", f"{pair}{told}"))
    if reproduction.tasks:
        facts += schedule_facts(reproduction.workloads[0])
        facts.append(("Seeds", str(reproduction.seeds)))
        seconds = sum(
            seconds_of(trial)
            for record in results.records.values()
            for trial in record.trials.values()
        )
        facts.append(("Training time of all", duration_text(seconds)))
    return facts


def schedule_facts(workload: Workload) -> list[tuple[str, str]]:
    """Data and schedule, as a person reads them."""
    data = workload.data + (
        f", {workload.limit} training images" if workload.limit is not None else ""
    )
    drops = ", ".join(map(str, workload.lr_decay_epochs)) or "never"
    return [
        ("Data", data),
        ("Validation", f"{100 * workload.validation_fraction:g} % of the training set, held out"),
        ("Schedule", f"preset {workload.preset}: {workload.epochs} epochs of batches of "
         f"{workload.batch_size}, learning rate {workload.lr:g}, times {workload.lr_decay_rate:g} "
         f"after epochs {drops}"),
    ]  # fmt: skip


def _settings(results: Results) -> Table:
    """Every hyperparameter of every arm."""
    settings = {
        training.label: (training.method, setting_text(training.setting))
        for task in results.reproduction.tasks
        for training in task.trainings
    }
    return Table(
        "settings-of-all",
        "Settings",
        ("setting", "method", "hyperparameters"),
        [(label, method, text or "–") for label, (method, text) in settings.items()],
        num_text_columns=3,
    )


def _failures(results: Results) -> Text | None:
    told = [*results.reproduction.left_out]
    for pair, record in results.records.items():
        told += [
            f"{trial.trial} ({pair}): {trial.reason}"
            for trial in record.trials.values()
            if trial.status == FAILED
        ]
    return Text("Not in the tables", told) if told else None
