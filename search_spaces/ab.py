"""Search space of AB: ranges, grid and published setting."""

from search_spaces.common import common
from search_spaces.space import Epochs, Fixed, Float, Space

SPACE = Space(
    method="ab",
    params=(
        # 0: the loss is not used after the initial stage, so the framework's weight of 1 has no
        # effect. `--set weight=0:2` searches joint training.
        Fixed("weight", 0.0),
        # A factor of 4 around 1, roughly a unit's deviation after its batch norm.
        Float("margin", 0.25, 4.0, log=True, grid=(0.5, 1.0, 2.0), published=1.0),
        Epochs("initial_epochs", 30),
        *common(),
    ),
    source="all: the CRD framework's script for AB, github.com/HobbitLong/RepDistiller",
)
