"""The tables of a search as Parquet files: one row per trial, and one per trial and epoch.

They hold all that the report needs, and stand in for a damaged journal.
"""

import io
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from search_spaces.wording import error_text, text_of
from tuner.results.journal import JOURNAL_FILE, DamagedJournalError, Event
from tuner.results.record import Record
from tuner.results.trial import STORED_AS, Trial
from tuner.storage.folder import Storage
from tuner.text.console import print_to_stderr
from tuner.text.errors import RequestError

TABLES_PAUSE_SECONDS = 5.0

TRIALS_FILE, EPOCHS_FILE = "trials.parquet", "epochs.parquet"
CONFIG = "config."  # the prefix of a hyperparameter's column

_TIME = pa.timestamp("us", tz="UTC")
_NO_METRICS = ("epoch", "seconds")  # of an epoch; they have their own columns


def trials_table(record: Record) -> pa.Table:
    """One row per trial, in the order they began; accuracies in percent, times in UTC.

    A hyperparameter's column is null where it does not apply to a trial.
    """
    trials = list(record.trials.values())
    columns: dict[str, pa.Array] = {
        STORED_AS.get(name, name): pa.array([getattr(trial, name) for trial in trials], kind)
        for name, kind in {
            "name": pa.string(),
            "role": pa.string(),
            "setting_label": pa.string(),
            "method": pa.string(),
            "status": pa.string(),
            "reason": pa.string(),
            "seed": pa.int64(),
            "num_epochs": pa.int64(),
        }.items()
    }
    columns["epochs"] = pa.array([len(trial.epochs) for trial in trials], pa.int64())
    for name in _names(trial.setting for trial in trials):
        columns[CONFIG + name] = _setting_column([trial.setting.get(name) for trial in trials])

    best = [_best_epoch(trial) for trial in trials]
    columns["best_val_accuracy"] = pa.array(
        [epoch and epoch["val_accuracy"] for epoch in best], pa.float64()
    )
    columns["best_epoch"] = pa.array([epoch and int(epoch["epoch"]) for epoch in best], pa.int64())
    for name in _names(epoch for trial in trials for epoch in trial.epochs):
        if name not in _NO_METRICS:
            columns[f"last_{name}"] = pa.array([trial.last(name) for trial in trials], pa.float64())
    columns["seconds"] = pa.array([trial.seconds for trial in trials], pa.float64())
    for name in ("started", "ended"):
        columns[name] = pa.array([_moment(getattr(trial, name)) for trial in trials], _TIME)
    return pa.table(columns)


def epochs_table(record: Record) -> pa.Table:
    """One row per trial and epoch, with every metric as a float, null where it is missing.

    Epochs of an initial stage precede the trial's others; their "epoch" is null, and
    "initial_epoch" counts them.
    """
    rows = [
        (trial, epoch)
        for trial in record.trials.values()
        for epoch in (*trial.initial_epochs, *trial.epochs)
    ]
    columns: dict[str, pa.Array] = {
        column: pa.array([getattr(trial, name) for trial, _ in rows], pa.string())
        for name, column in STORED_AS.items()
    }
    numbers = [int(epoch["epoch"]) if "epoch" in epoch else None for _, epoch in rows]
    columns["epoch"] = pa.array(numbers, pa.int64())
    for name in _names(epoch for _, epoch in rows):
        if name != "epoch":
            columns[name] = pa.array([epoch.get(name) for _, epoch in rows], pa.float64())
    return pa.table(columns)


def write_tables(storage: Storage, record: Record) -> None:
    """Writes both tables into a search's folder."""
    for name, table in (
        (TRIALS_FILE, trials_table(record)),
        (EPOCHS_FILE, epochs_table(record)),
    ):
        content = io.BytesIO()
        pq.write_table(table, content)
        storage.write(name, content.getvalue())


