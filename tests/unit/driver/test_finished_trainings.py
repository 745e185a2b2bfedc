"""Final trainings that go into the ledger of all searches, and those that are found there."""

from pathlib import Path

import pyarrow.parquet as pq

from tests.support.by_hand import make_header
from tuner.config.options import SearchRequest, WorkloadRequest
from tuner.config.step_mode import FLOAT32
from tuner.config.workload import resolve
from tuner.driver.finished_trainings import FinishedTrainings
from tuner.planning.fixed_trainings import FixedTask
from tuner.planning.plan import FinalTraining
from tuner.planning.search import plan_search
from tuner.results.ledger import Ledger, TrainingKey
from tuner.results.record import Record
from tuner.results.trial import DONE, FINAL, Trial
from tuner.storage import checkpoint
from tuner.storage.folder import COMPARISON_FILE, Storage
from tuner.storage.retrying import PATIENCE_SECONDS

WORKLOAD = resolve(WorkloadRequest().model_dump())
KEY = TrainingKey(WORKLOAD, "data", "teacher", FLOAT32, (), "float16")
EPOCHS = [{"epoch": float(n), "test_accuracy": 50 + n / 7} for n in range(1, 21)]
TRIAL = Trial("kd-1", FINAL, "kd", "kd", {}, 1, 20, 0.0, DONE, "", 1.0, EPOCHS)


def test_a_comparisons_search_that_is_resumed_alone_writes_to_the_ledger_of_all(
    tmp_path: Path,
) -> None:
    comparison = tmp_path / "runs" / "several"
    (comparison / "kd").mkdir(parents=True)
    (comparison / COMPARISON_FILE).write_text("1")
    search = plan_search(SearchRequest(space="kd", name="kd", runs_dir=str(comparison)))
    storage = Storage(search.storage.uri, patience=PATIENCE_SECONDS)
    record = Record(storage)
    record.open(make_header())
    record.listeners.append(FinishedTrainings(search, record))
    record.import_finished(TRIAL)
    record.close()
    assert pq.read_table(tmp_path / "runs" / "ledger").num_rows == 1
    assert not (comparison / "ledger").exists()


def test_weights_of_another_training_in_the_same_place_are_not_taken_over(tmp_path: Path) -> None:
    runs = Storage(str(tmp_path))
    task = FixedTask(
        name="probes",
        request=SearchRequest(space="kd"),
        workload=WORKLOAD,
        runs=runs,
        trainings=(FinalTraining("kd-1", "kd", "kd", {}, 1),),
        needs_weights=True,
    )
    Ledger(runs).add(TRIAL, KEY, f"{tmp_path}/first")
    (tmp_path / "probes").mkdir()
    storage = Storage(task.storage.uri, patience=PATIENCE_SECONDS)
    record = Record(storage)
    record.open(make_header())
    keeper = FinishedTrainings(task, record)
    place, copy = "first/checkpoints/kd-1.pt", tmp_path / "probes/checkpoints/kd-1.pt"
    assert keeper.find(task.trainings[0]) is None  # they are gone
    others = [epoch | {"test_accuracy": 1.0} for epoch in EPOCHS]
    for unusable in (checkpoint.dump({"history": others}), b"no checkpoint"):
        runs.write(place, unusable)
        assert keeper.find(task.trainings[0]) is None
        assert not copy.exists()
    again = [epoch | {"seconds": 2.0} for epoch in EPOCHS]  # after a fault, say
    runs.write(place, checkpoint.dump({"history": again}))
    assert keeper.find(task.trainings[0]) == TRIAL
    assert copy.read_bytes() == runs.read(place)
