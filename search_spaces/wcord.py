"""Search space of WCoRD: ranges, grid and published setting."""

from search_spaces.common import common
from search_spaces.space import Fixed, Float, Space

SPACE = Space(
    method="wcord",
    params=(
        # Around CRD's weight; the term is at most 3 in size, whatever the number of negatives.
        Float("lambda_global", 0.1, 5.0, log=True, grid=(0.2, 0.4, 0.8, 1.6), published=0.8),
        # The ITRD supplement finds it robust only between 0 and 0.2; slightly beyond, to check.
        Float(
            "lambda_local",
            0.01,
            0.3,
            log=True,
            grid=(0.02, 0.05, 0.1, 0.15, 0.2, 0.3),
            published=0.05,
        ),
        # Relative to the cost 1 - cosine: from nearly the cheapest matching to nearly uniform.
        Float("epsilon", 0.02, 1.0, log=True, grid=(0.05, 0.1, 0.5), published=0.1),
        Fixed("num_negatives", 16),
        # The formula's M; only with 1 is the term a distance.
        Fixed("negative_weight", 1.0),
        Fixed("negatives", "other_class", options=("other_class", "other_image")),
        Fixed("momentum", 0.5),
        Fixed("width", 128),
        Fixed("num_iterations", 50),
        Fixed("plan", "constant", options=("constant", "unrolled")),
        *common(),
    ),
    source=(
        "no setting could be checked against arXiv:2012.08674, all are assumptions:"
        " lambda_global, negatives, momentum and width are CRD's, lambda_local is inside the range"
        " that the ITRD supplement calls robust, the others are ours"
    ),
)
