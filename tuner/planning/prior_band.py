"""PriorBand's mixture: settings from everywhere, around the prior, and around the best trial.

Mallik et al., "PriorBand: Practical Hyperparameter Optimization in the Age of Deep Learning",
NeurIPS 2023, arXiv:2306.12370. The better the prior explains the best trials, the larger its share.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import truncnorm

from search_spaces import Choice, Fixed, Setting, Space
from tuner.results.trial import COOLDOWN_ACCURACY, Trial

UNIFORM_SHARE = 0.25  # of the proposals
SPREAD = 0.25  # standard deviation around a setting, relative to a range; of strength 1
OTHER_SHARE = 0.3  # of the options around a setting that are others
BEST_FRACTION = 1 / 3  # of the trials, which the shares are computed from


class Prior(NamedTuple):
    """Where good settings are expected."""

    setting: Setting | None  # None: nothing is expected
    strength: float = 1.0  # how near they are expected: the spread around it is divided by this


class PriorBand:
    """Proposes settings; every proposal is a function of seed, number and results."""

    def __init__(
        self, space: Space, *, seed: int, metric: str, first: Setting | None, prior: Prior
    ) -> None:
        """`first` is proposed before all others. Without a prior, its share is the best trial's."""
        self._space, self._seed, self._metric = space, seed, metric
        self._first, self._prior, self._spread = first, prior.setting, SPREAD / prior.strength
        self._num_proposed = 0
        self._ended: list[Trial] = []

    def propose(self, trial: str) -> Setting:
        draw = np.random.default_rng([self._seed, self._num_proposed])
        self._num_proposed += 1
        if self._first is not None and self._num_proposed == 1:
            return self._first
        centers = ((None, 0.0), (self._prior, self._spread), (self._best_setting(), SPREAD))
        center, spread = centers[draw.choice(3, p=self._shares())]
        return self._space.suggest(_Draw(draw, center, spread))

    def learn(self, trial: Trial) -> None:
        """Keeps a trial that has reached an epoch; one that diverged is as bad as can be."""
        if trial.epochs or trial.has_diverged:
            self._ended.append(trial)

    def repeat(self, trial: str, setting: Setting) -> None:
        self._num_proposed += 1

    def _ranked(self) -> list[Trial]:
        """Trials that went further are better: they were compared with all before."""
        return sorted(self._ended, key=self._rank, reverse=True)

    def _rank(self, trial: Trial) -> tuple[int, float]:
        if trial.has_diverged or not trial.epochs:
            return (0, -math.inf)
        last = trial.epochs[-1]
        return (len(trial.epochs), last.get(COOLDOWN_ACCURACY, last.get(self._metric, -math.inf)))

    def _best_setting(self) -> Setting | None:
        return self._ranked()[0].setting if self._ended else None

    def _shares(self) -> tuple[float, float, float]:
        """Of everywhere, the prior, and the best trial."""
        best = self._best_setting()
        if best is None:
            return (1.0, 0.0, 0.0) if self._prior is None else (UNIFORM_SHARE, 1 - UNIFORM_SHARE, 0)
        if self._prior is None:
            return (UNIFORM_SHARE, 0.0, 1 - UNIFORM_SHARE)
        top = self._ranked()[: max(1, int(BEST_FRACTION * len(self._ended)))]
        weights = range(len(top), 0, -1)
        of_prior, of_best = (
            sum(
                weight * _density(self._space, trial.setting, center, spread)
                for weight, trial in zip(weights, top, strict=True)
            )
            for center, spread in ((self._prior, self._spread), (best, SPREAD))
        )
        prior = (1 - UNIFORM_SHARE) * of_prior / (of_prior + of_best)
        return (UNIFORM_SHARE, prior, 1 - UNIFORM_SHARE - prior)


class _Draw:
    """Stands for an Optuna trial: draws values around a setting, or from everywhere."""

    def __init__(self, draw: np.random.Generator, center: Setting | None, spread: float) -> None:
        self._draw, self._center, self._spread = draw, center or {}, spread

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        center = self._center.get(name)
        if center is None:
            place = self._draw.random()
        else:
            distribution = _around(place_in(center, low, high, log), self._spread)
            place = float(distribution.rvs(random_state=self._draw))
        return min(max(_value(place, low, high, log), low), high)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return round(self.suggest_float(name, low, high, log=log))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        center = self._center.get(name)
        others = [choice for choice in choices if choice != center]
        keeps = center in choices and (not others or self._draw.random() >= OTHER_SHARE)
        return center if keeps else others[self._draw.integers(len(others))]


def _density(space: Space, setting: Setting, center: Setting, spread: float) -> float:
    """How likely a draw around `center` gives the setting; options count as probabilities."""
    density = 1.0
    for parameter in space.params:
        value, middle = setting[parameter.name], center.get(parameter.name)
        if isinstance(parameter, Fixed) or value is None:
            continue
        if isinstance(parameter, Choice):
            num_others = len(parameter.options) - (middle in parameter.options)
            is_kept = value == middle or not num_others
            density *= 1 - OTHER_SHARE * bool(num_others) if is_kept else OTHER_SHARE / num_others
        elif middle is not None:
            low, high, log = parameter.low, parameter.high, parameter.log
            distribution = _around(place_in(middle, low, high, log), spread)
            density *= float(distribution.pdf(place_in(value, low, high, log)))
    return density


def _around(place: float, spread: float) -> Any:
    """A normal distribution around a place in [0, 1], truncated to it."""
    return truncnorm(-place / spread, (1 - place) / spread, loc=place, scale=spread)


def place_in(value: Any, low: float, high: float, log: bool) -> float:
    """Where a value lies in its range, from 0 to 1."""
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return float((value - low) / (high - low))


def _value(place: float, low: float, high: float, log: bool) -> float:
    if log:
        return math.exp(math.log(low) + place * (math.log(high) - math.log(low)))
    return low + place * (high - low)
