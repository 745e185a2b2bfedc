"""The experiments of ITRD's supplement (arXiv:2112.00459; BMVC 2022)."""

from tuner.reproductions.experiment import Experiment, Pair, Variant

RESNET_TO_MOBILENET = (Pair("ResNet50", "MobileNetV2"),)
# The supplement's kernel; alpha and the weights are assumptions, see published.yaml.
BASE = {"alpha": 1.5, "degree": 2, "beta_corr": 2.0, "beta_mi": 1.0}
RBF = {name: value for name, value in BASE.items() if name != "degree"} | {"kernel": "rbf"}
ALPHAS = (1.01, 1.5, 2.0, 3.0, 4.0, 5.0, 10.0)
# Figure 1 varies one weight at a time; the other keeps its value in BASE.
BETA_SWEEPS = {
    "beta_corr": (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0),
    "beta_mi": (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0),
}
DEGREE = "The kernel is the supplement's polynomial of degree 2; the official code has degree 1."
README_SETTING = "ITRD has the setting of its README: alpha 1.01, beta_corr 2.0, beta_mi 1.0."


def beta_label(name: str, value: float) -> str:
    """The label of the variant in which one of the two weights has this value."""
    weights = BASE | {name: value}
    return f"β_corr = {weights['beta_corr']:g}, β_mi = {weights['beta_mi']:g}"


def beta_variants() -> tuple[Variant, ...]:
    """The variants of both sweeps; the setting at which they cross is one variant."""
    variants = {
        beta_label(name, value): Variant(beta_label(name, value), "itrd", BASE | {name: value})
        for name, values in BETA_SWEEPS.items()
        for value in values
    }
    return tuple(variants.values())


LOG = Experiment(
    name="itrd-log",
    title="ITRD, Table 1: with and without log2 in the mutual information loss",
    pairs=RESNET_TO_MOBILENET,
    variants=(
        Variant("without log2", "itrd", {**BASE, "log2": False}),
        Variant("with log2", "itrd", {**BASE, "log2": True}),
    ),
    seeds=5,
    assumed=(DEGREE,),
)
KERNEL = Experiment(
    name="itrd-kernel",
    title="ITRD, Table 2: kernels of the mutual information loss",
    pairs=RESNET_TO_MOBILENET,
    variants=(
        Variant("polynomial", "itrd", {**BASE, "kernel": "polynomial", "log2": False}),
        Variant("RBF, h = 1", "itrd", {**RBF, "h": 1.0}),
        Variant("RBF, h = 5", "itrd", {**RBF, "h": 5.0}),
    ),
    seeds=5,
    assumed=(DEGREE,),
)
TRANSFER = Experiment(
    name="itrd-transfer",
    title="ITRD, Table 3: frozen students, a new linear classifier on other data",
    pairs=(Pair("wrn_40_2", "wrn_16_2"),),
    variants=(
        Variant("plain", "plain"),
        Variant("kd", "kd"),
        Variant("at", "at"),
        Variant("fitnet", "fitnet"),
        Variant("crd", "crd"),
        Variant("crd+kd", "crd", {"kd_weight": 1.0}),
        Variant("itrd", "itrd"),
    ),
    needs_weights=True,
    options=("probe_data",),
    assumed=(
        README_SETTING,
        "CRD+KD is CRD with KD's term at weight 1, as in the CRD framework.",
    ),
)
ALPHA = Experiment(
    name="itrd-alpha",
    title="ITRD, Table 4: the order α of the correlation loss",
    pairs=RESNET_TO_MOBILENET,
    variants=tuple(Variant(f"α = {alpha:g}", "itrd", {**BASE, "alpha": alpha}) for alpha in ALPHAS),
    seeds=5,
    assumed=(DEGREE,),
)
BETA = Experiment(
    name="itrd-beta",
    title="ITRD, Figure 1: accuracy against β_corr and β_mi",
    pairs=RESNET_TO_MOBILENET,
    variants=beta_variants(),
    assumed=(DEGREE, "Alpha is 1.5, the default of the official script."),
)
COST = Experiment(
    name="itrd-cost",
    title="ITRD, Table 5: memory and training time relative to ITRD",
    pairs=(Pair("torchvision:resnet34", "torchvision:resnet18"),),
    data="imagenet",
    options=("methods", "memory_cap"),
)
CONVERGENCE = Experiment(
    name="itrd-convergence",
    title="ITRD, Figure 2: validation accuracy against epochs",
    pairs=(Pair("vgg13", "vgg8"),),
    variants=(Variant("itrd", "itrd"), Variant("crd", "crd"), Variant("kd", "kd")),
    assumed=(README_SETTING,),
)
