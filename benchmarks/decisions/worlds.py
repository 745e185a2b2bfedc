"""What a replayed search trains on: recorded tables, and a surrogate with known answers.

Accuracies are in percent. A world answers in microseconds what a training takes minutes for.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from search_spaces import Choice, Fixed, Setting, Space
from search_spaces.parameters import Parameter
from tuner.planning.prior_band import place_in
from tuner.text.errors import RequestError


@dataclass(frozen=True)
class Curve:
    """One training, as long as it may become."""

    values: np.ndarray  # validation accuracy after each epoch, [epochs]
    cooled: dict[int, np.ndarray]  # after each epoch of a cooldown, by the epoch it begins after


class World(ABC):
    """Trainings of one search space."""

    space: Space
    num_epochs: int
    drops: tuple[int, ...]  # epochs after which the learning rate drops

    @abstractmethod
    def train(self, setting: Setting, draw: np.random.Generator) -> Curve:
        """A training of a setting, with a seed of its own."""

    @abstractmethod
    def final_accuracy(self, setting: Setting, draw: np.random.Generator) -> float:
        """The validation accuracy of a whole training with a fresh seed."""

    @abstractmethod
    def truth(self, setting: Setting) -> float:
        """The accuracy of a setting over all seeds."""

    @property
    @abstractmethod
    def best(self) -> float:
        """The truth of the best setting."""

    def regret(self, setting: Setting) -> float:
        """The accuracy lost against the best setting."""
        return self.best - self.truth(setting)


class OneSeedError(RequestError):
    """A table that is not recorded far enough."""


class Table(World):
    """Recorded trainings; a setting stands for the nearest one that was recorded."""

    def __init__(self, path: Path, space: Space, num_epochs: int, drops: tuple[int, ...]) -> None:
        """Raises RequestError for a table in which a training lacks epochs."""
        self.space, self.num_epochs, self.drops = space, num_epochs, drops
        rows = [row for row in pq.read_table(path).to_pylist() if row["schedule"] == "full"]
        trainings: dict[tuple[int, int], list[dict]] = {}
        for row in rows:
            trainings.setdefault((row["number"], row["seed"]), []).append(row)
        self._curves: list[list[Curve]] = []
        self._settings: list[Setting] = []
        finals: list[list[float]] = []
        for (number, seed), epochs in sorted(trainings.items()):
            if [row["epoch"] for row in epochs] != list(range(1, num_epochs + 1)):
                raise RequestError(
                    f"{path}: setting {number}, seed {seed} lacks epochs; record the table again"
                )
            if len(self._settings) <= number:
                names = [parameter.name for parameter in space.params]
                self._settings.append({name: epochs[0][name] for name in names})
                self._curves.append([])
                finals.append([])
            self._curves[number].append(_curve(epochs))
            finals[number].append(epochs[-1]["test_accuracy"])
        if all(len(one) < 2 for one in finals):
            raise OneSeedError(f"{path.name} has one seed, which says nothing about noise")
        self._points = np.array([point_of(space, setting) for setting in self._settings])
        self._finals = [np.array(one) for one in finals]

    def train(self, setting: Setting, draw: np.random.Generator) -> Curve:
        curves = self._curves[self._nearest(setting)]
        return curves[draw.integers(len(curves))]

    def final_accuracy(self, setting: Setting, draw: np.random.Generator) -> float:
        return self.truth(setting) + draw.normal(0, self.noise)

    def truth(self, setting: Setting) -> float:
        return float(self._truths[self._nearest(setting)])

    @property
    def best(self) -> float:
        return float(self._truths.max())

    @cached_property
    def noise(self) -> float:
        """Standard deviation of the test accuracy over seeds."""
        variances = [one.var(ddof=1) for one in self._finals if len(one) > 1]
        return float(np.sqrt(np.mean(variances)))

    @cached_property
    def _truths(self) -> np.ndarray:
        """The means over seeds, smoothed over the space: two seeds alone are noisy."""
        means = np.array([one.mean() for one in self._finals])
        variances = self.noise**2 / np.array([len(one) for one in self._finals])
        kernel = ConstantKernel(means.var()) * RBF(np.full(self._points.shape[1], 0.5))
        regressor = GaussianProcessRegressor(
            kernel, alpha=variances, n_restarts_optimizer=2, random_state=0
        )
        smoothed: np.ndarray = regressor.fit(self._points, means - means.mean()).predict(
            self._points
        )
        return smoothed + means.mean()

    def _nearest(self, setting: Setting) -> int:
        distances = ((self._points - point_of(self.space, setting)) ** 2).sum(axis=1)
        return int(distances.argmin())


def point_of(space: Space, setting: Setting) -> np.ndarray:
    """The place of a setting: a coordinate in [0, 1] per searched number, one per option."""
    coordinates: list[float] = []
    for parameter in space.params:
        if not isinstance(parameter, Fixed):
            coordinates += _coordinates(parameter, setting)
    return np.array(coordinates)


def _coordinates(parameter: Parameter, setting: Setting) -> list[float]:
    value = setting[parameter.name]
    if isinstance(parameter, Choice):
        return [float(value == option) for option in parameter.options]
    if value is None:
        return [0.5]
    return [place_in(value, parameter.low, parameter.high, parameter.log)]


def _curve(epochs: list[dict]) -> Curve:
    names = [name for name in epochs[0] if name.startswith("cooldown_")]
    return Curve(
        np.array([row["val_accuracy"] for row in epochs]),
        {
            int(row["epoch"]): np.array([row[name] for name in names])
            for row in epochs
            if row[names[0]] is not None
        },
    )
