"""The record: what is written comes back, whatever moment the process died at."""

import json

import pytest

from tests.support.by_hand import make_header
from tuner.results.record import Record
from tuner.results.trial import DONE, FAILED, FINAL, RUNNING, SEARCH, STOPPED
from tuner.storage.folder import Storage
from tuner.text.errors import RequestError


def begin(record: Record, trial: str, kind: str = SEARCH, num_epochs: int = 2) -> None:
    record.begin(
        name=trial,
        role=kind,
        setting_label="",
        method="itrd",
        setting={"alpha": 0.1 + 0.2, "kernel": "rbf", "degree": None, "log2": True},
        seed=0,
        num_epochs=num_epochs,
    )


def epoch(record: Record, trial: str, number: int, accuracy: float) -> None:
    record.epoch(trial, {"epoch": float(number), "val_accuracy": accuracy})


def fill(record: Record) -> Record:
    """Three trials side by side: done, stopped, failed; and one that is running."""
    record.open(make_header())
    begin(record, "0000")
    begin(record, "0001")
    epoch(record, "0001", 1, 40.0)
    epoch(record, "0000", 1, 50.0)
    record.end("0001", STOPPED, "scheduler, after epoch 1")
    begin(record, "0002")
    record.end("0002", FAILED, "the term 'ce' became nan")
    epoch(record, "0000", 2, 60.0)
    record.end("0000", DONE)
    begin(record, "tuned-1", FINAL)
    record.change("tuned-1", {"alpha": 7.0})
    epoch(record, "tuned-1", 1, 55.0)
    return record


@pytest.fixture(params=["path", "file", "mock"])
def storage(request, tmp_path) -> Storage:
    """A local folder by path and by URI, and a store that cannot append."""
    if request.param == "mock":
        storage = Storage("mock:///search")
        storage.filesystem.create_dir("search")
        return storage
    return Storage(f"file://{tmp_path}" if request.param == "file" else str(tmp_path))


def flush(record: Record) -> None:
    """Epochs may wait where a store cannot append; the next end writes them."""
    begin(record, "9999")


def test_a_record_comes_back_as_it_was(storage):
    record = fill(Record(storage))
    flush(record)
    loaded = Record.load(storage)
    assert loaded.header == record.header == make_header()
    assert loaded.events == record.events
    assert loaded.trials == record.trials
    assert list(loaded.trials) == ["0000", "0001", "0002", "tuned-1", "9999"]


def test_a_trial_is_what_its_events_made_of_it(tmp_path):
    trials = fill(Record(Storage(str(tmp_path)))).trials
    assert [t.status for t in trials.values()] == [DONE, STOPPED, FAILED, RUNNING]
    assert [t.is_full_length for t in trials.values()] == [True, False, False, False]
    assert trials["0001"].reason == "scheduler, after epoch 1"
    assert trials["0000"].last("val_accuracy") == 60.0
    assert trials["0002"].last("val_accuracy") is None
    assert trials["0002"].ended >= trials["0002"].started
    assert trials["tuned-1"].setting == {"alpha": 7.0}
    assert trials["tuned-1"].ended is None


def test_a_done_trial_that_lacks_epochs_is_not_full_length(tmp_path):
    record = Record(Storage(str(tmp_path)))
    begin(record, "0000", num_epochs=3)
    epoch(record, "0000", 1, 1.0)
    record.end("0000", DONE)
    assert not record.trials["0000"].is_full_length


def test_a_loaded_record_goes_on_where_it_was(storage):
    flush(fill(Record(storage)))
    loaded = Record.load(storage)
    epoch(loaded, "tuned-1", 2, 65.0)
    loaded.end("tuned-1", DONE)
    again = Record.load(storage)
    assert again.events == loaded.events
    assert again.trials["tuned-1"].is_full_length
    assert len(again.events) == 15


