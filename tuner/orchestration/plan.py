"""What a search trains, in which order: the teacher, the trials, the final trainings.

Plain Python over the record: no Ray here, so every rule can be tested alone.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from search_spaces import Space
from tuner.orchestration.record import (
    FAILED,
    FINAL,
    RUNNING,
    SEARCH,
    TEACHER,
    Event,
    Record,
    Setting,
    Trial,
)
from tuner.orchestration.sampler import Sampler

TEACHER_TRIAL = "teacher"


@dataclass(frozen=True)
class Budget:
    """How much a search may train."""

    num_trials: int
    num_epochs: int
    num_teacher_epochs: int  # 0: the teacher is there already
    num_seeds: int
    max_concurrent: int
    time_seconds: float | None
    seed: int
    batch: int | None  # settings asked for together, whatever finishes first; None: one by one


class Plan:
    """Says what to train next, and learns what came of it."""

    def __init__(
        self,
        record: Record,
        sampler: Sampler,
        space: Space,
        budget: Budget,
        *,
        metric: str,
        published: Setting,
        published_is_first: bool,
        known: Mapping[str, Trial] = MappingProxyType({}),
    ) -> None:
        """`known` are final trainings that another search has made already, by name."""
        self.record, self.budget = record, budget
        self._sampler, self._space, self._metric = sampler, space, metric
        self._published, self._published_is_first = published, published_is_first
        self._known = known
        self._began = time.monotonic()
        self._unfinished = list(record.trials.values())
        self._live: set[str] = set()
        record.listeners.append(self._on_event)

    def next(self) -> Trial | None:
        """The next trial to train, or None while there is nothing to do but wait."""
        if len(self._live) >= self.budget.max_concurrent:
            return None
        resumed = self._resumed()
        trial = resumed[0] if resumed else self._new()
        if trial is not None:
            self._live.add(trial.trial)
        return trial

    @property
    def live(self) -> list[Trial]:
        """The trials that were handed out and have not ended."""
        return [self.record.trials[name] for name in self._live]

    @property
    def is_searching(self) -> bool:
        """Whether trials are still to be begun; not when the time is over.

        Nor once final trainings have begun, which a later winner would belie.
        """
        if self.is_over_time or self.record.of(FINAL):
            return False
        return len(self.record.of(SEARCH)) < self.budget.num_trials

    @property
    def is_over_time(self) -> bool:
        """Whether this session has searched for longer than its time budget."""
        limit = self.budget.time_seconds
        return limit is not None and time.monotonic() - self._began > limit

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to begin."""
        if self._live or self._resumed() or self._needs_teacher():
            return False
        if self._has_no_teacher():
            return True
        return not self.is_searching and all(
            final in self.record.trials for final, *_ in self._finals()
        )

    def _on_event(self, event: Event, trial: Trial) -> None:
        if event["event"] != "end":
            return
        self._live.discard(trial.trial)
        if trial.kind == SEARCH:
            self._sampler.tell(trial)

    def _resumed(self) -> list[Trial]:
        """Trials of an earlier session that go on from where they were saved."""
        self._unfinished = [
            trial
            for trial in self._unfinished
            if trial.status == RUNNING and trial.trial not in self._live
        ]
        return self._unfinished

    def _new(self) -> Trial | None:
        if self._needs_teacher():
            return self.record.begin(
                trial=TEACHER_TRIAL,
                kind=TEACHER,
                label="teacher",
                method="plain",
                setting={},
                seed=self.budget.seed,
                num_epochs=self.budget.num_teacher_epochs,
            )
        if TEACHER_TRIAL in self._live or self._has_no_teacher():
            return None
        if self.is_searching:
            return self._new_trial()
        if any(self.record.trials[trial].kind == SEARCH for trial in self._live):
            return None
        for name, label, method, setting, seed in self._finals():
            if name in self.record.trials:
                continue
            if name in self._known:
                self.record.adopt(self._known[name])
                continue
            return self.record.begin(
                trial=name,
                kind=FINAL,
                label=label,
                method=method,
                setting=setting,
                seed=seed,
                num_epochs=self.budget.num_epochs,
            )
        return None

    def _new_trial(self) -> Trial | None:
        number = len(self.record.of(SEARCH))
        if self.budget.batch and self._live and number % self.budget.batch == 0:
            return None  # the batch before must end first
        name = f"{number:04d}"
        return self.record.begin(
            trial=name,
            kind=SEARCH,
            label="published" if number == 0 and self._published_is_first else "",
            method=self._space.method,
            setting=self._sampler.ask(name),
            seed=self.budget.seed,
            num_epochs=self.budget.num_epochs,
        )

    def _needs_teacher(self) -> bool:
        return self.budget.num_teacher_epochs > 0 and TEACHER_TRIAL not in self.record.trials

    def _has_no_teacher(self) -> bool:
        """Whether the teacher's training failed: nothing can be distilled then."""
        teacher = self.record.trials.get(TEACHER_TRIAL)
        return teacher is not None and teacher.status == FAILED

    def _finals(self) -> list[tuple[str, str, str, Setting, int]]:
        """(trial, label, method, setting, seed) of every final training."""
        best = winner(self.record, self._metric)
        if best is None:
            return []
        compared = [("published", self._space.method, self._published), ("plain", "plain", {})]
        if best.setting != self._published:
            compared.insert(0, ("tuned", self._space.method, best.setting))
        # Fresh seeds: the search's own seed has helped to choose the winner.
        return [
            (f"{label}-{number}", label, method, setting, self.budget.seed + number)
            for number in range(1, self.budget.num_seeds + 1)
            for label, method, setting in compared
        ]


def winner(record: Record, metric: str) -> Trial | None:
    """The best trial of the search among those that ran to the end; of equals, the earlier.

    A trial that was stopped early never wins, however good it looked.
    """
    trials = [trial for trial in record.of(SEARCH) if trial.is_full_length]
    return max(trials, key=lambda trial: trial.last(metric) or 0.0, default=None)
