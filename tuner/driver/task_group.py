"""Runs tasks one after another, in one folder and below one MLflow run.

The group's folder holds an id, the request, and a folder per task, which can be reported and
resumed alone.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from tuner.data import Dataset
from tuner.driver.watched_run import run_watched
from tuner.planning.checks import check_resumed
from tuner.planning.task import AnyTask, Run, Task
from tuner.results.record import Record
from tuner.storage.folder import COMPARISON_FILE, SEARCH_FILE, Storage
from tuner.text.errors import RequestError
from tuner.tracking.mirror import Mirror
from tuner.training.workload_data import open_data


class InterruptedRunError(Exception):
    """The user stopped a task; everything finished is kept."""

    def __init__(self, run: Run[Any]) -> None:
        super().__init__("interrupted")
        self.run = run


def misfit(task: Task, dataset: Dataset) -> str:
    """Why a method of the task does not fit its networks; "" if all do."""
    try:
        task.needs(dataset)
    except RequestError as error:
        return str(error)
    return ""


def check_resumable(tasks: Iterable[Task]) -> None:
    """Raises RequestError if a task that has begun cannot be resumed."""
    for task in tasks:
        if task.storage.exists(SEARCH_FILE):
            dataset, _ = open_data(task.workload)
            check_resumed(task, Record.load(task.storage), dataset)


def run_group(
    storage: Storage,
    request: bytes,
    tasks: Sequence[AnyTask],
    *,
    mode: str,
    heading: Callable[[AnyTask], object] = lambda task: None,
    shares_plain: bool = False,
) -> Iterator[tuple[Run[AnyTask], Mirror]]:
    """Runs or resumes each task and yields it when done; the caller publishes its outcome.

    `storage` is the group's folder, `request` its search.yaml; `mode` and `heading` are as for
    `run_watched`. With `shares_plain` students are computed as in the first task, and trainings
    without a teacher are taken over from the tasks before. Raises InterruptedRunError.
    """
    if not storage.exists(SEARCH_FILE):
        storage.write(COMPARISON_FILE, uuid.uuid4().hex.encode())
        storage.write(SEARCH_FILE, request)
    identity = (storage.read(COMPARISON_FILE).decode(), storage.name)
    records: list[Record] = []
    for task in tasks:
        run, mirror = run_watched(
            task,
            resume=task.storage.exists(SEARCH_FILE),
            mode=mode,
            heading=partial(heading, task),
            earlier=tuple(records) if shares_plain else (),
            comparison=identity,
        )
        if run.interrupted:
            raise InterruptedRunError(run)
        records.append(run.record)
        yield run, mirror
