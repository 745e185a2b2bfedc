"""ITRD's Table 3: what frozen students are worth on other data."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import models
from tuner.config.presets import find_preset
from tuner.config.workload import Workload
from tuner.data import Dataset, open_dataset, split
from tuner.reports.document import Table
from tuner.reports.statistics import (
    Accuracy,
    Difference,
    accuracy_over,
    accuracy_text,
    difference_text,
    paired,
    sentence,
)
from tuner.reproductions.artefacts.arms_table import numbers, table_of
from tuner.reproductions.experiment import Artefact, Reproduction
from tuner.reproductions.measuring import Measured
from tuner.reproductions.published import published
from tuner.reproductions.results import Results
from tuner.storage import checkpoint
from tuner.storage.folder import Storage
from tuner.text.errors import RequestError
from tuner.text.formatting import NOTHING
from tuner.training.linear_probe import RECIPE, ProbeRecipe, linear_probe
from tuner.training.precision import device_for
from tuner.training.seeding import frozen
from tuner.training.teachers import read_teacher
from tuner.training.workload_data import open_data

IMAGE_SIZE = 32  # pixels; an assumption, as CRD does
NAMES = {"stl10": "STL-10", "tinyimagenet": "Tiny ImageNet"}
MIN_EPOCHS = 10  # of a compressed probe, whose epochs cost next to nothing
BySeed = Mapping[int, float]  # test accuracies in percent


def check(reproduction: Reproduction) -> None:
    """Raises RequestError for data to probe on that are not given, or cannot be read."""
    specs = reproduction.request.probe_data
    if not specs:
        raise RequestError(
            "itrd-transfer probes on other data; give "
            "--probe-data stl10:DIR,tinyimagenet:DIR, or other data"
        )
    for spec in specs:
        if sum(_key(other) == _key(spec) for other in specs) > 1:
            raise RequestError(f"probe_data has {spec} twice, or under one name; give each once")
        _open(spec, reproduction.workloads[0])


def transfer(results: Results) -> Artefact:
    """A probe of each student, of every seed, and of the teacher, on each data set."""
    parts, findings = [], []
    for spec in results.reproduction.request.probe_data or ():
        found = {arm.label: _students(results, spec, arm.label) for arm in results.arms}
        teacher = _teacher(results, spec)
        parts.append(_table(results, spec, found, teacher))
        findings += _words(spec, found, teacher)
    recipe = _recipe(results)
    if recipe != RECIPE:
        findings.append(
            f"The probe's schedule is compressed too: {recipe.epochs} epochs instead of"
            f" {RECIPE.epochs}."
        )
    return Artefact(findings, parts)


def _students(results: Results, spec: str, label: str) -> BySeed:
    """Of an arm, for every seed that finished."""
    (task, *_) = results.reproduction.tasks
    return {
        trial.seed: results.measure(
            f"probe-{_key(spec)}-{trial.name}",
            partial(
                _probe,
                task.workload, task.storage.uri, trial.name, spec, trial.seed, _recipe(results),
            ),
        )["test_accuracy"]
        for trial in results.trials(label)
    }  # fmt: skip


def _teacher(results: Results, spec: str) -> float:
    (task, *_) = results.reproduction.tasks
    workload = task.workload
    measured = results.measure(
        f"probe-{_key(spec)}-teacher",
        partial(
            _probe, workload, task.storage.uri, None, spec, workload.seed + 1, _recipe(results)
        ),
    )
    return float(measured["test_accuracy"])


def _probe(
    workload: Workload, folder: str, trial: str | None, spec: str, seed: int, recipe: ProbeRecipe
) -> Measured:
    """Of the student that a training has left in a pair's folder, or of its teacher."""
    num_classes = open_data(workload)[0].num_classes
    storage = Storage(folder)
    if trial is None:
        network = read_teacher(storage, workload.teacher, num_classes)
    else:
        network = models.build(workload.student, num_classes)
        content = storage.read(f"checkpoints/{trial}.pt")
        network.load_state_dict(checkpoint.load(content)["model"])
    dataset = _open(spec, workload)
    splits = split(dataset, validation_fraction=workload.validation_fraction, seed=workload.seed)
    device = device_for()
    network = frozen(network).to(device)
    return dict(linear_probe(network, dataset, splits, recipe, seed=seed, device=device))


def _open(spec: str, workload: Workload) -> Dataset:
    size = workload.image_size or IMAGE_SIZE
    return open_dataset(spec, Path(workload.data_dir), image_size=size)


def _recipe(results: Results) -> ProbeRecipe:
    """The whole schedule, or compressed as much as the students' trainings were."""
    workload = results.reproduction.workloads[0]
    full = find_preset(workload.preset).full_epochs
    if workload.epochs >= full:
        return RECIPE
    return RECIPE.for_epochs(max(MIN_EPOCHS, round(RECIPE.epochs * workload.epochs / full)))


def _table(results: Results, spec: str, found: Mapping[str, BySeed], teacher: float) -> Table:
    rows, data = [], []
    for label in [*found, "teacher"]:
        value = published("itrd-transfer").value(data=_kind(spec), method=label)
        accuracy: Accuracy | None = Accuracy(teacher, None)
        against, num_seeds = None, 1
        if label != "teacher":
            accuracy = accuracy_over(list(found[label].values()))
            against, num_seeds = _against_plain(found, label), len(found[label])
        rows.append(
            [label, NOTHING if value is None else value.text, accuracy_text(accuracy),
             difference_text(against), str(num_seeds)]
        )  # fmt: skip
        data.append(
            {"method": label, **numbers("published", value), **numbers("test_accuracy", accuracy)}
            | {f"minus_plain_{f}": getattr(against, f, None) for f in ("mean", "low", "high")}
            | {"num_seeds": num_seeds}
        )
    return Table(
        f"transfer-{_key(spec)}",
        f"Table 3: a new linear classifier on {_shown(spec)}",
        ("features of", "published (%)", "test (%)", "− plain (points)", "seeds"),
        rows,
        table_of(data),
        note="Test accuracy of the classifier, mean ± deviation over the seeds of the students;"
        " differences are paired by seed, with 95 % intervals that hold together (Bonferroni).",
        faint=frozenset({len(rows) - 1}),
    )


def _words(spec: str, found: Mapping[str, BySeed], teacher: float) -> list[str]:
    means = {
        label: accuracy.mean
        for label, by_seed in found.items()
        if (accuracy := accuracy_over(list(by_seed.values()))) is not None
    }
    if not means:
        return [f"On {_shown(spec)} nothing is probed yet."]
    best = max(means, key=lambda label: means[label])
    side = "above" if teacher > means[best] else "below"
    told = [
        f"On {_shown(spec)} the features of {best} are worth most ({means[best]:.2f} %); the"
        f" teacher's {teacher:.2f} % is {side} that."
    ]
    against = _against_plain(found, best)
    if against is not None:
        told.append(sentence(best, "plain", against))
    return [" ".join(told)]


def _against_plain(found: Mapping[str, BySeed], label: str) -> Difference | None:
    if label == "plain" or "plain" not in found:
        return None
    return paired(found[label], found["plain"], num_comparisons=max(1, len(found) - 1))


def _kind(spec: str) -> str:
    return spec.partition(":")[0]


def _shown(spec: str) -> str:
    return NAMES.get(_kind(spec), spec)


def _key(spec: str) -> str:
    """Part of the names of files."""
    kind, _, folder = spec.partition(":")
    name = kind if not folder or kind in NAMES else f"{kind}-{Path(folder).name}"
    return "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in name.lower())
