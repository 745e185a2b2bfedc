"""The report of a reproduction: what was found, the artefact, and how it was made."""

from collections.abc import Sequence

import pyarrow as pa

from search_spaces import Setting
from tuner.config.run_folder import resume_command
from tuner.config.workload import Workload
from tuner.reports.document import Document, Facts, Table, Text
from tuner.reports.page import write_document
from tuner.reproductions.planning import drops_of
from tuner.reproductions.published import published
from tuner.reproductions.results import Results
from tuner.results.tables import seconds_of
from tuner.results.trial import FAILED
from tuner.text.formatting import count_text, duration_text, setting_text

MOST_SETTINGS = 40  # that a page lists


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
    parts.append(Text("Run it again", [resume_command(reproduction.storage)], is_code=True))
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
        weights = f"its weights are {pair.checkpoint}" if pair.checkpoint else ""
        told = "" if accuracy is None else f"its test accuracy is {accuracy:.2f} %"
        of_teacher = ", ".join(filter(None, (weights, told)))
        facts.append(("Networks", f"{pair}{f'; the teacher: {of_teacher}' if of_teacher else ''}"))
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
    data = workload.data
    if workload.limit is not None:
        data += f", {count_text(workload.limit, 'training image')}"
    *most, last = [*map(str, drops_of(workload))] or ["none"]
    drops = f"{', '.join(most)} and {last}" if most else last
    return [
        ("Data", data),
        ("Validation", f"{100 * workload.validation_fraction:g} % of the training set, held out"),
        (
            "Schedule",
            f"preset {workload.preset}: {count_text(workload.epochs, 'epoch')} of batches of "
            f"{workload.batch_size}, learning rate {workload.lr:g}, times "
            f"{workload.lr_decay_rate:g} after epoch {drops}",
        ),
    ]


def _settings(results: Results) -> Table:
    """Every hyperparameter: of each method what all its settings share, then what they do not."""
    settings = {
        (task.name, training.setting_label): (training.method, training.setting)
        for task in results.reproduction.tasks
        for training in task.trainings
    }
    by_method: dict[str, list[Setting]] = {}
    for method, setting in settings.values():
        by_method.setdefault(method, []).append(setting)
    shared = {method: _shared(of_method) for method, of_method in by_method.items()}
    rows = [
        [method, "all", setting_text(setting) or "none"]
        for method, setting in shared.items()
        if method != "plain"
    ]
    varied: dict[tuple[str, str, str], list[str]] = {}
    for (pair, label), (method, setting) in settings.items():
        own = {name: value for name, value in setting.items() if name not in shared[method]}
        if own:
            varied.setdefault((method, label, setting_text(own)), []).append(pair)
    # A hundred settings are in the file.
    if len(varied) <= MOST_SETTINGS:
        num_pairs = len(results.reproduction.tasks)
        rows += [
            [method, label if len(pairs) == num_pairs else f"{label}, {', '.join(pairs)}", text]
            for (method, label, text), pairs in varied.items()
        ]
    return Table(
        "hyperparameters",
        "Hyperparameters",
        ("method", "setting", "values"),
        rows,
        pa.table(
            {
                "pair": [pair for pair, _ in settings],
                "setting": [label for _, label in settings],
                "method": [method for method, _ in settings.values()],
                "values": [setting_text(setting) for _, setting in settings.values()],
            }
        ),
        note="Those of each setting are in the files." if len(varied) > MOST_SETTINGS else "",
        num_text_columns=3,
    )


def _shared(settings: Sequence[Setting]) -> Setting:
    """What is the same in all of them."""
    first = settings[0]
    return {
        name: value
        for name, value in first.items()
        if all(name in other and other[name] == value for other in settings)
    }


def _failures(results: Results) -> Text | None:
    told = [*results.reproduction.left_out]
    for pair, record in results.records.items():
        told += [
            f"{trial.name} ({pair}): {trial.reason}"
            for trial in record.trials.values()
            if trial.status == FAILED
        ]
    return Text("Not in the tables", told) if told else None
