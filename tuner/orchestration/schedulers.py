"""Builds Ray's early-stopping schedulers."""

import math
import random
from typing import Any

from ray.tune.schedulers import (
    ASHAScheduler,
    FIFOScheduler,
    PopulationBasedTraining,
    TrialScheduler,
)

from search_spaces import Choice, Fixed, Setting, Space
from search_spaces.parameters import Parameter, Value
from tuner.orchestration.ray_internals import AsyncHyperBand, MedianStopping
from tuner.planning.rungs import REDUCTION_FACTOR, grace_period, perturbation_interval
from tuner.results.trial import COOLDOWN_ACCURACY


def build_scheduler(
    name: str, *, metric: str, epochs: int, population: Space | None, seed: int
) -> Any:
    """Ray's scheduler `name` for trials of `epochs` epochs, ranked on `metric` (higher is better).

    It first decides after a tenth of the epochs; each rung keeps a third. `population` is the
    space that population-based training perturbs.
    """
    if name == "cooldown":
        return CooldownHalving()
    grace = grace_period(epochs)
    common = {"time_attr": "epoch", "metric": metric, "mode": "max"}
    if name == "asha":
        return ASHAScheduler(
            **common, max_t=epochs, grace_period=grace, reduction_factor=REDUCTION_FACTOR
        )
    if name == "hyperband":
        return AsyncHyperBand(
            **common,
            max_t=epochs,
            grace_period=grace,
            reduction_factor=REDUCTION_FACTOR,
            brackets=3,
        )
    if name == "median":
        return MedianStopping(**common, grace_period=grace)
    if population is not None:
        return PopulationBasedTraining(
            **common,
            perturbation_interval=perturbation_interval(epochs),
            custom_explore_fn=Explore(population, seed),
            log_config=False,
        )
    scheduler = FIFOScheduler()
    scheduler.set_search_properties(metric, "max")
    return scheduler


class CooldownHalving(FIFOScheduler):
    """Asynchronous successive halving on the accuracies after cooldowns.

    A trial continues if it is among the best third of those that have come to its rung.
    """

    def __init__(self) -> None:
        super().__init__()
        self._accuracies: dict[float, list[float]] = {}  # by rung, in the order they came

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict) -> str:
        """Compares the trial where its result has the accuracy after a cooldown."""
        accuracy = result.get(COOLDOWN_ACCURACY)
        if accuracy is None:
            return TrialScheduler.CONTINUE
        rung = self._accuracies.setdefault(result["epoch"], [])
        rung.append(accuracy)
        num_kept = math.ceil(len(rung) / REDUCTION_FACTOR)
        is_kept = accuracy >= sorted(rung, reverse=True)[num_kept - 1]
        return TrialScheduler.CONTINUE if is_kept else TrialScheduler.STOP


class Explore:
    """How population-based training changes the setting that a trial copies from a better one.

    Numbers are multiplied by 0.8 or 1.2; one value in four is drawn anew (arXiv:1711.09846).
    """

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._random = random.Random(seed)

    def __call__(self, config: dict[str, Any]) -> dict[str, Any]:
        copied: Setting = config["setting"]
        changed = {
            parameter.name: self._change(parameter, copied[parameter.name])
            for parameter in self._space.params
        }
        return config | {"setting": self._space.applicable(changed)}

    def _change(self, parameter: Parameter, value: Value) -> Value:
        draws_anew = value is None or self._random.random() < 0.25
        if isinstance(parameter, Choice):
            return self._random.choice(parameter.options) if draws_anew else value
        if isinstance(parameter, Fixed):
            return parameter.published
        if draws_anew:
            low, high = (
                math.log(x) if parameter.log else x for x in (parameter.low, parameter.high)
            )
            drawn = self._random.uniform(low, high)
            number = math.exp(drawn) if parameter.log else drawn
        else:
            number = float(value) * self._random.choice((0.8, 1.2))  # type: ignore[arg-type]
        number = min(max(number, parameter.low), parameter.high)
        return round(number) if parameter.kind is int else number
