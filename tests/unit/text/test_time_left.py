"""The remaining time as text, and when to print it."""

import time

import pytest

from tuner.text.time_left import Milestones, left_text, seconds_left


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.0, ""),
        (0.3, "about 1 s left"),
        (8.6, "about 9 s left"),
        (33.0, "about 35 s left"),
        (58.0, "about 1 min left"),
        (725.0, "about 12 min left"),
        (3590.0, "about 1 h 00 min left"),
        (2 * 3600 + 33 * 60, "about 2 h 35 min left"),
        (86399.0, "about 24 h 00 min left"),
        (50 * 3600.0, "about 2 d 2 h left"),
    ],
)
def test_an_estimate_is_rounded(seconds, text):
    assert left_text(seconds) == text


def test_the_rest_takes_as_long_per_unit_as_what_is_done():
    assert seconds_left(60.0, 3, 9) == 180.0
    assert seconds_left(60.0, 3, -1) == 0.0
    assert seconds_left(60.0, 0, 9) is None


def test_each_tenth_is_due_once_but_not_in_the_first_seconds(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    milestones = Milestones()
    assert not milestones.is_due(5, 40)
    now[0] = 6.0
    assert [done for done in range(6, 41) if milestones.is_due(done, 40)] == [
        *(6, 8, 12, 16, 20, 24, 28, 32, 36, 40),
    ]
