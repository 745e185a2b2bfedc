"""Search space of CC: ranges, grid and published setting."""

from search_spaces.common import common
from search_spaces.space import Fixed, Float, Space

SPACE = Space(
    method="cc",
    params=(
        # A decade either side: the term grows with the square of the embeddings, whose size differs
        # between pairs of networks.
        Float("weight", 0.002, 0.2, log=True, grid=(0.005, 0.02, 0.1), published=0.02),
        # Of the heads; it scales the term like the weight.
        Fixed("width", 128),
        *common(),
    ),
    source="all: the CRD framework's command for CC, github.com/HobbitLong/RepDistiller",
)
