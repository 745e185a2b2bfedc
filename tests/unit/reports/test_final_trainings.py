"""Which final trainings a report compares."""

from tests.support.by_hand import new_record, train_finals
from tests.support.searched import make_method
from tuner.reports.final_trainings import (
    num_finished,
    plain_finals,
    published_won,
    winner_text,
    winners_finals,
    winners_setting,
)
from tuner.results.trial import FAILED


def test_the_tuned_setting_wins_unless_it_was_the_published_one(tmp_path):
    tuned = make_method(tmp_path, "kd", tuned=(60.0, 61.0), published=(59.0, 60.0))
    published = make_method(tmp_path, "at", published=(55.0, 56.0))
    neither = make_method(tmp_path, "sp")
    assert [trial.name for trial in winners_finals(tuned)] == ["tuned-1", "tuned-2"]
    assert [trial.name for trial in winners_finals(published)] == ["published-1", "published-2"]
    assert winners_finals(neither) == []
    assert [published_won(record) for record in (tuned, published, neither)] == [False, True, False]


def test_the_winners_setting_is_what_trials_vary_or_the_user_pinned(tmp_path):
    record = make_method(tmp_path, "kd", tuned=(60.0,), published=(59.0,))
    assert winners_setting(record) == {"weight": 2.0}
    # The user pinned the temperature, which the published setting has at 4.
    for name in ("tuned-1", "0000", "0001"):
        record.trials[name].setting["temperature"] = 7.0
    assert winners_setting(record) == {"weight": 2.0, "temperature": 7.0}
    assert winners_setting(make_method(tmp_path, "sp")) == {}


def test_a_cell_says_that_the_published_setting_won():
    assert winner_text({"weight": 2.0}, is_published=False) == "weight 2"
    assert winner_text({"weight": 2.0}, is_published=True) == "weight 2 (published)"
    assert winner_text({}, is_published=True) == "as published"


def test_a_plain_training_that_failed_is_taken_from_another_search(tmp_path):
    first, second = (make_method(tmp_path, name) for name in ("kd", "at"))
    first.trials["plain-2"].status = FAILED
    plain = plain_finals([first, second])
    assert [trial.seed for trial in plain] == [1, 2, 3]
    assert num_finished(plain) == 3
    assert plain[0] is first.trials["plain-1"]
    assert plain[1] is second.trials["plain-2"]


def test_a_search_without_plain_trainings_adds_none(tmp_path):
    record = new_record(tmp_path)
    train_finals(record, "tuned", (60.0,))
    assert plain_finals([record]) == []
