"""The eighteen traps of gluing Ray Tune, Optuna and MLflow together, each shown to be closed.

Where it is cheap, a test first shows what the stock integration does.
"""

import io
import itertools
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import torch
from mlflow import MlflowClient
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState
from ray import tune
from ray.train._internal.storage import StorageContext
from ray.tune.execution.tune_controller import TuneController, _get_max_pending_trials
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import SearchGenerator
from ray.tune.search.optuna import OptunaSearch

from search_spaces import SPACES, Float, Space
from search_spaces.wording import text_of
from tests.support.by_hand import make_header
from tests.support.mirrors import hurry, mirror_of
from tests.support.searching import (
    Searches,
    TrialProcesses,
    local_ray,
    next_session,
    runs_of,
    teach,
)
from tuner.orchestration.gpu_share import gpu_fraction
from tuner.orchestration.recorded_scheduler import RecordedScheduler
from tuner.orchestration.result_keys import FAILURE, OUT_OF_MEMORY
from tuner.orchestration.schedulers import build_scheduler
from tuner.planning.sampler import Sampler
from tuner.results.record import Record, winner
from tuner.results.trial import DONE, FAILED, FINAL, SEARCH, STOPPED, TEACHER
from tuner.storage.folder import Storage
from tuner.tracking import mirror as mirror_module
from tuner.tracking.mirror import Mirror

METRIC = "val_accuracy"
WEIGHT = Space(method="itrd", params=(Float("weight", 0.0, 1.0, grid=(0.0, 1.0), published=0.5),))
# One of the two settings cannot be trained.
EXPLOSIVE = """
from dataclasses import replace
from search_spaces import SPACES, Space

itrd = SPACES["itrd"]
weights = {"beta_corr": (2.0, 1e38), "beta_mi": (1.0,), "alpha": (1.01,)}
SPACE = Space(
    method="itrd",
    params=tuple(
        replace(p, grid=weights[p.name], **({"high": 1e38} if p.name == "beta_corr" else {}))
        if p.name in weights
        else p
        for p in itrd.params
    ),
)
"""
EXPLOSIVE_OPTIONS = {"algo": "grid", "set": "kernel=polynomial", "epochs": 2, "trials": 2}


class Watched(SimpleNamespace):
    """What was seen of a search while it ran: journals, Ray's files, output, processes."""

    name: str
    status: int
    journals: list[bytes]
    files: list[str]
    out: str
    processes: set[int]


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory, data_dir: str) -> Iterator[Searches]:
    teach(data_dir)
    with local_ray():
        yield Searches(tmp_path_factory.mktemp("traps"), data_dir)


@pytest.fixture(scope="module")
def watched(searches: Searches) -> Watched:
    """One search of four trials, one after another, by TPE and ASHA."""
    seen = Watched(name="watched", journals=[], files=[])
    patch = pytest.MonkeyPatch()
    delete, write = Storage.delete, Record._write

    def delete_and_look(storage: Storage, name: str) -> None:
        if name == "ray":
            seen.files = [str(path) for path in Path(storage.base, name).rglob("*")]
        delete(storage, name)

    def write_and_look(record: Record, event: dict[str, Any]) -> Any:
        trial = write(record, event)
        seen.journals.append(searches.journal(seen.name))
        return trial

    patch.setattr(Storage, "delete", delete_and_look)
    patch.setattr(Record, "_write", write_and_look)
    patch.setattr(sys, "stdout", out := io.StringIO())
    processes = TrialProcesses()
    try:
        with processes.watching():
            seen.status = searches.run(seen.name)
    finally:
        patch.undo()
    seen.out, seen.processes = out.getvalue(), processes.seen
    return seen


@pytest.fixture(scope="module")
def exploded(searches: Searches) -> str:
    """A grid of two settings, the published one and one that diverges."""
    space = searches.runs / "explosive.py"
    searches.runs.mkdir(exist_ok=True)
    space.write_text(EXPLOSIVE)
    assert searches.run("exploded", "--quiet", space=space, **EXPLOSIVE_OPTIONS) == 0
    return "exploded"


