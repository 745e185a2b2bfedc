"""Search space of HSAKD: ranges, grid and published setting."""

from search_spaces.common import common
from search_spaces.space import Epochs, Fixed, Float, Space

SPACE = Space(
    method="hsakd",
    params=(
        # The published objective is a plain sum. A decade either side: "branches" grows with the
        # number of stages, and both terms with the gap between the networks.
        Float("branch_weight", 0.1, 10.0, log=True, grid=(0.3, 1.0, 3.0), published=1.0),
        Float("logit_weight", 0.1, 10.0, log=True, grid=(0.3, 1.0, 3.0), published=1.0),
        # Of both terms; from unsoftened predictions (1) to where only ratios of logits matter.
        Float("hsakd_temperature", 1.0, 10.0, log=True, grid=(2.0, 3.0, 4.0), published=3.0),
        # Only for the teacher's branches, so a search need not vary it.
        Epochs("initial_epochs", 100),
        Fixed("initial_lr", 0.05),
        *common(),
    ),
    source="all: the code of github.com/winycg/HSAKD, its command for a teacher trained already",
)
