"""Who is stopped when: tables of accuracies, replayed through Ray's schedulers without Ray."""

import random
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import TrialScheduler

from search_spaces import SPACES
from tests.support.by_hand import METRIC, NUMBERS, SPACE, begin, new_record, reloaded
from tuner.orchestration.recorded_scheduler import MAX_LOST, RecordedScheduler
from tuner.orchestration.result_keys import FAILURE, OUT_OF_MEMORY, record_name
from tuner.orchestration.schedulers import Explore, build_scheduler
from tuner.planning.rungs import cooldown_epochs, perturbation_interval
from tuner.results.record import Record
from tuner.results.trial import COOLDOWN_ACCURACY, DONE, FAILED, FINAL, RUNNING, STOPPED, TEACHER

CONTINUE, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP
EPOCHS = 9


class Watched:
    """Ray's scheduler, and which trials it has heard of."""

    def __init__(self, scheduler) -> None:
        self.scheduler, self.heard = scheduler, []

    def __getattr__(self, name):
        method = getattr(self.scheduler, name)

        def call(controller, trial, *result):
            self.heard.append((name, trial.trial_id, *(r[METRIC] for r in result)))
            return method(controller, trial, *result)

        return call if name.startswith("on_trial") else method


class Search:
    """What Tune does with a scheduler: trials join, report, and are completed when stopped."""

    def __init__(
        self, record: Record, name: str = "asha", epochs: int = EPOCHS, **partners: Any
    ) -> None:
        self.record, self.epochs = record, epochs
        self.cooldown_epochs = cooldown_epochs(name, epochs)
        self.inner = Watched(
            build_scheduler(
                name,
                metric=METRIC,
                epochs=epochs,
                population=SPACE if name == "pbt" else None,
                seed=0,
            )
        )
        partners = {"is_over_time": lambda: False, "run_alone": None} | partners
        self.scheduler = RecordedScheduler(self.inner, record, **partners)
        self.tune_trials = {
            trial.name: tune_trial(trial.name, trial.setting)
            for trial in record.trials.values()
            if trial.role == "search"
        }
        self.scheduler.recall(self.tune_trials)

    def begin(self, trial: str, kind: str = "search") -> None:
        """As the plan and Tune begin a new trial."""
        if trial not in self.record.trials:
            begin(self.record, trial, kind, self.epochs)
        self.tune_trials[trial] = tune_trial(trial, self.record.trials[trial].setting)
        self.scheduler.on_trial_add(None, self.tune_trials[trial])

    def report(self, trial: str, accuracy: float, epoch: int | None = None) -> str:
        """An epoch ends; returns the decision, which Tune carries out."""
        epoch = epoch or len(self.record.trials[trial].epochs) + 1
        result = result_of(epoch, accuracy)
        if epoch in self.cooldown_epochs:
            result[COOLDOWN_ACCURACY] = accuracy
            result["reported"].append(COOLDOWN_ACCURACY)
        return self.result(trial, result)

    def result(self, trial: str, result: dict) -> str:
        decision = self.scheduler.on_trial_result(None, self.tune_trials[trial], result)
        if decision == STOP:
            self.scheduler.on_trial_complete(None, self.tune_trials[trial], result)
        return decision


def tune_trial(name: str, setting: dict) -> TuneTrial:
    return TuneTrial("stub", trial_id=name, config={"setting": setting}, stub=True)


def result_of(epoch: int, accuracy: float) -> dict:
    return {
        "epoch": float(epoch),
        METRIC: accuracy,
        "reported": ["epoch", METRIC],
        "training_iteration": 99,
    }


@pytest.fixture
def record(tmp_path) -> Record:
    return new_record(tmp_path)


def replay(search: Search, table: dict[str, list[float]]) -> dict[str, int]:
    """Runs the trials side by side, epoch by epoch; returns after how many each ended."""
    for trial in table:
        search.begin(trial)
    for epoch in range(EPOCHS):
        for trial, accuracies in table.items():
            if search.record.trials[trial].status == RUNNING:
                search.report(trial, accuracies[epoch])
    return {trial: len(search.record.trials[trial].epochs) for trial in table}


