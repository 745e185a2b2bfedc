"""The eight ITRD settings of benchmark `search`: the grid of this space.

Both sides read them here: ours with `--space benchmarks/search_space.py --algo grid`,
plain Ray Tune as a list.
"""

from search_spaces import Choice, Fixed, Float, Space
from search_spaces.common import common

SPACE = Space(
    method="itrd",
    params=(
        Float("beta_corr", 0.5, 4.0, grid=(1.0, 2.0, 3.0, 4.0), published=2.0),
        Float("beta_mi", 0.0, 3.0, grid=(0.5, 1.0), published=1.0),
        Fixed("alpha", 1.01),
        Choice("kernel", ("polynomial", "rbf"), grid=("polynomial",), published="polynomial"),
        Fixed("degree", 1, when={"kernel": "polynomial"}),
        Fixed("offset", 0.0, when={"kernel": "polynomial"}),
        Fixed("sigma", None, kind=float, when={"kernel": "rbf"}),
        Fixed("h", 1.0, when={"kernel": "rbf", "sigma": None}),
        Fixed("normalise", True),
        Fixed("log2", False),
        Fixed("form", "stable", options=("stable", "official")),
        *common(),
    ),
)
