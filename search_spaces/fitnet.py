"""Search space of FitNets: what a search may vary, its grid, and the published setting."""

from search_spaces.common import common
from search_spaces.space import Choice, Float, Space

SPACE = Space(
    method="fitnet",
    params=(
        # Two decades either side: the weight multiplies the mean square of activations as they
        # are, whose size differs from one teacher and one layer to the next.
        Float(
            "weight",
            1.0,
            10000.0,
            log=True,
            grid=(10.0, 30.0, 100.0, 300.0, 1000.0),
            published=100.0,
        ),
        # The maps that every network has; some have a "stage4" too.
        Choice("layer", ("stem", "stage1", "stage2", "stage3"), published="stage2"),
        *common(),
    ),
    source="weight: arXiv:2110.15946, appendix A.2; layer: the CRD framework's hint layer 2",
)
