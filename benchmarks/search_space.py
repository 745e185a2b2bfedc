"""The eight ITRD settings of benchmark `search`: the grid of this space.

Both sides read them here: ours with `--space benchmarks/search_space.py --algo grid`,
plain Ray Tune as a list.
"""

from dataclasses import replace
from typing import Any

from search_spaces.itrd import SPACE as ITRD

GRIDS: dict[str, Any] = {
    "beta_corr": (1.0, 2.0, 3.0, 4.0),
    "beta_mi": (0.5, 1.0),
    "alpha": (1.01,),
    "kernel": ("polynomial",),
}
SPACE = replace(
    ITRD,
    params=tuple(
        replace(parameter, grid=GRIDS[parameter.name]) if parameter.name in GRIDS else parameter
        for parameter in ITRD.params
    ),
)
