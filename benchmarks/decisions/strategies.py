"""How searches may decide: samplers, schedulers, and what is handed out at the end."""

from collections.abc import Callable
from functools import partial
from typing import Any

import optuna
from ray.tune.schedulers import ASHAScheduler

from benchmarks.decisions.replay import METRIC, Strategy, chosen_by_finals, chosen_by_last_value
from benchmarks.decisions.worlds import World
from search_spaces import Float, Setting, Space
from tuner.orchestration.schedulers import build_scheduler
from tuner.planning.prior_band import Prior
from tuner.planning.rungs import COOLDOWN_RATES, cooldown_epochs
from tuner.planning.sampler import Sampler
from tuner.results.record import Record
from tuner.results.trial import Trial

Build = Callable[[World, int, int], Any]


def strategies() -> list[Strategy]:
    """From the stock integration to ours, one ingredient after the other."""
    tpe, band = _sampler("tpe"), partial(_sampler, "priorband")
    return [
        Strategy("Tune + Optuna, stock", StockSampler, _stock_asha, choose=chosen_by_last_value),
        Strategy("TPE, ASHA", tpe, _scheduler("asha"), keeps_published=False),
        Strategy("TPE", tpe, _scheduler("none")),
        Strategy("random", _sampler("random"), _scheduler("none")),
        _cooled("TPE, cooldown", tpe),
        _cooled("TPE, cooldown, finals decide", tpe, choose=chosen_by_finals, num_seeds=3),
        _cooled("no prior, cooldown", band(prior=lambda space: None)),
        _cooled("wrong prior, cooldown", band(prior=_wrong)),
        _cooled("PriorBand, cooldown", band()),
        _cooled("PriorBand, cooldown, finals decide", band(), choose=chosen_by_finals, num_seeds=3),
    ]


def _cooled(name: str, sampler: Build, **options: Any) -> Strategy:
    return Strategy(
        name,
        sampler,
        _scheduler("cooldown"),
        cooldowns=lambda world: cooldown_epochs("cooldown", world.num_epochs),
        cooldown_length=len(COOLDOWN_RATES),
        **options,
    )


def _wrong(space: Space) -> Setting:
    """A corner of the space: the ends of the ranges that are farther from the published values."""
    published, values = space.published(), dict(space.published())
    for parameter in space.params:
        value = published[parameter.name]
        if isinstance(parameter, Float) and isinstance(value, int | float):
            middle = (parameter.low + parameter.high) / 2
            values[parameter.name] = parameter.high if value < middle else parameter.low
    return space.applicable(values)


class StockSampler:
    """Tune's OptunaSearch with Optuna's defaults: a stopped trial's last value counts as final."""

    def __init__(self, world: World, seed: int, num_trials: int) -> None:
        self._space = world.space
        self._study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed)
        )
        self._asked: dict[str, optuna.Trial] = {}

    def ask(self, trial: str) -> Setting:
        asked = self._asked[trial] = self._study.ask()
        return self._space.suggest(asked)

    def tell(self, trial: Trial) -> None:
        self._study.tell(self._asked.pop(trial.name), trial.last(METRIC))

    def recall(self, record: Record) -> None:
        """Nothing is resumed here."""


def _sampler(algo: str, prior: Callable[[Space], Setting | None] = Space.published) -> Build:
    def build(world: World, seed: int, num_trials: int) -> Sampler:
        return Sampler(
            world.space,
            algo=algo,
            seed=seed,
            num_trials=num_trials,
            metric=METRIC,
            first=world.space.published(),
            prior=Prior(prior(world.space)),
        )

    return build


def _scheduler(name: str) -> Callable[[World], Any]:
    return lambda world: build_scheduler(
        name, metric=METRIC, epochs=world.num_epochs, population=None, seed=0
    )


def _stock_asha(world: World) -> Any:
    return ASHAScheduler(
        time_attr="epoch", metric=METRIC, mode="max", max_t=world.num_epochs, grace_period=1
    )