def test_a_journal_cut_anywhere_keeps_every_whole_line(tmp_path):
    storage = Storage(str(tmp_path))
    events = fill(Record(storage)).events
    content = storage.read("journal.jsonl")
    ends = [size for size in range(len(content) + 1) if content[:size].endswith(b"\n")]
    for size in sorted({max(0, end - before) for end in ends for before in (-1, 0, 1, 20)}):
        storage.write("journal.jsonl", content[:size], sync=False)
        loaded = Record.load(storage)
        num_whole = content[:size].count(b"\n")
        assert loaded.events == events[: max(0, num_whole - 1)]
        assert loaded.is_open == (num_whole > 0)
        # What is appended begins a line.
        resumed = Record.load(storage, lock=True)
        begin(resumed, "0003")
        resumed.close()
        whole = content[: content.rfind(b"\n", 0, size) + 1]
        assert storage.read("journal.jsonl").startswith(whole)
        assert Record.load(storage).events == resumed.events


def test_a_line_after_a_torn_one_is_whole(storage):
    flush(fill(Record(storage)))
    content = storage.read("journal.jsonl")
    storage.write("journal.jsonl", content[:-7])
    loaded = Record.load(storage)
    assert "9999" not in loaded.trials
    begin(loaded, "0003")
    lines = storage.read("journal.jsonl").splitlines()
    assert [json.loads(line)["event"] for line in lines].count("begin") == 5
    assert list(Record.load(storage).trials) == ["0000", "0001", "0002", "tuned-1", "0003"]


def test_a_search_without_a_journal_has_an_empty_record(storage):
    record = Record.load(storage)
    assert (record.is_open, record.trials, record.events) == (False, {}, [])
    assert not storage.exists("journal.jsonl")


def test_listeners_hear_an_event_after_it_is_on_disk(tmp_path):
    storage, heard = Storage(str(tmp_path)), []
    record = Record(storage)
    record.listeners.append(
        lambda event, trial: heard.append(
            (event["event"], trial.status, len(storage.read("journal.jsonl").splitlines()))
        )
    )
    fill(record)
    assert [number for *_, number in heard] == list(range(2, 14))
    assert heard[0] == ("begin", RUNNING, 2)
    assert heard[4] == ("end", STOPPED, 6)


def test_a_begun_and_an_ended_trial_are_in_an_object_store_at_once():
    storage = Storage("mock:///search")
    storage.filesystem.create_dir("search")
    record = Record(storage)
    begin(record, "0000")
    assert list(Record.load(storage).trials) == ["0000"]
    epoch(record, "0000", 1, 50.0)
    record.end("0000", STOPPED)
    trial = Record.load(storage).trials["0000"]
    assert (trial.status, len(trial.epochs)) == (STOPPED, 1)


def test_of_two_writers_the_second_is_refused(tmp_path):
    storage = Storage(str(tmp_path / "mine"))
    record = fill(Record(storage))
    content = storage.read("journal.jsonl")
    assert Record.load(storage).trials == record.trials  # reading is for everybody
    with pytest.raises(RequestError, match="mine is running in another process"):
        Record.load(storage, lock=True)
    assert storage.read("journal.jsonl") == content
    record.close()
    Record.load(storage, lock=True).close()


def test_initial_epochs_come_back_and_are_no_epochs(storage):
    record = Record(storage)
    begin(record, "0000", num_epochs=3)
    record.initial_epoch("0000", {"initial_epoch": 1.0, "initial_loss": 2.0})
    epoch(record, "0000", 1, 50.0)
    record.end("0000", STOPPED, "scheduler")
    trial = Record.load(storage).trials["0000"]
    assert trial.initial_epochs == [{"initial_epoch": 1.0, "initial_loss": 2.0}]
    assert len(trial.epochs) == 1


def test_a_training_of_another_search_is_taken_over_with_its_times(tmp_path):
    one, other = (Record(Storage(str(tmp_path / name))) for name in ("one", "other"))
    begin(one, "plain-1", num_epochs=1)
    one.initial_epoch("plain-1", {"initial_epoch": 1.0, "initial_seconds": 2.0})
    epoch(one, "plain-1", 1, 50.0)
    one.end("plain-1", DONE)
    other.import_finished(one.trials["plain-1"])
    assert other.trials == one.trials
    assert Record.load(Storage(str(tmp_path / "other"))).trials == one.trials
