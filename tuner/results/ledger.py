"""The ledger of finished trainings, so that no reproduction repeats one.

A Parquet file per training in a folder beside the searches, named after the hash of all that
its result depends on (teacher, student, data, method, setting, seed, schedule). The files have
equal columns, so that `pyarrow.parquet.read_table("runs/ledger")` reads them all as one table.
"""

import hashlib
import io
import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import models
from search_spaces import Setting
from tuner.config.step_mode import StepMode
from tuner.config.workload import Workload
from tuner.results.trial import DONE, FINAL, Trial
from tuner.storage.folder import Storage

FOLDER = "ledger"
FORMAT = 1  # increase it when a change of code changes the results

_METRICS = pa.map_(pa.string(), pa.float64())
SCHEMA = pa.schema(
    {
        "run": pa.string(),  # the hash
        "teacher": pa.string(),  # network; "" where there was none
        "student": pa.string(),
        "data": pa.string(),
        "method": pa.string(),
        "setting": pa.string(),  # JSON
        "seed": pa.int64(),
        "num_epochs": pa.int64(),
        "val_accuracy": pa.float64(),  # percent, of the last epoch
        "test_accuracy": pa.float64(),
        "content": pa.string(),  # JSON: all that is hashed
        "made_by": pa.string(),  # folder of the search
        "trial": pa.string(),  # its name there; weights in checkpoints/NAME.pt
        "started": pa.float64(),  # seconds since 1970
        "ended": pa.float64(),
        "initial_epochs": pa.list_(_METRICS),
        "epochs": pa.list_(_METRICS),
    }
)


@dataclass(frozen=True)
class TrainingKey:
    """What the trainings of a search share and their results depend on."""

    workload: Workload
    data: str  # fingerprint
    teacher: str  # digest of its weights
    step_mode: StepMode  # of the student
    code: tuple[str, ...]  # digests of custom networks and methods
    cache_precision: str  # of the cached teacher outputs

    def content(self, method: str, setting: Setting, seed: int) -> dict[str, Any]:
        """All that the result of a final training depends on, as JSON values."""
        workload, is_plain = self.workload, method == "plain"
        content = {
            "format": FORMAT,
            "teacher": "" if is_plain else self.teacher,
            "student": models.identity(workload.student),
            "code": [] if is_plain else list(self.code),
            "data": self.data,
            "split": [workload.limit, workload.validation_fraction, workload.seed],
            "schedule": workload.schedule(),
            "precision": self.step_mode.precision,
            "method": method,
            "setting": {name: value for name, value in setting.items() if value is not None},
            "seed": seed,
        }
        # Only where they differ from the default, so that older trainings are still found.
        if self.step_mode.compiled:
            content["compiled"] = True
        if self.cache_precision != "float16" and not is_plain:
            content["cache_precision"] = self.cache_precision
        return content


class Ledger:
    """The finished trainings of all searches in a folder, `storage`."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def has(self, content: dict[str, Any]) -> bool:
        """Whether there is a finished training of this content."""
        return self._storage.exists(_file(content))

    def add(self, trial: Trial, key: TrainingKey, made_by: str) -> None:
        """Adds a final training that ran to its end, in the search folder `made_by`."""
        workload, content = key.workload, key.content(trial.method, trial.setting, trial.seed)
        row = {
            "run": run_hash(content),
            "teacher": "" if trial.method == "plain" else workload.teacher,
            "student": workload.student,
            "data": workload.data,
            "method": trial.method,
            "setting": json.dumps(trial.setting),
            "seed": trial.seed,
            "num_epochs": trial.num_epochs,
            "val_accuracy": trial.last("val_accuracy"),
            "test_accuracy": trial.last("test_accuracy"),
            "content": json.dumps(content, sort_keys=True),
            "made_by": made_by,
            "trial": trial.name,
            "started": trial.started,
            "ended": trial.ended,
            "initial_epochs": [list(epoch.items()) for epoch in trial.initial_epochs],
            "epochs": [list(epoch.items()) for epoch in trial.epochs],
        }
        file = io.BytesIO()
        table = pa.Table.from_pylist([row], SCHEMA)
        # Without checksums a bit that flips on the disk could be read as another accuracy.
        pq.write_table(table, file, write_page_checksum=True)
        self._storage.write(_file(content), file.getvalue())

    def find(
        self, content: dict[str, Any], *, name: str, setting_label: str
    ) -> tuple[Trial, str] | None:
        """The training of this content, named `name`, and the path or URI of its weights.

        None if there is none, or its file is damaged.
        """
        try:
            data = self._storage.read(_file(content))
        except FileNotFoundError:
            return None
        try:
            table = pq.read_table(pa.BufferReader(data), page_checksum_verification=True)
            (row,) = table.to_pylist()
            found = Trial(
                name=name,
                role=FINAL,
                setting_label=setting_label,
                method=row["method"],
                setting=json.loads(row["setting"]),
                seed=row["seed"],
                num_epochs=row["num_epochs"],
                started=row["started"],
                status=DONE,
                ended=row["ended"],
                epochs=[dict(epoch) for epoch in row["epochs"]],
                initial_epochs=[dict(epoch) for epoch in row["initial_epochs"]],
            )
            return found, Storage(row["made_by"]).path(f"checkpoints/{row['trial']}.pt")
        # pyarrow raises OSError for damaged pages.
        except (OSError, pa.ArrowException, ValueError, KeyError, TypeError):
            return None


def run_hash(content: dict[str, Any]) -> str:
    """Identifies a training by its content: 24 hexadecimal digits."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


def _file(content: dict[str, Any]) -> str:
    return f"{FOLDER}/{run_hash(content)}.parquet"