LEVELS = {"0000": 50.0, "0001": 90.0, "0002": 40.0, "0003": 45.0, "0004": 80.0, "0005": 60.0}
TABLE = {trial: [level] * EPOCHS for trial, level in LEVELS.items()}
TABLE["0004"][2:] = [45.0] * (EPOCHS - 2)


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        # Rungs after 1, 3 and 9 epochs. Asynchronous: the first to come passes, later
        # ones must be in the best third of those before: 0004 at 3 is below 0000 and 0001.
        ("asha", {"0000": 9, "0001": 9, "0002": 1, "0003": 1, "0004": 3, "0005": 1}),
        # Rungs after 1 and 2. The best third includes the trial itself, so that of two one
        # continues and of four two: 0004 at 2 is the second of three.
        ("cooldown", {"0000": 9, "0001": 9, "0002": 1, "0003": 1, "0004": 2, "0005": 1}),
        # A trial's best is compared with the median of the means of three or more others.
        ("median", {"0000": 9, "0001": 9, "0002": 9, "0003": 1, "0004": 9, "0005": 2}),
        ("none", dict.fromkeys(LEVELS, 9)),
    ],
)
def test_who_is_stopped_at_which_rung(record, name, ends):
    assert replay(Search(record, name), TABLE) == ends
    for trial, epochs in ends.items():
        ended = record.trials[trial]
        assert ended.status == (DONE if epochs == EPOCHS else STOPPED)
        cooled = ended.last(COOLDOWN_ACCURACY)
        by = "scheduler" if cooled is None else f"{cooled:.2f} % when cooled down"
        assert ended.reason == ("" if epochs == EPOCHS else f"{by}, after epoch {epochs}")


@pytest.mark.parametrize("name", ["cooldown", "asha", "median"])
def test_the_published_setting_is_never_stopped(record, name):
    for trial in TABLE:
        record.begin(
            name=trial, role="search", setting_label="published" if trial == "0003" else "",
            method="itrd", setting={"weight": 1.0}, seed=0, num_epochs=EPOCHS,
        )  # fmt: skip
    assert replay(Search(record, name), TABLE)["0003"] == EPOCHS


def test_hyperband_has_brackets_that_begin_later(record):
    """A trial's bracket follows from its name alone, so every session agrees on it."""
    names = [f"{number:04d}" for number in range(40)]
    search = Search(record, "hyperband")
    ends = replay(search, {name: [100.0 - number] * EPOCHS for number, name in enumerate(names)})
    # Each is worse than all before: it ends at the first rung of its bracket.
    assert set(ends.values()) == {1, 3, 9}
    again = replay(
        Search(new_record(record._journal._storage.base + "/again"), "hyperband"),
        {name: [100.0 - number] * EPOCHS for number, name in enumerate(names)},
    )
    assert again == ends


def random_steps(seed: int) -> list[tuple[str, float]]:
    """(trial, accuracy) in the order in which eight trials, three at a time, might report."""
    generator = random.Random(seed)
    left = {f"{number:04d}": EPOCHS for number in range(8)}
    steps = []
    while left:
        trial = generator.choice(list(left)[:3])
        steps.append((trial, round(generator.uniform(10, 90), 1)))
        left[trial] -= 1
        if not left[trial]:
            del left[trial]
    return steps


def live_through(search: Search, steps: list[tuple[str, float]]) -> None:
    """Every step whose trial has not ended; trials begin when they are first heard of."""
    for trial, accuracy in steps:
        if trial not in search.tune_trials:
            search.begin(trial)
        if search.record.trials[trial].status == RUNNING:
            if accuracy < 12:
                search.result(trial, {FAILURE: "diverged"})
            else:
                search.report(trial, accuracy)


def without_times(record: Record) -> list[tuple]:
    return [(t.name, t.status, t.reason, t.epochs, t.num_epochs) for t in record.trials.values()]


