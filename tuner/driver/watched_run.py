"""Runs one task with a live view and a mirror in MLflow."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from tuner.config.run_folder import artifact_folder, default_tracking_uri
from tuner.driver.run import run_task
from tuner.planning.plan import Plan
from tuner.planning.task import AnyTask, Run, describe
from tuner.results.record import Record
from tuner.terminal.dry_run import print_outputs
from tuner.terminal.live import LiveView
from tuner.tracking.mirror import Mirror
from tuner.tracking.publish import KILLED, Outcome, publish
from tuner.tracking.run_tree import TrackedSearch
from tuner.tracking.store import Store


def run_watched(
    task: AnyTask,
    *,
    resume: bool,
    mode: str,
    heading: Callable[[], object] = lambda: None,
    earlier: tuple[Record, ...] = (),
    comparison: tuple[str, str] | None = None,
) -> tuple[Run[AnyTask], Mirror]:
    """Runs or resumes a task; `mode` is "auto", "json" or "quiet".

    `heading` prints what is about to run. `comparison` is the id and name of the group that the
    task belongs to, `earlier` the records of the group's tasks before it. An interrupted task is
    published as such; the caller publishes a finished one.
    """
    mirrors: list[Mirror] = []

    def watch(record: Record, plan: Plan) -> AbstractContextManager[object]:
        if mode == "auto":
            heading()
            print_outputs(record.header.reasons)
        mirror = _mirror_of(task, record, comparison)
        mirrors.append(mirror)
        live = LiveView(
            record,
            plan,
            metric=task.metric,
            searched=task.searched,
            mode=mode,
            problem=lambda: mirror.problem,
            part=task.name if comparison is not None else "",
        )
        stack = ExitStack()
        stack.enter_context(mirror)
        stack.enter_context(live)
        return stack

    run = run_task(task, resume=resume, watch=watch, earlier=earlier)
    (mirror,) = mirrors
    if run.interrupted:
        publish(mirror, Outcome(status=KILLED))
    return run, mirror


def _mirror_of(task: AnyTask, record: Record, comparison: tuple[str, str] | None) -> Mirror:
    request, reasons = task.request, record.header.reasons
    uri = request.tracking_uri or default_tracking_uri(task.runs, request.data_dir)
    artifacts = artifact_folder(task.runs, request.data_dir)
    return Mirror(
        record,
        Store(uri, request.experiment or "tuner", artifacts),
        TrackedSearch(
            id=record.header.id,
            name=task.name,
            searched=task.searched,
            tags=describe(task) | {"teacher_outputs": "; ".join(reasons)},
            metric=task.metric,
            comparison=comparison,
        ),
    )
