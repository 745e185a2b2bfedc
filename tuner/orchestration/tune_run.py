"""Runs the trials of a plan with Ray Tune."""

import os
import uuid
from contextlib import suppress
from typing import Any

from ray import tune

from tuner.orchestration.failed_starts import FailedStarts
from tuner.orchestration.interruption import Interruption
from tuner.orchestration.ray_internals import restarting_lost_trials
from tuner.orchestration.recorded_scheduler import RecordedScheduler
from tuner.orchestration.result_keys import record_name
from tuner.orchestration.schedulers import build_scheduler
from tuner.orchestration.trainable import Job, train
from tuner.orchestration.tune_searcher import PlannedSearch
from tuner.orchestration.watchdog import Watchdog
from tuner.planning.plan import Plan
from tuner.planning.resources import Resources
from tuner.planning.rungs import cooldown_epochs, perturbation_interval
from tuner.planning.task import Task
from tuner.results.heartbeat import Heartbeat
from tuner.results.record import Record
from tuner.results.trial import Trial
from tuner.text.errors import RequestError


def tune_trials(
    task: Task, record: Record, plan: Plan, resources: Resources, heartbeat: Heartbeat
) -> bool:
    """Trains what the plan hands out, on Ray Tune; returns whether it was interrupted.

    Raises RequestError if another process has taken over the search.
    """
    gpus = resources.gpus_per_trial
    alone: list[Trial] = []
    scheduler = RecordedScheduler(
        build_scheduler(
            task.scheduler,
            metric=task.metric,
            epochs=task.workload.epochs,
            population=task.population,
            seed=task.workload.seed,
        ),
        record,
        is_over_time=lambda: plan.is_over_time,
        run_alone=alone.append if 0 < gpus < 1 else None,
    )
    planned = PlannedSearch(
        plan,
        scheduler,
        alone,
        cpus=task.request.cpus_per_trial,
        gpus=gpus,
    )
    watchdog = Watchdog(
        task.request.hang_timeout,
        storage_answers=task.storage.takes_files,
        report=lambda trial_id, text: record.note(record_name(trial_id), text),
    )
    interruption = Interruption(lambda: heartbeat.stop_requested)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(plan.budget.max_concurrent)
    with interruption.listening(), restarting_lost_trials():
        _run(task, _job(task, record), planned, scheduler, interruption, watchdog)
    if heartbeat.is_taken_over:
        record.abandon()
        raise RequestError(
            f"another process has taken over {task.name} because this one sent no heartbeat "
            f"for long; look at it with `tuner status {task.name}`"
        )
    with suppress(OSError):  # nothing in it is needed any more
        task.storage.delete("ray")
    return interruption.is_requested


def _run(
    task: Task,
    job: Job,
    planned: PlannedSearch,
    scheduler: RecordedScheduler,
    interruption: Interruption,
    watchdog: Watchdog,
) -> None:
    storage = task.storage.sub("ray")

    def trainable(config: dict[str, Any]) -> None:
        train(config, job)

    tune.run(
        trainable,
        # A new name for each session: Tune never restores, the record does.
        name=f"session-{uuid.uuid4().hex}",
        storage_path=storage.uri if storage.is_local else storage.base,
        # Opened by us: with the address alone, Tune would wait for a dead store for minutes.
        storage_filesystem=None if storage.is_local else storage.filesystem,
        search_alg=planned,
        scheduler=scheduler,
        stop=interruption,
        callbacks=[watchdog, FailedStarts()],
        reuse_actors=True,
        raise_on_failed_trial=False,
        verbose=0,
    )


def _job(task: Task, record: Record) -> Job:
    """What all trainings have in common, as the workers need it."""
    header, epochs = record.header, task.workload.epochs
    return Job(
        workload=task.workload,
        fingerprint=header.data,
        code=header.code,
        storage_uri=record.storage.uri,
        patience_seconds=record.storage.patience,
        ranks_on_test=task.select_on == "test",
        perturbation_interval=None if task.population is None else perturbation_interval(epochs),
        cooldown_epochs=cooldown_epochs(task.scheduler, epochs),
        num_threads=task.num_threads,
        step_mode=header.step_mode,
        outputs=header.outputs,
        space_name=task.space_name,
    )