@pytest.fixture
def record(tmp_path: Path) -> Record:
    record = Record(Storage(str(tmp_path / "search")))
    record.open(make_header(id="traps"))
    return record


def begin(
    record: Record, trial: str, setting: dict[str, Any] | None = None, epochs: int = 9
) -> Any:
    return record.begin(
        name=trial,
        role=SEARCH,
        setting_label="",
        method="itrd",
        setting=setting or {"weight": 0.5},
        seed=0,
        num_epochs=epochs,
    )


def train(record: Record, trial: str, accuracies: list[float]) -> None:
    for epoch, accuracy in enumerate(accuracies, start=1):
        record.epoch(trial, {"epoch": float(epoch), METRIC: accuracy, "train_loss": 1.0})


def sampler_of(space: Space = WEIGHT, algo: str = "tpe", **options: Any) -> Sampler:
    values = {
        "seed": 0,
        "num_trials": 8,
        "metric": METRIC,
        "first": space.published(),
    }
    return Sampler(space, algo=algo, **{**values, **options})


def stock_search(**options: Any) -> OptunaSearch:
    optuna.logging.set_verbosity(logging.ERROR)
    space = {"weight": FloatDistribution(0, 1)}
    return OptunaSearch(space, **{"metric": METRIC, "mode": "max", **options})


def tune_trial(name: str, setting: dict[str, Any] | None = None) -> Any:
    return SimpleNamespace(
        trial_id=name,
        config={"setting": setting or {"weight": 0.5}},
        run_metadata=SimpleNamespace(num_failures=0),
    )


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all calls that write to MLflow, as they are made."""
    made: list[str] = []

    def counted(name: str, call: Callable) -> Callable:
        def count_and_call(*args: Any, **kwargs: Any) -> Any:
            made.append(name)
            return call(*args, **kwargs)

        return count_and_call

    for name in ("log_metric", "log_batch", "log_param", "set_tag", "create_run"):
        monkeypatch.setattr(MlflowClient, name, counted(name, getattr(MlflowClient, name)))
    return made


def test_trap_01_tracking_sends_batches_and_not_a_call_per_metric(
    record: Record, calls: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's MLflow callback makes one call per metric and report, on the driver's own thread."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    stock = _stock_mlflow(uri)
    run_id = MlflowClient(uri).create_run(stock.experiment_id).info.run_id
    calls.clear()
    for step in range(20):
        stock.log_metrics(step, {"val_accuracy": 1.0, "val_loss": 2.0, "train_loss": 3.0}, run_id)
    assert len(calls) == 60

    # The record grows much faster than MLflow writes.
    hurry(monkeypatch, 0.5)
    calls.clear()
    writing = 0.0
    with mirror_of(record, uri):
        begin(record, "0000")
        for _ in range(4):
            began = time.perf_counter()
            for epoch in range(250):
                metrics = {"epoch": epoch + 1.0, METRIC: 1.0, "val_loss": 2.0, "lr": 0.1}
                record.epoch("0000", metrics)
            writing += time.perf_counter() - began
            time.sleep(0.3)
        record.end("0000", DONE)
    assert calls.count("log_metric") == 0
    assert len(calls) < 30  # for 4,000 values
    assert writing / 1000 < 0.005  # seconds a report, on the driver
    (run,) = [r for r in runs_of(MlflowClient(uri), "traps") if r.data.tags["tuner.trial"]]
    assert run.data.metrics == {METRIC: 1.0, "accuracy": 1.0, "val_loss": 2.0, "lr": 0.1}


def test_trap_01_a_server_that_goes_away_never_raises_into_the_driver(
    searches: Searches, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With Ray's callback an unreachable server ends the run with its exception."""
    monkeypatch.setattr(mirror_module, "SYNC_SECONDS", 0.1)
    send = Mirror._send
    sent: list[str] = []

    def go_away_after_three(mirror: Mirror, runs: Any, trial: Any) -> None:
        if len(sent) == 3:
            raise ConnectionError("the server went away")
        sent.append(trial.name)
        send(mirror, runs, trial)

    monkeypatch.setattr(Mirror, "_send", go_away_after_three)
    assert searches.run("away", "--quiet", trials=2, epochs=2) == 0
    assert len(searches.record("away").trials_of(SEARCH)) == 2
    assert "does not answer: the server went away" in capsys.readouterr().out