@pytest.mark.parametrize("name", ["cooldown", "asha", "hyperband", "median", "none"])
def test_a_search_cut_after_any_event_ends_as_one_that_was_not(tmp_path, name):
    steps = random_steps(1)
    whole = new_record(tmp_path / "whole")
    live_through(Search(whole, name), steps)
    assert {DONE, FAILED} <= {trial.status for trial in whole.trials.values()}
    assert (STOPPED in {t.status for t in whole.trials.values()}) == (name != "none")
    lines = whole._journal._storage.read("journal.jsonl").splitlines(keepends=True)
    for cut in range(len(lines) + 1):
        storage = new_record(tmp_path / f"cut{cut}")._journal._storage
        storage.write("journal.jsonl", b"".join(lines[:cut]), sync=False)
        resumed = Record.load(storage)
        # What has been heard already; a trial that failed between two epochs fails again.
        heard = {trial.name: len(trial.epochs) for trial in resumed.trials.values()}
        rest = []
        for trial, accuracy in steps:
            if accuracy >= 12 and heard.get(trial, 0) > 0:
                heard[trial] -= 1
            elif trial not in heard or heard[trial] == 0:
                rest.append((trial, accuracy))
        live_through(Search(resumed, name), rest)
        assert without_times(resumed) == without_times(whole), f"cut after event {cut}"


@pytest.mark.parametrize("name", ["cooldown", "asha", "hyperband", "median"])
def test_a_recalled_scheduler_hears_what_the_first_one_heard(record, name):
    search = Search(record, name)
    live_through(search, random_steps(1))
    recalled = Search(reloaded(record), name)
    assert recalled.inner.heard == search.inner.heard
    assert len(search.inner.heard) > 30


def test_a_scheduler_that_forgets_would_stop_others(tmp_path):
    """The reason for recall: without the rungs the fourth trial runs on (trap 3)."""
    record = new_record(tmp_path)
    search = Search(record)
    for trial in ("0000", "0001", "0002"):
        search.begin(trial)
        search.report(trial, 95.0)
    fresh = Search(new_record(tmp_path / "fresh"))
    remembering = Search(reloaded(record))
    for one, decision in ((fresh, CONTINUE), (remembering, STOP)):
        one.begin("0003")
        assert one.report("0003", 50.0) == decision


def test_a_trial_that_was_to_be_stopped_when_the_session_died_is_stopped(record):
    search = Search(record)
    for trial, accuracy in (("0000", 90.0), ("0001", 50.0)):
        search.begin(trial)
        result = result_of(1, accuracy)
        search.scheduler.on_trial_result(None, search.tune_trials[trial], result)
    assert record.trials["0001"].status == RUNNING
    resumed = reloaded(record)
    Search(resumed)
    assert (resumed.trials["0000"].status, resumed.trials["0001"].status) == (RUNNING, STOPPED)
    assert resumed.trials["0001"].reason == "scheduler, after epoch 1"


def test_a_trial_that_was_done_when_the_session_died_is_done(record):
    begin(record, "0000", num_epochs=2)
    for epoch in (1, 2):
        record.epoch("0000", {"epoch": float(epoch), METRIC: 50.0})
    Search(record, epochs=2)
    assert record.trials["0000"].status == DONE


def test_trials_that_ended_without_an_epoch_are_recalled(record):
    for trial, status in (("0000", FAILED), ("0001", STOPPED)):
        begin(record, trial, num_epochs=EPOCHS)
        record.end(trial, status)
    assert [name for name, *_ in Search(record).inner.heard].count("on_trial_remove") == 2


@pytest.mark.parametrize("name", ["asha", "hyperband", "median"])
@pytest.mark.parametrize("kind", [FINAL, TEACHER])
def test_final_trainings_and_the_teachers_are_none_of_its_business(record, name, kind):
    search = Search(record, name)
    for trial in ("0000", "0001", "0002", "0003"):
        search.begin(trial)
        for _ in range(EPOCHS):
            if record.trials[trial].status == RUNNING:
                search.report(trial, 99.0)
    heard = len(search.inner.heard)
    search.begin("last", kind)
    decisions = [search.report("last", 1.0) for _ in range(EPOCHS)]
    assert decisions == [CONTINUE] * (EPOCHS - 1) + [STOP]
    assert record.trials["last"].status == DONE
    assert len(search.inner.heard) == heard


