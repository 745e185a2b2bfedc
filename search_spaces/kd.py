"""Search space of KD: ranges, grid and published setting."""

from search_spaces.common import TEMPERATURE
from search_spaces.space import Float, Space

SPACE = Space(
    method="kd",
    params=(
        # The framework gives cross-entropy about a tenth of KD's weight, others equal weight.
        Float("ce_weight", 0.0, 1.0, grid=(0.0, 0.1, 0.5, 1.0), published=0.1),
        # The learning rate is tuned for a sum of about 1, so the range is close to that.
        Float("kd_weight", 0.1, 4.0, log=True, grid=(0.5, 0.9, 2.0), published=0.9),
        # From unsoftened predictions (1) to matching logits (large), where only ratios matter.
        Float("temperature", 1.0, 16.0, log=True, grid=(1.0, 2.0, 4.0, 8.0), published=TEMPERATURE),
    ),
    source="all: the CRD framework's command for KD, github.com/HobbitLong/RepDistiller",
)
