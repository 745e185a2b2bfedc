"""One search from its first trial to its last, on a laptop or a cluster."""

import dataclasses
import os
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml

from tuner.config.method import code_of
from tuner.config.options import SearchRequest
from tuner.config.workload import open_data
from tuner.data import Dataset
from tuner.orchestration.cluster import on_every_machine, ray_for, where_trials_run, with_gpu_share
from tuner.orchestration.measurements import execution_for, plan_for
from tuner.orchestration.preflight import check_machines
from tuner.planning.plan import (
    TEACHER_TRIAL,
    Budget,
    FixedPlan,
    Plan,
    SearchPlan,
    Training,
)
from tuner.planning.sampler import Sampler
from tuner.planning.search import (
    Search,
    check_resources,
    check_resumed,
    check_storage,
    check_teacher,
    fit,
    machine_resources,
)
from tuner.planning.task import FixedTask, Needs, Task
from tuner.results.heartbeat import Presence, check_not_running
from tuner.results.ledger import Circumstances, Ledger
from tuner.results.record import DONE, FINAL, Event, Record, Trial
from tuner.results.tables import write_tables
from tuner.storage import checkpoint
from tuner.storage.checkpoint import DamagedCheckpointError
from tuner.storage.folder import COMPARISON_FILE, SEARCH_FILE, Storage, read_file
from tuner.storage.retrying import PatientStorage
from tuner.teacher_cache import OutputsPlan
from tuner.teacher_cache.maintenance import empty_window
from tuner.text.errors import RequestError
from tuner.text.secrets import has_secret
from tuner.training.precision import Execution
from tuner.training.teachers import (
    TEACHER_FILE,
    check_can_keep,
    digest_if_whole,
    find_teacher,
    kept_teacher,
    read_digest,
    weights_digest,
    write_teacher,
)

AnyTask = TypeVar("AnyTask", bound=Task)
MAX_FAILURES = 3  # times a crashed trial is begun again from its last checkpoint
TABLES_PAUSE_SECONDS = 5.0


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
        with Presence(search.storage) as presence:
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
                _delete_leftovers(storage, record)
            record.listeners.append(partial(_keep_teacher, storage, record, kept))
            record.listeners.append(partial(_delete_checkpoint, storage))
            record.listeners.append(_TableWriter(storage, record))
            keeper = _Keeper(search, storage, record)
            record.listeners.append(keeper)
            plan = _plan(
                search,
                record,
                max_concurrent,
                needs_teacher=TEACHER_TRIAL in record.trials or digest is None,
                known=_plain_trainings(earlier),
                find=keeper.find,
            )
            with watch(record, plan):
                interrupted = _tune(search, storage, record, plan, gpus, presence)
            presence.outcome = "interrupted" if interrupted else "done"
            if record.header["outputs"]["window_bytes"]:
                on_every_machine(search, empty_window)
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
        execution = Execution(**earlier[0].header["execution"])
        reason = "as in the first search of the comparison"
    else:
        execution, reason = execution_for(search, dataset, gpus, measuring)
    record.open(
        id=uuid.uuid4().hex,
        space=search.identity,
        data=dataset.fingerprint,
        teacher=digest,
        code=code_of(search.workload, search.own_method),
        batch=max_concurrent if search.request.deterministic else None,
        trainings=None if search.has_trials else search.num_trainings,
        outputs=outputs.as_json(),
        execution=dataclasses.asdict(execution),
        reasons=[*reasons, f"student: {reason}"],
        time=time.time(),
    )


@dataclasses.dataclass(frozen=True)
class Run(Generic[AnyTask]):
    """What came of a session of a search."""

    search: AnyTask
    record: Record
    interrupted: bool


def search_yaml(request: SearchRequest) -> bytes:
    """The resolved request, to be fed back with --config; a folder's name is not in its files."""
    left_out = {"name", "runs_dir"}
    if request.tracking_uri and has_secret(request.tracking_uri):
        left_out.add("tracking_uri")
    content = request.model_dump(mode="json", exclude_none=True, exclude=left_out)
    return yaml.safe_dump(content, sort_keys=False).encode()


