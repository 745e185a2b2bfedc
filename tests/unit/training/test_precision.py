"""The step mode is chosen by measured seconds; bfloat16 keeps the weights in float32."""

import math
from types import SimpleNamespace

import pytest
import torch

import models
from search_spaces import SPACES
from tests.support.trainings import Data, digits, make_training, metrics_of, run_to_the_end
from tuner.config.step_mode import BFLOAT16, FLOAT32, StepMode
from tuner.training import precision
from tuner.training.distillation import Distillation
from tuner.training.precision import StepTimer, choose_step_mode

CPU = torch.device("cpu")
COMPILED = StepMode(compiled=True)
HOUR = 3600.0


class Scripted:
    """Stands in for a `StepTimer`: scripted seconds per step, and for compiling."""

    def __init__(self, seconds: dict[StepMode, float], compile_seconds: float = 60.0) -> None:
        self.seconds, self.compile_seconds = seconds, compile_seconds
        self.now = 0.0
        self.asked: list[StepMode] = []

    def perf_counter(self) -> float:
        return self.now

    def __call__(self, asked: StepMode) -> float:
        if asked.compiled and asked not in self.asked:
            self.now += self.compile_seconds
        self.asked.append(asked)
        return self.seconds[asked]


@pytest.fixture
def choose(monkeypatch):
    """The choice for a search of so many hours in float32, with the steps' seconds scripted."""

    def call(script: Scripted, hours: float, *, trials: int = 10, wanted="auto"):
        monkeypatch.setattr(precision, "StepTimer", lambda *arguments: script)
        monkeypatch.setattr(precision, "time", SimpleNamespace(perf_counter=script.perf_counter))
        return choose_step_mode(
            lambda: pytest.fail("nothing is built"),
            image_size=(8, 8),
            batch_size=32,
            steps_per_trial=round(hours * HOUR / trials / script.seconds[FLOAT32]),
            num_trials=trials,
            wanted=wanted,
            device=CPU,
        )

    return call


@pytest.mark.parametrize("wanted", ["float32", "bfloat16"])
def test_a_requested_precision_is_not_measured(choose, wanted):
    script = Scripted({FLOAT32: 0.1})
    expected = StepMode(wanted), f"{wanted}, as requested"
    assert choose(script, 1000.0, wanted=wanted) == expected
    assert script.asked == []


def test_a_short_search_stays_as_it_is(choose):
    script = Scripted({FLOAT32: 0.1, BFLOAT16: 0.01})
    assert choose(script, 0.49) == (FLOAT32, "float32: the search is short")
    assert script.asked == [FLOAT32]


@pytest.mark.parametrize(
    ("seconds", "chosen", "gain"),
    [(0.05, BFLOAT16, "2.00"), (0.086, BFLOAT16, "1.16"), (0.088, FLOAT32, "1.14"),
     (0.2, FLOAT32, "0.50")],
)  # fmt: skip
def test_bfloat16_must_gain(choose, seconds, chosen, gain):
    script = Scripted({FLOAT32: 0.1, BFLOAT16: seconds})
    expected = f"{chosen.precision}: a step in bfloat16 is {gain} times as fast"
    assert choose(script, 1.0) == (chosen, expected)
    assert not any(asked.compiled for asked in script.asked)


def test_the_fastest_of_several_rounds_counts(choose, monkeypatch):
    script = Scripted({FLOAT32: 0.1, BFLOAT16: 0.05})
    noisy = iter([0.1, 0.1, 9.0, 9.0, 0.05, 9.0, 9.0])
    monkeypatch.setattr(Scripted, "__call__", lambda self, asked: next(noisy))
    assert choose(script, 1.0)[0] == BFLOAT16


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_a_long_search_is_compiled_where_that_gains(choose, name):
    compiled = StepMode(name, compiled=True)
    fast = 0.05 if name == "bfloat16" else 0.1
    script = Scripted({FLOAT32: 0.1, BFLOAT16: fast, compiled: fast / 2})
    chosen, reason = choose(script, 100.0)
    assert chosen == compiled
    assert reason.endswith("times as fast; compiled, another 2.00 times as fast")
    assert reason.startswith(f"{name}: ")


def test_compiling_is_not_tried_for_a_search_of_few_hours(choose):
    # Eight hours in float32 are four in bfloat16, just under what is worth it.
    script = Scripted({FLOAT32: 0.1, BFLOAT16: 0.0499})
    assert choose(script, 8.0)[0] == BFLOAT16
    assert not any(asked.compiled for asked in script.asked)


def test_compiling_must_gain(choose):
    script = Scripted({FLOAT32: 0.1, BFLOAT16: 0.1, COMPILED: 0.09})
    chosen, reason = choose(script, 100.0)
    assert chosen == FLOAT32
    assert reason.endswith("; not compiled, only 1.11 times as fast")


def test_a_trial_must_gain_more_than_compiling_costs_it(choose):
    # A trial takes 6 minutes, or 3 compiled; each process compiles once more.
    seconds = {FLOAT32: 0.1, BFLOAT16: 0.1, COMPILED: 0.05}
    assert choose(Scripted(seconds, compile_seconds=70.0), 10.0, trials=100)[0] == FLOAT32
    assert choose(Scripted(seconds, compile_seconds=50.0), 10.0, trials=100)[0] == COMPILED


def test_steps_are_timed_and_leave_no_gradient():
    built = []

    def build():
        built.append(models.build("resnet8", 10))
        return built[-1]

    timer = StepTimer(build, (8, 8), 4, CPU)
    assert 0 < timer(FLOAT32) < 10
    assert 0 < timer(BFLOAT16) < 10
    (network,) = built
    assert all(parameter.grad is None for parameter in network.parameters())


# A training in bfloat16.


@pytest.fixture(scope="module")
def data(data_dir) -> Data:
    return digits(data_dir, num_images=32)  # one step per epoch


def make(data: Data, method: str, step_mode: StepMode, epochs: int) -> Distillation:
    pins = {"width": "4", "num_locations": "2"} if method == "mimkd" else {}
    if any(param.name == "initial_epochs" for param in SPACES[method].params):
        pins["initial_epochs"] = "1"
    options = {"step_mode": step_mode}
    return make_training(data, method, pins=pins, epochs=epochs, options=options)


@pytest.mark.parametrize("method", SPACES)
def test_an_epoch_in_bfloat16_is_finite_close_and_keeps_float32_weights(data, method):
    half, single = (
        run_to_the_end(make(data, method, mode, epochs=1)) for mode in (BFLOAT16, FLOAT32)
    )
    (ours,), (theirs,) = half.history, single.history
    assert all(math.isfinite(value) for value in ours.values())
    # A wrong layout or type would differ by more than roundings do.
    assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=0.1)
    assert ours["train_loss"] != theirs["train_loss"]
    state = [*half.student.state_dict().values(), *half.objective.state_dict().values()]
    assert {value.dtype for value in state if value.is_floating_point()} == {torch.float32}


@pytest.mark.parametrize("method", SPACES)
def test_a_resumed_training_in_bfloat16_has_the_same_bits(data, method):
    whole = make(data, method, BFLOAT16, epochs=2)
    whole.run_epoch()
    state = whole.state()
    run_to_the_end(whole)
    resumed = make(data, method, BFLOAT16, epochs=2)
    resumed.restore(state)
    run_to_the_end(resumed)
    assert metrics_of(resumed) == metrics_of(whole)
    ours, theirs = resumed.student.state_dict(), whole.student.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
