"""Search space of PKT: ranges, grid and published setting."""

from search_spaces.common import common
from search_spaces.space import Float, Space

SPACE = Space(
    method="pkt",
    params=(
        # A decade either side: the mean over pairs shrinks with the square of the batch size, so
        # another batch size needs another weight.
        Float("weight", 3e3, 3e5, log=True, grid=(1e4, 3e4, 1e5), published=3e4),
        *common(),
    ),
    source="weight: the CRD framework's command for PKT, github.com/HobbitLong/RepDistiller",
)
