"""Linear probes: a new classifier on the frozen features of a student or teacher."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import models
from tuner.config.presets import find_preset
from tuner.config.workload import Workload
from tuner.data import Dataset, open_dataset, split
from tuner.reproductions.measuring import Measured
from tuner.reproductions.planning import Reproduction
from tuner.reproductions.results import Results
from tuner.storage import checkpoint
from tuner.storage.folder import Storage
from tuner.text.errors import RequestError
from tuner.training.linear_probe import RECIPE, ProbeRecipe, linear_probe
from tuner.training.precision import device_for
from tuner.training.seeding import frozen
from tuner.training.teachers import read_teacher
from tuner.training.workload_data import open_data

IMAGE_SIZE = 32  # pixels; an assumption, as in CRD
NAMES = {"stl10": "STL-10", "tinyimagenet": "Tiny ImageNet"}
MIN_EPOCHS = 10  # of a compressed probe, whose epochs cost next to nothing


def check_probe_data(reproduction: Reproduction) -> None:
    """Raises RequestError for probe data that is missing, given twice or unreadable."""
    specs = reproduction.request.probe_data
    if not specs:
        raise RequestError(
            "itrd-transfer probes on other data; give "
            "--probe-data stl10:DIR,tinyimagenet:DIR, or other data"
        )
    for spec in specs:
        if sum(_file_key(other) == _file_key(spec) for other in specs) > 1:
            raise RequestError(f"probe_data has {spec} twice, or under one name; give each once")
        _open(spec, reproduction.workloads[0])


def probe_students(results: Results, spec: str, label: str) -> Mapping[int, float]:
    """Test accuracies in percent on other data, by seed, of a variant's finished students."""
    return {
        trial.seed: _measured(results, spec, trial.name, trial.seed)
        for trial in results.trials(label)
    }


def probe_teacher(results: Results, spec: str) -> float:
    """The same accuracy for the teacher."""
    return _measured(results, spec, None, results.reproduction.workloads[0].seed + 1)


def schedule_of(results: Results) -> ProbeRecipe:
    """The full schedule, or one compressed by as much as the students' trainings were."""
    workload = results.reproduction.workloads[0]
    full = find_preset(workload.preset).full_epochs
    if workload.epochs >= full:
        return RECIPE
    return RECIPE.for_epochs(max(MIN_EPOCHS, round(RECIPE.epochs * workload.epochs / full)))


def kind_of(spec: str) -> str:
    """The kind of data, as in published.yaml."""
    return spec.partition(":")[0]


def data_name(spec: str) -> str:
    """The name of the data in texts."""
    return NAMES.get(kind_of(spec), spec)


def table_name(spec: str) -> str:
    """The name of the data's table."""
    return f"transfer-{_file_key(spec)}"


def _measured(results: Results, spec: str, trial: str | None, seed: int) -> float:
    (task, *_) = results.reproduction.tasks
    probe = partial(
        _probe, task.workload, task.storage.uri, trial, spec, seed, schedule_of(results)
    )
    measured = results.measure(f"probe-{_file_key(spec)}-{trial or 'teacher'}", probe)
    return float(measured["test_accuracy"])


def _probe(
    workload: Workload, folder: str, trial: str | None, spec: str, seed: int, recipe: ProbeRecipe
) -> Measured:
    """Probes the student that a training left in a pair's folder, or the teacher (None)."""
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


def _file_key(spec: str) -> str:
    """Part of the names of files."""
    kind, _, folder = spec.partition(":")
    name = kind if not folder or kind in NAMES else f"{kind}-{Path(folder).name}"
    return "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in name.lower())
