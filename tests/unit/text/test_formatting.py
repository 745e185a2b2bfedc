"""Numbers, settings and durations as text."""

import pytest

from tuner.text.formatting import count_text, duration_text, percent_text, setting_text, value_text


def test_values_are_written_as_on_the_command_line_and_floats_with_four_digits():
    assert [value_text(value) for value in (1 / 3, 2, True, None, "rbf")] == [
        *("0.3333", "2", "true", "none", "rbf"),
    ]


def test_a_setting_shows_what_applies():
    assert setting_text({"alpha": 1.5, "sigma": None, "log2": False}) == "alpha 1.5, log2 false"


def test_a_percentage_that_is_missing_is_a_dash():
    assert (percent_text(98.765), percent_text(None)) == ("98.77", "–")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.4, "59.4 s"), (59.6, "1 min 00 s"), (3900.0, "1 h 05 min")],
)
def test_durations_have_two_units_at_most(seconds, text):
    assert duration_text(seconds) == text


def test_one_is_singular():
    assert [count_text(number, "epoch") for number in (0, 1, 2)] == [
        *("0 epochs", "1 epoch", "2 epochs"),
    ]
