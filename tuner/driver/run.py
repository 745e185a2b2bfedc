"""One search from its first trial to its last, on a laptop or a cluster."""

import dataclasses
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from typing import Any

from tuner.config.method import source_digests
from tuner.config.run_folder import search_yaml
from tuner.data import Dataset
from tuner.driver.clean_up import delete_checkpoint, delete_leftovers, keep_teacher
from tuner.driver.finished_trainings import LedgerWriter
from tuner.orchestration.cluster import on_every_machine, ray_for, where_trials_run, with_gpu_share
from tuner.orchestration.measurements import plan_for, step_mode_for
from tuner.orchestration.preflight import check_machines
from tuner.orchestration.tune_run import tune
from tuner.planning.checks import check_resumed, check_storage, check_teacher
from tuner.planning.plan import (
    TEACHER_TRIAL,
    Budget,
    FinalTraining,
    FixedPlan,
    Plan,
    SearchPlan,
)
from tuner.planning.resources import check_resources, fit, machine_resources
from tuner.planning.sampler import Sampler
from tuner.planning.search import Search
from tuner.planning.task import AnyTask, FixedTask, Needs, Run, Task, plain_trainings
from tuner.results.heartbeat import Heartbeat, check_not_running
from tuner.results.record import Record
from tuner.results.tables import TableWriter, write_tables
from tuner.results.trial import Trial
from tuner.storage.folder import SEARCH_FILE
from tuner.storage.retrying import PatientStorage
from tuner.teacher_cache.maintenance import empty_shared_buffer
from tuner.training.precision import StepMode
from tuner.training.teachers import (
    check_can_keep,
    digest_if_whole,
    find_teacher,
    kept_teacher,
    weights_digest,
    write_teacher,
)
from tuner.training.workload_data import open_data


def run_search(
    search: AnyTask,
    *,
    resume: bool,
    watch: Callable[[Record, Plan], Any],
    earlier: tuple[Record, ...] = (),
) -> "Run[AnyTask]":
    """Runs or resumes a search until it is done or interrupted.

    `watch` is called once, when the search is about to begin, and returns a context
    manager that is entered while it runs. `earlier` are records of searches that this one is
    compared with: its students are computed as theirs, and their plain trainings are taken
    over. Raises RequestError before anything is written, where the request cannot be carried
    out.
    """
    import ray

    if not resume:
        check_storage(search)
    if search.request.address is None:
        check_resources(search.request, [machine_resources()])
    dataset, _ = open_data(search.workload)
    needs = search.needs(dataset)
    # A search that is resumed has its teacher with it, wherever that came from.
    digest = digest_if_whole(search.storage) if resume else None
    teacher = find_teacher(search.workload, dataset) if digest is None else None
    if teacher is not None:
        digest = weights_digest(teacher)
    if digest is None:
        check_can_keep(search.workload, dataset)
    storage = PatientStorage(search.storage.uri)
    if resume:
        check_not_running(search.storage)
        record = Record.load(storage, lock=True)
        check_resumed(search, record, dataset)
        check_teacher(search, record, digest)
    else:
        record = Record(storage)
    with closing(record), ray_for(search):
        machines = [node for node in ray.nodes() if node["Alive"]]
        nodes = [node["Resources"] for node in machines]
        request = with_gpu_share(search, nodes)
        gpus, max_concurrent = check_resources(request, nodes)
        if request.address is not None:
            check_machines(search, dataset, gpus, machines)
        if not resume:
            record.claim()
            check_storage(search)  # another may have begun, and ended, meanwhile
            search.storage.write(SEARCH_FILE, search_yaml(search.request))
        with Heartbeat(search.storage) as presence:
            if not record.header:
                # Of one machine: only its own trials can share its memory.
                together = max(fit(node, request.cpus_per_trial, gpus) for node in nodes)
                _open(
                    record,
                    search,
                    dataset,
                    needs,
                    digest=digest,
                    gpus=gpus,
                    max_concurrent=max_concurrent,
                    together=min(max_concurrent, together),
                    earlier=earlier,
                )
            if teacher is not None:
                write_teacher(storage, teacher)
            kept = kept_teacher(search.workload, dataset)
            if resume:
                delete_leftovers(storage, record)
            record.listeners.append(partial(keep_teacher, storage, record, kept))
            record.listeners.append(partial(delete_checkpoint, storage))
            record.listeners.append(TableWriter(storage, record))
            keeper = LedgerWriter(search, storage, record)
            record.listeners.append(keeper)
            plan = _plan(
                search,
                record,
                max_concurrent,
                needs_teacher=TEACHER_TRIAL in record.trials or digest is None,
                known=plain_trainings(earlier),
                find=keeper.find,
            )
            with watch(record, plan):
                interrupted = tune(search, storage, record, plan, gpus, presence)
            presence.outcome = "interrupted" if interrupted else "done"
            if record.header["outputs"]["window_bytes"]:
                on_every_machine(search, empty_shared_buffer)
            write_tables(storage, record)
    return Run(search, record, interrupted)


def _open(
    record: Record,
    search: Task,
    dataset: Dataset,
    needs: Needs,
    *,
    digest: str | None,
    gpus: float,
    max_concurrent: int,
    together: int,
    earlier: tuple[Record, ...],
) -> None:
    """Decides what all trials have in common, and writes it down; `together`: on one machine."""
    measuring = where_trials_run(search, gpus)
    outputs, reasons = plan_for(search, needs, dataset, digest, together, gpus, measuring)
    if earlier:
        execution = StepMode(**earlier[0].header["execution"])
        reason = "as in the first search of the comparison"
    else:
        execution, reason = step_mode_for(search, dataset, gpus, measuring)
    record.open(
        id=uuid.uuid4().hex,
        space=search.identity,
        data=dataset.fingerprint,
        teacher=digest,
        code=source_digests(search.workload, search.custom_method),
        batch=max_concurrent if search.request.deterministic else None,
        trainings=None if search.has_trials else search.num_trainings,
        outputs=outputs.as_json(),
        execution=dataclasses.asdict(execution),
        reasons=[*reasons, f"student: {reason}"],
        time=time.time(),
    )


def _plan(
    search: Task,
    record: Record,
    max_concurrent: int,
    *,
    needs_teacher: bool,
    known: Mapping[str, Trial],
    find: Callable[[FinalTraining], Trial | None],
) -> Plan:
    request, workload = search.request, search.workload
    budget = Budget(
        num_trials=search.num_trainings if search.has_trials else 0,
        num_epochs=workload.epochs,
        num_teacher_epochs=workload.teacher_epochs if needs_teacher else 0,
        num_seeds=request.seeds,
        # A population trains side by side; how many of it run at a time is up to the CPUs.
        max_concurrent=search.num_trainings if request.scheduler == "pbt" else max_concurrent,
        time_seconds=request.time_budget,
        seed=request.seed,
        batch=record.header["batch"],
    )
    if isinstance(search, FixedTask):
        return FixedPlan(record, search.trainings, budget, find=find)
    assert isinstance(search, Search)
    sampler = Sampler(
        search.space,
        algo="random" if request.scheduler == "pbt" else request.algo,
        seed=request.seed,
        num_trials=search.num_trials,
        metric=search.metric,
        first=search.first,
        name=search.name,
        batch=record.header["batch"],
    )
    plan = SearchPlan(
        record,
        sampler,
        search.space,
        budget,
        metric=search.metric,
        published=search.published,
        published_is_first=search.published_is_first,
        known=known,
    )
    sampler.recall(record)
    return plan
