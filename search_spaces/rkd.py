"""Search space of RKD: ranges, grid and published setting."""

from search_spaces.common import common
from search_spaces.space import Float, Space

SPACE = Space(
    method="rkd",
    params=(
        # From the paper's 1 and 2 for metric learning to four times its values for classification;
        # `--set angle_weight=0` omits a term.
        Float("distance_weight", 1.0, 100.0, log=True, grid=(5.0, 25.0, 100.0), published=25.0),
        Float("angle_weight", 2.0, 200.0, log=True, grid=(10.0, 50.0, 200.0), published=50.0),
        *common(),
    ),
    source="all: the CRD framework's defaults for RKD, github.com/HobbitLong/RepDistiller",
)
