"""The experiments of MIMKD's appendix (arXiv:2110.15946), for which there is no public code."""

from itertools import product

from tuner.reproductions.experiment import Experiment, Pair, Variant
from tuner.text.formatting import count_text

# A.2: alpha is 1 for all methods but KD, whose weight on the cross-entropy is 0.9.
METHODS = {
    variant.label: variant
    for variant in (
        Variant("plain", "plain"),
        Variant("fitnet", "fitnet", {"weight": 100.0}),
        Variant("at", "at", {"weight": 1000.0}),
        Variant("vid", "vid", {"weight": 1.0}),
        Variant("kd", "kd", {"ce_weight": 0.9, "kd_weight": 0.1}),
        Variant("crd", "crd", {"weight": 0.8, "num_negatives": 4096, "negatives": "other_image"}),
        Variant("mimkd", "mimkd"),
    )
}
SHALLOW_STUDENTS = ("conv4", "conv4_mp")
SHALLOW_TEACHERS = ("resnet110", "vgg13", "resnet32x4")
LANDSCAPE_PAIR = (Pair("resnet32x4", "resnet8x4"),)
LANDSCAPE_WEIGHTS = {"lambda_g": "λ_g", "lambda_l": "λ_l", "lambda_f": "λ_f"}  # and their symbols
LANDSCAPE_STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)
NEGATIVES = (1, 64, 256, 1024, 4096)
OWN_WEIGHTS = (
    "MIMKD has the weights of its ImageNet experiment: alpha 0.9, λ_g 0.2, λ_l 0.8, λ_f 0.8."
)


def weights_label(weights: tuple[float, ...]) -> str:
    """The label of a point of the landscape, by its three weights."""
    symbols = LANDSCAPE_WEIGHTS.values()
    return ", ".join(f"{symbol} {value:g}" for symbol, value in zip(symbols, weights, strict=True))


PAIRS = Experiment(
    name="mimkd-pairs",
    title="MIMKD, Tables 4 and 5: the paired maps of two networks",
    pairs=(Pair("wrn_40_2", "wrn_16_1"), Pair("ResNet50", "ShuffleV2")),
)
CRITICS = Experiment(
    name="mimkd-critics",
    title="MIMKD, A.4: convolve against project and dot",
    pairs=LANDSCAPE_PAIR,
    variants=(
        Variant("convolve", "mimkd", {"critic": "convolve"}),
        Variant("project and dot", "mimkd", {"critic": "project_and_dot"}),
    ),
    assumed=(OWN_WEIGHTS,),
)
SHALLOW = Experiment(
    name="mimkd-shallow",
    title="MIMKD, Table 11: shallow students on CIFAR-100",
    pairs=tuple(
        Pair(teacher, student) for student in SHALLOW_STUDENTS for teacher in SHALLOW_TEACHERS
    ),
    variants=tuple(METHODS.values()),
    pair_settings={
        (Pair(teacher, "conv4"), "fitnet"): {"layer": "stem"}
        for teacher in ("resnet110", "resnet32x4")
    },
    assumed=(
        OWN_WEIGHTS,
        "FitNet's hint layer is stage 2; for Conv-4 with a ResNet it is the stem, because Conv-4's"
        " other maps are smaller than the teacher's.",
    ),
)
LANDSCAPE = Experiment(
    name="mimkd-landscape",
    title="MIMKD, Figures 4 to 6: test accuracy over the three weights",
    pairs=LANDSCAPE_PAIR,
    variants=tuple(
        Variant(
            weights_label(weights),
            "mimkd",
            dict(zip(LANDSCAPE_WEIGHTS, weights, strict=True))
            | {"ce_weight": 1.0, "kd_weight": 0.0},
        )
        for weights in product(LANDSCAPE_STEPS, repeat=3)
    ),
    seeds=1,
)
NEGATIVE_COUNTS = Experiment(
    name="mimkd-negatives",
    title="MIMKD, A.7: cost and accuracy against the number of negatives",
    pairs=LANDSCAPE_PAIR,
    variants=tuple(
        Variant(count_text(number, "negative"), "mimkd", {"num_negatives": number})
        for number in NEGATIVES
    ),
    assumed=(OWN_WEIGHTS, "Accuracies are those of the ablation's pair, on CIFAR-100."),
)
IMAGENET = Experiment(
    name="mimkd-imagenet",
    title="MIMKD, Table 10: ResNet-34 to ResNet-18 on ImageNet",
    pairs=(Pair("torchvision:resnet34", "torchvision:resnet18", "IMAGENET1K_V1"),),
    data="imagenet",
    variants=tuple(METHODS[label] for label in ("plain", "kd", "at", "mimkd")),
    seeds=1,
    assumed=("KD and AT have the weights of A.2.",),
)