def test_a_failure_never_reaches_the_scheduler(record):
    search = Search(record)
    search.begin("0000")
    search.report("0000", 50.0)
    assert search.result("0000", {FAILURE: "the term 'ce' became nan"}) == STOP
    trial = record.trials["0000"]
    assert (trial.status, trial.reason) == (FAILED, "the term 'ce' became nan")
    assert len(trial.epochs) == 1
    assert [name for name, *_ in search.inner.heard] == [
        "on_trial_add",
        "on_trial_result",
        "on_trial_remove",
    ]


def test_only_what_the_training_reported_is_recorded(record):
    search = Search(record)
    search.begin("0000")
    search.report("0000", 50.0)
    assert record.trials["0000"].epochs == [{"epoch": 1.0, METRIC: 50.0}]


def test_an_epoch_that_is_told_again_is_not_recorded_again(record):
    search = Search(record)
    for trial, accuracy in (("0000", 90.0), ("0001", 91.0)):
        search.begin(trial)
        search.report(trial, accuracy)
    search.report("0001", 92.0)
    events = len(record.events)
    assert [search.report("0001", 1.0, epoch) for epoch in (1, 2)] == [CONTINUE, CONTINUE]
    assert len(record.events) == events
    assert search.report("0001", 93.0, 3) == CONTINUE
    assert [epoch[METRIC] for epoch in record.trials["0001"].epochs] == [91.0, 92.0, 93.0]


def test_when_the_time_is_over_trials_end_but_final_trainings_do_not(record):
    search = Search(record, is_over_time=lambda: True)
    search.begin("0000")
    search.begin("tuned-1", FINAL)
    assert search.report("0000", 50.0) == STOP
    assert record.trials["0000"].reason == "time budget, after epoch 1"
    assert search.report("tuned-1", 50.0) == CONTINUE


def test_a_trial_that_ran_out_of_memory_goes_on_alone_once(record):
    asked = []
    search = Search(record, run_alone=lambda trial: asked.append(trial.name))
    search.begin("0000")
    search.report("0000", 50.0)
    failure = {FAILURE: "out of memory: 2 GiB", OUT_OF_MEMORY: True}
    search.result("0000", failure)
    assert (asked, record.trials["0000"].status) == (["0000"], RUNNING)
    # Tune knows the second attempt by another name; the record and the scheduler do not.
    alone = search.tune_trials["0000"] = tune_trial("0000+alone", {"weight": 1.0})
    assert record_name(alone.trial_id) == "0000"
    search.scheduler.on_trial_add(None, alone)
    assert search.report("0000", 60.0) == CONTINUE
    search.result("0000", failure)
    assert asked == ["0000"]
    trial = record.trials["0000"]
    assert (trial.status, trial.reason, len(trial.epochs)) == (FAILED, "out of memory: 2 GiB", 2)
    assert {name for _, name, *_ in search.inner.heard} == {"0000"}


def test_a_trial_alone_may_finish(record):
    search = Search(record, epochs=2, run_alone=[].append)
    search.begin("0000")
    search.result("0000", {FAILURE: "out of memory", OUT_OF_MEMORY: True})
    search.tune_trials["0000"] = tune_trial("0000+alone", {"weight": 1.0})
    search.report("0000", 50.0)
    search.report("0000", 60.0)
    assert record.trials["0000"].status == DONE


def test_a_trial_with_a_gpu_of_its_own_fails_when_it_runs_out_of_memory(record):
    search = Search(record, run_alone=None)
    search.begin("0000")
    search.result("0000", {FAILURE: "out of memory", OUT_OF_MEMORY: True})
    assert record.trials["0000"].status == FAILED


def test_a_crash_is_told_by_its_last_error(record, tmp_path, monkeypatch):
    search = Search(record)
    search.begin("0000")
    trial = search.tune_trials["0000"]
    error = tmp_path / "error.txt"
    error.write_text("Failure # 1\nray::actor\n  File x\nValueError: too bad\n\n")
    monkeypatch.setattr(TuneTrial, "error_file", property(lambda self: str(error)))
    trial.set_status(TuneTrial.RUNNING)
    search.scheduler.on_trial_error(None, trial)
    assert record.trials["0000"].status == FAILED
    assert record.trials["0000"].reason.endswith("ValueError: too bad")


