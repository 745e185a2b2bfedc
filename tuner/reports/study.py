"""The search as an Optuna study in memory, for Optuna's own figures and importances."""

from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from search_spaces import Setting, Space
from search_spaces.parameters import text_of
from tuner.results.record import Record
from tuner.results.trial import FAILED, RUNNING, SEARCH, Trial


def study_of(record: Record, space: Space, metric: str) -> optuna.Study:
    """The trials of a search, in their order, with the accuracy that they were ranked on.

    Full-length trials are COMPLETE, shorter ones PRUNED with their curve, so that no
    figure compares trainings of unequal length as equals. Hyperparameters with a single
    value are left out. Raises KeyError or ValueError where a trial has no value for what
    `space` searches, because the space has changed since.
    """
    study = optuna.create_study(direction="maximize")
    study.add_trials([_frozen(trial, space, metric) for trial in record.trials_of(SEARCH)])
    return study


def _frozen(trial: Trial, space: Space, metric: str) -> FrozenTrial:
    answers = _Answers(trial.setting)
    space.suggest(answers)
    value = trial.last(metric)
    if trial.status == RUNNING:
        state = TrialState.RUNNING
    elif trial.status == FAILED or value is None:
        state = TrialState.FAIL
    else:
        state = TrialState.COMPLETE if trial.is_full_length else TrialState.PRUNED
    return optuna.trial.create_trial(
        state=state,
        value=value if state == TrialState.COMPLETE else None,
        params=answers.params,
        distributions=answers.distributions,
        intermediate_values={
            int(epoch["epoch"]): epoch[metric] for epoch in trial.epochs if metric in epoch
        },
        user_attrs={"trial": trial.name, "label": trial.setting_label},
    )


class _Answers:
    """Stands in for an Optuna trial: answers a space with known values, keeps its questions.

    A range is widened to a value outside it: a published setting may lie outside what a
    person narrowed the space to.
    """

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        value = float(self._number(name))
        return self._keep(
            name, value, FloatDistribution(min(low, value), max(high, value), log=log)
        )

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        value = int(self._number(name))
        return self._keep(name, value, IntDistribution(min(low, value), max(high, value), log=log))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        text = text_of(self._setting.get(name))
        for choice in choices:
            # A table's column of numbers has 1.0 where the option is 1.
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
            self.params[name] = value
            self.distributions[name] = distribution
        return value
