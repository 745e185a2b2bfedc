"""Runs the trials of a plan with Ray Tune."""

import os
import uuid
from contextlib import suppress
from typing import Any

from tuner.planning.plan import Plan
from tuner.planning.search import Search
from tuner.planning.task import Task
from tuner.results.heartbeat import Heartbeat
from tuner.results.record import Record
from tuner.storage.retrying import PatientStorage
from tuner.teacher_cache import OutputsPlan
from tuner.text.errors import RequestError
from tuner.training.precision import StepMode

MAX_FAILURES = 3  # times a crashed trial is begun again from its last checkpoint


def tune(
    search: Task,
    storage: PatientStorage,
    record: Record,
    plan: Plan,
    gpus: float,
    presence: Heartbeat,
) -> bool:
    """Lets Ray Tune train what the plan says; returns whether it was interrupted."""
    from ray import tune

    from tuner.orchestration.interruption import Interruption
    from tuner.orchestration.lost_processes import FailedStarts, begun_again
    from tuner.orchestration.messages import record_name
    from tuner.orchestration.planned_search import PlannedSearch
    from tuner.orchestration.recorded_scheduler import RecordedScheduler
    from tuner.orchestration.schedulers import build_scheduler
    from tuner.orchestration.trainable import Job, train
    from tuner.orchestration.watchdog import Watchdog
    from tuner.planning.rungs import perturbation_interval

    request, workload = search.request, search.workload
    scheduler = RecordedScheduler(
        build_scheduler(
            request.scheduler,
            metric=search.metric,
            epochs=workload.epochs,
            space=search.space if isinstance(search, Search) else None,
            seed=request.seed,
        ),
        record,
    )
    scheduler.is_over_time = lambda: plan.is_over_time
    planned = PlannedSearch(plan, cpus=request.cpus_per_trial, gpus=gpus, max_failures=MAX_FAILURES)
    planned.on_ready = lambda: scheduler.recall(planned.recalled)
    scheduler.run_alone = planned.run_alone
    job = Job(
        workload=workload,
        fingerprint=record.header["data"],
        code=tuple(record.header["code"]),
        storage_uri=storage.uri,
        patience_seconds=storage.patience_seconds,
        ranks_on_test=request.select_on == "test",
        perturbation_interval=(
            perturbation_interval(workload.epochs) if request.scheduler == "pbt" else None
        ),
        num_threads=search.num_threads,
        execution=StepMode(**record.header["execution"]),
        outputs=OutputsPlan.from_json(record.header["outputs"]),
        custom_method=search.custom_method,
    )
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(plan.budget.max_concurrent)
    interruption = Interruption(lambda: presence.is_told_to_stop)

    watchdog = Watchdog(
        request.hang_timeout,
        storage_answers=search.storage.takes_files,
        tell=lambda trial_id, text: record.note(record_name(trial_id), text),
    )
    ray_storage = search.storage.sub("ray")

    def trainable(config: dict[str, Any]) -> None:
        train(config, job)

    with interruption.listening(), begun_again():
        tune.run(
            trainable,
            # A name of its own for each session: Tune never restores, the record does.
            name=f"session-{uuid.uuid4().hex}",
            storage_path=ray_storage.uri if ray_storage.is_local else ray_storage.base,
            # Opened by us: with the address alone, Tune would wait for a dead store for minutes.
            storage_filesystem=None if ray_storage.is_local else ray_storage.filesystem,
            search_alg=planned,
            scheduler=scheduler,
            stop=interruption,
            callbacks=[watchdog, FailedStarts()],
            reuse_actors=True,
            raise_on_failed_trial=False,
            verbose=0,
        )
    if presence.is_taken_over:
        record.abandon()
        raise RequestError(
            f"another process has taken {search.name} over, as this one was silent for long; "
            f"look at it with `tuner status {search.name}`"
        )
    with suppress(OSError):  # nothing in it is needed any more
        search.storage.delete("ray")
    return interruption.is_requested
