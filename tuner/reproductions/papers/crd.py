"""The CRD framework's tables of pairs (arXiv:1910.10699), with every method that has a number."""

from tuner.reproductions.experiment import Experiment, Pair, Variant

SAME = (
    Pair("wrn_40_2", "wrn_16_2"),
    Pair("wrn_40_2", "wrn_40_1"),
    Pair("resnet56", "resnet20"),
    Pair("resnet110", "resnet20"),
    Pair("resnet110", "resnet32"),
    Pair("resnet32x4", "resnet8x4"),
    Pair("vgg13", "vgg8"),
)
DIFFERENT = (
    Pair("vgg13", "MobileNetV2"),
    Pair("ResNet50", "MobileNetV2"),
    Pair("ResNet50", "vgg8"),
    Pair("resnet32x4", "ShuffleV1"),
    Pair("resnet32x4", "ShuffleV2"),
    Pair("wrn_40_2", "ShuffleV1"),
)
METHODS = (
    "kd", "fitnet", "at", "sp", "cc", "vid", "rkd", "pkt", "ab", "ft", "fsp", "nst", "crd",
    "wcord", "reviewkd", "itrd",
)  # fmt: skip
# From the CIFAR-100 scripts of github.com/dvlab-research/ReviewKD; 5 for all other pairs.
REVIEWKD_WEIGHTS = {
    Pair("resnet56", "resnet20"): "0.6",
    Pair("resnet110", "resnet32"): "1.0",
    Pair("resnet32x4", "ShuffleV2"): "8.0",
}

BENCHMARK = Experiment(
    name="crd-benchmark",
    title="The CRD framework's benchmark: methods and pairs of networks on CIFAR-100",
    pairs=(*SAME, *DIFFERENT),
    variants=(
        Variant("plain", "plain"),
        *(Variant(method, method) for method in METHODS),
        Variant("crd+kd", "crd", {"kd_weight": 1.0}),
    ),
    pair_settings={
        (pair, "reviewkd"): {"weight": weight} for pair, weight in REVIEWKD_WEIGHTS.items()
    },
    assumed=(
        "Each method has the published setting of its search space for all pairs; ReviewKD's"
        " weight is the one in its authors' scripts for the pair.",
        "Each pair has three seeds; the README does not state how many the published means are of.",
    ),
)