def _stock_mlflow(uri: str) -> Any:
    from ray.air._internal.mlflow import _MLflowLoggerUtil

    stock = _MLflowLoggerUtil()
    stock.setup_mlflow(tracking_uri=uri, experiment_name="stock")
    stock.experiment_id = MlflowClient(uri).get_experiment_by_name("stock").experiment_id
    return stock


def test_trap_02_trials_are_children_of_their_search_and_none_stays_running(
    searches: Searches, watched: Watched
) -> None:
    """Ray's MLflow callback makes flat runs, doubles them on restore, and leaves them RUNNING.

    What a crash and a resume do is in test_resume.py and tests/unit/tracking.
    """
    runs = {run.data.tags["tuner.trial"]: run for run in searches.mlflow_runs(watched.name)}
    assert len(runs) == len(searches.mlflow_runs(watched.name))
    parents = {name: run.data.tags.get("mlflow.parentRunId") for name, run in runs.items()}
    top = runs[""].info.run_id
    record = searches.record(watched.name)
    assert [name for name, parent in parents.items() if parent is None] == [""]
    assert all(parents[trial.name] == top for trial in record.trials_of(SEARCH))
    for trial in record.trials_of(FINAL):
        assert parents[trial.name] == runs[f"group:{trial.setting_label}"].info.run_id
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


@pytest.mark.usefixtures("searches")
def test_trap_03_the_rungs_survive_a_restart(record: Record, tmp_path: Path) -> None:
    """Tune leaves the scheduler out of what it saves: after Tuner.restore all rungs are empty."""
    storage = StorageContext(storage_path=str(tmp_path), experiment_dir_name="stock")
    controller = TuneController(scheduler=ASHAScheduler(), storage=storage)
    assert isinstance(vars(controller)["_scheduler_alg"], ASHAScheduler)
    assert "_scheduler_alg" not in controller.__getstate__()

    def scheduler_of(some: Record) -> RecordedScheduler:
        built = build_scheduler("asha", metric=METRIC, epochs=9, population=WEIGHT, seed=0)
        return RecordedScheduler(built, some, is_over_time=lambda: False, run_alone=None)

    curves = {f"{n:04d}": [a, a + 1, a + 2] for n, a in enumerate([50.0, 60, 40, 70, 30, 65, 20])}
    before = scheduler_of(record)
    decisions = {}
    for name, curve in curves.items():
        decisions[name] = _run_trial(before, record, name, curve)
    loaded = next_session(record, tmp_path)
    after = scheduler_of(loaded)
    after.recall({name: tune_trial(name) for name in loaded.trials})
    assert TrialScheduler.STOP in decisions.values()
    assert _rungs(after) == _rungs(before)
    assert any(recorded for _, recorded in _rungs(after))
    # And so the next trial meets the same fate in both.
    fates = [
        _run_trial(scheduler, some, "0099", [35.0, 36.0, 37.0])
        for scheduler, some in ((before, record), (after, loaded))
    ]
    assert fates == [TrialScheduler.STOP, TrialScheduler.STOP]


