"""Search space of FSP: ranges, grid and published setting."""

from search_spaces.common import common
from search_spaces.space import Epochs, Fixed, Space

SPACE = Space(
    method="fsp",
    params=(
        # As published the loss trains the initial stage, unweighted, and is not used after it;
        # `--set weight=1:100` searches it together with the cross-entropy.
        Fixed("weight", 0.0),
        Epochs("initial_epochs", 30),
        *common(),
    ),
    source=(
        "all: the CRD framework's code, github.com/HobbitLong/RepDistiller, whose weight of 50 has"
        " no effect"
    ),
)
