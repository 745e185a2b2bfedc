"""The full-length trials of a search as points in its space, and which hyperparameters matter.

The only file here that imports Optuna: its distributions describe the axes, its PED-ANOVA gives
the importances.
"""

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState

from search_spaces import Setting, Space
from search_spaces.wording import text_of
from tuner.results.record import Record
from tuner.results.trial import SEARCH


@dataclass(frozen=True)
class Point:
    """A full-length trial: a value for each hyperparameter that the space varies for it."""

    accuracy: float  # percent
    values: dict[str, Any]
    distributions: dict[str, BaseDistribution]  # by the same names

    def place(self, name: str) -> float:
        """Where the trial lies on a hyperparameter's axis; options are numbered from 0."""
        options = self.options(name)
        return float(self.values[name] if options is None else options.index(self.values[name]))

    def options(self, name: str) -> list[Any] | None:
        """The options of a choice; None for a number."""
        distribution = self.distributions[name]
        is_choice = isinstance(distribution, CategoricalDistribution)
        return list(distribution.choices) if is_choice else None

    def is_log(self, name: str) -> bool:
        """Whether the hyperparameter's range is logarithmic."""
        return bool(getattr(self.distributions[name], "log", False))


@dataclass(frozen=True)
class Points:
    """The trials of a search that reached their last epoch, in the order they began.

    Shorter trials are left out: accuracies at different epochs are not comparable.
    """

    points: list[Point]

    @cached_property
    def varied(self) -> list[str]:
        """Hyperparameters with at least two different values, in the space's order."""
        names = dict.fromkeys(name for point in self.points for name in point.values)
        return [name for name in names if len({one.values[name] for one in self.having(name)}) > 1]

    @cached_property
    def importances(self) -> dict[str, float]:
        """The PED-ANOVA importance of each varied hyperparameter, highest first; their sum is 1.

        PED-ANOVA is deterministic and allows conditional hyperparameters. Empty where all
        accuracies are the same.
        """
        if len({point.accuracy for point in self.points}) < 2:
            return {}
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # else it announces the study
        study = optuna.create_study(direction="maximize")
        study.add_trials(
            optuna.trial.create_trial(
                state=TrialState.COMPLETE,
                value=point.accuracy,
                params=point.values,
                distributions=point.distributions,
            )
            for point in self.points
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # few trials make it uncertain: the caption says so
            found = get_param_importances(
                study, evaluator=PedAnovaImportanceEvaluator(), params=self.varied
            )
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def having(self, *names: str) -> list[Point]:
        """The trials that have a value for all of these hyperparameters."""
        return [one for one in self.points if all(name in one.values for name in names)]


def points_of(record: Record, space: Space, metric: str) -> Points:
    """The full-length trials of a search, with the accuracy that ranked them.

    Raises KeyError or ValueError where a trial has no value for a hyperparameter of `space`,
    which has changed since.
    """
    points = []
    for trial in record.trials_of(SEARCH):
        accuracy = trial.last(metric)
        if trial.is_full_length and accuracy is not None:
            answers = _Answers(trial.setting)
            space.suggest(answers)
            points.append(Point(accuracy, answers.values, answers.distributions))
    return Points(points)


class _Answers:
    """Stands in for an Optuna trial: answers a space's questions with known values.

    Keeps the values and distributions of what varies. A range is widened to a value outside it:
    the published setting may lie outside the range that the user narrowed.
    """

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self.values: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        value = float(self._number(name))
        distribution = FloatDistribution(min(low, value), max(high, value), log=log)
        return self._keep(name, value, distribution)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        value = int(self._number(name))
        return self._keep(name, value, IntDistribution(min(low, value), max(high, value), log=log))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        text = text_of(self._setting.get(name))
        for choice in choices:
            # A table's column of numbers holds 1.0 where the option is 1.
            if text_of(choice) == text or choice == self._setting.get(name):
                return self._keep(name, choice, CategoricalDistribution(choices))
        raise ValueError(f"{name}: {text!r} is not an option of the space")

    def _number(self, name: str) -> Any:
        value = self._setting[name]
        if isinstance(value, str):
            raise ValueError(f"{name}: {value!r} is not a number")
        return value

    def _keep(self, name: str, value: Any, distribution: BaseDistribution) -> Any:
        if not distribution.single():
            self.values[name] = value
            self.distributions[name] = distribution
        return value
