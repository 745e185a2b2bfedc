"""What a reproduction would train, what is there already, and how long the rest takes."""

import math
from collections import Counter
from dataclasses import dataclass

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

import models
from losses import LOSSES
from models import shapes_of
from search_spaces import Setting
from tuner.config.method import source_digests
from tuner.data import num_batches
from tuner.orchestration.estimate import measure_step_times
from tuner.planning.estimate import StepTimes
from tuner.planning.fixed import FixedTask
from tuner.planning.plan import FinalTraining
from tuner.planning.resources import check_resources, machine_resources
from tuner.reproductions.experiment import Reproduction
from tuner.reproductions.terminal import print_limits
from tuner.results.ledger import Ledger, TrainingKey
from tuner.teacher_cache.sizes import bytes_per_image
from tuner.text.formatting import count_text, duration_text
from tuner.training.teachers import find_teacher, weights_digest
from tuner.training.workload_data import open_data


@dataclass(frozen=True)
class Forecast:
    """Of the trainings of one pair."""

    there: tuple[FinalTraining, ...]  # finished already, by whatever search
    missing: tuple[FinalTraining, ...]
    trains_teacher: bool
    seconds: float  # of the missing ones, one after the other
    teacher_seconds: float  # of its own training and of its answers, once for all
    disk_bytes: int  # that its answers take, if all are kept, and checkpoints


def print_plan(reproduction: Reproduction) -> None:
    """A line for each pair and method, then the time and the disk that the rest takes."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{escape(reproduction.name)}[/]: {escape(reproduction.experiment.title)}")
    print_limits(reproduction, console)
    if not reproduction.tasks:
        console.print("nothing is trained")
        return
    forecasts = {task.name: forecast(task) for task in reproduction.tasks}
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("pair", "method", "trainings", "there already", "epochs each"):
        table.add_column(heading, justify="left" if heading in ("pair", "method") else "right")
    for task in reproduction.tasks:
        found = forecasts[task.name]
        there = Counter(training.method for training in found.there)
        for method, number in Counter(t.method for t in task.trainings).items():
            table.add_row(
                escape(task.name),
                method,
                str(number),
                str(there[method]),
                str(task.workload.epochs),
            )
    console.print(table)
    _print_sum(reproduction, list(forecasts.values()), console)


def forecast(task: FixedTask) -> Forecast:
    """Looks into the ledger, and measures a few steps of each method that is missing."""
    workload = task.workload
    dataset, splits = open_data(workload)
    teacher = find_teacher(workload, dataset)
    digest = None if teacher is None else weights_digest(teacher)
    ledger = Ledger(task.all_runs)
    there = tuple(
        training
        for training in task.trainings
        # Without a teacher nothing that it taught can be there.
        if (digest or training.method == "plain")
        and any(
            ledger.has(one.content(training.method, training.setting, training.seed))
            for one in _circumstances(task, dataset.fingerprint, digest or "")
        )
    )
    missing = tuple(training for training in task.trainings if training not in there)
    steps = num_batches(len(splits.train), workload.batch_size)
    # Of a method's settings the last, which is the dearest: all weights 1, the most negatives.
    settings: dict[str, Setting] = {t.method: t.setting for t in missing}
    paces = {
        method: measure_step_times(
            workload, LOSSES[method], setting, task.num_threads, 0, not digest
        )
        for method, setting in settings.items()
    }
    seconds = sum(
        workload.epochs * (steps * paces[t.method].step + paces[t.method].validation)
        for t in missing
    )
    teacher_seconds, answers = 0.0, 0
    if paces:
        pace: StepTimes = next(iter(paces.values()))
        if not digest:
            teacher_seconds += workload.teacher_epochs * (
                steps * pace.teacher_step + pace.validation
            )
        seeds = len({t.seed for t in missing if t.method != "plain"})
        slowest = max(p.teacher for p in paces.values())
        teacher_seconds += seeds * workload.passes * steps * slowest
        shapes = shapes_of(
            models.build_untrained(workload.teacher, dataset.num_classes),
            dataset.image_size,
            workload.teacher,
        )
        names = tuple(dict.fromkeys(name for needs in task.needs(dataset) for name in needs))
        image_bytes = bytes_per_image(shapes, names, task.request.cache_precision)
        answers = seeds * workload.passes * len(splits.train) * image_bytes
    network = models.build_untrained(workload.student, dataset.num_classes)
    # Weights, and as much of momentum.
    weights = 2 * sum(value.nbytes for value in network.state_dict().values())
    return Forecast(
        there, missing, digest is None, seconds, teacher_seconds, answers + weights * len(missing)
    )


def _circumstances(task: FixedTask, data: str, teacher: str) -> list[TrainingKey]:
    """What its trainings have in common, for each precision that may be measured to be faster."""
    workload, code = task.workload, tuple(source_digests(task.workload, ""))
    wanted = workload.precision
    precisions = ("float32", "bfloat16") if wanted == "auto" else (wanted,)
    cached = task.request.cache_precision
    return [
        TrainingKey(workload, data, teacher, precision, code, cache_precision=cached)
        for precision in precisions
    ]


def _print_sum(reproduction: Reproduction, forecasts: list[Forecast], console: Console) -> None:
    request = reproduction.tasks[0].request
    _, at_once = check_resources(
        request.model_copy(update={"gpus_per_trial": 0}), [machine_resources()]
    )
    missing = sum(len(one.missing) for one in forecasts)
    there = sum(len(one.there) for one in forecasts)
    console.print(
        f"{count_text(missing + there, 'training')}, {there} of them there already; "
        f"{count_text(missing, 'training')} to make"
    )
    teachers = sum(one.trains_teacher and bool(one.missing) for one in forecasts)
    if teachers:
        console.print(f"{count_text(teachers, 'teacher')} to train first")
    seconds = sum(
        one.teacher_seconds + one.seconds / max(1, min(at_once, len(one.missing)))
        for one in forecasts
    )
    disk = sum(one.disk_bytes for one in forecasts)
    if missing and math.isfinite(seconds):
        console.print(
            f"about {duration_text(seconds)} on this machine, {count_text(at_once, 'training')} at"
            f" a time, from a few steps of each method; at most {decimal(disk)} of disk"
            " for the teacher's outputs and checkpoints (--cache-budget bounds it)"
        )
