"""Records every trial and its results, in the order they happen.

Every event is a line of `journal.jsonl`, written before anything acts on it. All state of a
search (sampler, scheduler, tables, live view) is a function of these lines, so a search that was
killed at any moment resumes as if it had not been.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from search_spaces import Setting
from tuner.results.header import Header
from tuner.results.journal import Event, Journal
from tuner.results.trial import SEARCH, STORED_AS, Trial
from tuner.storage.folder import Storage
from tuner.text.errors import RequestError, printable

# Fields of a trial that are known when it begins.
BEGIN_FIELDS = (
    "name", "role", "setting_label", "method", "setting", "seed", "num_epochs", "started",
)  # fmt: skip


class Record:
    """All trials of a search, and the journal they are written to."""

    def __init__(self, storage: Storage) -> None:
        self._header: Header | None = None
        self.trials: dict[str, Trial] = {}
        self.events: list[Event] = []
        self.notes: list[str] = []  # sentences for the user, each once
        self.listeners: list[Callable[[Event, Trial], None]] = []
        self.failure: Exception | None = None  # to write it, such as a full disk
        self.storage = storage
        self.is_locked = False  # whether this process may write the journal
        self._journal = Journal(storage)
        self._writing = threading.RLock()  # a listener may write too

    @classmethod
    def load(cls, storage: Storage, *, lock: bool = False) -> "Record":
        """Reads the journal of an earlier session, without a torn last line.

        With `lock`, this process becomes the only one that writes it. Raises RequestError if
        another process holds the journal, or a line is damaged or not an event.
        """
        record = cls(storage)
        if lock:
            record._journal.open()
            record.is_locked = True
        for number, event in enumerate(record._journal.read(), start=1):
            try:
                if event["event"] == "open":
                    record._header = Header.from_event(event)
                else:
                    record._apply(event)
            except (KeyError, TypeError, AttributeError) as error:
                raise record._journal.damaged(number, "is not an event of a search") from error
        return record

    def claim(self) -> None:
        """Takes a new search's journal before anything else is written.

        Raises RequestError if another process holds it, or wrote it before.
        """
        self._journal.open()
        self.is_locked = True
        if self._journal.read():
            raise RequestError(
                f"{self.storage.uri} holds the journal of a search; choose another --name"
            )

    def close(self) -> None:
        """Releases the journal for a later session."""
        self._journal.close()

    def abandon(self) -> None:
        """Stops writing a journal that another process has taken over."""
        self._journal.abandon()

    def open(self, header: Header) -> None:
        """Writes the first line of a new search's journal."""
        self._journal.append(header.as_event(), sync=True)
        self._header = header

    @property
    def is_open(self) -> bool:
        """Whether the journal has its first line: a kill may have come before."""
        return self._header is not None

    @property
    def header(self) -> Header:
        """What all trainings share; for a record that is open."""
        assert self._header is not None
        return self._header

    def begin(self, **fields: Any) -> Trial:
        """Records that a trial begins; see `Trial` for the fields."""
        return self._write({"event": "begin", **_stored(fields), "started": time.time()})

    def import_finished(self, trial: Trial) -> None:
        """Records a finished training of another search, with its times."""
        fields = {name: getattr(trial, name) for name in BEGIN_FIELDS}
        self._write({"event": "begin", **_stored(fields)})
        for metrics in trial.initial_epochs:
            self.initial_epoch(trial.name, metrics)
        for metrics in trial.epochs:
            self.epoch(trial.name, metrics)
        ended = {name: getattr(trial, name) for name in ("status", "reason", "ended")}
        self._write({"event": "end", "trial": trial.name, **ended})

    def epoch(self, trial: str, metrics: dict[str, float]) -> Trial:
        """Records an epoch of a trial; `metrics` holds "epoch", counted from 1."""
        return self._write({"event": "epoch", "trial": trial, "metrics": metrics})

    def initial_epoch(self, trial: str, metrics: dict[str, float]) -> Trial:
        """Records an epoch of a trial's initial stage; `metrics` holds "initial_epoch"."""
        return self._write({"event": "initial epoch", "trial": trial, "metrics": metrics})

    def change(self, trial: str, setting: Setting) -> Trial:
        """Records the new setting that population-based training gave a running trial."""
        return self._write({"event": "change", "trial": trial, "setting": setting})

    def teacher(self, trial: str, digest: str) -> Trial:
        """Records the digest of the teacher that was trained here."""
        return self._write({"event": "teacher", "trial": trial, "digest": digest})

    def note(self, trial: str, text: str) -> Trial:
        """Records a sentence for the user that changes no result."""
        return self._write({"event": "note", "trial": trial, "text": printable(text)})

    def end(self, trial: str, status: str, reason: str = "") -> Trial:
        """Records the end of a trial; it never runs again."""
        return self._write(
            {
                "event": "end",
                "trial": trial,
                "status": status,
                "reason": printable(reason),
                "ended": time.time(),
            }
        )

    def trials_of(self, role: str) -> list[Trial]:
        """The trials with a role, in the order they began."""
        # A copy: other threads call this while trials begin.
        return [trial for trial in list(self.trials.values()) if trial.role == role]

    def _write(self, event: Event) -> Trial:
        with self._writing:  # one line at a time, from any thread
            try:
                self._append(event)
                trial = self._apply(event)
                for listener in self.listeners:
                    listener(event, trial)
            except Exception as error:
                # Tune only logs what its scheduler raises, then waits forever.
                self.failure = error
                raise
        return trial

    def _append(self, event: Event) -> None:
        sync = event["event"] in ("begin", "end")
        self.storage.patiently(lambda: self._journal.append(event, sync=sync))

    def _apply(self, event: Event) -> Trial:
        self.events.append(event)
        kind = event["event"]
        if kind == "begin":
            fields = {name: event[STORED_AS.get(name, name)] for name in BEGIN_FIELDS}
            trial = self.trials[event["trial"]] = Trial(**fields)
            return trial
        trial = self.trials[event["trial"]]
        if kind == "epoch":
            trial.epochs.append(event["metrics"])
        elif kind == "initial epoch":
            trial.initial_epochs.append(event["metrics"])
        elif kind == "change":
            trial.setting = event["setting"]
        elif kind == "teacher":
            self._header = replace(self.header, teacher=event["digest"])
        elif kind == "note":
            if event["text"] not in self.notes:
                self.notes.append(event["text"])
        else:
            trial.status, trial.reason = event["status"], event["reason"]
            trial.ended = event["ended"]
        return trial


def _stored(fields: dict[str, Any]) -> Event:
    return {STORED_AS.get(name, name): value for name, value in fields.items()}


def ranked(record: Record) -> list[Trial]:
    """The trials of the search that ran to the end.

    A trial that was stopped early never wins, however good it looked.
    """
    return [trial for trial in record.trials_of(SEARCH) if trial.is_full_length]


def winner(record: Record, metric: str) -> Trial | None:
    """The best of the ranked trials; of equals, the earlier."""
    return max(ranked(record), key=lambda trial: trial.last(metric) or 0.0, default=None)


def best_of_text(record: Record) -> str:
    """Such as "best of 5": the largest of several noisy accuracies is too large on average."""
    number = len(ranked(record))
    return "best" if number < 2 else f"best of {number}"
