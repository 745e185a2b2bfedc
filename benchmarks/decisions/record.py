"""Records real trainings: every setting of a space, every seed, every epoch, with cooldowns.

The command trains what the tables, one per method, do not hold yet: it may be stopped at any time.
"""

import argparse
import copy
import io
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from benchmarks.decisions.settings import settings_of
from losses import LOSSES, build_objective
from search_spaces import SPACES, Setting, Space
from tuner.config.presets import find_preset
from tuner.config.workload import Workload, resolve
from tuner.data import Dataset, Splits, split
from tuner.planning.space_needs import needs_of_space
from tuner.planning.task import shapes_of_both
from tuner.storage.folder import Storage
from tuner.teacher_cache import OutputsPlan, Teacher
from tuner.teacher_cache.plan import CachedOutput
from tuner.training.building import build_training
from tuner.training.cooldown import cooldown
from tuner.training.distillation import Distillation
from tuner.training.teachers import build_teacher, find_teacher, weights_digest
from tuner.training.workload_data import open_data

Row = dict[str, Any]
FOLDER = Path(__file__).parent
# The published critics take seconds a step.
PINS = {"itrd": {}, "mimkd": {"width": "32", "num_locations": "8"}}
TRAIN_IMAGES, VALIDATION_IMAGES = 2000, 2000
EPOCHS = 40
SHORT_EPOCHS = 8  # of the compressed schedule
COOLDOWNS = (4, 6, 8, 12)  # epochs after which the rate drops in a copy
RATES = (0.1, 0.1, 0.01)  # for an epoch each
AVERAGED = 3  # epochs whose weights are averaged
# `python -m tuner.teach --data parquet:CIFAR10 --image-size 16 --limit 20000 --crop-padding 2
# --teacher resnet20 --teacher-epochs 16`: it has not seen the validation images.
TEACHER = FOLDER / "teacher.pt"
COMMON = {
    "image_size": 16, "teacher": f"resnet20@{TEACHER}", "student": "resnet8", "batch_size": 64,
    "crop_padding": 2, "passes": 4, "seed": 0,
}  # fmt: skip
METRICS = (
    "epoch", "lr", "train_loss", "val_accuracy", "val_loss", "cooldown_1_accuracy",
    "cooldown_2_accuracy", "cooldown_3_accuracy", "average_accuracy", "test_accuracy",
)  # fmt: skip


