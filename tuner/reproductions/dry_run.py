"""Shows what a reproduction would train, what is finished already, and how long the rest takes."""

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

import models
from tuner.config.method import source_digests
from tuner.config.step_mode import modes_for
from tuner.orchestration.cluster import ray_for
from tuner.orchestration.measured_estimate import estimate_trainings
from tuner.planning.estimate import Estimate
from tuner.planning.fixed_trainings import FixedTask
from tuner.planning.plan import FinalTraining
from tuner.reproductions.planning import Reproduction
from tuner.reproductions.terminal import print_heading
from tuner.results.ledger import Ledger, TrainingKey
from tuner.text.formatting import count_text, duration_text
from tuner.training.teachers import find_teacher, weights_digest
from tuner.training.workload_data import open_data


@dataclass(frozen=True)
class Outlook:
    """What is left to do for one pair."""

    task: FixedTask
    missing: tuple[FinalTraining, ...]
    estimate: Estimate | None  # of what is missing; None: nothing is

    @property
    def disk_bytes(self) -> int:
        """Disk for the teacher's outputs and for checkpoints."""
        if self.estimate is None:
            return 0
        dataset, _ = open_data(self.task.workload)
        network = models.build_untrained(self.task.workload.student, dataset.num_classes)
        # Weights and as much momentum.
        checkpoint = 2 * sum(value.nbytes for value in network.state_dict().values())
        return self.estimate.outputs_bytes + checkpoint * len(self.missing)


def print_plan(reproduction: Reproduction) -> None:
    """Prints a line per pair and method, then the time and disk that the rest takes."""
    print_heading(reproduction)
    console = Console(highlight=False, soft_wrap=True)
    if not reproduction.tasks:
        console.print("nothing is trained")
        return
    has_cluster = reproduction.request.address is not None
    # One connection for the estimates of all pairs.
    with ray_for(reproduction.tasks[0]) if has_cluster else nullcontext():
        outlooks = _outlooks(reproduction.tasks, Ledger(reproduction.runs))
    console.print(_table(outlooks))
    _print_totals(outlooks, console)


def missing_trainings(task: FixedTask, ledger: Ledger) -> tuple[FinalTraining, ...]:
    """The trainings of a task that no search or reproduction has finished yet."""
    workload = task.workload
    dataset, _ = open_data(workload)
    teacher = find_teacher(workload, dataset)
    digest = "" if teacher is None else weights_digest(teacher)
    keys = [
        TrainingKey(
            workload=workload,
            data=dataset.fingerprint,
            teacher=digest,
            step_mode=step_mode,
            code=tuple(source_digests(workload, task.space_name)),
            cache_precision=task.request.cache_precision,
        )
        for step_mode in modes_for(workload.precision)
    ]

    def is_finished(training: FinalTraining) -> bool:
        if training.method != "plain" and not digest:  # its teacher is not trained yet
            return False
        content = (training.method, training.setting, training.seed)
        return any(ledger.has(key.content(*content)) for key in keys)

    return tuple(training for training in task.trainings if not is_finished(training))


def _outlooks(tasks: Sequence[FixedTask], ledger: Ledger) -> list[Outlook]:
    outlooks = []
    teachers: set[str] = set()
    for task in tasks:
        missing = missing_trainings(task, ledger)
        estimate = estimate_trainings(task, missing) if missing else None
        if estimate is not None and task.workload.teacher in teachers:
            # An earlier pair will have trained it.
            estimate = replace(estimate, teacher=replace(estimate.teacher, epochs=0))
        if missing:
            teachers.add(task.workload.teacher)
        outlooks.append(Outlook(task, missing, estimate))
    return outlooks


def _table(outlooks: Sequence[Outlook]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("pair", "method", "trainings", "finished", "epochs each"):
        table.add_column(heading, justify="left" if heading in ("pair", "method") else "right")
    for outlook in outlooks:
        task = outlook.task
        missing = Counter(training.method for training in outlook.missing)
        for method, number in Counter(training.method for training in task.trainings).items():
            finished = number - missing[method]
            table.add_row(
                escape(task.name),
                method,
                str(number),
                str(finished),
                str(task.workload.epochs),
            )
    return table


def _print_totals(outlooks: Sequence[Outlook], console: Console) -> None:
    number = sum(len(outlook.task.trainings) for outlook in outlooks)
    num_missing = sum(len(outlook.missing) for outlook in outlooks)
    console.print(
        f"{count_text(number, 'training')}: {number - num_missing} finished already, "
        f"{num_missing} to run"
    )
    estimates = [outlook.estimate for outlook in outlooks if outlook.estimate is not None]
    if not estimates:
        return
    num_teachers = sum(estimate.teacher.epochs > 0 for estimate in estimates)
    if num_teachers:
        console.print(f"{count_text(num_teachers, 'teacher')} to train first")
    machines = estimates[0].machines
    where = "this machine"
    if outlooks[0].task.request.address is not None:
        where = count_text(machines.num_machines, "machine")
    seconds = sum(estimate.seconds() for estimate in estimates)
    disk = sum(outlook.disk_bytes for outlook in outlooks)
    console.print(
        f"about {duration_text(seconds)} on {where}, {count_text(machines.num_at_once, 'training')}"
        " at a time, estimated from a few steps of each method; up to "
        f"{decimal(disk)} of disk for teacher outputs (within --cache-budget) and checkpoints"
    )
