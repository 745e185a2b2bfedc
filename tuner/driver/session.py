"""One search with what surrounds it: somebody watches, MLflow mirrors it."""

from contextlib import AbstractContextManager, ExitStack
from typing import Any

from tuner.config.run_folder import artifact_folder, default_tracking_uri
from tuner.driver.run import run_task
from tuner.planning.plan import Plan
from tuner.planning.search import Search
from tuner.planning.task import AnyTask, Run, describe
from tuner.results.record import Record
from tuner.terminal.dry_run import print_heading, print_outputs
from tuner.terminal.live import LiveView
from tuner.tracking.mirror import Tracking


def run_watched(
    search: AnyTask,
    *,
    resume: bool,
    mode: str,
    earlier: tuple[Record, ...] = (),
    comparison: tuple[str, str] | None = None,
) -> tuple[Run[AnyTask], Tracking]:
    """Runs a search; `mode` is "auto", "json" or "quiet".

    In a comparison of methods (id, name), `earlier` are the records of the searches before it.
    """
    request = search.request
    tracked: list[Tracking] = []

    def watch(record: Record, plan: Plan) -> AbstractContextManager[Any]:
        if mode == "auto":
            if isinstance(search, Search):
                print_heading(search)
            print_outputs(record.header.reasons)
        tracking = Tracking(
            record,
            tracking_uri=request.tracking_uri
            or default_tracking_uri(search.runs, request.data_dir),
            experiment=request.experiment or "tuner",
            search_id=record.header.id,
            search_name=search.name,
            searched=search.searched,
            metric=search.metric,
            tags=describe(search) | {"teacher_outputs": "; ".join(record.header.reasons)},
            comparison=comparison,
            artifacts=artifact_folder(search.runs, request.data_dir),
        )
        tracked.append(tracking)
        stack = ExitStack()
        stack.callback(tracking.close)
        stack.enter_context(
            LiveView(
                record,
                plan,
                metric=search.metric,
                searched=search.searched,
                mode=mode,
                problem=lambda: tracking.problem,
                part=search.name if comparison is not None else "",
            )
        )
        return stack

    run = run_task(search, resume=resume, watch=watch, earlier=earlier)
    return run, tracked[0]