def test_a_trial_whose_process_is_lost_before_it_begins_has_not_failed(record, monkeypatch):
    monkeypatch.setattr(TuneTrial, "error_file", None)
    search = Search(record)
    search.begin("0000")
    trial = search.tune_trials["0000"]
    for _ in range(MAX_LOST):
        search.scheduler.on_trial_error(None, trial)
        assert record.trials["0000"].status == RUNNING
    search.scheduler.on_trial_error(None, trial)
    assert record.trials["0000"].status == FAILED


def test_a_crash_that_is_tried_again_ends_nothing(record):
    search = Search(record)
    search.begin("0000")
    search.report("0000", 50.0)
    search.tune_trials["0000"].set_status(TuneTrial.ERROR)
    search.scheduler.on_trial_error(None, search.tune_trials["0000"])
    assert record.trials["0000"].status == RUNNING
    assert search.report("0000", 60.0) == CONTINUE


def test_a_setting_that_population_based_training_changed_is_recorded(record):
    search = Search(record, "none")
    search.begin("0000")
    search.report("0000", 50.0)
    search.tune_trials["0000"].config["setting"] = {"weight": 7.0}
    search.report("0000", 60.0)
    assert record.trials["0000"].setting == {"weight": 7.0}
    assert [event["event"] for event in record.events] == ["begin", "epoch", "change", "epoch"]


@pytest.mark.parametrize("space", [SPACES["itrd"], SPACES["mimkd"], SPACE, NUMBERS])
def test_exploring_stays_in_the_space(space):
    explore = Explore(space, seed=0)
    setting, seen = space.published(), set()
    for _ in range(300):
        explored = explore({"setting": setting, "kind": "search"})
        assert explored["kind"] == "search"
        setting = explored["setting"]
        # Refuses a wrong type, a value out of range, and one that does not apply.
        assert space.complete(setting) == setting
        seen.add(tuple(setting.values()))
    assert len(seen) > 100


def test_exploring_leaves_what_a_person_pinned():
    explore = Explore(SPACE.narrow({"kernel": "b", "weight": "1:2"}), seed=0)
    config = {"setting": {"weight": 1.5, "kernel": "b", "degree": None}}
    for _ in range(50):
        config = explore(config)
        assert 1.0 <= config["setting"]["weight"] <= 2.0
        assert (config["setting"]["kernel"], config["setting"]["degree"]) == ("b", None)


@pytest.mark.parametrize(("epochs", "interval"), [(240, 30), (8, 1), (6, 1), (1, 1)])
def test_a_population_is_compared_eight_times(epochs, interval):
    assert perturbation_interval(epochs) == interval


def test_no_scheduler_hears_of_an_initial_stage(tmp_path):
    is_over = []
    search = Search(new_record(tmp_path), "asha", is_over_time=lambda: bool(is_over))
    search.begin("0000")
    initial = {"initial_epoch": 1.0, "initial_loss": 3.0, "initial_seconds": 1.0}
    told = {**initial, "reported": list(initial)}
    assert search.result("0000", told) == CONTINUE
    assert search.result("0000", told) == CONTINUE  # told again after a restart
    assert search.record.trials["0000"].initial_epochs == [initial]
    assert not any(name == "on_trial_result" for name, *_ in search.inner.heard)
    assert search.report("0000", 50.0) == CONTINUE
    # The time may be over before a first epoch.
    search.begin("0001")
    is_over.append(True)
    assert search.result("0001", told) == STOP
    assert search.record.trials["0001"].status == STOPPED


def test_a_population_takes_in_who_is_begun_again_in_anothers_place(record):
    population = build_scheduler("pbt", metric=METRIC, epochs=EPOCHS, population=SPACE, seed=0)
    scheduler = RecordedScheduler(population, record, is_over_time=lambda: False, run_alone=None)
    begin(record, "0000", "search", EPOCHS)
    tune = SimpleNamespace(search_alg=None)
    for name in ("0000", "0000+again"):
        member = tune_trial(name, record.trials["0000"].setting)
        scheduler.on_trial_add(tune, member)
        assert member in population._trial_state
