"""Adds a task's finished final trainings to the ledger, and finds those made elsewhere."""

from typing import Any

from tuner.planning.plan import FinalTraining
from tuner.planning.task import Task
from tuner.results.ledger import Ledger, TrainingKey
from tuner.results.record import Event, Record
from tuner.results.trial import FINAL, Trial
from tuner.storage import checkpoint
from tuner.storage.checkpoint import DamagedCheckpointError
from tuner.storage.folder import COMPARISON_FILE, Storage, read_file
from tuner.text.errors import RequestError


class FinishedTrainings:
    """Writes final trainings that ran to their end into the ledger, and finds them there.

    A listener of the record.
    """

    def __init__(self, task: Task, record: Record) -> None:
        self._task, self._record = task, record
        runs = task.runs
        if runs.exists(COMPARISON_FILE):  # the task is part of a comparison or reproduction
            runs = Storage(runs.parent_uri)
        self._ledger = Ledger(Storage(runs.uri, patience=record.storage.patience))
        # Those that a killed session could not add.
        for trial in record.trials_of(FINAL):
            if trial.is_full_length and not self._ledger.has(self._content(trial)):
                self._add(trial)

    def __call__(self, event: Event, trial: Trial) -> None:
        if event["event"] == "end" and trial.role == FINAL and trial.is_full_length:
            # An imported training stays where its weights are.
            is_ours = self._record.storage.exists(f"checkpoints/{trial.name}.pt")
            if is_ours or not self._ledger.has(self._content(trial)):
                self._add(trial)

    def find(self, training: FinalTraining) -> Trial | None:
        """A finished training of the same content, or None.

        If the task needs weights, copies them into its folder, and returns None if they are
        missing or belong to another training.
        """
        content = self._content(training)
        found = self._ledger.find(content, name=training.name, setting_label=training.setting_label)
        if found is None:
            return None
        trial, place = found
        if self._task.needs_weights:
            try:
                weights = read_file(place)
                if not _is_of(trial, weights):
                    return None
                self._record.storage.write(f"checkpoints/{trial.name}.pt", weights)
            except (OSError, RequestError, DamagedCheckpointError):
                return None
        return trial

    def _add(self, trial: Trial) -> None:
        self._ledger.add(trial, self._key(), self._task.storage.uri)

    def _content(self, training: FinalTraining | Trial) -> dict[str, Any]:
        return self._key().content(training.method, training.setting, training.seed)

    def _key(self) -> TrainingKey:
        header = self._record.header
        return TrainingKey(
            workload=self._task.workload,
            data=header.data,
            teacher=header.teacher or "",
            step_mode=header.step_mode,
            code=header.code,
            cache_precision=self._task.request.cache_precision,
        )


def _is_of(trial: Trial, weights: bytes) -> bool:
    """Whether a checkpoint is this training's: its folder may be another search's by now."""

    def untimed(epochs: list[dict[str, float]]) -> list[dict[str, float]]:
        return [
            {name: value for name, value in epoch.items() if not name.endswith("seconds")}
            for epoch in epochs
        ]

    return untimed(checkpoint.load(weights)["history"]) == untimed(trial.epochs)
