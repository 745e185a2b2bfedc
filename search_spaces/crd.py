"""Search space of CRD: ranges, grid and published setting."""

from search_spaces.common import common
from search_spaces.space import Fixed, Float, Int, Space

SPACE = Space(
    method="crd",
    params=(
        # The loss is a sum over the negatives, about 10 to 20; the range is close to what balances
        # the cross-entropy.
        Float("weight", 0.1, 5.0, log=True, grid=(0.2, 0.4, 0.8, 1.6), published=0.8),
        # Log because of diminishing returns. MIMKD's CRD uses 4096.
        Int("num_negatives", 256, 16384, log=True, grid=(512, 1024, 4096, 16384), published=16384),
        # The ITRD supplement finds CRD sensitive to it; the usual range is 0.05 to 0.1.
        Float("nce_temperature", 0.02, 0.5, log=True, grid=(0.05, 0.07, 0.1), published=0.07),
        # other_image: any other image, as in MIMKD's CRD.
        Fixed("negatives", "other_class", options=("other_class", "other_image")),
        Fixed("momentum", 0.5),
        Fixed("width", 128),
        # The tables' CRD+KD is this with kd_weight=1.
        *common(),
    ),
    source=(
        "all: the CRD framework's command and defaults, github.com/HobbitLong/RepDistiller"
        " (arXiv:1910.10699); other_image and 4096 negatives: arXiv:2110.15946"
    ),
)
