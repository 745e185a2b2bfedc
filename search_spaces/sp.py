"""Search space of SP: ranges, grid and published setting."""

from search_spaces.common import common
from search_spaces.space import Float, Space

SPACE = Space(
    method="sp",
    params=(
        # Two decades either side: a mean over rows of length 1 shrinks with the batch size, so
        # twice as many images need about twice the weight.
        Float(
            "weight",
            30.0,
            300000.0,
            log=True,
            grid=(300.0, 1000.0, 3000.0, 10000.0, 30000.0),
            published=3000.0,
        ),
        *common(),
    ),
    source="weight: the CRD framework's command, github.com/HobbitLong/RepDistiller (batch 64)",
)
