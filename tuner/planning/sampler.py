"""Chooses the settings of trials, and repeats its choices when a search is resumed."""

import hashlib
import json

from search_spaces import Setting, Space
from tuner.planning.prior_band import Prior, PriorBand
from tuner.planning.proposers import Grid, Proposer, Study
from tuner.results.record import Record
from tuner.results.trial import Trial

NO_PRIOR = Prior(None)
FULL_LENGTH_ONLY = ("gp", "cmaes")  # they ignore the results of trials that were stopped


class Sampler:
    """Asks a proposer for settings and tells it what came of them.

    The journal is its storage: `recall` rebuilds the proposer, random state included, by
    repeating every ask and tell.
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
        prior: Prior = NO_PRIOR,
        ask_in_batches: int | None = None,
    ) -> None:
        """`first` is proposed before all others; only PriorBand's mixture has a prior.

        With `ask_in_batches`, settings are proposed in batches of that size. A batch's results
        are reported together, in the order of its trials, before the next batch begins, so the
        order in which trials finish has no effect.
        """
        self._batch_size = ask_in_batches
        self._num_asked = 0
        self._untold: list[Trial] = []
        self.proposer: Proposer
        if algo == "grid":
            self.proposer = Grid(space, seed, first)
        elif algo == "priorband":
            self.proposer = PriorBand(space, seed=seed, metric=metric, first=first, prior=prior)
        else:
            self.proposer = Study(
                space, algo=algo, seed=seed, num_trials=num_trials, metric=metric, first=first
            )

    def ask(self, trial: str) -> Setting:
        """The setting of a new trial."""
        self._begin_ask()
        return self.proposer.propose(trial)

    def tell(self, trial: Trial) -> None:
        """Receives a trial that has ended."""
        self._untold.append(trial)
        if not self._batch_size:
            self._tell_all()

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
                self._begin_ask()
                self.proposer.repeat(trial, begun[trial])
            elif event["event"] == "end":
                self.tell(record.trials[trial])

    def _begin_ask(self) -> None:
        if self._batch_size and self._num_asked % self._batch_size == 0:
            self._tell_all()
        self._num_asked += 1

    def _tell_all(self) -> None:
        for trial in sorted(self._untold, key=lambda trial: trial.name):
            self.proposer.learn(trial)
        self._untold.clear()


def space_hash(space: Space) -> str:
    """A hash of the space: eight hexadecimal digits."""
    text = json.dumps([space.method, *space.table()], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
