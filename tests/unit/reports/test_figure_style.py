"""The style of all figures."""

import pytest

from tuner.reports.figure_style import drawing, literal, log_scale, short


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.01, 1.0, ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]),
        (1.0, 8.0, ["1", "2", "3", "5", "7"]),
        (1e-6, 1e3, ["1e-06", "1e-05", "0.0001", "0.001", "0.01", "0.1", "1", "10", "100", "1000"]),
        (3.0, 4.0, ["3", "3.25", "3.5", "3.75", "4"]),
    ],
)
def test_logarithmic_axes_have_few_plain_labels(low, high, labels):
    with drawing() as figure:
        axes = figure.subplots()
        axes.plot([low, high], [0, 1])
        axes.margins(0)
        log_scale(axes, "x")
        figure.draw_without_rendering()
    assert [text.get_text() for text in axes.get_xticklabels()] == labels


def test_a_name_is_drawn_as_it_is_and_cut_to_what_fits():
    assert literal("$a_$") == r"\$a_\$"
    assert literal("_a") == " _a"  # a leading _ would keep it out of the legend
    assert short("x" * 30) == "x" * 23 + "…"
    assert short("x" * 30, 40) == "x" * 30
