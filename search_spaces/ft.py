"""Search space of FT: what a search may vary, its grid, and the published setting."""

from search_spaces.common import common
from search_spaces.space import Epochs, Fixed, Float, Space

SPACE = Space(
    method="ft",
    params=(
        # A decade either side of 200: factors of length 1 differ by little on average, the
        # less the larger the map. The authors' 500 is of form "full".
        Float(
            "weight",
            20.0,
            2000.0,
            log=True,
            grid=(50.0, 100.0, 200.0, 500.0, 1000.0),
            published=200.0,
        ),
        # The paraphrase rate k, from a quarter of the teacher's channels to all of them.
        Float("rate", 0.25, 1.0, log=True, grid=(0.25, 0.5, 1.0), published=0.5),
        Fixed("form", "attention", options=("attention", "full")),
        Fixed("p1", 2, when={"form": "attention"}),
        Fixed("p2", 1, options=(1, 2)),
        Epochs("initial_epochs", 30),
        # The framework's for resnet and WRN students; it gives others the student's own.
        Fixed("initial_lr", 0.01),
        *common(),
    ),
    source="all: the CRD framework's code and script for FT, github.com/HobbitLong/RepDistiller",
)
