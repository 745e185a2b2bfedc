"""Search space of FT: ranges, grid and published setting."""

from search_spaces.common import common
from search_spaces.space import Epochs, Fixed, Float, Space

SPACE = Space(
    method="ft",
    params=(
        # A decade either side of 200: factors of length 1 differ little on average, and less for
        # larger maps. The authors' 500 is for form "full".
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
        # The framework's for resnet and WRN students; others get the student's rate.
        Fixed("initial_lr", 0.01),
        *common(),
    ),
    source="all: the CRD framework's code and script for FT, github.com/HobbitLong/RepDistiller",
)
