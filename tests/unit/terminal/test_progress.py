from tests.support.by_hand import METRIC, begin, new_record
from tuner.terminal.progress import Progress


def test_the_time_trained_includes_initial_stages(tmp_path):
    record = new_record(tmp_path)
    begin(record, "0000")
    record.initial_epoch("0000", {"initial_epoch": 1.0, "initial_seconds": 90.0})
    record.epoch("0000", {"epoch": 1.0, METRIC: 50.0, "seconds": 30.0})
    progress = Progress(
        name="mine",
        state="running",
        is_running=True,
        num_trials=1,
        is_search=True,
        metric=METRIC,
        record=record,
        best=None,
    )
    assert progress.lines()[-1] == ("trained", "1 epoch, 2 min 00 s")
