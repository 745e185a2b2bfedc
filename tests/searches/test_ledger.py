"""The ledger where something is wrong or unusual: a disk that flips bits, a folder in a folder."""

import random
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.by_hand import make_header
from tuner.config.options import SearchRequest, WorkloadRequest
from tuner.config.workload import resolve
from tuner.driver.finished_trainings import LedgerWriter
from tuner.planning.fixed import FixedTask
from tuner.planning.plan import FinalTraining
from tuner.planning.search import plan_search
from tuner.results.ledger import Ledger, TrainingKey
from tuner.results.record import Record
from tuner.results.trial import DONE, FINAL, Trial
from tuner.storage import checkpoint
from tuner.storage.folder import COMPARISON_FILE, Storage
from tuner.storage.retrying import PatientStorage

WORKLOAD = resolve(WorkloadRequest().model_dump())
HERE = TrainingKey(WORKLOAD, "data", "teacher", "float32", ())
CONTENT = HERE.content("kd", {}, 1)
EPOCHS = [{"epoch": float(n), "test_accuracy": 50 + n / 7} for n in range(1, 21)]
TRIAL = Trial("kd-1", FINAL, "kd", "kd", {}, 1, 20, 0.0, DONE, "", 1.0, EPOCHS)


def test_a_file_with_one_wrong_bit_is_no_training_or_the_same_one(tmp_path: Path) -> None:
    ledger = Ledger(Storage(str(tmp_path)))
    ledger.add(TRIAL, HERE, CONTENT, str(tmp_path / "search"))
    (path,) = (tmp_path / "ledger").iterdir()
    whole = path.read_bytes()
    draw = random.Random(0)
    num_refused = 0
    for _ in range(400):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        found = ledger.find(CONTENT, name="kd-1", setting_label="kd")
        num_refused += found is None
        assert found is None or found[0].epochs == EPOCHS
    assert num_refused > 100


@pytest.mark.parametrize("other", [{"compiled": True}, {"cache_precision": "float32"}])
def test_what_is_computed_otherwise_is_another_training(other: dict) -> None:
    assert replace(HERE, **other).content("kd", {}, 1) != CONTENT


def test_a_plain_training_has_no_teachers_outputs() -> None:
    other = replace(HERE, cache_precision="float32")
    assert other.content("plain", {}, 1) == HERE.content("plain", {}, 1)


def test_a_search_of_a_comparison_that_goes_on_alone_writes_to_the_ledger_of_all(
    tmp_path: Path,
) -> None:
    comparison = tmp_path / "runs" / "several"
    (comparison / "kd").mkdir(parents=True)
    (comparison / COMPARISON_FILE).write_text("1")
    search = plan_search(SearchRequest(space="kd", name="kd", runs_dir=str(comparison)))
    storage = PatientStorage(search.storage.uri)
    record = Record(storage)
    record.open(make_header())
    record.listeners.append(LedgerWriter(search, storage, record))
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
        all_runs=runs,
        trainings=(FinalTraining("kd-1", "kd", "kd", {}, 1),),
        needs_weights=True,
    )
    Ledger(runs).add(TRIAL, HERE, CONTENT, f"{tmp_path}/first")
    (tmp_path / "probes").mkdir()
    storage = PatientStorage(task.storage.uri)
    record = Record(storage)
    record.open(make_header())
    keeper = LedgerWriter(task, storage, record)
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
