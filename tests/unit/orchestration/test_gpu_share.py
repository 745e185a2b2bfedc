"""Which share of a GPU a trial is given, from the peak of one step."""

import pytest

from tuner.orchestration.gpu_share import CONTEXT_BYTES, HEADROOM, gpu_fraction

GIB = 2**30


@pytest.mark.parametrize(
    ("peak_gib", "total_gib", "fraction"),
    [
        (0.5, 16, 1 / 11),  # 1.15 * 0.5 + 0.781 = 1.356 GiB each
        (1.0, 16, 1 / 8),
        (4.0, 16, 1 / 2),
        (7.0, 16, 1.0),
        (15.0, 16, 1.0),
        (40.0, 16, 1.0),  # does not fit at all: it is for the trial to say so
        (0.0, 80, 1 / 102),
    ],
)
def test_the_share_is_the_largest_unit_fraction_that_holds_a_trial(peak_gib, total_gib, fraction):
    assert gpu_fraction(int(peak_gib * GIB), total_gib * GIB) == pytest.approx(fraction)


@pytest.mark.parametrize("peak", [10**7, 10**9, 5 * 10**9])
def test_as_many_trials_as_ray_starts_fit_together(peak):
    total = 24 * GIB
    fraction = gpu_fraction(peak, total)
    assert (HEADROOM * peak + CONTEXT_BYTES) / fraction <= total
    assert fraction <= 1
