"""Search space of AB: what a search may vary, its grid, and the published setting."""

from search_spaces.common import common
from search_spaces.space import Epochs, Fixed, Float, Space

SPACE = Space(
    method="ab",
    params=(
        # 0: after the initial stage the loss is not used again, so the framework's weight
        # of 1 is without effect. `--set weight=0:2` searches a joint use.
        Fixed("weight", 0.0),
        # A factor of 4 around 1, about the deviation of a unit after its batch norm.
        Float("margin", 0.25, 4.0, log=True, grid=(0.5, 1.0, 2.0), published=1.0),
        Epochs("initial_epochs", 30),
        *common(),
    ),
    source="all: the CRD framework's script for AB, github.com/HobbitLong/RepDistiller",
)
