"""Runs a search on a world: the product's plan, sampler and schedulers, without training.

Several workers train side by side; time is counted in epochs, cooldowns included.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from ray.tune.schedulers import TrialScheduler

from benchmarks.decisions.worlds import Curve, World
from search_spaces import Setting
from tuner.planning.plan import Budget, SearchPlan
from tuner.reports.final_trainings import winners_finals
from tuner.results.record import Event, Record, winner
from tuner.results.trial import DONE, FINAL, PUBLISHED, SEARCH, STOPPED, Trial
from tuner.storage.folder import Storage

METRIC = "val_accuracy"
NUM_WORKERS = 4


@dataclass(frozen=True)
class Strategy:
    """How a search decides."""

    name: str
    # (world, seed, number of trials) -> something with ask, tell and recall
    sampler: Callable[[World, int, int], Any]
    scheduler: Callable[[World], Any]  # Ray's interface
    # Epochs after which a copy is cooled down, and for how many epochs.
    cooldowns: Callable[[World], tuple[int, ...]] = lambda world: ()
    cooldown_length: int = 0
    # Which setting is handed out, from the record of search and final trainings.
    choose: Callable[[Record], Setting] = lambda record: chosen_by_trials(record)
    num_seeds: int = 0  # of final trainings, where `choose` reads them
    keeps_published: bool = True  # never stops the published setting's trial


@dataclass(frozen=True)
class Outcome:
    """The result of one replayed search."""

    regret: float  # in points, like the following
    gain: float  # of the chosen setting over the published one
    trainings: float  # of the search, in full trainings
    finals: float  # of what follows it, likewise


def replay(
    world: World, strategy: Strategy, *, num_trials: int, seed: int, budget: float | None = None
) -> Outcome:
    """One search; with `budget`, no trial begins after so many full trainings."""
    record = _MemoryRecord()
    plan = SearchPlan(
        record,
        strategy.sampler(world, seed, num_trials),
        world.space,
        _budget(world, num_trials, strategy.num_seeds, seed),
        metric=METRIC,
        published=world.space.published(),
        find=lambda training: None,
    )
    simulation = _Simulation(world, strategy, record, plan, np.random.default_rng(seed))
    simulation.run(budget)
    chosen = strategy.choose(record)
    return Outcome(
        world.regret(chosen),
        world.truth(chosen) - world.truth(world.space.published()),
        simulation.epochs[SEARCH] / world.num_epochs,
        simulation.epochs[FINAL] / world.num_epochs,
    )


def chosen_by_trials(record: Record) -> Setting:
    """The best trial that ran to the end."""
    best = winner(record, METRIC)
    assert best is not None
    return best.setting


def chosen_by_last_value(record: Record) -> Setting:
    """The trial with the best last value, as Tune's `get_best_result` chooses."""
    return max(record.trials_of(SEARCH), key=lambda trial: trial.last(METRIC) or 0.0).setting


def chosen_by_finals(record: Record) -> Setting:
    """The better of tuned and published, by their final trainings."""
    return winners_finals(record)[0].setting


class _MemoryRecord(Record):
    """A record that is never written."""

    def __init__(self) -> None:
        super().__init__(Storage("."))

    def _append(self, event: Event) -> None:
        pass


@dataclass(order=True)
class _Running:
    """A trial on a worker, and when its next epoch ends."""

    time: float
    name: str
    trial: Trial = field(compare=False)
    curve: Curve = field(compare=False)


class _Simulation:
    """Workers that train what the plan hands out, and the scheduler that watches them."""

    def __init__(
        self,
        world: World,
        strategy: Strategy,
        record: Record,
        plan: SearchPlan,
        draw: np.random.Generator,
    ) -> None:
        self._world, self._strategy, self._record, self._plan = world, strategy, record, plan
        self._draw = draw
        self._scheduler = strategy.scheduler(world)
        self._cooldowns = set(strategy.cooldowns(world))
        self.epochs = {SEARCH: 0, FINAL: 0}

    def run(self, budget: float | None) -> None:
        """Until the plan has nothing left."""
        limit = None if budget is None else budget * self._world.num_epochs
        running: list[_Running] = []
        now = 0.0
        while True:
            if limit is not None and self.epochs[SEARCH] >= limit:
                self._plan.budget = replace(self._plan.budget, num_trials=0)
            while (trial := self._plan.next()) is not None:
                heapq.heappush(running, self._begin(trial, now))
            if not running:
                return
            step = heapq.heappop(running)
            now = step.time
            if self._train_epoch(step.trial, step.curve):
                step.time += self._cost(step.trial)
                heapq.heappush(running, step)

    def _begin(self, trial: Trial, now: float) -> _Running:
        if trial.role == SEARCH:
            self._scheduler.on_trial_add(None, _stub(trial))
            curve = self._world.train(trial.setting, self._draw)
        else:
            # Of plain training nothing is read.
            is_plain = trial.method != self._world.space.method
            final = 0.0 if is_plain else self._world.final_accuracy(trial.setting, self._draw)
            curve = Curve(np.full(self._world.num_epochs, final), {})
        return _Running(now + 1, trial.name, trial, curve)

    def _cost(self, trial: Trial) -> float:
        """Epochs until the next epoch of the trial has ended."""
        epoch = len(trial.epochs)
        return 1 + (self._strategy.cooldown_length if epoch in self._cooldowns else 0)

    def _train_epoch(self, trial: Trial, curve: Curve) -> bool:
        """Records the next epoch, or all of a final training; returns whether another follows."""
        if trial.role == FINAL:
            for epoch, value in enumerate(curve.values.tolist(), start=1):
                self._record.epoch(trial.name, {"epoch": float(epoch), METRIC: value})
            self.epochs[FINAL] += trial.num_epochs
            self._record.end(trial.name, DONE)
            return False
        epoch = len(trial.epochs) + 1
        metrics = {"epoch": float(epoch), METRIC: float(curve.values[epoch - 1])}
        self.epochs[SEARCH] += 1
        if epoch in self._cooldowns:
            metrics["cooldown_accuracy"] = curve.cooled[epoch][self._strategy.cooldown_length - 1]
            self.epochs[SEARCH] += self._strategy.cooldown_length
        self._record.epoch(trial.name, metrics)
        stub = _stub(trial)
        decision = self._scheduler.on_trial_result(None, stub, metrics | {"config": trial.setting})
        is_last = epoch == self._world.num_epochs
        is_stopped = decision == TrialScheduler.STOP and not (
            self._strategy.keeps_published and trial.setting_label == PUBLISHED
        )
        if not is_last and not is_stopped:
            return True
        self._scheduler.on_trial_complete(None, stub, metrics)
        self._record.end(trial.name, DONE if is_last else STOPPED)
        return False


def _stub(trial: Trial) -> Any:
    """What Ray's schedulers read of a trial of Tune's."""
    return SimpleNamespace(trial_id=trial.name, last_result={}, status="RUNNING")


def _budget(world: World, num_trials: int, num_seeds: int, seed: int) -> Budget:
    return Budget(
        num_trials=num_trials,
        num_epochs=world.num_epochs,
        num_teacher_epochs=0,
        num_seeds=num_seeds,
        num_finals=3 * num_seeds,
        max_concurrent=NUM_WORKERS,
        time_seconds=None,
        search_epochs=None,
        trial_epochs=world.num_epochs,
        seed=seed,
        ask_in_batches=None,
    )
