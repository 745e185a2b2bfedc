"""The effect of each weight, and the levels of the contours."""

import re
from itertools import pairwise

from tests.support.reproducing import artefact_of, results, table_named
from tuner.reproductions.artefacts.landscape import levels_of
from tuner.reproductions.papers.mimkd import LANDSCAPE


def test_each_weight_has_its_effect_measured(tmp_path) -> None:
    # λ_f alone matters: ten points over its range.
    accuracies = {
        variant.label: [60 + 10 * variant.values["lambda_f"] + 0.01 * (n % 7)]
        for n, variant in enumerate(LANDSCAPE.variants)
    }
    found = results("mimkd-landscape", accuracies, tmp_path)
    artefact = artefact_of(found)
    text = " ".join(artefact.findings)
    assert re.search(r"Raising λ_g from 0 to 1 .*?: no effect beyond noise", text)
    assert re.search(
        r"Raising λ_f from 0 to 1 changes test accuracy by \+(9.9|10.0).*: a gain", text
    )
    assert "of the teacher (79.24 %) and of the plain student (72.44 %)" in text
    table = table_named(artefact, "settings")
    assert (len(table.rows), table.data.num_rows) == (10, 125)


def test_levels_are_round_and_hold_the_best() -> None:
    levels = levels_of([10.0, *(60 + n / 10 for n in range(100))])
    assert levels[0] > 50
    assert levels[-1] >= 69.9
    steps = {round(float(b - a), 6) for a, b in pairwise(levels)}
    assert steps == {1.0}
