"""Data and trainings that the sections share."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import models
from losses import LOSSES, build_objective
from models import shapes_of
from search_spaces import SPACES
from tuner.config.step_mode import Precision, StepMode
from tuner.config.workload import Workload, resolve
from tuner.data import Dataset, Splits
from tuner.data.arrow_file import read_dataset, write_dataset
from tuner.data.sources.raw_data import RawData
from tuner.teacher_cache import OutputsPlan, Teacher
from tuner.teacher_cache.plan import CachedOutput
from tuner.teacher_cache.teacher_pass import StoredPass
from tuner.training.building import build_training
from tuner.training.distillation import Distillation
from tuner.training.stages import INITIAL
from tuner.training.teachers import build_teacher, untrained_network, weights_digest

STUDENT, TEACHER = "wrn_16_2", "wrn_40_2"
FEW_METHODS = ("kd", "crd", "ab")  # on a CPU: a plain loss, a memory bank, an initial stage


def make_data(num: int, classes: int = 100, size: int = 32) -> tuple[Dataset, Splits]:
    """Noise in a real Arrow file, so that images are resident on a GPU as in a search."""
    path = Path(tempfile.gettempdir(), f"tuner-gpu-{num}-{classes}-{size}.arrow")
    if not path.exists():
        rng = np.random.default_rng(0)
        labels = np.arange(num) % classes
        images = rng.integers(0, 256, (num, 3, size, size), dtype=np.uint8)
        raw = RawData(images, labels, int(num * 0.9), tuple(map(str, range(classes))))
        write_dataset(path, raw, spec="noise", name="noise")
    dataset = read_dataset(path)
    rows = np.arange(dataset.num_train)
    cut = max(2, len(rows) // 10)
    return dataset, Splits(rows[cut:], rows[:cut], np.arange(dataset.num_train, num))


def workload_of(student: str, teacher: str, **changes: Any) -> Workload:
    """A short schedule with a drop; the data are given beside it."""
    given: dict[str, Any] = {
        "data": "cifar100", "data_dir": tempfile.gettempdir(), "teacher": teacher,
        "student": student, "epochs": 4, "batch_size": 64, "lr": 0.02, "lr_decay_epochs": (3,),
        "lr_decay_rate": 0.1, "momentum": 0.9, "weight_decay": 5e-4, "crop_padding": 4,
        "flip": True, "passes": 4, "seed": 0,
    }  # fmt: skip
    return resolve(given | changes)


def make_training(
    student: str,
    teacher: str,
    method: str,
    data: tuple[Dataset, Splits],
    device: torch.device,
    *,
    precision: Precision = "float32",
    plan: OutputsPlan | None = None,
    folder: str = "",
    setting: Mapping[str, Any] | None = None,
    **schedule: Any,
) -> Distillation:
    """A training with the published setting; with `plan`, its teacher is cached in `folder`."""
    dataset, splits = data
    published = dict(SPACES[method].published()) if method in SPACES else {}
    return build_training(
        workload_of(student, teacher, **schedule),
        dataset,
        splits,
        method=LOSSES[method],
        setting=published | dict(setting or {}),
        teacher=None if method == "plain" else _teacher(teacher, dataset, device, plan, folder),
        seed=0,
        data_seed=0,
        device=device,
        step_mode=StepMode(precision),
    )


def _teacher(
    name: str, dataset: Dataset, device: torch.device, plan: OutputsPlan | None, folder: str
) -> Teacher:
    network = untrained_network(name, dataset)
    options: dict[str, Any] = {}
    if plan is not None:
        options = {"digest": weights_digest(network), "plan": plan, "data_dir": folder}
    return build_teacher(name, lambda: network, dataset, device, **options)


def needs_of(student: str, teacher: str, method: str, classes: int) -> tuple[str, ...]:
    """The teacher's outputs that the published setting reads."""
    shapes = [
        shapes_of(models.build_untrained(name, classes), (32, 32), name)
        for name in (student, teacher)
    ]
    return build_objective(LOSSES[method], shapes[0], shapes[1], SPACES[method].published()).needs


def make_cached_training(
    student: str,
    teacher: str,
    method: str,
    data: tuple[Dataset, Splits],
    device: torch.device,
    *,
    precision: Precision,
    folder: str,
) -> Distillation:
    """A training whose teacher's outputs of the first epoch are cached already."""
    if method == "plain":
        return make_training(student, teacher, method, data, device, precision=precision)
    names = needs_of(student, teacher, method, data[0].num_classes)
    plan = OutputsPlan(tuple(CachedOutput(name, 9, 9) for name in names if name != "classifier"))
    training = make_training(
        student, teacher, method, data, device, precision=precision, plan=plan, folder=folder
    )
    assert training.teacher is not None
    with training.teacher.open(names, training._views, 1, training._batch_size) as stored:
        for _ in stored.precompute() if isinstance(stored, StoredPass) else ():
            pass
    return training


def steps_of(training: Distillation) -> Iterator[Any]:
    """The steps of the first epoch of the training itself."""
    return training.steps(training.stages[-1], 1)


def has_initial_stage(training: Distillation) -> bool:
    """Whether the method has a stage before the training itself."""
    return training.stages[0].name == INITIAL


def run_epochs(training: Distillation, number: int) -> None:
    """Runs the initial stage, if it is next, then so many epochs of the training itself."""
    while training.stage is not None and training.stage.name == INITIAL:
        training.run_epoch()
    for _ in range(number):
        training.run_epoch()


def digest(training: Distillation) -> str:
    """Identifies the weights of student and objective."""
    hashed = hashlib.sha256()
    for part in (training.student.state_dict(), training.objective.state_dict()):
        for _, value in sorted(part.items()):
            if isinstance(value, Tensor):
                hashed.update(value.detach().cpu().contiguous().numpy().tobytes())
    return hashed.hexdigest()[:12]


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Norm of the difference over that of the expected values."""
    one, other = found.detach().double().cpu(), expected.detach().double().cpu()
    return float((one - other).norm() / other.norm().clamp_min(1e-30))


def synchronize(device: torch.device) -> None:
    """Waits for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Allows or forbids TF32 in convolutions and matrix products within it."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    cudnn.allow_tf32 = matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before
