"""The progress of a search, read from its folder, for `tuner status`."""

import time
from dataclasses import dataclass
from typing import Any

from search_spaces import Setting
from tuner.config.run_folder import resume_command
from tuner.config.yaml_file import parse_yaml
from tuner.results.heartbeat import DriverStatus, is_alive, read_driver
from tuner.results.record import Record, best_of_text, ranked, winner
from tuner.results.trial import DONE, FAILED, FINAL, RUNNING, SEARCH, STOPPED, Trial, varied_names
from tuner.storage.folder import COMPARISON_FILE, SEARCH_FILE, Storage, existing
from tuner.text.errors import RequestError
from tuner.text.formatting import count_text, duration_text, setting_text


@dataclass(frozen=True)
class Progress:
    """The progress of a search, by its journal and its driver."""

    name: str
    state: str  # what the driver does or how it ended, for the user
    is_running: bool
    num_trials: int  # planned; without a search, the number of trainings
    is_search: bool  # False if the trainings were fixed beforehand
    metric: str
    record: Record
    best: Trial | None

    def lines(self) -> list[tuple[str, str]]:
        """For the user: a title and a text per line."""
        trials, finals = self._counts_text(SEARCH), self._counts_text(FINAL)
        if self.is_search:
            lines = [("trials", f"{trials or 'none has begun'}; {self.num_trials} planned")]
        else:
            lines = [("trainings", f"{finals or 'none has begun'}, of {self.num_trials}")]
        if self.best is not None:
            value = f"{self.best.last(self.metric):.2f} %"
            setting = setting_text(self._varied(self.best))
            text = f"{self.metric} {value} in trial {self.best.name}"
            best = best_of_text(self.record)
            lines.append((best, f"{text}: {setting}" if setting else text))
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
                "of": len(ranked(self.record)),
            },
        }

    def _varied(self, best: Trial) -> Setting:
        """The hyperparameters of a setting that differ between trials."""
        varied = varied_names([trial.setting for trial in self.record.trials_of(SEARCH)])
        return {name: value for name, value in best.setting.items() if name in varied}

    def _time(self) -> str:
        trials = self.record.trials.values()
        num_epochs = sum(len(trial.epochs) for trial in trials)
        seconds = sum(trial.seconds for trial in trials)
        return f"{count_text(num_epochs, 'epoch')}, {duration_text(seconds)}"

    def _counts_text(self, role: str) -> str:
        counts = self._counts(role)
        names = {} if self.is_running else {RUNNING: "unfinished"}
        return ", ".join(
            f"{count} {names.get(status, status)}" for status, count in counts.items() if count
        )

    def _counts(self, role: str) -> dict[str, int]:
        trials = self.record.trials_of(role)
        return {
            status: sum(trial.status == status for trial in trials)
            for status in (RUNNING, DONE, STOPPED, FAILED)
        }


def begun_searches(name: str, runs_dir: str) -> list[Storage]:
    """The folder of a search, or those of a comparison's searches that have begun.

    Raises RequestError if nothing has this name.
    """
    storage = existing(Storage(runs_dir), name)
    if not storage.exists(COMPARISON_FILE):
        return [storage]
    return [sub for sub in map(storage.sub, storage.folders()) if sub.exists(SEARCH_FILE)]


def read_progress(storage: Storage) -> Progress:
    """Reads the progress of a search, while its driver may be running.

    Raises RequestError where the journal or search.yaml is damaged.
    """
    is_running = is_alive(storage, read_driver(storage))
    # Read afterwards: the driver may have ended while its heartbeat was awaited.
    driver, record = read_driver(storage), Record.load(storage)
    num_trials, metric = _planned(storage, record)
    return Progress(
        name=storage.name,
        state=_state(storage, record, driver, is_running=is_running),
        is_running=is_running,
        num_trials=num_trials,
        is_search=not record.is_open or record.header.role == SEARCH,
        metric=metric,
        record=record,
        best=winner(record, metric),
    )


def _planned(storage: Storage, record: Record) -> tuple[int, str]:
    """The planned number of trials or fixed trainings, and the metric that ranks them."""
    path = storage.path(SEARCH_FILE)
    request = parse_yaml(path, storage.read(SEARCH_FILE))
    if record.is_open and record.header.fixed_trainings is not None:
        return record.header.fixed_trainings, "val_accuracy"
    num_trials, select_on = request.get("trials"), request.get("select_on")
    if not isinstance(num_trials, int) or select_on not in ("val", "test"):
        raise RequestError(f"{path} is damaged; restore it from a backup")
    return num_trials, f"{select_on}_accuracy"


def _state(
    storage: Storage, record: Record, driver: DriverStatus | None, *, is_running: bool
) -> str:
    """What the driver does or how it ended."""
    resume = f"`{resume_command(storage)}`"
    if driver is None:
        return f"not running; resume with {resume}" if record.is_open else "has not begun"
    where = f"{driver.host} (process {driver.pid})"
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(driver.time))
    if is_running:
        return f"running on {where}, last heartbeat {when}"
    ended = {
        "done": f"done, {when}",
        "interrupted": f"interrupted, {when}; resume with {resume}",
        "failed": f"ended with an error, {when}; resume with {resume}",
    }
    return ended.get(driver.outcome, f"killed on {where}, about {when}; resume with {resume}")
