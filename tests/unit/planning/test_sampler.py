"""Which setting comes next, what the sampler is told, and how it remembers."""

import optuna
import pytest
from optuna.trial import TrialState

from search_spaces import SPACES, Float, Space
from tests.support.by_hand import (
    METRIC,
    NUMBERS,
    SPACE,
    begin,
    make_sampler,
    new_record,
    reloaded,
    run,
)
from tuner.planning.sampler import Sampler, space_hash
from tuner.results.record import Record
from tuner.results.trial import DONE, FAILED, STOPPED

SPACE_OF = {"gp": NUMBERS, "cmaes": NUMBERS}
ALGORITHMS = ("priorband", "tpe", "random", "qmc", "cmaes", "gp", "grid")


@pytest.fixture
def record(tmp_path) -> Record:
    return new_record(tmp_path)


def accuracy_of(setting) -> float:
    return 60.0 - abs(setting["weight"] - 3.0) - setting.get("alpha", 0.0)


def play(record: Record, sampler: Sampler, num_trials: int) -> None:
    """A search with every kind of end: each third trial is stopped, each fifth fails."""
    for number in range(len(record.trials), len(record.trials) + num_trials):
        name = f"{number:04d}"
        setting = sampler.ask(name)
        begin(record, name, setting=setting)
        if number % 5 == 4:
            record.end(name, FAILED, "diverged")
        else:
            stopped = number % 3 == 2
            run(record, name, [accuracy_of(setting)] * (1 if stopped else 3))
        sampler.tell(record.trials[name])


def test_the_study_knows_what_came_of_every_trial(record):
    sampler = make_sampler(algo="tpe")
    for name, accuracies, status in (
        ("0000", [10, 20, 30], DONE),
        ("0001", [40, 50], STOPPED),
        ("0002", [90], FAILED),
        ("0003", [], FAILED),
        ("0004", [], STOPPED),
    ):
        begin(record, name, setting=sampler.ask(name))
        for epoch, accuracy in enumerate(accuracies, start=1):
            record.epoch(name, {"epoch": float(epoch), METRIC: float(accuracy)})
        record.end(name, status)
        sampler.tell(record.trials[name])
    done, stopped, *failed = sampler.proposer.study.trials
    assert (done.state, done.value) == (TrialState.COMPLETE, 30)
    assert done.intermediate_values == {1: 10, 2: 20, 3: 30}
    assert (stopped.state, stopped.intermediate_values) == (TrialState.PRUNED, {1: 40, 2: 50})
    assert [trial.state for trial in failed] == [TrialState.FAIL] * 3
    # Optuna's own idea of the best trial is ours: the full-length one.
    assert sampler.proposer.study.best_trial.number == 0


def test_a_sampler_avoids_where_trials_diverge(record):
    """Told as failed, a trial teaches TPE nothing, and it goes there again and again."""

    def num_diverged(reason: str, seed: int) -> int:
        sampler, found = make_sampler(NUMBERS, "tpe", num_trials=40, seed=seed), 0
        for number in range(40):
            name = f"{reason}-{seed}-{number:04d}"
            setting = sampler.ask(name)
            begin(record, name, setting=setting)
            if setting["weight"] > 1.5:
                record.end(name, FAILED, reason)
                found += 1
            else:  # better the nearer it comes
                run(record, name, [50.0 + setting["weight"]] * 3)
            sampler.tell(record.trials[name])
        return found

    seeds = range(5)
    taught = sum(num_diverged("diverged: the term 'ce' became nan", seed) for seed in seeds)
    assert taught < 0.7 * sum(num_diverged("crashed 3 times in a row", seed) for seed in seeds)


def test_the_first_setting_is_the_published_one_and_what_does_not_apply_is_none():
    sampler = make_sampler(algo="tpe")
    assert sampler.ask("0000") == {"weight": 1.0, "kernel": "a", "degree": 2}
    settings = [sampler.ask(f"{number:04d}") for number in range(1, 20)]
    assert {setting["degree"] for setting in settings if setting["kernel"] == "b"} == {None}
    assert {1, 2, 3, 4} >= {s["degree"] for s in settings if s["kernel"] == "a"} > {1}
    assert all(0.1 <= setting["weight"] <= 10.0 for setting in settings)


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_the_same_seed_gives_the_same_settings(algo):
    space = SPACE_OF.get(algo, SPACE)
    samplers = [make_sampler(space, algo, seed=seed) for seed in (0, 0, 1)]
    first, second, other = (
        [sampler.ask(f"{number:04d}") for number in range(4)] for sampler in samplers
    )
    assert first == second
    assert first != other


@pytest.mark.parametrize("algo", ALGORITHMS)
@pytest.mark.parametrize("num_before", [1, 5])
def test_a_sampler_that_recalls_goes_on_as_one_that_was_there(record, algo, num_before):
    space = SPACE_OF.get(algo, SPACE)
    sampler = make_sampler(space, algo)
    play(record, sampler, num_before)
    # One more was running when the session broke off.
    running = f"{num_before:04d}"
    begin(record, running, setting=sampler.ask(running))
    recalled = make_sampler(space, algo)
    recorded = reloaded(record)
    recalled.recall(recorded)
    run(recorded, running, [accuracy_of(record.trials[running].setting)] * 3)
    nexts = []
    for one in (sampler, recalled):
        one.tell(recorded.trials[running])
        nexts.append([one.ask(f"{num_before + number:04d}") for number in (1, 2)])
    assert nexts[0] == nexts[1]


