"""Chooses the next setting: Optuna's samplers through ask and tell, or the grid.

Tune's OptunaSearch reports early-stopped trials as complete, leaves failed ones running
forever, and reuses any study of the same name.
"""

import hashlib
import json
import logging
import random
import warnings
from typing import Any

import optuna
from optuna.trial import TrialState

from search_spaces import Setting, Space
from tuner.results.record import Record
from tuner.results.trial import COOLDOWN_ACCURACY, DONE, STOPPED, Trial

optuna.logging.set_verbosity(logging.ERROR)


FULL_LENGTH_ONLY = ("gp", "cmaes")  # they ignore the results of trials that were stopped


class Sampler:
    """Proposes settings of a space and learns from the trials' results.

    The study lives in memory; the journal is its storage. `recall` rebuilds it, random state
    included, by repeating every ask and tell.
    """

    def __init__(
        self,
        space: Space,
        *,
        algo: str,
        seed: int,
        num_trials: int,
        metric: str,
        first: Setting | None,
        ask_in_batches: int | None = None,
    ) -> None:
        """`first` is proposed before all others.

        With `ask_in_batches`, settings are proposed in batches of that size. A batch's results
        are reported together, in the order of its trials, before the next batch begins, so the
        order in which trials finish has no effect.
        """
        self._space, self._metric, self._batch_size = space, metric, ask_in_batches
        self._num_asked = 0
        self._unreported: list[Trial] = []
        self._grid: list[Setting] | None = None  # what is left of it
        self._asked: dict[str, Any] = {}  # trial -> Optuna's trial
        if algo == "grid":
            # Shuffled: the first trials of a product would all have its first values.
            settings = [setting for setting in space.grid() if setting != first]
            random.Random(seed).shuffle(settings)
            self._grid = settings if first is None else [first, *settings]
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study = optuna.create_study(
                direction="maximize",
                sampler=_optuna_sampler(algo, seed, num_trials),
            )
        if first is not None:
            self._study.enqueue_trial(_active(first))

    def ask(self, trial: str) -> Setting:
        """The setting of a new trial."""
        if self._batch_size and self._num_asked % self._batch_size == 0:
            self._tell_all()
        self._num_asked += 1
        return self._propose(trial)

    def _propose(self, trial: str) -> Setting:
        if self._grid is not None:
            return self._grid.pop(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            optuna_trial = self._asked[trial] = self._study.ask()
            return self._space.suggest(optuna_trial)

    def tell(self, trial: Trial) -> None:
        """Reports a trial's curve, and whether it ran to the end.

        A trial that was stopped early is reported as pruned, never as complete with the value
        of its last epoch, and one that diverged as pruned with the worst value, so that the
        sampler avoids its region. Other failures are not the setting's.
        """
        self._unreported.append(trial)
        if not self._batch_size:
            self._tell_all()

    def _tell_all(self) -> None:
        for trial in sorted(self._unreported, key=lambda trial: trial.name):
            if self._grid is None:
                self._tell(trial)
        self._unreported.clear()

    def _tell(self, trial: Trial) -> None:
        optuna_trial = self._asked.pop(trial.name)
        if trial.has_diverged:
            optuna_trial.report(0.0, 1)
            self._study.tell(optuna_trial, state=TrialState.PRUNED)
            return
        if trial.status not in (DONE, STOPPED) or not trial.epochs:
            self._study.tell(optuna_trial, state=TrialState.FAIL)
            return
        for metrics in trial.epochs:
            value = metrics.get(COOLDOWN_ACCURACY, metrics[self._metric])
            optuna_trial.report(value, int(metrics["epoch"]))
        if trial.status == DONE:
            self._study.tell(optuna_trial, trial.last(self._metric))
        else:
            self._study.tell(optuna_trial, state=TrialState.PRUNED)

    def recall(self, record: Record) -> None:
        """Repeats every ask and tell of earlier sessions, in order."""
        begun: dict[str, Setting] = {
            event["trial"]: event["setting"]
            for event in record.events
            if event["event"] == "begin" and event["kind"] == "search"
        }
        for event in record.events:
            trial = event["trial"]
            if trial not in begun:
                continue
            if event["event"] == "begin":
                self._ask_again(trial, begun[trial])
            elif event["event"] == "end":
                self.tell(record.trials[trial])

    def _ask_again(self, trial: str, setting: Setting) -> None:
        if self._grid is not None:
            # Older versions took the grid in its order.
            self._grid = [left for left in self._grid if left != setting]
            return
        if self.ask(trial) == setting:
            return
        # Another version of a library may propose another setting; the recorded one counts.
        self._study.tell(self._asked.pop(trial), state=TrialState.FAIL)
        self._study.enqueue_trial(_active(setting))
        self._propose(trial)

    @property
    def study(self) -> optuna.Study:
        """Optuna's study; there is none for a grid."""
        return self._study


def space_hash(space: Space) -> str:
    """A hash of the space: eight hexadecimal digits."""
    text = json.dumps([space.method, *space.table()], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


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
