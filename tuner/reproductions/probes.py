"""ITRD's Table 3: what frozen students are worth on other data."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import models
from tuner import checkpoint
from tuner.data import open_dataset, split
from tuner.distillation import frozen
from tuner.errors import RequestError
from tuner.linear_probe import RECIPE, linear_probe
from tuner.reports.comparison import Accuracy, Difference, accuracy_over, paired
from tuner.reports.document import Table
from tuner.reports.formatting import NOTHING, accuracy_text, difference_text
from tuner.reproductions.experiment import Artefact
from tuner.reproductions.published import Value, published
from tuner.reproductions.results import Measured, Results
from tuner.reproductions.tables import numbers, table_of
from tuner.teacher import find_teacher
from tuner.training import default_device
from tuner.workload import Workload, open_data

IMAGE_SIZE = 32  # pixels; an assumption, as CRD does
DATA = ("stl10", "tinyimagenet")


def transfer(results: Results) -> Artefact:
    """A probe of each student, of every seed, and of the teacher, on each data set."""
    request = results.reproduction.request
    if request.probe_data is None:
        raise RequestError(
            "itrd-transfer probes on other data; give "
            "--probe-data stl10:DIR,tinyimagenet:DIR, or other data"
        )
    parts, findings = [], []
    for spec in request.probe_data:
        found = {arm.label: _probed(results, spec, arm.label) for arm in results.arms}
        teacher = results.measure(
            f"probe-{_key(spec)}-teacher", partial(_probe_teacher, results, spec)
        )
        parts.append(_table(results, spec, found, teacher))
        findings += _words(results, spec, found, teacher)
    if results.reproduction.labels:
        findings.append(
            f"The probe's schedule: {_recipe(results).epochs} epochs, learning rate {RECIPE.lr:g}."
        )
    return Artefact(findings, parts)


def _probed(results: Results, spec: str, label: str) -> dict[int, Measured]:
    """By seed, the accuracies of a probe."""
    storage = results.reproduction.tasks[0].storage
    workload = results.reproduction.tasks[0].workload
    recipe = _recipe(results)

    def measure(name: str, seed: int) -> Callable[[], Measured]:
        def probe_it() -> Measured:
            dataset, _ = open_data(workload)
            student = models.build(workload.student, dataset.num_classes)
            content = storage.read(f"checkpoints/{name}.pt")
            student.load_state_dict(checkpoint.load(content)["model"])
            return _probe(frozen(student), workload, spec, seed, recipe)

        return probe_it

    return {
        trial.seed: results.measure(
            f"probe-{_key(spec)}-{trial.trial}", measure(trial.trial, trial.seed)
        )
        for trial in results.trials(label)
    }


def _probe_teacher(results: Results, spec: str) -> Measured:
    workload = results.reproduction.tasks[0].workload
    dataset, _ = open_data(workload)
    teacher = find_teacher(workload, dataset)
    if teacher is None:
        raise RequestError("the teacher is not kept any more; run the reproduction again")
    return _probe(teacher, workload, spec, workload.seed + 1, _recipe(results))


def _probe(network: Any, workload: Workload, spec: str, seed: int, recipe: Any) -> Measured:
    size = workload.image_size or IMAGE_SIZE
    dataset = open_dataset(spec, Path(workload.data_dir), image_size=size)
    splits = split(dataset, validation_fraction=workload.validation_fraction, seed=workload.seed)
    device = default_device()
    return dict(linear_probe(network.to(device), dataset, splits, recipe, seed=seed, device=device))


def _recipe(results: Results) -> Any:
    """The whole schedule, or compressed as much as the students' trainings were."""
    workload = results.reproduction.tasks[0].workload
    full = 240
    if workload.epochs >= full:
        return RECIPE
    return RECIPE.for_epochs(max(10, round(RECIPE.epochs * workload.epochs / full)))


def _table(results: Results, spec: str, found: Any, teacher: Measured) -> Table:
    kind = spec.partition(":")[0]
    labels = list(found)
    rows, data = [], []
    for label in [*labels, "teacher"]:
        value = _published(kind, label)
        if label == "teacher":
            accuracy: Accuracy | None = Accuracy(teacher["test_accuracy"], None)
            against, seeds = None, 1
        else:
            accuracy = _accuracy(found[label])
            against = _against(found, label, len(labels) - 1)
            seeds = len(found[label])
        rows.append(
            [label, NOTHING if value is None else value.text, accuracy_text(accuracy),
             difference_text(against), str(seeds)]
        )  # fmt: skip
        data.append(
            {"method": label, **numbers("published", value), **numbers("test_accuracy", accuracy)}
            | {f"minus_plain_{f}": getattr(against, f, None) for f in ("mean", "low", "high")}
            | {"num_seeds": seeds}
        )
    return Table(
        f"transfer-{_key(spec)}",
        f"Table 3: a new linear classifier on {kind}",
        ("student", "published", "test", "− plain", "seeds"),
        rows,
        table_of(data),
        note="Test accuracy in %, mean ± deviation over the seeds of the students; differences in"
        " points, paired by seed, with 95 % intervals that hold together (Bonferroni).",
    )


def _words(results: Results, spec: str, found: Any, teacher: Measured) -> list[str]:
    means = {
        label: accuracy.mean
        for label, seeds in found.items()
        if (accuracy := _accuracy(seeds)) is not None
    }
    if not means:
        return [f"On {spec} nothing is probed yet."]
    best = max(means, key=lambda label: means[label])
    text = f"On {spec.partition(':')[0]}, {best} transfers best ({means[best]:.2f} %)"
    against = _against(found, best, len(means) - 1)
    if against is not None and best != "plain":
        noise = " (within noise)" if against.is_noise else ""
        text += f", {against.mean:+.2f} points from the plain student{noise}"
    side = "above" if teacher["test_accuracy"] > means[best] else "below"
    return [f"{text}; the teacher's {teacher['test_accuracy']:.2f} % is {side} it."]


def _accuracy(seeds: dict[int, Measured]) -> Accuracy | None:
    return accuracy_over([probed["test_accuracy"] for probed in seeds.values()])


def _against(found: Any, label: str, num_comparisons: int) -> Difference | None:
    if label == "plain" or "plain" not in found:
        return None
    ours, plain = (
        {seed: probed["test_accuracy"] for seed, probed in found[name].items()}
        for name in (label, "plain")
    )
    return paired(ours, plain, num_comparisons=max(1, num_comparisons))


def _published(kind: str, label: str) -> Value | None:
    return published("itrd-transfer").value(data=kind, method=label)


def _key(spec: str) -> str:
    kind, _, folder = spec.partition(":")
    return kind if not folder or kind in DATA else f"{kind}-{Path(folder).name}".lower()
