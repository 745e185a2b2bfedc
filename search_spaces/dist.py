"""Search space of DIST: ranges, grid and published setting."""

from search_spaces.common import common
from search_spaces.space import Float, Space

SPACE = Space(
    method="dist",
    params=(
        # Correlations have the same scale everywhere but are multiplied by the squared temperature,
        # so from an eighth of the published weights to four times them.
        Float("beta", 0.25, 8.0, log=True, grid=(1.0, 2.0, 4.0), published=2.0),
        Float("gamma", 0.25, 8.0, log=True, grid=(1.0, 2.0, 4.0), published=2.0),
        # Of this method's terms; `temperature` is KD's. 1 is published for ImageNet.
        Float("dist_temperature", 1.0, 16.0, log=True, grid=(1.0, 4.0), published=4.0),
        *common(),
    ),
    source=(
        "all: recalled of arXiv:2205.10536, not looked up again; for ImageNet mmrazor's"
        " configuration of DIST has beta and gamma 2 and temperature 1"
    ),
)