def _plan(
    search: Task,
    record: Record,
    max_concurrent: int,
    *,
    needs_teacher: bool,
    known: Mapping[str, Trial],
    find: Callable[[Training], Trial | None],
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


def _plain_trainings(records: Iterable[Record]) -> dict[str, Trial]:
    """Finished final trainings without a teacher, which no later search has to repeat."""
    return {
        trial.trial: trial
        for record in records
        for trial in record.of(FINAL)
        if trial.label == "plain" and trial.is_full_length
    }


def _tune(
    search: Task,
    storage: PatientStorage,
    record: Record,
    plan: Plan,
    gpus: float,
    presence: Presence,
) -> bool:
    """Lets Ray Tune train what the plan says; returns whether it was interrupted."""
    from ray import tune

    from tuner.orchestration.interruption import Interruption
    from tuner.orchestration.lost_processes import FailedStarts, begun_again
    from tuner.orchestration.planned_search import PlannedSearch
    from tuner.orchestration.schedulers import (
        RecordedScheduler,
        build_scheduler,
        perturbation_interval,
        record_name,
    )
    from tuner.orchestration.trainable import Job, train
    from tuner.orchestration.watchdog import Watchdog

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
        execution=Execution(**record.header["execution"]),
        outputs=OutputsPlan.from_json(record.header["outputs"]),
        own_method=search.own_method,
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


def _keep_teacher(storage: Storage, record: Record, path: Path, event: Event, trial: Trial) -> None:
    """A teacher that was trained here is written down, and kept for later searches."""
    if event["event"] == "end" and trial.trial == TEACHER_TRIAL and trial.status == DONE:
        record.teacher(trial.trial, read_digest(storage))
        # The search has its own copy, so it can do without this one.
        with suppress(OSError):
            Storage(str(path.parent)).write(path.name, storage.read(TEACHER_FILE))


class _Keeper:
    """Writes final trainings that ran to their end into the ledger, and finds them there."""

    def __init__(self, search: Task, storage: PatientStorage, record: Record) -> None:
        self._search, self._storage, self._record = search, storage, record
        runs = search.all_runs
        if runs.exists(COMPARISON_FILE):  # one search of a comparison, gone on with alone
            runs = Storage(runs.parent_uri)
        self._ledger = Ledger(PatientStorage(runs.uri))
        # What a session that was killed did not come to write.
        for trial in record.of(FINAL):
            if trial.is_full_length and not self._ledger.has(self._content(trial)):
                self._add(trial)

    def __call__(self, event: Event, trial: Trial) -> None:
        if event["event"] == "end" and trial.kind == FINAL and trial.is_full_length:
            # One that was taken over stays where its weights are.
            is_ours = self._storage.exists(f"checkpoints/{trial.trial}.pt")
            if is_ours or not self._ledger.has(self._content(trial)):
                self._add(trial)

    def find(self, training: Training) -> Trial | None:
        """A training of the same content, or None.

        Where weights are needed they are copied to this search's own; without them, or with
        another training's, it is no use.
        """
        content = self._content(training)
        found = self._ledger.find(content, trial=training.trial, label=training.label)
        if found is None:
            return None
        trial, place = found
        if isinstance(self._search, FixedTask) and self._search.needs_weights:
            try:
                weights = read_file(place)
                if not _is_of(trial, weights):
                    return None
                self._storage.write(f"checkpoints/{trial.trial}.pt", weights)
            except (OSError, RequestError, DamagedCheckpointError):
                return None
        return trial

    def _add(self, trial: Trial) -> None:
        circumstances = self._circumstances()
        content = circumstances.content(trial.method, trial.setting, trial.seed)
        self._ledger.add(trial, circumstances, content, self._search.storage.uri)

    def _content(self, training: Training | Trial) -> dict[str, Any]:
        return self._circumstances().content(training.method, training.setting, training.seed)

    def _circumstances(self) -> Circumstances:
        header = self._record.header
        execution = Execution(**header["execution"])
        return Circumstances(
            workload=self._search.workload,
            data=header["data"],
            teacher=header["teacher"] or "",
            precision=execution.precision,
            code=tuple(header["code"]),
            compiled=execution.compiled,
            cache_precision=self._search.request.cache_precision,
        )


def _is_of(trial: Trial, weights: bytes) -> bool:
    """Whether a checkpoint is this training's: its folder may be another search's by now."""

    def untimed(epochs: list[dict[str, float]]) -> list[dict[str, float]]:
        return [
            {name: value for name, value in epoch.items() if not name.endswith("seconds")}
            for epoch in epochs
        ]

    return untimed(checkpoint.load(weights)["history"]) == untimed(trial.epochs)


def _delete_checkpoint(storage: Storage, event: Event, trial: Trial) -> None:
    """A trial that has ended needs its checkpoint no more; a final training is the result."""
    if event["event"] == "end" and trial.kind != FINAL:
        storage.delete(f"checkpoints/{trial.trial}.pt")


def _delete_leftovers(storage: Storage, record: Record) -> None:
    """What a session that was killed did not come to delete."""
    for name in storage.files("checkpoints"):
        trial = record.trials.get(name.removesuffix(".pt"))
        is_over = trial is not None and trial.ended is not None and trial.kind != FINAL
        if is_over or name.startswith("."):  # a write that was not ended
            storage.delete(f"checkpoints/{name}")


class _TableWriter:
    """Keeps the Parquet tables up to date, now and then; the journal has what they lack.

    They are written whole, so a long search waits longer: at most a twentieth of its time.
    """

    def __init__(self, storage: Storage, record: Record) -> None:
        self._storage, self._record = storage, record
        self._next = 0.0

    def __call__(self, event: Event, trial: Trial) -> None:
        begin = time.monotonic()
        if event["event"] == "end" and begin > self._next:
            write_tables(self._storage, self._record)
            end = time.monotonic()
            self._next = end + max(TABLES_PAUSE_SECONDS, 20 * (end - begin))