def test_a_recalled_study_holds_what_the_first_one_held(record):
    sampler = make_sampler(algo="tpe", num_trials=20)
    play(record, sampler, 12)
    recalled = make_sampler(algo="tpe", num_trials=20)
    recalled.recall(record)
    for before, after in zip(
        sampler.proposer.study.trials, recalled.proposer.study.trials, strict=True
    ):
        assert (before.state, before.value) == (after.state, after.value)
        assert (before.params, before.intermediate_values) == (
            after.params,
            after.intermediate_values,
        )


def test_what_was_tried_stands_where_the_sampler_would_say_otherwise(record):
    """As after an upgrade of Optuna: the journal holds settings that it no longer proposes."""
    for number, weight in enumerate((0.2, 5.0, 7.0)):
        name = f"{number:04d}"
        begin(record, name, setting={"weight": weight, "kernel": "b", "degree": None})
        run(record, name, [50.0 + weight] * 3)
    recalled = make_sampler(algo="tpe")
    recalled.recall(record)
    told = [t for t in recalled.proposer.study.trials if t.state == TrialState.COMPLETE]
    assert [trial.params for trial in told] == [
        {"weight": weight, "kernel": "b"} for weight in (0.2, 5.0, 7.0)
    ]
    assert [trial.value for trial in told] == [50.2, 55.0, 57.0]
    assert not any(trial.state == TrialState.RUNNING for trial in recalled.proposer.study.trials)
    assert recalled.ask("0003")["weight"] not in (0.2, 5.0, 7.0)


def test_a_batch_keeps_its_size_where_the_sampler_would_say_otherwise(record):
    begin(record, "0000", setting={"weight": 0.2, "kernel": "b", "degree": None})
    run(record, "0000", [50.0] * 3)
    sampler = make_sampler(algo="tpe", ask_in_batches=2)
    sampler.recall(record)

    def num_told() -> int:
        return sum(trial.state == TrialState.COMPLETE for trial in sampler.proposer.study.trials)

    sampler.ask("0001")
    assert num_told() == 0
    sampler.ask("0002")
    assert num_told() == 1


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_in_batches_the_order_of_telling_changes_nothing(tmp_path, order):
    asked = []
    for folder, told in (("a", (0, 1, 2)), ("b", order)):
        record, sampler = new_record(tmp_path / folder), make_sampler(algo="tpe", ask_in_batches=3)
        names = [f"{number:04d}" for number in range(3)]
        for name in names:
            begin(record, name, setting=sampler.ask(name))
        for number in told:
            run(record, names[number], [50.0 + number] * 3)
            sampler.tell(record.trials[names[number]])
        asked.append([sampler.ask(f"{number:04d}") for number in range(3, 6)])
        first_batch = sampler.proposer.study.trials[:3]
        assert [trial.value for trial in first_batch] == [50.0, 51.0, 52.0]
        ended = [trial.datetime_complete for trial in first_batch]
        assert ended == sorted(ended)
    assert asked[0] == asked[1]


def test_a_grid_is_the_published_setting_and_then_every_other_once():
    sampler = make_sampler(algo="grid", num_trials=100)
    settings = [sampler.ask(f"{number:04d}") for number in range(9)]
    assert settings[0] == SPACE.published()
    assert sorted(map(str, settings)) == sorted(map(str, SPACE.grid()))
    with pytest.raises(IndexError):
        sampler.ask("0009")


def test_a_published_setting_that_is_not_on_the_grid_is_put_before_it():
    first = SPACES["mimkd"].published()
    sampler = make_sampler(SPACES["mimkd"], "grid", num_trials=126, first=first)
    settings = [sampler.ask(str(number)) for number in range(126)]
    assert settings[0] == first
    assert sorted(map(str, settings[1:])) == sorted(map(str, SPACES["mimkd"].grid()))


def test_a_grid_of_ones_own_holds_nothing_else():
    space = SPACE.narrow({"kernel": "b"})
    sampler = make_sampler(space, "grid", num_trials=3, first=None)
    settings = [sampler.ask(str(number)) for number in range(3)]
    assert sorted(map(str, settings)) == sorted(map(str, space.grid()))


def test_a_part_of_a_grid_varies_every_hyperparameter():
    """Of ITRD's grid, the first trials of the product would all have the first beta_corr."""
    space = SPACES["itrd"]
    sampler = make_sampler(space, "grid", num_trials=16, first=space.published())
    settings = [sampler.ask(f"{number:04d}") for number in range(16)]
    for name in ("beta_corr", "beta_mi", "alpha", "kernel"):
        assert len({setting[name] for setting in settings}) > 1


def test_a_grid_that_an_older_version_began_in_its_order_is_continued(record):
    in_order = SPACE.grid()
    for number, setting in enumerate(in_order[:4]):
        begin(record, f"{number:04d}", setting=setting)
    sampler = make_sampler(algo="grid", num_trials=9)
    sampler.recall(record)
    left = [sampler.ask(f"{number:04d}") for number in range(4, 9)]
    assert sorted(map(str, left)) == sorted(map(str, in_order[4:]))


def test_a_study_maximises():
    assert make_sampler().proposer.study.direction == optuna.study.StudyDirection.MAXIMIZE


def test_the_hash_of_a_space_changes_with_whatever_a_trial_depends_on():
    def space(method="itrd", high=2.0, log=False, name="weight") -> Space:
        return Space(method, (Float(name, 1.0, high, log=log, grid=(1.0,), published=1.0),))

    different = [space(), space("mimkd"), space(high=3.0), space(log=True), space(name="other")]
    assert len({space_hash(one) for one in different}) == 5
    assert space_hash(space()) == space_hash(space())
