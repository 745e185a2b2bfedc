"""Search space of ReviewKD: ranges, grid and published setting."""

from search_spaces.common import common
from search_spaces.space import Epochs, Float, Space

SPACE = Space(
    method="reviewkd",
    params=(
        # The published weights span a decade: 0.6 for resnet56 -> resnet20, 1 for resnet110 ->
        # resnet32, 8 for resnet32x4 -> ShuffleV2, 5 for all others.
        Float("weight", 0.1, 20.0, log=True, grid=(0.6, 1.0, 5.0, 8.0), published=5.0),
        Epochs("warmup_epochs", 20),
        *common(),
    ),
    source="all: the scripts for CIFAR-100 in github.com/dvlab-research/ReviewKD",
)
