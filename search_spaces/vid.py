"""Search space of VID: ranges, grid and published setting."""

from search_spaces.common import common
from search_spaces.space import Fixed, Float, Space

SPACE = Space(
    method="vid",
    params=(
        # Two decades either side: once the variances have converged, an element's log-likelihood is
        # a few nats whatever the scale of the activations, like a label's.
        Float("weight", 0.01, 100.0, log=True, grid=(0.1, 0.3, 1.0, 3.0, 10.0), published=1.0),
        # The variances are learnt; this is their initial value.
        Fixed("initial_variance", 5.0),
        *common(),
    ),
    source=(
        "weight: arXiv:2110.15946, appendix A.2, and the CRD framework's command, which is"
        " github.com/HobbitLong/RepDistiller's; initial_variance: its code"
    ),
)