def _run_trial(scheduler: RecordedScheduler, record: Record, name: str, curve: list[float]) -> str:
    begin(record, name)
    trial = tune_trial(name)
    scheduler.on_trial_add(None, trial)
    decision = TrialScheduler.CONTINUE
    for epoch, accuracy in enumerate(curve, start=1):
        result = {"epoch": epoch, METRIC: accuracy, "reported": ["epoch", METRIC]}
        decision = scheduler.on_trial_result(None, trial, result)
        if decision == TrialScheduler.STOP:
            scheduler.on_trial_complete(None, trial, result)
            break
    return decision


def _rungs(scheduler: RecordedScheduler) -> list[tuple[float, dict[str, float]]]:
    (bracket,) = scheduler._scheduler._brackets
    return [(milestone, dict(recorded)) for milestone, recorded in bracket._rungs]


def test_trap_04_a_diverged_trial_fails_at_once_and_the_sampler_learns_of_it(
    searches: Searches, exploded: str
) -> None:
    """NaN passes ASHA's cut-off and trains to the end; Optuna's trial stays RUNNING for ever."""
    asha = ASHAScheduler(
        time_attr="epoch", metric=METRIC, mode="max", max_t=9, grace_period=1, reduction_factor=3
    )
    decisions = []
    for number, accuracy in enumerate([50.0, 60.0, 70.0, 80.0, float("nan"), 10.0]):
        trial = tune_trial(str(number))
        asha.on_trial_add(None, trial)
        decisions.append(asha.on_trial_result(None, trial, {"epoch": 1, METRIC: accuracy}))
    assert decisions[4] == TrialScheduler.CONTINUE
    stock = stock_search()
    stock.suggest("0000")
    stock.on_trial_complete("0000", {METRIC: float("nan"), "training_iteration": 1})
    assert stock._ot_study.trials[0].state == TrialState.RUNNING

    good, bad = searches.record(exploded).trials_of(SEARCH)
    assert good.status == DONE
    assert bad.status == FAILED
    assert bad.epochs == []
    assert "became" in bad.reason
    assert "at epoch 1, step" in bad.reason
    assert winner(searches.record(exploded), METRIC) is not bad
    runs = {run.data.tags["tuner.trial"]: run for run in searches.mlflow_runs(exploded)}
    assert runs["0001"].info.status == "FAILED"
    assert runs["0001"].data.tags["reason"] == bad.reason
    row = searches.table(exploded, "trials").set_index("trial").loc["0001"]
    assert (row.status, row.reason) == (FAILED, bad.reason)


def test_trap_04_a_failed_trial_is_reported_to_the_sampler(record: Record) -> None:
    """As above: a study that waits for a trial for ever is biased by it."""
    sampler = sampler_of()
    for name, reason in (("0000", "crashed"), ("0001", "diverged: the term 'ce' became nan")):
        begin(record, name, sampler.ask(name))
        sampler.tell(record.end(name, FAILED, reason))
    states = [trial.state for trial in sampler.proposer.study.trials]
    assert states == [TrialState.FAIL, TrialState.PRUNED]


def test_trap_05_an_early_stopped_trial_is_pruned_and_never_wins(record: Record) -> None:
    """OptunaSearch tells a stopped trial as COMPLETE with the value of its short training."""
    stock = stock_search()
    stock.suggest("0000")
    stock.on_trial_result("0000", {METRIC: 99.0, "training_iteration": 1})
    stock.on_trial_complete("0000", {METRIC: 99.0, "training_iteration": 1})
    (told,) = stock._ot_study.trials
    assert (told.state, told.value) == (TrialState.COMPLETE, 99.0)

    sampler = sampler_of()
    for name, curve, status in (
        ("0000", [98.0, 99.0], STOPPED),
        ("0001", [50.0] * 9, DONE),
    ):
        begin(record, name, sampler.ask(name))
        train(record, name, curve)
        sampler.tell(record.end(name, status))
    stopped, done = sampler.proposer.study.trials
    assert stopped.state == TrialState.PRUNED
    assert stopped.intermediate_values == {1: 98.0, 2: 99.0}
    assert (done.state, done.value) == (TrialState.COMPLETE, 50.0)
    assert sampler.proposer.study.best_trial.number == 1
    assert winner(record, METRIC) is record.trials["0001"]


