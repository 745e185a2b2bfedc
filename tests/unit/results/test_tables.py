"""The two Parquet tables of a search."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tuner.results.record import Record
from tuner.results.tables import (
    epochs_table,
    read_record,
    read_tables,
    trials_table,
    write_tables,
)
from tuner.results.trial import DONE, FAILED, FINAL, SEARCH
from tuner.storage.folder import Storage
from tuner.text.errors import RequestError


@pytest.fixture
def record(tmp_path) -> Record:
    record = Record(Storage(str(tmp_path)))
    begin(record, "0000", {"weight": 1.0, "kernel": "rbf", "sigma": 2, "degree": None})
    for epoch, accuracy in enumerate((50.0, 70.0, 70.0, 60.0), start=1):
        record.epoch("0000", {"epoch": epoch, "val_accuracy": accuracy, "seconds": 0.5})
    record.end("0000", DONE)
    begin(record, "0001", {"weight": 2, "kernel": "polynomial", "sigma": None, "degree": 3})
    record.epoch("0001", {"epoch": 1, "val_accuracy": 40.0, "train_mi": 0.1, "seconds": 2.0})
    record.end("0001", FAILED, "the term 'mi' became nan")
    record.begin(
        name="plain-1",
        role=FINAL,
        setting_label="plain",
        method="plain",
        setting={},
        seed=1,
        num_epochs=4,
    )
    return record


def begin(record: Record, trial: str, setting: dict) -> None:
    record.begin(
        name=trial,
        role=SEARCH,
        setting_label="",
        method="itrd",
        setting=setting,
        seed=0,
        num_epochs=4,
    )


def test_a_row_holds_what_came_of_a_trial(record):
    done, failed, running = trials_table(record).to_pylist()
    assert (done["best_val_accuracy"], done["best_epoch"]) == (70.0, 2)  # the earlier of equals
    assert (done["last_val_accuracy"], done["epochs"], done["num_epochs"]) == (60.0, 4, 4)
    assert done["seconds"] == 2.0
    assert (failed["status"], failed["reason"]) == ("failed", "the term 'mi' became nan")
    assert (failed["last_train_mi"], done["last_train_mi"]) == (0.1, None)
    assert running["status"] == "running"
    assert (running["best_epoch"], running["ended"], running["seconds"]) == (None, None, 0.0)
    assert running["started"].tzname() == "UTC"


def test_trials_stand_in_the_order_they_began(record):
    assert trials_table(record)["trial"].to_pylist() == ["0000", "0001", "plain-1"]


def test_hyperparameters_have_a_column_of_their_type_and_null_where_they_do_not_apply(record):
    table = trials_table(record)
    assert table["config.sigma"].to_pylist() == [2, None, None]
    assert table["config.kernel"].to_pylist() == ["rbf", "polynomial", None]
    kinds = {name: table.schema.field(f"config.{name}").type for name in ("weight", "sigma")}
    assert kinds == {"weight": pa.float64(), "sigma": pa.int64()}


@pytest.mark.parametrize(
    ("values", "kind", "stored"),
    [
        ((True, False), pa.bool_(), [True, False]),
        ((1, 2.5), pa.float64(), [1.0, 2.5]),
        ((True, 2), pa.string(), ["true", "2"]),
        (("auto", 2), pa.string(), ["auto", "2"]),
        ((None, None), pa.float64(), [None, None]),
    ],
)
def test_the_type_of_a_column_follows_from_its_values(tmp_path, values, kind, stored):
    record = Record(Storage(str(tmp_path)))
    for number, value in enumerate(values):
        begin(record, f"{number:04d}", {"x": value})
    column = trials_table(record)["config.x"]
    assert column.type == kind
    assert column.to_pylist() == stored


def test_an_epoch_is_a_row_of_floats(record):
    table = epochs_table(record)
    assert table["trial"].to_pylist() == ["0000"] * 4 + ["0001"]
    assert table["epoch"].to_pylist() == [1, 2, 3, 4, 1]
    assert table["train_mi"].to_pylist() == [None] * 4 + [0.1]
    assert table.schema.field("val_accuracy").type == pa.float64()


def test_reading_back_gives_the_same_trials(record, tmp_path):
    storage = Storage(str(tmp_path / "search"))
    write_tables(storage, record)
    read = read_tables(storage)
    assert list(read.trials) == list(record.trials)
    for name, trial in record.trials.items():
        back = read.trials[name]
        assert back.setting == {k: v for k, v in trial.setting.items() if v is not None}
        assert (back.status, back.reason, back.seed) == (trial.status, trial.reason, trial.seed)
        assert back.epochs == trial.epochs
        assert back.started == pytest.approx(trial.started, abs=1e-5)
        assert back.is_full_length == trial.is_full_length


def test_the_files_need_no_code_of_ours(record, tmp_path):
    write_tables(Storage(str(tmp_path)), record)
    assert pq.read_table(tmp_path / "trials.parquet").equals(trials_table(record))
    assert pq.read_table(tmp_path / "epochs.parquet").equals(epochs_table(record))


def test_a_search_without_trials_has_empty_tables(tmp_path):
    storage = Storage(str(tmp_path))
    write_tables(storage, Record(storage))
    assert read_tables(storage).trials == {}


def test_a_missing_or_damaged_table_is_named(tmp_path):
    storage = Storage(str(tmp_path))
    with pytest.raises(RequestError, match=r"trials\.parquet is missing"):
        read_tables(storage)
    storage.write("trials.parquet", b"PAR1 and no more")
    with pytest.raises(RequestError, match=r"trials\.parquet is damaged"):
        read_tables(storage)


def test_the_tables_stand_in_for_a_damaged_journal(record, tmp_path, capsys):
    storage = Storage(str(tmp_path))
    write_tables(storage, record)
    assert read_record(storage).trials == record.trials
    assert capsys.readouterr().err == ""
    journal = storage.read("journal.jsonl")
    for damage in (journal.replace(b"0000", b"0009", 1), b'{"event": "epoch"}\n' + journal):
        storage.write("journal.jsonl", damage)
        assert list(read_record(storage).trials) == list(record.trials)
        assert "journal.jsonl line 1 is damaged; the report is built" in capsys.readouterr().err
    storage.delete("epochs.parquet")
    with pytest.raises(RequestError, match=r"epochs\.parquet is missing"):
        read_record(storage)
