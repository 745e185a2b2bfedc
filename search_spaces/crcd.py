"""Search space of CRCD: ranges, grid and published setting."""

from search_spaces.common import common
from search_spaces.space import Fixed, Float, Int, Space

SPACE = Space(
    method="crcd",
    params=(
        # Like CRD's weight: the loss is a sum over the negatives, about 10 to 20.
        Float("relation_weight", 0.1, 5.0, log=True, grid=(0.3, 1.0, 3.0), published=1.0),
        # The term is at most 2. Up to the script's factor of 10 for the product with KD's term, and
        # as far down.
        Float("gradient_weight", 0.1, 10.0, log=True, grid=(0.1, 1.0, 10.0), published=1.0),
        # Each is compared with all images of the batch, so they cost more than CRD's.
        Int("num_negatives", 100, 2000, log=True, grid=(250, 500, 1000), published=500),
        Float("nce_temperature", 0.02, 0.5, log=True, grid=(0.05, 0.07, 0.1), published=0.05),
        # other_image: any other image, as in MIMKD's CRD.
        Fixed("negatives", "other_class", options=("other_class", "other_image")),
        Fixed("momentum", 0.5),
        Fixed("width", 128),
        # The last 10 of 250 epochs; 0 for fewer than 25.
        Fixed("finetune_fraction", 0.04),
        *common(kd_weight=0.9),
    ),
    source=(
        "all but gradient_weight: the defaults and the README of github.com/Lechatelia/CRCD,"
        " unofficial and incomplete (arXiv:2103.16367); gradient_weight: an assumption, as the"
        " script multiplies that term by KD's"
    ),
)
