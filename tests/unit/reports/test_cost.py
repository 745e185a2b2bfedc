"""What a method costs, relative to plain training at 0.5 s per epoch."""

from tests.support.searched import make_method
from tuner.reports.cost import relative_cost
from tuner.reports.final_trainings import finals_of, plain_finals, winners_finals
from tuner.results.record import Record
from tuner.results.trial import SEARCH


def cost_of(record: Record) -> float | None:
    return relative_cost(winners_finals(record), plain_finals([record]), record)


def test_an_initial_stage_counts_as_cost(tmp_path):
    record = make_method(tmp_path, "ft", published=(55.0, 56.0, 57.0), seconds=0.5)
    for trial in finals_of(record, "published"):
        trial.initial_epochs.append({"initial_epoch": 1.0, "initial_seconds": 0.25})
    assert cost_of(record) == 1.5


def test_the_cost_of_the_teacher_is_that_of_a_usual_epoch(tmp_path):
    # The first training with a seed fills the cache; a search has many that only read it.
    record = make_method(tmp_path, "kd", published=(55.0, 56.0, 57.0), seconds=2.0)
    for trial in finals_of(record, "published"):
        trial.epochs[0]["teacher_seconds"] = 1.5
    for number in range(5):
        name = f"read-{number}"
        record.begin(
            name=name, role=SEARCH, setting_label="", method="kd", setting={}, seed=0, num_epochs=1
        )
        record.epoch(name, {"epoch": 1.0, "seconds": 0.75, "teacher_seconds": 0.25})
    assert cost_of(record) == (0.5 + 0.25) / 0.5
