"""The report of a reproduction: findings, the artefact, and how it was made."""

from tuner.config.run_folder import resume_command
from tuner.config.workload import Workload
from tuner.reports.document import Document, Facts, Text
from tuner.reports.page import write_document
from tuner.reproductions.artefacts.artefact import Artefact, Part
from tuner.reproductions.departures import drops_of
from tuner.reproductions.hyperparameters import hyperparameters_table
from tuner.reproductions.published import published
from tuner.reproductions.results import Results
from tuner.results.trial import FAILED
from tuner.text.formatting import count_text, duration_text


def document_of(results: Results, artefact: Artefact) -> Document:
    """Findings first, then the artefact, the assumptions, and what was trained."""
    reproduction, experiment = results.reproduction, results.experiment
    entry = published(experiment.name)
    parts: list[Part] = list(artefact.parts)
    if missing := _missing(results):
        parts.append(Text("Not in the tables", missing))
    parts.append(Text("Published", [f"{entry.source}: {entry.what}.", *entry.notes]))
    if assumed := [*entry.assumed, *experiment.assumed]:
        parts.append(Text("Assumed where the paper is silent", assumed))
    parts.append(Facts("Protocol", _protocol(results)))
    if results.records:
        parts.append(hyperparameters_table(reproduction.tasks))
    parts.append(Text("Run it again", [resume_command(reproduction.storage)], is_code=True))
    departures = "; ".join(reproduction.departures)
    return Document(
        title=experiment.title,
        findings=artefact.findings,
        parts=parts,
        labels=[f"scaled down: {departures}"] if departures else [],
    )


def write_report(results: Results, artefact: Artefact) -> tuple[str, Document]:
    """Writes the report into the reproduction's folder; returns the page's path."""
    document = document_of(results, artefact)
    return write_document(results.reproduction.storage, document), document


def _missing(results: Results) -> list[str]:
    """What the tables lack, and why: variants left out, trainings that failed."""
    failed = [
        f"{trial.name} ({pair}): {trial.reason}"
        for pair, record in results.records.items()
        for trial in record.trials.values()
        if trial.status == FAILED
    ]
    return [*results.reproduction.left_out, *failed]


def _protocol(results: Results) -> list[tuple[str, str]]:
    reproduction = results.reproduction
    facts = []
    for pair in results.experiment.pairs:
        accuracy = results.teachers.get(pair)
        teacher = [f"weights {pair.checkpoint}"] if pair.checkpoint else []
        teacher += [] if accuracy is None else [f"test accuracy {accuracy:.2f} %"]
        beside = f"; teacher: {', '.join(teacher)}" if teacher else ""
        facts.append(("Networks", f"{pair}{beside}"))
    if reproduction.tasks:
        facts += _schedule(reproduction.workloads[0])
        facts.append(("Seeds", str(reproduction.request.seeds)))
        trials = [t for record in results.records.values() for t in record.trials.values()]
        seconds = sum(trial.seconds for trial in trials)
        facts.append(("Total training time", duration_text(seconds)))
    return facts


def _schedule(workload: Workload) -> list[tuple[str, str]]:
    """Data and schedule; all pairs have the same."""
    data = workload.data
    if workload.limit is not None:
        data += f", {count_text(workload.limit, 'training image')}"
    return [
        ("Data", data),
        ("Validation", f"{100 * workload.validation_fraction:g} % of the training set, held out"),
        (
            "Schedule",
            f"preset {workload.preset}: {count_text(workload.epochs, 'epoch')}, batch size "
            f"{workload.batch_size}, learning rate {workload.lr:g}, {_drops_text(workload)}",
        ),
    ]


def _drops_text(workload: Workload) -> str:
    drops = drops_of(workload)
    if not drops:
        return "constant"
    *most, last = map(str, drops)
    after = f"epochs {', '.join(most)} and {last}" if most else f"epoch {last}"
    return f"multiplied by {workload.lr_decay_rate:g} after {after}"
