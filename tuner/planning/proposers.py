"""What proposes settings: a grid, or one of Optuna's samplers through ask and tell.

Tune's OptunaSearch reports early-stopped trials as complete, leaves failed ones running
forever, and reuses any study of the same name.
"""

import logging
import random
import warnings
from typing import Any, Protocol

import optuna
from optuna.trial import TrialState

from search_spaces import Setting, Space
from tuner.results.trial import COOLDOWN_ACCURACY, DONE, STOPPED, Trial

optuna.logging.set_verbosity(logging.ERROR)


class Proposer(Protocol):
    """Proposes one setting after the other."""

    def propose(self, trial: str) -> Setting:
        """The setting of a new trial."""

    def learn(self, trial: Trial) -> None:
        """Receives a trial that has ended."""

    def repeat(self, trial: str, setting: Setting) -> None:
        """Goes on as if it had proposed this setting, which an earlier session recorded."""


class Grid:
    """All settings of a grid, in an order that the seed shuffles."""

    def __init__(self, space: Space, seed: int, first: Setting | None) -> None:
        # In its own order, the first trials of a product would all have its first values.
        settings = [setting for setting in space.grid() if setting != first]
        random.Random(seed).shuffle(settings)
        self._left = settings if first is None else [first, *settings]

    def propose(self, trial: str) -> Setting:
        return self._left.pop(0)

    def learn(self, trial: Trial) -> None:
        """A grid learns nothing."""

    def repeat(self, trial: str, setting: Setting) -> None:
        # Older versions took the grid in its own order.
        self._left = [left for left in self._left if left != setting]


class Study:
    """An Optuna study in memory, with the sampler `algo`."""

    def __init__(
        self,
        space: Space,
        *,
        algo: str,
        seed: int,
        num_trials: int,
        metric: str,
        first: Setting | None,
    ) -> None:
        self._space, self._metric = space, metric
        self._asked: dict[str, Any] = {}  # trial -> Optuna's trial
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self.study = optuna.create_study(
                direction="maximize", sampler=_optuna_sampler(algo, seed, num_trials)
            )
        if first is not None:
            self.study.enqueue_trial(_active(first))

    def propose(self, trial: str) -> Setting:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            optuna_trial = self._asked[trial] = self.study.ask()
            return self._space.suggest(optuna_trial)

    def learn(self, trial: Trial) -> None:
        """Reports a trial's curve, and whether it ran to the end.

        A trial that was stopped early is reported as pruned, never as complete with the value
        of its last epoch, and one that diverged as pruned with the worst value, so that the
        sampler avoids its region. Other failures are not the setting's.
        """
        optuna_trial = self._asked.pop(trial.name)
        if trial.has_diverged:
            optuna_trial.report(0.0, 1)
            self.study.tell(optuna_trial, state=TrialState.PRUNED)
            return
        if trial.status not in (DONE, STOPPED) or not trial.epochs:
            self.study.tell(optuna_trial, state=TrialState.FAIL)
            return
        for metrics in trial.epochs:
            value = metrics.get(COOLDOWN_ACCURACY, metrics[self._metric])
            optuna_trial.report(value, int(metrics["epoch"]))
        if trial.status == DONE:
            self.study.tell(optuna_trial, trial.last(self._metric))
        else:
            self.study.tell(optuna_trial, state=TrialState.PRUNED)

    def repeat(self, trial: str, setting: Setting) -> None:
        if self.propose(trial) == setting:
            return
        # Another version of a library may propose another setting; the recorded one counts.
        self.study.tell(self._asked.pop(trial), state=TrialState.FAIL)
        self.study.enqueue_trial(_active(setting))
        self.propose(trial)


def _active(setting: Setting) -> dict[str, Any]:
    return {name: value for name, value in setting.items() if value is not None}


def _optuna_sampler(algo: str, seed: int, num_trials: int) -> optuna.samplers.BaseSampler:
    # Optuna's default, ten random trials, would leave a short search none to learn from.
    num_startup = max(4, min(10, num_trials // 3))
    if algo == "tpe":
        return optuna.samplers.TPESampler(
            seed=seed,
            n_startup_trials=num_startup,
            multivariate=True,
            group=True,
            # Has no effect while trials run one at a time, but that may change on resuming,
            # and the sampler must not.
            constant_liar=True,
        )
    if algo == "gp":
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=num_startup)
    if algo == "cmaes":
        return optuna.samplers.CmaEsSampler(
            seed=seed, n_startup_trials=num_startup, warn_independent_sampling=False
        )
    if algo == "qmc":
        return optuna.samplers.QMCSampler(
            seed=seed,
            scramble=True,
            warn_independent_sampling=False,
            warn_asynchronous_seeding=False,
        )
    return optuna.samplers.RandomSampler(seed=seed)
