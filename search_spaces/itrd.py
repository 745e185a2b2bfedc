"""Search space of ITRD: ranges, grid and published setting."""

from search_spaces.common import common
from search_spaces.space import Choice, Fixed, Float, Space

SPACE = Space(
    method="itrd",
    params=(
        # The supplement's Figure 1 sweeps both weights without naming values; its text mentions 1.5
        # to 2.5. The grid's values are ours.
        Float("beta_corr", 0.5, 4.0, grid=(0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0), published=2.0),
        Float("beta_mi", 0.0, 3.0, grid=(0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0), published=1.0),
        # Table 4's values; log because the effect is strongest near 1.
        Float(
            "alpha",
            1.01,
            10.0,
            log=True,
            grid=(1.01, 1.5, 2.0, 3.0, 4.0, 5.0, 10.0),
            published=1.01,
        ),
        Choice("kernel", ("polynomial", "rbf"), published="polynomial"),
        # The code uses degree 1; the supplement's text says 2.
        Choice("degree", (1, 2), grid=(1,), published=1, when={"kernel": "polynomial"}),
        Fixed("offset", 0.0, when={"kernel": "polynomial"}),
        # If unset, the kernel's width follows Silverman's rule, scaled by h.
        Fixed("sigma", None, kind=float, when={"kernel": "rbf"}),
        # Table 2's two values, and a factor of 4 below 1.
        Float(
            "h",
            0.25,
            8.0,
            log=True,
            grid=(1.0, 5.0),
            published=1.0,
            when={"kernel": "rbf", "sigma": None},
        ),
        Fixed("normalise", True),
        Fixed("log2", False),
        Fixed("form", "stable", options=("stable", "official")),
        *common(),
    ),
    source=(
        "beta_corr, beta_mi, alpha: the command in the README of github.com/roymiles/ITRD"
        " (its script's defaults are 2.0, 0.05, 1.5); kernel: its code; h: the supplement, Table 2"
    ),
)
