"""Search space of CC: what a search may vary, its grid, and the published setting."""

from search_spaces.common import common
from search_spaces.space import Fixed, Float, Space

SPACE = Space(
    method="cc",
    params=(
        # A decade either side: the term sums products over the width and grows with the
        # square of the embeddings, whose size differs from one pair of networks to the next.
        Float("weight", 0.002, 0.2, log=True, grid=(0.005, 0.02, 0.1), published=0.02),
        # Of the heads; it scales the term as the weight does.
        Fixed("width", 128),
        *common(),
    ),
    source="all: the CRD framework's command for CC, github.com/HobbitLong/RepDistiller",
)
