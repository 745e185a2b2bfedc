"""Every method on real images: its loss falls, and a training resumes from a checkpoint."""

from pathlib import Path
from typing import Any

import pytest
import torch

import models
from losses import LOSSES, LossError, build_objective
from models import shapes_of
from search_spaces import SPACES
from tests.support.trainings import make_training, metrics_of, run_to_the_end
from tuner.data import Dataset, Splits, open_dataset, split
from tuner.teacher_cache import Teacher
from tuner.training.distillation import Distillation
from tuner.training.seeding import frozen
from tuner.training.teachers import build_teacher

CPU = torch.device("cpu")
TEACHER = "resnet20"
LEARNING_RATES = {"resnet8": 0.05, "MobileNetV2": 0.01, "ShuffleV2": 0.01}
# FSP compares maps channel by channel, so it has no cross-family pair. AB takes as many stages
# as the teacher has, three; MobileNetV2, which is five times as fast as ShuffleV2, has four.
CROSS_FAMILY = {"fsp": None, "ab": "ShuffleV2"}
CASES = [
    (method, student)
    for method in SPACES
    for student in ("resnet8", CROSS_FAMILY.get(method, "MobileNetV2"))
    if student is not None
]
# The published critics, of width 512 at every location, take 15 seconds a step.
CHEAP = {"mimkd": {"width": "64", "num_locations": "16"}}
# CRD and CRCD compare with a memory bank, which in the first epoch is noise and easy to tell
# from a match: CRD's loss falls from the second on, CRCD's relations take longer. MIMKD's critics
# learn from nothing too.
EPOCHS = {"crd": 3, "mimkd": 4}
FALLING = {"crcd": "train_gradient"}
SCHEDULE: dict[str, Any] = {"batch_size": 64, "crop_padding": 4}


@pytest.fixture(scope="module")
def data(cifar10: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Splits]:
    dataset = open_dataset(cifar10, Path(tmp_path_factory.mktemp("cifar10")))
    splits = split(dataset, validation_fraction=0.1, seed=0, limit=1000)
    # What is tested here is the loss: few images to validate on.
    return dataset, splits._replace(validation=splits.validation[:200])


@pytest.fixture(scope="module")
def taught(data: tuple[Dataset, Splits]) -> torch.nn.Module:
    options = {"epochs": 6, "passes": 6, "lr": 0.05, "lr_decay_epochs": (4,)} | SCHEDULE
    training = make_training(data, "plain", student=TEACHER, **options)
    return frozen(run_to_the_end(training).student)


@pytest.fixture(scope="module")
def teacher(data: tuple[Dataset, Splits], taught: torch.nn.Module) -> Teacher:
    return build_teacher(TEACHER, lambda: taught, data[0], CPU)


def make(data: tuple[Dataset, Splits], teacher: Teacher, method: str, student: str) -> Distillation:
    epochs = EPOCHS.get(method, 2)
    return make_training(
        data,
        method,
        pins=CHEAP.get(method),
        teacher=teacher,
        student=student,
        epochs=epochs,
        passes=epochs,
        lr=LEARNING_RATES[student],
        lr_decay_epochs=(),
        **SCHEDULE,
    )


@pytest.mark.parametrize(("method", "student"), CASES)
def test_the_loss_falls_and_a_checkpoint_continues_bit_identically(
    data, teacher, method, student, capsys
):
    training = make(data, teacher, method, student)
    states = []
    while training.stage is not None:
        training.run_epoch()
        states.append(training.state())
    *_, before, last = training.history
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{method:<9} {student:<10} initial epochs {len(training.initial_history)}"
            f"  loss {before['train_loss']:10.4f} -> {last['train_loss']:10.4f}"
            f"  ce {before['train_ce']:.3f} -> {last['train_ce']:.3f}"
            f"  {last['seconds']:.1f} s an epoch"
        )
    falling = FALLING.get(method, "train_loss")
    assert last[falling] < before[falling]
    # From the first checkpoint, which lies in the initial stage where there is one, and
    # from the last but one.
    for state in dict.fromkeys((states[0], states[-2])):
        resumed = make(data, teacher, method, student)
        resumed.restore(state)
        run_to_the_end(resumed)
        assert metrics_of(resumed) == metrics_of(training)
        for ours, theirs in (
            (resumed.student.state_dict(), training.student.state_dict()),
            (resumed.objective.state_dict(), training.objective.state_dict()),
        ):
            assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_fsp_is_refused_for_a_cross_family_pair():
    teacher, student = (
        shapes_of(models.build_untrained(name, 10), (32, 32), name)
        for name in (TEACHER, "MobileNetV2")
    )
    with pytest.raises(LossError, match="fsp"):
        build_objective(LOSSES["fsp"], student, teacher, SPACES["fsp"].published())
