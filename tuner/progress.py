"""How far a search is, read from its folder: what `tuner status` says."""

import time
from dataclasses import dataclass
from typing import Any

import yaml

from tuner.errors import RequestError
from tuner.orchestration.plan import winner
from tuner.orchestration.presence import Driver, is_alive, read_driver
from tuner.orchestration.record import DONE, FAILED, FINAL, RUNNING, SEARCH, STOPPED, Record, Trial
from tuner.reports.formatting import count_text, duration_text, setting_text
from tuner.storage import COMPARISON_FILE, SEARCH_FILE, Storage


@dataclass(frozen=True)
class Progress:
    """A search as its journal and its driver tell."""

    name: str
    state: str  # a sentence
    is_running: bool
    num_trials: int  # planned
    metric: str
    record: Record
    best: Trial | None

    def lines(self) -> list[tuple[str, str]]:
        """What a person reads, a title and a text each."""
        counts = self._counts(SEARCH)
        told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        lines = [("trials", f"{told or 'none has begun'}; {self.num_trials} planned")]
        if self.best is not None:
            value = f"{self.best.last(self.metric):.2f} %"
            setting = setting_text(self.best.setting)
            lines.append(
                ("best", f"{self.metric} {value} in trial {self.best.trial}: {setting or 'plain'}")
            )
        finals = {status: count for status, count in self._counts(FINAL).items() if count}
        if finals:
            told = ", ".join(f"{count} {status}" for status, count in finals.items())
            lines.append(("final", f"trainings: {told}"))
        trials = self.record.trials.values()
        num_epochs = sum(len(trial.epochs) for trial in trials)
        seconds = sum(epoch.get("seconds", 0.0) for trial in trials for epoch in trial.epochs)
        lines.append(("trained", f"{count_text(num_epochs, 'epoch')}, {duration_text(seconds)}"))
        return lines

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "search": self.name,
            "running": self.is_running,
            "state": self.state,
            "planned": self.num_trials,
            "trials": self._counts(SEARCH),
            "final": self._counts(FINAL),
            "best": self.best
            and {
                "trial": self.best.trial,
                "setting": self.best.setting,
                self.metric: self.best.last(self.metric),
            },
        }

    def _counts(self, kind: str) -> dict[str, int]:
        trials = self.record.of(kind)
        return {
            status: sum(trial.status == status for trial in trials)
            for status in (RUNNING, DONE, STOPPED, FAILED)
        }


def begun_searches(name: str, runs_dir: str) -> list[Storage]:
    """The folders of a search, or of those of a comparison's that have begun.

    Raises RequestError where there is none.
    """
    storage = Storage(runs_dir).sub(name)
    if not storage.exists(SEARCH_FILE):
        raise RequestError(
            f"there is no search named {name!r} in {runs_dir}; check the name and --runs-dir"
        )
    if not storage.exists(COMPARISON_FILE):
        return [storage]
    return [sub for sub in map(storage.sub, storage.folders()) if sub.exists(SEARCH_FILE)]


def read_progress(storage: Storage) -> Progress:
    """Reads a search's journal; the driver that writes it is not disturbed."""
    request, record, driver = _request_of(storage), Record.load(storage), read_driver(storage)
    metric = f"{request['select_on']}_accuracy"
    is_running = is_alive(storage, driver)
    return Progress(
        name=storage.base.rpartition("/")[2],
        state=_state(record, driver, is_running=is_running),
        is_running=is_running,
        num_trials=request["trials"],
        metric=metric,
        record=record,
        best=winner(record, metric),
    )


def _request_of(storage: Storage) -> dict[str, Any]:
    try:
        request = yaml.safe_load(storage.read(SEARCH_FILE))
    except yaml.YAMLError:
        request = None
    if not isinstance(request, dict):
        raise RequestError(f"{storage.path(SEARCH_FILE)} is damaged; restore it from a copy")
    return request


def _state(record: Record, driver: Driver | None, *, is_running: bool) -> str:
    if driver is None:
        return "not running; go on with --resume" if record.header else "has not begun"
    where = f"{driver.host} (process {driver.pid})"
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(driver.time))
    if is_running:
        return f"running on {where}, last sign of life {when}"
    told = {
        "done": f"done, {when}",
        "interrupted": f"interrupted, {when}; go on with --resume",
        "failed": f"ended with an error, {when}; go on with --resume",
    }
    return told.get(driver.outcome, f"killed on {where}, about {when}; go on with --resume")
