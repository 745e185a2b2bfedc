"""Search space of attention transfer: what a search may vary, its grid, the published setting."""

from search_spaces.common import common
from search_spaces.space import Fixed, Float, Space

SPACE = Space(
    method="at",
    params=(
        # Two decades either side: a mean over the locations of maps that are scaled to length 1
        # is smaller the larger the images are.
        Float(
            "weight",
            10.0,
            100000.0,
            log=True,
            grid=(100.0, 300.0, 1000.0, 3000.0, 10000.0),
            published=1000.0,
        ),
        # With 2 a cache holds the teacher's attention only, with others its whole maps.
        Fixed("p", 2.0),
        *common(),
    ),
    source=(
        "weight: arXiv:2110.15946, appendix A.2, and the CRD framework's command, which is"
        " github.com/HobbitLong/RepDistiller's; p: its code"
    ),
)
