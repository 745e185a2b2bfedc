"""Decides what to train next: the teacher, the trials, the final trainings.

Plain Python over the record, so every rule can be tested without Ray.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from search_spaces import Setting, Space
from tuner.planning.rungs import trained_epochs
from tuner.planning.sampler import Sampler
from tuner.results.record import Event, Record, winner
from tuner.results.trial import (
    FAILED,
    FINAL,
    PLAIN,
    PUBLISHED,
    RUNNING,
    SEARCH,
    TEACHER,
    TUNED,
    Trial,
)


@dataclass(frozen=True)
class Budget:
    """How much may be trained."""

    num_trials: int
    num_finals: int  # at most
    num_epochs: int
    num_teacher_epochs: int  # 0 if there is a teacher already
    num_seeds: int
    max_concurrent: int
    time_seconds: float | None
    seed: int
    search_epochs: int | None  # of all trials together
    trial_epochs: int  # of a trial that runs to its end, those of cooldowns included
    ask_in_batches: int | None  # settings asked for together; None: one at a time


@dataclass(frozen=True)
class FinalTraining:
    """A final training that has not begun; see `Trial` for the fields."""

    name: str
    setting_label: str
    method: str
    setting: Setting
    seed: int


Find = Callable[[FinalTraining], Trial | None]  # finds a finished training to take over


class Plan(ABC):
    """Hands out trainings one at a time; listens to the record for their ends."""

    def __init__(self, record: Record, budget: Budget, find: Find) -> None:
        self.record, self.budget, self._find = record, budget, find
        self._began = time.monotonic()
        self._unfinished = list(record.trials.values())
        self._live: set[str] = set()
        record.listeners.append(self._on_event)

    @abstractmethod
    def _begin_next(self) -> Trial | None:
        """Begins the next training after the teacher's; None while none can begin."""

    @property
    @abstractmethod
    def _is_complete(self) -> bool:
        """Whether every training has begun."""

    def next(self) -> Trial | None:
        """The next trial to train, or None while the running ones must end first."""
        if len(self._live) >= self.budget.max_concurrent:
            return None
        trial = self._resume_or_begin()
        if trial is not None:
            self._live.add(trial.name)
        return trial

    @property
    def live(self) -> list[Trial]:
        """The trials that were handed out and are still running."""
        return [self.record.trials[name] for name in self._live]

    @property
    def is_over_time(self) -> bool:
        """Whether this session has used up its time budget."""
        limit = self.budget.time_seconds
        return limit is not None and time.monotonic() - self._began > limit

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to begin."""
        if self._live or self._resumed() or self._needs_teacher():
            return False
        return self._has_no_teacher() or self._is_complete

    def _on_event(self, event: Event, trial: Trial) -> None:
        if event["event"] == "end":
            self._live.discard(trial.name)

    def _resume_or_begin(self) -> Trial | None:
        resumed = self._resumed()
        if resumed:
            return resumed[0]
        if self._needs_teacher():
            return self.record.begin(
                name=TEACHER,
                role=TEACHER,
                setting_label=TEACHER,
                method="plain",
                setting={},
                seed=self.budget.seed,
                num_epochs=self.budget.num_teacher_epochs,
            )
        if TEACHER in self._live or self._has_no_teacher():
            return None
        return self._begin_next()

    def _resumed(self) -> list[Trial]:
        """Trials of an earlier session that continue from their checkpoints."""
        self._unfinished = [
            trial
            for trial in self._unfinished
            if trial.status == RUNNING and trial.name not in self._live
        ]
        return self._unfinished

    def _begin_final(self, trainings: Sequence[FinalTraining]) -> Trial | None:
        """Begins the first training that neither the record has nor `find` finds."""
        for training in trainings:
            if training.name in self.record.trials:
                continue
            finished = self._find(training)
            if finished is None:
                return self.record.begin(
                    name=training.name,
                    role=FINAL,
                    setting_label=training.setting_label,
                    method=training.method,
                    setting=training.setting,
                    seed=training.seed,
                    num_epochs=self.budget.num_epochs,
                )
            self.record.import_finished(finished)
        return None

    def _needs_teacher(self) -> bool:
        return self.budget.num_teacher_epochs > 0 and TEACHER not in self.record.trials

    def _has_no_teacher(self) -> bool:
        """Whether the teacher's training failed, so that nothing can be distilled."""
        teacher = self.record.trials.get(TEACHER)
        return teacher is not None and teacher.status == FAILED