@dataclass(frozen=True)
class Training:
    """One training of a table."""

    method: str
    number: int  # of the setting
    seed: int
    schedule: str  # "full" or "short"

    def __str__(self) -> str:
        return f"{self.method} {self.number}, seed {self.seed}, {self.schedule} schedule"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `record`."""
    parser.add_argument("--data", required=True, metavar="SPEC", help="CIFAR-10")
    parser.add_argument("--work", required=True, type=Path, metavar="DIR", help="for data")
    parser.add_argument("--settings", type=int, default=64, help="settings of a method")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of a setting")
    parser.add_argument("--processes", type=int, default=2)


def run(given: argparse.Namespace) -> None:
    """Trains whatever is missing; writes the tables again after every few trainings."""
    tables = {method: _read(method) for method in PINS}
    wanted = list(_wanted(given.settings, given.seeds))
    missing = [one for one in wanted if one not in tables[one.method]]
    print(f"{len(wanted) - len(missing)} of {len(wanted)} trainings are recorded")  # noqa: T201
    with ProcessPoolExecutor(given.processes, get_context("spawn")) as pool:
        running = {pool.submit(_record, one, given.data, str(given.work)): one for one in missing}
        for number, done in enumerate(as_completed(running), start=1):
            training, rows = running[done], done.result()
            tables[training.method][training] = rows
            if number % 10 == 0 or number == len(missing):
                for method, table in tables.items():
                    _write(method, table)
            last = rows[-1]
            print(  # noqa: T201
                f"{number}/{len(missing)} {training}: {last['val_accuracy']:.2f} % validation, "
                f"{last['test_accuracy']:.2f} % test accuracy",
                flush=True,
            )


def table_of(method: str) -> Path:
    """The file of a recorded table."""
    return FOLDER / f"{method}.parquet"


def drops() -> tuple[int, ...]:
    """The epochs after which the learning rate drops."""
    return find_preset("crd-cifar100").lr_decay_epochs(EPOCHS)


def space_of(method: str) -> Space:
    """The space of a table."""
    return SPACES[method].for_epochs(EPOCHS).narrow(PINS[method])


def _read(method: str) -> dict[Training, list[Row]]:
    """What a table holds already."""
    found: dict[Training, list[Row]] = {}
    rows = pq.read_table(table_of(method)).to_pylist() if table_of(method).exists() else []
    for row in rows:
        training = Training(method, row["number"], row["seed"], row["schedule"])
        found.setdefault(training, []).append(row)
    return found


def _write(method: str, table: dict[Training, list[Row]]) -> None:
    ordered = sorted(table, key=lambda one: (one.schedule, one.number, one.seed))
    rows = [row for training in ordered for row in table[training]]
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), content, compression="zstd")
    Storage(str(FOLDER)).write(table_of(method).name, content.getvalue())


def _wanted(num_settings: int, num_seeds: int) -> Iterator[Training]:
    """By seed first, so that a part of them is a table too."""
    for seed in range(num_seeds):
        for number in range(num_settings):
            for method in PINS:
                yield Training(method, number, seed, "full")
                yield Training(method, number, seed, "short")


def _record(training: Training, data: str, work: str) -> list[Row]:
    """Trains and returns the rows of its epochs."""
    torch.set_num_threads(1)
    run, setting = _build(training, data, work)
    rows: list[dict[str, Any]] = []
    weights: list[dict[str, Tensor]] = []  # after the last epochs
    while run.stage is not None:
        row: dict[str, Any] = dict(run.run_epoch())
        weights = [*weights[1 - AVERAGED :], copy.deepcopy(run.student.state_dict())]
        if training.schedule == "full" and row["epoch"] in COOLDOWNS:
            for number, metrics in enumerate(cooldown(run, RATES), start=1):
                row[f"cooldown_{number}_accuracy"] = metrics["accuracy"]
            row["average_accuracy"] = _accuracy_of_average(run, weights)
        rows.append(row)
    rows[-1]["test_accuracy"] = run.test()["accuracy"]
    about = {"number": training.number, "seed": training.seed, "schedule": training.schedule}
    return [about | setting | {name: row.get(name) for name in METRICS} for row in rows]


def _build(training: Training, data: str, work: str) -> tuple[Distillation, Setting]:
    given = {"data": data, "data_dir": f"{work}/data"}
    epochs = EPOCHS if training.schedule == "full" else SHORT_EPOCHS
    workload = resolve(COMMON | given | {"epochs": epochs})
    dataset, splits = _data(workload)
    setting = settings_of(space_of(training.method), training.number + 1)[-1]
    method = LOSSES[training.method]
    run = build_training(
        workload,
        dataset,
        splits,
        method=method,
        setting=setting,
        teacher=_teacher(workload, _needs(training.method, workload)),
        seed=training.seed,
        data_seed=0,
        device=torch.device("cpu"),
    )
    return run, setting


@lru_cache
def _data(workload: Workload) -> tuple[Dataset, Splits]:
    """Few images to train on, and more to validate on than `--limit` leaves."""
    dataset, splits = open_data(workload)
    few = split(
        dataset, validation_fraction=workload.validation_fraction, seed=0, limit=TRAIN_IMAGES
    )
    return dataset, Splits(few.train, splits.validation[:VALIDATION_IMAGES], splits.test)


@lru_cache
def _teacher(workload: Workload, needs: tuple[str, ...]) -> Teacher:
    dataset, _ = _data(workload)
    network = find_teacher(workload, dataset)
    assert network is not None
    cached = tuple(CachedOutput(name, workload.passes, workload.passes) for name in needs)
    return build_teacher(
        workload.teacher,
        lambda: network,
        dataset,
        torch.device("cpu"),
        digest=weights_digest(network),
        plan=OutputsPlan(cached),
        data_dir=workload.data_dir,
    )


@lru_cache
def _needs(method: str, workload: Workload) -> tuple[str, ...]:
    """The teacher's outputs that some setting of the method reads."""
    dataset, _ = _data(workload)
    build = partial(build_objective, LOSSES[method], *shapes_of_both(workload, dataset))
    space = space_of(method)
    combinations = needs_of_space(space, space.published(), build, is_grid=False)
    return tuple(dict.fromkeys(name for names in combinations for name in names))


def _accuracy_of_average(run: Distillation, weights: list[dict[str, Tensor]]) -> float:
    """Validation accuracy, in percent, with the mean of the weights and batch statistics."""
    current = copy.deepcopy(run.student.state_dict())
    mean = {
        name: torch.stack([one[name].float() for one in weights]).mean(dim=0) for name in current
    }
    run.student.load_state_dict(mean)
    accuracy = run.validate()["accuracy"]
    run.student.load_state_dict(current)
    return accuracy
