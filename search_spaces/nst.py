"""Search space of NST: ranges, grid and published setting."""

from search_spaces.common import common
from search_spaces.space import Float, Space

SPACE = Space(
    method="nst",
    params=(
        # Two decades either side: the discrepancy is between 0 and 2, but how much of that range a
        # pair of networks uses is not known in advance.
        Float(
            "weight", 0.5, 5000.0, log=True, grid=(5.0, 15.0, 50.0, 150.0, 500.0), published=50.0
        ),
        *common(),
    ),
    source="weight: the CRD framework's command, github.com/HobbitLong/RepDistiller",
)
