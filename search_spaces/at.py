"""Search space of attention transfer: ranges, grid and published setting."""

from search_spaces.common import common
from search_spaces.space import Fixed, Float, Space

SPACE = Space(
    method="at",
    params=(
        # Two decades either side: the mean over the locations of maps of length 1 is smaller for
        # larger images.
        Float(
            "weight",
            10.0,
            100000.0,
            log=True,
            grid=(100.0, 300.0, 1000.0, 3000.0, 10000.0),
            published=1000.0,
        ),
        # With 2 the cache stores only the teacher's attention maps, otherwise its whole maps.
        Fixed("p", 2.0),
        *common(),
    ),
    source=(
        "weight: arXiv:2110.15946, appendix A.2, and the CRD framework's command, which is"
        " github.com/HobbitLong/RepDistiller's; p: its code"
    ),
)
