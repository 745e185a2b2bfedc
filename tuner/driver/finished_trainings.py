"""Final trainings that a search adds to the ledger, and those it finds there."""

from typing import Any

from tuner.planning.plan import FinalTraining
from tuner.planning.task import FixedTask, Task
from tuner.results.ledger import Ledger, TrainingKey
from tuner.results.record import Event, Record
from tuner.results.trial import FINAL, Trial
from tuner.storage import checkpoint
from tuner.storage.checkpoint import DamagedCheckpointError
from tuner.storage.folder import COMPARISON_FILE, Storage, read_file
from tuner.storage.retrying import PatientStorage
from tuner.text.errors import RequestError
from tuner.training.precision import StepMode


class LedgerWriter:
    """Writes final trainings that ran to their end into the ledger, and finds them there."""

    def __init__(self, search: Task, storage: PatientStorage, record: Record) -> None:
        self._search, self._storage, self._record = search, storage, record
        runs = search.all_runs
        if runs.exists(COMPARISON_FILE):  # one search of a comparison, gone on with alone
            runs = Storage(runs.parent_uri)
        self._ledger = Ledger(PatientStorage(runs.uri))
        # What a session that was killed did not come to write.
        for trial in record.trials_of(FINAL):
            if trial.is_full_length and not self._ledger.has(self._content(trial)):
                self._add(trial)

    def __call__(self, event: Event, trial: Trial) -> None:
        if event["event"] == "end" and trial.role == FINAL and trial.is_full_length:
            # One that was taken over stays where its weights are.
            is_ours = self._storage.exists(f"checkpoints/{trial.name}.pt")
            if is_ours or not self._ledger.has(self._content(trial)):
                self._add(trial)

    def find(self, training: FinalTraining) -> Trial | None:
        """A training of the same content, or None.

        Where weights are needed they are copied to this search's own; without them, or with
        another training's, it is no use.
        """
        content = self._content(training)
        found = self._ledger.find(content, name=training.name, setting_label=training.setting_label)
        if found is None:
            return None
        trial, place = found
        if isinstance(self._search, FixedTask) and self._search.needs_weights:
            try:
                weights = read_file(place)
                if not _is_of(trial, weights):
                    return None
                self._storage.write(f"checkpoints/{trial.name}.pt", weights)
            except (OSError, RequestError, DamagedCheckpointError):
                return None
        return trial

    def _add(self, trial: Trial) -> None:
        circumstances = self._circumstances()
        content = circumstances.content(trial.method, trial.setting, trial.seed)
        self._ledger.add(trial, circumstances, content, self._search.storage.uri)

    def _content(self, training: FinalTraining | Trial) -> dict[str, Any]:
        return self._circumstances().content(training.method, training.setting, training.seed)

    def _circumstances(self) -> TrainingKey:
        header = self._record.header
        execution = StepMode(**header["execution"])
        return TrainingKey(
            workload=self._search.workload,
            data=header["data"],
            teacher=header["teacher"] or "",
            precision=execution.precision,
            code=tuple(header["code"]),
            compiled=execution.compiled,
            cache_precision=self._search.request.cache_precision,
        )


def _is_of(trial: Trial, weights: bytes) -> bool:
    """Whether a checkpoint is this training's: its folder may be another search's by now."""

    def untimed(epochs: list[dict[str, float]]) -> list[dict[str, float]]:
        return [
            {name: value for name, value in epoch.items() if not name.endswith("seconds")}
            for epoch in epochs
        ]

    return untimed(checkpoint.load(weights)["history"]) == untimed(trial.epochs)