def test_trap_06_no_study_is_continued_by_accident(
    searches: Searches, watched: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    """OptunaSearch's study is always "optuna", joined if it exists, even with another direction."""
    storage = optuna.storages.InMemoryStorage()
    first = stock_search(storage=storage)
    first.suggest("0000")
    first.on_trial_complete("0000", {METRIC: 1.0, "training_iteration": 1})
    second = stock_search(storage=storage, mode="min")
    assert second._ot_study.study_name == "optuna"
    assert len(second._ot_study.trials) == 1
    assert second._ot_study.direction == optuna.study.StudyDirection.MAXIMIZE

    sampler_of().ask("0000")
    again = sampler_of()  # the same space
    assert [trial.state for trial in again.proposer.study.trials] == [
        TrialState.WAITING
    ]  # the published
    journal = searches.journal(watched.name)
    capsys.readouterr()
    assert searches.run(watched.name) == 2  # the same name again
    assert "exists" in capsys.readouterr().err
    assert searches.resume(watched.name, "--set", "alpha=2:3") == 2  # another space
    assert searches.resume(watched.name, "--space", "mimkd") == 2
    assert searches.journal(watched.name) == journal


def test_trap_06_a_space_file_that_has_changed_is_not_resumed(
    searches: Searches, exploded: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As above: the samples of one space would be taken for those of another."""
    space = searches.runs / "explosive.py"
    space.write_text(EXPLOSIVE.replace("(1.01,)", "(1.02,)"))
    try:
        assert searches.resume(exploded) == 2
    finally:
        space.write_text(EXPLOSIVE)
    assert "has changed since exploded began" in capsys.readouterr().err


def test_trap_07_a_search_in_which_nothing_finishes_says_so(
    searches: Searches, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tune's fit returns, and the script's exit status is 0, when every trial has failed."""
    # The teacher keeps its own learning rate only where none is given, so it is kept from before.
    assert searches.run("teacher", "--quiet", trials=1, epochs=1) == 0
    capsys.readouterr()
    teacher = searches.folder("teacher") / "teacher.pt"
    options = {"lr": 1e30, "teacher": f"resnet8@{teacher}", "trials": 3}
    assert searches.run("hopeless", **options) == 1
    trials = searches.record("hopeless").trials_of(SEARCH)
    assert [trial.status for trial in trials] == [FAILED] * 3  # it does not stop at the first
    assert all("(lr 1e+30)" in trial.reason for trial in trials)
    assert searches.record("hopeless").trials_of(FINAL) == []
    output = capsys.readouterr()
    assert "tuner: no trial finished, of 3: " in output.err
    assert trials[0].reason in output.err
    assert "Traceback" not in output.out + output.err
    assert (searches.folder("hopeless") / "report.html").is_file()
    assert not (searches.folder("hopeless") / "best.yaml").exists()
    runs = {run.data.tags["tuner.trial"]: run for run in searches.mlflow_runs("hopeless")}
    assert {run.info.status for run in runs.values()} == {"FAILED"}


def test_trap_08_the_published_setting_is_the_first_trial(
    searches: Searches, watched: Watched
) -> None:
    """`points_to_evaluate` silently ignores nested keys."""
    optuna.logging.set_verbosity(logging.ERROR)
    nested = OptunaSearch(
        {"loss": {"weight": tune.uniform(0, 1)}},
        metric=METRIC,
        mode="max",
        points_to_evaluate=[{"loss": {"weight": 0.5}}],
    )
    assert nested.suggest("0000") != {"loss": {"weight": 0.5}}

    for method, algo in itertools.product(
        ("itrd", "mimkd"), ("tpe", "random", "gp", "cmaes", "qmc", "grid")
    ):
        published = SPACES[method].published()
        assert sampler_of(SPACES[method], algo, num_trials=8).ask("0000") == published
    first = searches.record(watched.name).trials_of(SEARCH)[0]
    assert (first.setting_label, first.setting) == ("published", SPACES["itrd"].published())


def test_trap_09_processes_that_open_a_fresh_store_together_all_succeed(tmp_path: Path) -> None:
    """MLflow migrates a new SQLite file in every process that opens it; most of them crash."""
    code = f"""
import sys, time
from pathlib import Path
from tuner.config.environment import set_library_defaults
set_library_defaults()
import mlflow
from tests.support.by_hand import make_header
from tuner.results.record import Record
from tuner.results.trial import DONE
from tuner.storage.folder import Storage
from tuner.tracking.mirror import Mirror
from tuner.tracking.run_tree import TrackedSearch
from tuner.tracking.store import Store

name, folder = sys.argv[1], Path({str(tmp_path)!r})
(folder / f"{{name}}.ready").touch()
while len(list(folder.glob("*.ready"))) < 3:
    time.sleep(0.01)
record = Record(Storage(str(folder / name)))
record.open(make_header(id=name))
store = Store(f"sqlite:///{{folder}}/mlflow.db", "traps")
with Mirror(record, store, TrackedSearch(name, name, [], {{}})) as mirror:
    record.begin(
        name="0000", role="search", setting_label="", method="itrd", setting={{}}, seed=0,
        num_epochs=1,
    )
    record.end("0000", DONE)
sys.exit(mirror.problem or 0)
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", code, name], stderr=subprocess.PIPE, text=True)
        for name in ("a", "b", "c")
    ]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    for name in ("a", "b", "c"):
        assert {run.data.tags["tuner.trial"] for run in runs_of(client, name)} == {"", "0000"}


def test_trap_10_one_model_per_search_is_logged_with_given_requirements(
    searches: Searches, watched: Watched
) -> None:
    """mlflow.pytorch.log_model infers requirements in a new process: twelve seconds a trial."""
    client = searches.client()
    runs = searches.mlflow_runs(watched.name)
    (top,) = [run for run in runs if not run.data.tags["tuner.trial"]]
    models = client.search_logged_models([top.info.experiment_id])
    of_search = [
        model for model in models if model.source_run_id in {run.info.run_id for run in runs}
    ]
    assert [model.source_run_id for model in of_search] == [top.info.run_id]
    location = Path(of_search[0].artifact_location.removeprefix("file://"))
    requirements = (location / "requirements.txt").read_text().split()
    assert [line.partition("==")[0] for line in requirements] == ["torch", "mlflow"]
    for checkpoint in (searches.folder(watched.name) / "checkpoints").iterdir():
        assert torch.load(checkpoint, weights_only=True)["format"] == 2


def test_trap_11_one_space_serves_every_algorithm(searches: Searches, exploded: str) -> None:
    """Tune's grid_search raises with OptunaSearch, so a grid needs another space."""
    with pytest.raises(ValueError, match="Grid search parameters cannot"):
        OptunaSearch.convert_search_space({"weight": tune.grid_search([0.0, 1.0])})

    for algo in ("tpe", "random", "gp", "cmaes", "qmc", "grid"):
        sampler = sampler_of(WEIGHT, algo)
        settings = [sampler.ask(f"{n:04d}") for n in range(3)]
        assert all(0 <= setting["weight"] <= 1 for setting in settings)
    grid = [trial.setting["beta_corr"] for trial in searches.record(exploded).trials_of(SEARCH)]
    assert grid == [2.0, 1e38]  # and any of the others takes the same file


def test_trap_12_a_trial_is_the_same_first_and_after_others_in_a_warm_process(
    searches: Searches, watched: Watched
) -> None:
    """Reused actors keep what a trial has left behind in their modules and random states."""
    last = searches.record(watched.name).trials_of(SEARCH)[-1]
    assert len(watched.processes) == 1  # all trials of that search ran in one process
    pins = tuple(
        f"{name}={text_of(value)}" for name, value in last.setting.items() if value is not None
    )
    options = {"set": pins, "trials": 1, "scheduler": "none"}
    assert searches.run("alone", "--quiet", **options) == 0
    (first,) = searches.record("alone").trials_of(SEARCH)
    assert first.setting == last.setting
    length = len(last.epochs)
    without_times = [
        [
            {k: v for k, v in epoch.items() if not k.endswith("seconds")}
            for epoch in trial.epochs[:length]
        ]
        for trial in (first, last)
    ]
    assert length >= 1
    assert without_times[0] == without_times[1]


def test_trap_13_a_trial_writes_journal_lines_and_no_files(watched: Watched) -> None:
    """Tune writes CSV, JSON and TensorBoard files a trial, and its whole state again and again."""
    names = [Path(file).name for file in watched.files]
    assert watched.files  # it was looked at before it was deleted
    unwanted = ("result.json", "progress.csv", "params.", "events.out.tfevents", "checkpoint_")
    assert [name for name in names if name.startswith(unwanted)] == []
    assert sum(name.startswith("experiment_state") for name in names) <= 1
    for earlier, later in itertools.pairwise(watched.journals):
        assert later.startswith(earlier)
        assert later.count(b"\n") == earlier.count(b"\n") + 1


def test_trap_14_as_many_trials_start_at_once_as_there_are_slots(
    searches: Searches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a searcher, Tune has one pending trial at a time, so a cluster fills slowly."""
    monkeypatch.delenv("TUNE_MAX_PENDING_TRIALS_PG", raising=False)
    assert _get_max_pending_trials(SearchGenerator(stock_search())) == 1

    assert searches.run("slots", "--quiet", max_concurrent=2, trials=3, epochs=2) == 0
    events = [(event["event"], event["trial"]) for event in searches.record("slots").events]
    assert events[:2] == [("begin", "0000"), ("begin", "0001")]
    assert _get_max_pending_trials(SearchGenerator(stock_search())) == 2


def test_trap_15_a_trial_out_of_memory_is_retried_once_on_a_whole_gpu(
    record: Record,
) -> None:
    """Ray's fractions of a GPU are bookkeeping, and trials run out of memory together."""
    begin(record, "0000")
    alone: list[str] = []
    scheduler = RecordedScheduler(
        FIFOScheduler(),
        record,
        is_over_time=lambda: False,
        run_alone=lambda trial: alone.append(trial.name),
    )
    failure = {FAILURE: "out of memory: 2 GiB", OUT_OF_MEMORY: True}
    shared, own = tune_trial("0000"), tune_trial("0000+alone")
    scheduler.on_trial_add(None, shared)
    assert scheduler.on_trial_result(None, shared, failure) == TrialScheduler.STOP
    scheduler.on_trial_complete(None, shared, failure)
    assert alone == ["0000"]
    assert record.trials["0000"].ended is None
    # On a whole GPU it continues under the same name; the second time it fails.
    scheduler.on_trial_add(None, own)
    result = {"epoch": 1, METRIC: 50.0, "reported": ["epoch", METRIC]}
    assert scheduler.on_trial_result(None, own, result) == TrialScheduler.CONTINUE
    assert scheduler.on_trial_result(None, own, failure) == TrialScheduler.STOP
    scheduler.on_trial_complete(None, own, failure)
    assert alone == ["0000"]
    assert record.trials["0000"].status == FAILED
    assert record.trials["0000"].reason == "out of memory: 2 GiB"
    assert len(record.trials["0000"].epochs) == 1


def test_trap_15_the_share_of_a_gpu_follows_what_a_step_needs() -> None:
    """As above: people guess the fraction."""
    gigabyte = 2**30
    assert gpu_fraction(2 * gigabyte, 24 * gigabyte) == 1 / 7
    assert gpu_fraction(30 * gigabyte, 24 * gigabyte) == 1


def test_trap_16_without_a_terminal_one_line_is_printed_per_trial_that_ends(
    searches: Searches, watched: Watched
) -> None:
    """Tune's console prints whole tables every few seconds, or nothing."""
    record = searches.record(watched.name)
    lines = watched.out.splitlines()
    for trial in record.trials.values():
        told = [line for line in lines if line.split()[:1] == [trial.name]]
        assert len(told) == 1
        assert trial.status in told[0]
    assert "\x1b" not in watched.out
    assert len(lines) < len(record.trials) + 22  # and the heading, the result, three hints


def test_trap_16_quiet_prints_only_the_result_and_json_is_json(
    searches: Searches, capfd: pytest.CaptureFixture[str]
) -> None:
    """As above; what other programs are to read is mixed with log lines."""
    assert searches.run("quiet", "--quiet", trials=1, epochs=1) == 0
    output = capfd.readouterr()
    assert output.out.strip().startswith("quiet: 1 done")
    assert "WARNING" not in output.err
    assert searches.run("json", "--json", trials=1, epochs=1) == 0
    lines = capfd.readouterr().out.splitlines()
    assert json.loads(lines[0])["kind"] in (SEARCH, TEACHER)
    assert json.loads(lines[-1])["search"] == "json"


def test_trap_17_relative_paths_mean_the_same_in_the_workers(
    searches: Searches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tune's workers run in another directory, where a relative path leads elsewhere."""
    monkeypatch.chdir(tmp_path)  # Ray and so its workers were started elsewhere
    options = {"runs_dir": "here/runs", "trials": 1, "epochs": 1}
    assert searches.run("relative", "--quiet", **options) == 0
    assert (tmp_path / "here" / "runs" / "relative" / "report.html").is_file()
    assert (tmp_path / "here" / "runs" / "relative" / "checkpoints" / "plain-1.pt").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    assert {path.name for path in (tmp_path / "here" / "runs").iterdir()} >= {"relative"}


def test_trap_18_the_order_in_which_trials_finish_changes_nothing_in_batches(
    tmp_path: Path,
) -> None:
    """With OptunaSearch the order in which parallel trials end changes what is tried next."""

    def suggestions(order: tuple[int, ...], batch: int | None) -> list[dict[str, Any]]:
        record = Record(Storage(str(tmp_path / f"{batch}-{order}")))
        sampler = sampler_of(num_trials=16, ask_in_batches=batch)
        asked = []
        for start in range(0, 16, 4):
            names = [f"{number:04d}" for number in range(start, start + 4)]
            for name in names:
                asked.append(sampler.ask(name))
                begin(record, name, asked[-1], epochs=1)
            for index in order:
                accuracy = 100 * (1 - abs(asked[start + index]["weight"] - 0.3))
                train(record, names[index], [accuracy])
                sampler.tell(record.end(names[index], DONE))
                if batch is None:  # as soon as a slot is free, the next is asked for
                    asked.append(sampler.ask(f"extra-{start}-{index}"))
        return asked

    orders = [(0, 1, 2, 3), (3, 1, 0, 2)]
    assert suggestions(orders[0], batch=None) != suggestions(orders[1], batch=None)
    assert suggestions(orders[0], batch=4) == suggestions(orders[1], batch=4)


def test_trap_18_the_journal_holds_the_samplers_questions_and_answers_in_order(
    searches: Searches, watched: Watched
) -> None:
    """As above; without the order, there is no telling why a setting was tried."""
    record = searches.record(watched.name)
    sampler = sampler_of(SPACES["itrd"], num_trials=4)
    for event in record.events:
        trial = record.trials[event["trial"]]
        if trial.role == SEARCH and event["event"] == "begin":
            assert sampler.ask(trial.name) == event["setting"]
        elif trial.role == SEARCH and event["event"] == "end":
            sampler.tell(trial)
