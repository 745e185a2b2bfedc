"""Search space of DKD: ranges, grid and published setting."""

from search_spaces.common import common
from search_spaces.space import Epochs, Float, Space

SPACE = Space(
    method="dkd",
    params=(
        # Always 1 on CIFAR-100, so the range is close to it.
        Float("alpha", 0.25, 4.0, log=True, grid=(0.5, 1.0, 2.0), published=1.0),
        # Depends on the pair: 2 for resnet56 -> resnet20 and resnet110 -> resnet32; 6 for vgg13
        # pairs and WRN -> WRN; 8 for all others.
        Float("beta", 0.5, 16.0, log=True, grid=(2.0, 6.0, 8.0), published=8.0),
        # Of this method's terms; `temperature` is KD's.
        Float("dkd_temperature", 1.0, 16.0, log=True, grid=(4.0,), published=4.0),
        Epochs("warmup_epochs", 20),
        *common(),
    ),
    source="all: the configurations for CIFAR-100 in github.com/megvii-research/mdistiller",
)
