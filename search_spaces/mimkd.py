"""Search space of MIMKD: ranges, grid and published setting."""

from search_spaces.common import common
from search_spaces.space import Fixed, Float, Space

# The ablation's values for each weight, without KD (appendix A.8): 125 settings.
STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)

SPACE = Space(
    method="mimkd",
    params=(
        Float("lambda_g", 0.0, 1.0, grid=STEPS, published=0.2),
        Float("lambda_l", 0.0, 1.0, grid=STEPS, published=0.8),
        Float("lambda_f", 0.0, 1.0, grid=STEPS, published=0.8),
        # The appendix does not say which of its two critics was used for the tables.
        Fixed("critic", "convolve", options=("convolve", "project_and_dot")),
        # Tables 8 and 9 have a ReLU on the shortcut; the text calls it linear.
        Fixed("shortcut", "relu", options=("relu", "linear"), when={"critic": "project_and_dot"}),
        # Published for convolve only; an assumption for project_and_dot.
        Fixed("width", 512),
        # None: all. A few dozen make steps much cheaper.
        Fixed("num_locations", None, kind=int),
        # A.1 has 1; A.7 stores 4096 for the global term.
        Fixed("num_negatives", 1),
        # Not stated; the objective's formula is a sum.
        Fixed("feature_reduction", "sum", options=("sum", "mean")),
        # Equation 7's alpha and 1 - alpha; the ablation has no KD. The temperature is an assumption
        # (the CRD framework's): the appendix gives none.
        *common(ce_weight=0.9, ce_weight_grid=(1.0,), kd_weight=0.1, kd_weight_grid=(0.0,)),
    ),
    source=(
        "lambda_g, lambda_l, lambda_f, ce_weight, kd_weight: arXiv:2110.15946, appendix A.5;"
        " width: A.4; temperature, critic and feature_reduction are assumptions"
    ),
)