def read_tables(storage: Storage) -> Record:
    """The record that the tables were written from, without header and notes.

    Hyperparameters that were None are left out of the settings. Raises RequestError where
    a table is missing, damaged or not a search's.
    """
    try:
        return _record_of(storage)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(
            f"{storage.path(TRIALS_FILE)} or {EPOCHS_FILE} is not a table of a search "
            f"({error_text(error)}); give the folder of a search, or resume the search"
        ) from error


def read_journal(storage: Storage) -> Record | None:
    """The record of the journal; None if it is missing or damaged.

    Damage is reported on standard error.
    """
    if not storage.exists(JOURNAL_FILE):
        return None
    try:
        return Record.load(storage)
    except DamagedJournalError as error:
        print_to_stderr(
            f"tuner: {error.place} is damaged; the report is built from {TRIALS_FILE} and "
            f"{EPOCHS_FILE}, which may lack the latest epochs"
        )
        return None


def read_record(storage: Storage) -> Record:
    """The record of the journal, or of the tables if the journal is missing or damaged.

    Raises RequestError where neither can be read.
    """
    record = read_journal(storage)
    return read_tables(storage) if record is None else record


def _record_of(storage: Storage) -> Record:
    record = Record(storage)
    for row in _read(storage, TRIALS_FILE).to_pylist():
        setting = {
            name.removeprefix(CONFIG): value
            for name, value in row.items()
            if name.startswith(CONFIG) and value is not None
        }
        record.trials[row["trial"]] = Trial(
            name=row["trial"],
            role=row["kind"],
            setting_label=row["label"],
            method=row["method"],
            setting=setting,
            seed=row["seed"],
            num_epochs=row["num_epochs"],
            started=row["started"].timestamp(),
            status=row["status"],
            reason=row["reason"],
            ended=row["ended"] and row["ended"].timestamp(),
        )
    for row in _read(storage, EPOCHS_FILE).to_pylist():
        trial = record.trials.get(row["trial"])
        if trial is None:  # a crash between the two tables
            continue
        epochs = trial.initial_epochs if row["epoch"] is None else trial.epochs
        epochs.append(
            {
                name: float(value)
                for name, value in row.items()
                if name not in STORED_AS.values() and value is not None
            }
        )
    return record


def _read(storage: Storage, name: str) -> pa.Table:
    try:
        return pq.read_table(pa.BufferReader(storage.read(name)))
    except (OSError, pa.ArrowException) as error:
        problem = "missing" if isinstance(error, FileNotFoundError) else f"damaged ({error})"
        raise RequestError(
            f"{storage.path(name)} is {problem}; give the folder of a search, or resume the search"
        ) from error


def _names(mappings: Iterable[dict[str, Any]]) -> list[str]:
    """All keys, in order of first appearance."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _setting_column(values: list[Any]) -> pa.Array:
    """Values of one hyperparameter as booleans, integers, floats or, if they are mixed, text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    if kinds == {int}:
        return pa.array(values, pa.int64())
    if kinds <= {int, float}:
        return pa.array(values, pa.float64())
    return pa.array([None if value is None else text_of(value) for value in values], pa.string())


def _best_epoch(trial: Trial) -> dict[str, float] | None:
    """The first epoch of the highest validation accuracy."""
    epochs = [epoch for epoch in trial.epochs if "val_accuracy" in epoch]
    return max(epochs, key=lambda epoch: epoch["val_accuracy"], default=None)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


class TableWriter:
    """Rewrites both tables when trials end, but not too often; the journal is always ahead.

    The pause grows with the tables, so that writing takes at most a twentieth of the time.
    """

    def __init__(self, storage: Storage, record: Record) -> None:
        self._storage, self._record = storage, record
        self._next = 0.0

    def __call__(self, event: Event, trial: Trial) -> None:
        begin = time.monotonic()
        if event["event"] == "end" and begin > self._next:
            write_tables(self._storage, self._record)
            end = time.monotonic()
            self._next = end + max(TABLES_PAUSE_SECONDS, 20 * (end - begin))
