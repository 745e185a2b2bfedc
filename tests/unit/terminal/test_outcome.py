"""What a search prints when it ends."""

import io

import pytest
from rich.console import Console

from tests.support.searched import make_method
from tuner.reports.methods import compare_methods
from tuner.terminal.outcome import print_methods


@pytest.mark.parametrize("width", [80, 160])
def test_no_number_of_the_methods_table_is_cut_off(tmp_path, width):
    records = {
        "kd": make_method(tmp_path, "kd", tuned=(60.0, 61.5, 62.0), published=(59.0, 60.0, 61.0)),
        "at": make_method(tmp_path, "at", published=(55.0, 56.0, 57.1), seconds=2.0),
        "sp": make_method(tmp_path, "sp"),
    }
    text = io.StringIO()
    print_methods(compare_methods(records), Console(file=text, width=width))
    for part in ("62.17 ± 1.04", "61.17 ± 1.04", "+10.17", "-5.13", "2.00", "weight 2", "4.00"):
        assert part in text.getvalue()
    assert max(map(len, text.getvalue().splitlines())) <= width
