"""How far a search is, read from its folder: what `tuner status` says."""

import time
from dataclasses import dataclass
from typing import Any

from tuner.config.run_folder import resume_command
from tuner.config.yaml_file import parse_yaml
from tuner.results.heartbeat import DriverStatus, is_alive, read_driver
from tuner.results.record import Record, winner
from tuner.results.trial import DONE, FAILED, FINAL, RUNNING, SEARCH, STOPPED, Setting, Trial
from tuner.storage.folder import COMPARISON_FILE, SEARCH_FILE, Storage, existing
from tuner.text.errors import RequestError
from tuner.text.formatting import count_text, duration_text, setting_text


@dataclass(frozen=True)
class Progress:
    """A search as its journal and its driver tell."""

    name: str
    state: str  # a sentence
    is_running: bool
    num_trials: int  # planned; of a plan without a search: trainings
    is_search: bool  # whether settings are searched for, or all was decided on beforehand
    metric: str
    record: Record
    best: Trial | None

    def lines(self) -> list[tuple[str, str]]:
        """What a person reads, a title and a text each."""
        trials, finals = self._told(SEARCH), self._told(FINAL)
        if self.is_search:
            lines = [("trials", f"{trials or 'none has begun'}; {self.num_trials} planned")]
        else:
            lines = [("trainings", f"{finals or 'none has begun'}, of {self.num_trials}")]
        if self.best is not None:
            value = f"{self.best.last(self.metric):.2f} %"
            setting = setting_text(self._what_differs(self.best))
            told = f"{self.metric} {value} in trial {self.best.name}"
            lines.append(("best", f"{told}: {setting}" if setting else told))
        if finals and self.is_search:
            lines.append(("final", f"trainings: {finals}"))
        return [*lines, ("trained", self._time())]

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
                "trial": self.best.name,
                "setting": self.best.setting,
                self.metric: self.best.last(self.metric),
            },
        }

    def _what_differs(self, best: Trial) -> Setting:
        """Of a setting, what is not the same in all trials."""
        settings = [trial.setting for trial in self.record.trials_of(SEARCH)]
        return {
            name: value
            for name, value in best.setting.items()
            if any(setting.get(name) != value for setting in settings)
        }

    def _time(self) -> str:
        epochs = [epoch for trial in self.record.trials.values() for epoch in trial.epochs]
        num_epochs, seconds = len(epochs), sum(epoch.get("seconds", 0.0) for epoch in epochs)
        return f"{count_text(num_epochs, 'epoch')}, {duration_text(seconds)}"

    def _told(self, kind: str) -> str:
        counts = self._counts(kind)
        names = {} if self.is_running else {RUNNING: "unfinished"}  # until it is resumed
        return ", ".join(
            f"{count} {names.get(status, status)}" for status, count in counts.items() if count
        )

    def _counts(self, kind: str) -> dict[str, int]:
        trials = self.record.trials_of(kind)
        return {
            status: sum(trial.status == status for trial in trials)
            for status in (RUNNING, DONE, STOPPED, FAILED)
        }


def begun_searches(name: str, runs_dir: str) -> list[Storage]:
    """The folders of a search, or of those of a comparison's that have begun.

    Raises RequestError where there is none.
    """
    storage = existing(Storage(runs_dir), name)
    if not storage.exists(COMPARISON_FILE):
        return [storage]
    return [sub for sub in map(storage.sub, storage.folders()) if sub.exists(SEARCH_FILE)]


def read_progress(storage: Storage) -> Progress:
    """Reads a search's journal; the driver that writes it is not disturbed."""
    is_running = is_alive(storage, read_driver(storage))
    # Read after that: a driver elsewhere is watched for some seconds, and may end meanwhile.
    driver, record = read_driver(storage), Record.load(storage)
    num_trials, metric = _planned(storage, record)
    return Progress(
        name=storage.base.rpartition("/")[2],
        state=_state(storage, record, driver, is_running=is_running),
        is_running=is_running,
        num_trials=num_trials,
        is_search=not record.is_open or record.header.role == SEARCH,
        metric=metric,
        record=record,
        best=winner(record, metric),
    )


def _planned(storage: Storage, record: Record) -> tuple[int, str]:
    """How many trials or fixed trainings were requested, and the metric that ranks them."""
    path = storage.path(SEARCH_FILE)
    request = parse_yaml(path, storage.read(SEARCH_FILE))
    if record.is_open and record.header.fixed_trainings is not None:
        return record.header.fixed_trainings, "val_accuracy"
    num_trials, select_on = request.get("trials"), request.get("select_on")
    if not isinstance(num_trials, int) or select_on not in ("val", "test"):
        raise RequestError(f"{path} is damaged; restore it from a copy")
    return num_trials, f"{select_on}_accuracy"


def _state(
    storage: Storage, record: Record, driver: DriverStatus | None, *, is_running: bool
) -> str:
    resume = f"`{resume_command(storage)}`"
    if driver is None:
        return f"not running; resume with {resume}" if record.header else "has not begun"
    where = f"{driver.host} (process {driver.pid})"
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(driver.time))
    if is_running:
        return f"running on {where}, last sign of life {when}"
    told = {
        "done": f"done, {when}",
        "interrupted": f"interrupted, {when}; resume with {resume}",
        "failed": f"ended with an error, {when}; resume with {resume}",
    }
    return told.get(driver.outcome, f"killed on {where}, about {when}; resume with {resume}")
