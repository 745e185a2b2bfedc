"""How a student's step is computed: by scripted seconds, and what bfloat16 leaves as it was."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import models
from losses import LOSSES
from search_spaces import SPACES
from tuner.config.step_mode import BFLOAT16, FLOAT32, StepMode
from tuner.data import open_dataset, split
from tuner.training import precision as execution
from tuner.training.distillation import Distillation
from tuner.training.precision import StepTimer, choose_step_mode
from tuner.training.seeding import frozen, seeded
from tuner.training.teachers import teacher_of

CPU = torch.device("cpu")
COMPILED, COMPILED_BFLOAT16 = StepMode("float32", True), StepMode("bfloat16", True)
HOUR = 3600.0


class Scripted:
    """In place of a `StepTimer`: says how long a step takes, and lets compiling take its time."""

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
        monkeypatch.setattr(execution, "StepTimer", lambda *arguments: script)
        monkeypatch.setattr(execution, "time", SimpleNamespace(perf_counter=script.perf_counter))
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
def test_a_persons_wish_is_not_measured(choose, wanted):
    script = Scripted({FLOAT32: 0.1})
    expected = StepMode(wanted), f"{wanted}, as asked for"
    assert choose(script, 1000.0, wanted=wanted) == expected
    assert script.asked == []


def test_a_short_search_stays_as_it_is(choose):
    script = Scripted({FLOAT32: 0.1, BFLOAT16: 0.01})
    assert choose(script, 0.49) == (FLOAT32, "float32, since the search is short")
    assert script.asked == [FLOAT32]


@pytest.mark.parametrize(
    ("seconds", "chosen", "gain"),
    [(0.05, BFLOAT16, "2.00"), (0.086, BFLOAT16, "1.16"), (0.088, FLOAT32, "1.14"),
     (0.2, FLOAT32, "0.50")],
)  # fmt: skip
def test_bfloat16_must_gain(choose, seconds, chosen, gain):
    script = Scripted({FLOAT32: 0.1, BFLOAT16: seconds})
    expected = f"{chosen.precision}, since a step in bfloat16 is {gain} times as fast"
    assert choose(script, 1.0) == (chosen, expected)
    assert not any(asked.compiled for asked in script.asked)


def test_the_fastest_of_several_rounds_counts(choose, monkeypatch):
    script = Scripted({FLOAT32: 0.1, BFLOAT16: 0.05})
    noisy = iter([0.1, 0.1, 9.0, 9.0, 0.05, 9.0, 9.0])
    monkeypatch.setattr(Scripted, "__call__", lambda self, asked: next(noisy))
    assert choose(script, 1.0)[0] == BFLOAT16


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_long_search_is_compiled_where_that_gains(choose, precision):
    compiled = StepMode(precision, compiled=True)
    fast = 0.05 if precision == "bfloat16" else 0.1
    script = Scripted({FLOAT32: 0.1, BFLOAT16: fast, compiled: fast / 2})
    chosen, reason = choose(script, 100.0)
    assert chosen == compiled
    assert reason.endswith("times as fast; compiled, 2.00 times as fast again")
    assert reason.startswith(f"{precision}, since ")


def test_compiling_is_not_tried_for_a_search_of_few_hours(choose):
    # Eight hours in float32 are four in bfloat16, just under what is worth it.
    script = Scripted({FLOAT32: 0.1, BFLOAT16: 0.0499})
    assert choose(script, 8.0)[0] == BFLOAT16
    assert not any(asked.compiled for asked in script.asked)


def test_compiling_must_gain(choose):
    script = Scripted({FLOAT32: 0.1, BFLOAT16: 0.1, COMPILED: 0.09})
    chosen, reason = choose(script, 100.0)
    assert chosen == FLOAT32
    assert reason.endswith("; not compiled (1.11 times as fast)")


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
def data(data_dir):
    dataset = open_dataset("digits", Path(data_dir))
    return dataset, split(dataset, validation_fraction=0.2, seed=0, limit=100)


def make(data, method: str, how: StepMode) -> Distillation:
    pins = {"width": "4", "num_locations": "2"} if method == "mimkd" else {}
    network = frozen(seeded(100, lambda: models.build("resnet8", 10)))
    return Distillation(
        student="resnet8",
        method=LOSSES[method],
        setting=SPACES[method].narrow(pins).published(),
        teacher=teacher_of("resnet8", lambda: network, data[0], CPU),
        dataset=data[0],
        splits=data[1],
        epochs=2,
        batch_size=32,
        lr=0.05,
        lr_decay_epochs=(1,),
        lr_decay_rate=0.1,
        momentum=0.9,
        weight_decay=5e-4,
        crop_padding=1,
        flip=True,
        passes=2,
        seed=0,
        data_seed=0,
        device=CPU,
        execution=how,
    )


def losses_of(training: Distillation) -> list[dict[str, float]]:
    return [{k: v for k, v in m.items() if not k.endswith("seconds")} for m in training.history]


@pytest.mark.parametrize("method", SPACES)
def test_an_epoch_in_bfloat16_is_finite_close_and_keeps_float32_weights(data, method):
    half, single = make(data, method, BFLOAT16), make(data, method, FLOAT32)
    ours, theirs = half.run_epoch(), single.run_epoch()
    assert all(math.isfinite(value) for value in ours.values())
    # After some steps two trainings differ by more than roundings do, most where weights are
    # large; what a wrong layout or type would do is more than that.
    assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=0.2)
    assert ours["train_loss"] != theirs["train_loss"]
    state = [*half.student.state_dict().values(), *half.objective.state_dict().values()]
    assert {value.dtype for value in state if value.is_floating_point()} == {torch.float32}


@pytest.mark.parametrize("method", SPACES)
def test_a_resumed_training_in_bfloat16_has_the_same_bits(data, method):
    whole = make(data, method, BFLOAT16)
    whole.run_epoch()
    state = whole.state()
    whole.run_epoch()
    resumed = make(data, method, BFLOAT16)
    resumed.restore(state)
    resumed.run_epoch()
    assert losses_of(resumed) == losses_of(whole)
    ours, theirs = resumed.student.state_dict(), whole.student.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


@pytest.mark.slow
@pytest.mark.parametrize("how", [COMPILED, COMPILED_BFLOAT16], ids=["float32", "bfloat16"])
def test_a_compiled_training_is_the_same_but_for_rounding(data, how):
    compiled, plain = make(data, "itrd", how), make(data, "itrd", StepMode(how.precision))
    ours, theirs = compiled.run_epoch(), plain.run_epoch()
    tolerance = 1e-3 if how.precision == "float32" else 0.05
    assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=tolerance)
    # Saved under the names of the network itself, so that any process can go on with it.
    assert list(compiled.student.state_dict()) == list(plain.student.state_dict())
    state = compiled.state()
    compiled.run_epoch()
    resumed = make(data, "itrd", how)
    resumed.restore(state)
    resumed.run_epoch()
    assert losses_of(resumed) == losses_of(compiled)