class SearchPlan(Plan):
    """The sampler's trials, then final trainings of tuned, published and plain."""

    def __init__(
        self,
        record: Record,
        sampler: Sampler,
        space: Space,
        budget: Budget,
        find: Find,
        *,
        metric: str,
        published: Setting,
    ) -> None:
        super().__init__(record, budget, find)
        self._sampler, self._space, self._metric = sampler, space, metric
        self._published = published

    @property
    def is_searching(self) -> bool:
        """Whether more trials will begin.

        None do once the time budget is used up or final trainings have begun: a later winner
        would contradict them.
        """
        if self.is_over_time or self.record.trials_of(FINAL):
            return False
        if len(self.record.trials_of(SEARCH)) >= self.budget.num_trials:
            return False
        # A running trial that is stopped leaves epochs for another.
        return self._affords_trial or self._is_training_trials

    @property
    def _is_complete(self) -> bool:
        return not self.is_searching and all(
            final.name in self.record.trials for final in self._finals()
        )

    def _on_event(self, event: Event, trial: Trial) -> None:
        super()._on_event(event, trial)
        if event["event"] == "end" and trial.role == SEARCH:
            self._sampler.tell(trial)

    @property
    def _affords_trial(self) -> bool:
        """Whether another trial fits into the epochs, if all that run run to their end."""
        limit = self.budget.search_epochs
        if limit is None:
            return True
        planned = sum(
            self.budget.trial_epochs if trial.ended is None else trained_epochs(trial.epochs)
            for trial in self.record.trials_of(SEARCH)
        )
        return planned + self.budget.trial_epochs <= limit

    @property
    def _is_training_trials(self) -> bool:
        return any(self.record.trials[trial].role == SEARCH for trial in self._live)

    def _begin_next(self) -> Trial | None:
        if self.is_searching:
            return self._begin_trial() if self._affords_trial else None
        if self._is_training_trials:
            return None
        return self._begin_final(self._finals())

    def _begin_trial(self) -> Trial | None:
        number = len(self.record.trials_of(SEARCH))
        if self.budget.ask_in_batches and self._live and number % self.budget.ask_in_batches == 0:
            return None  # the previous batch must end first
        name = f"{number:04d}"
        setting = self._sampler.ask(name)
        is_published = number == 0 and setting == self._published
        return self.record.begin(
            name=name,
            role=SEARCH,
            setting_label=PUBLISHED if is_published else "",
            method=self._space.method,
            setting=setting,
            seed=self.budget.seed,
            num_epochs=self.budget.num_epochs,
        )

    def _finals(self) -> list[FinalTraining]:
        best = winner(self.record, self._metric)
        if best is None:
            return []
        compared = [(PUBLISHED, self._space.method, self._published), (PLAIN, "plain", {})]
        if best.setting != self._published:
            compared.insert(0, (TUNED, self._space.method, best.setting))
        # Fresh seeds: the search's seed helped to choose the winner.
        return [
            FinalTraining(f"{label}-{number}", label, method, setting, self.budget.seed + number)
            for number in range(1, self.budget.num_seeds + 1)
            for label, method, setting in compared
        ]


class FixedPlan(Plan):
    """Trainings that are fixed beforehand, such as those of a paper's table."""

    def __init__(
        self, record: Record, trainings: Sequence[FinalTraining], budget: Budget, find: Find
    ) -> None:
        super().__init__(record, budget, find)
        self._trainings = trainings

    @property
    def _is_complete(self) -> bool:
        return all(training.name in self.record.trials for training in self._trainings)

    def _begin_next(self) -> Trial | None:
        return self._begin_final(self._trainings)
