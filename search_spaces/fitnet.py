"""Search space of FitNets: ranges, grid and published setting."""

from search_spaces.common import common
from search_spaces.space import Choice, Float, Space

SPACE = Space(
    method="fitnet",
    params=(
        # Two decades either side: the weight multiplies the mean square of raw activations, whose
        # size differs between teachers and layers.
        Float(
            "weight",
            1.0,
            10000.0,
            log=True,
            grid=(10.0, 30.0, 100.0, 300.0, 1000.0),
            published=100.0,
        ),
        # The maps that all networks have; some also have a "stage4".
        Choice("layer", ("stem", "stage1", "stage2", "stage3"), published="stage2"),
        *common(),
    ),
    source="weight: arXiv:2110.15946, appendix A.2; layer: the CRD framework's hint layer 2",
)
