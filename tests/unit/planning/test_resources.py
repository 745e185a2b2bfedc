"""How many trials run at a time, in all and on one machine."""

import pytest

from tuner.config.options import RunRequest
from tuner.planning.resources import Resources, resources_for

MACHINES = [{"CPU": 4.0}, {"CPU": 6.0}, {"CPU": 1.0, "GPU": 1.0}]


@pytest.mark.parametrize(
    ("options", "max_concurrent", "trials_per_machine"),
    [
        ({}, 5, 3),
        ({"max_concurrent": 2}, 2, 2),
        ({"max_concurrent": 9}, 5, 3),
        ({"max_concurrent": 9, "address": "auto"}, 9, 3),  # the cluster is to grow
        ({"max_concurrent": 2, "address": "auto"}, 2, 2),
    ],
)
def test_trials_per_machine_are_those_that_fit_there(
    options, max_concurrent, trials_per_machine
) -> None:
    request = RunRequest(cpus_per_trial=2, gpus_per_trial=0, **options)
    assert resources_for(request, MACHINES) == Resources(0, max_concurrent, trials_per_machine)
