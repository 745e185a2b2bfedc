"""The experiments of ITRD's supplement (arXiv:2112.00459; BMVC 2022)."""

from tuner.reports.document import Figure
from tuner.reports.statistics import Accuracy
from tuner.reproductions.artefacts import convergence, costs, figures, probes
from tuner.reproductions.artefacts import findings as words
from tuner.reproductions.artefacts.arms_table import arms_table, published_by_arm
from tuner.reproductions.experiment import Artefact, Experiment, Pair, Variant
from tuner.reproductions.published import Value, published
from tuner.reproductions.results import Results

RESNET_TO_MOBILENET = (Pair("ResNet50", "MobileNetV2"),)
# The supplement's kernel; alpha and the weights are assumptions, see published.yaml.
BASE = {"alpha": 1.5, "degree": 2, "beta_corr": 2.0, "beta_mi": 1.0}
ALPHAS = (1.01, 1.5, 2.0, 3.0, 4.0, 5.0, 10.0)
FLAT_UP_TO = 4.0  # the published accuracies hardly differ up to this alpha
SWEEPS = (
    ("beta_corr", (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0), "β_corr"),
    ("beta_mi", (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0), "β_mi"),
)
CLAIMED = {"beta_corr": (1.5, 2.5), "beta_mi": (0.0, 3.0)}  # weights that the paper's text is of
DEGREE = "The kernel is the supplement's polynomial of degree 2; the official code has degree 1."
README_SETTING = "ITRD has the setting of its README: alpha 1.01, beta_corr 2.0, beta_mi 1.0."


def _log(results: Results) -> Artefact:
    entry = published("itrd-log")
    return _compared(
        results,
        published_by_arm(results, lambda arm: entry.value(log2=arm.values["log2"])),
        name="log2",
        title="Table 1: the logarithm in the mutual information loss",
        heading="loss",
        base="without log2",
    )


def _kernel(results: Results) -> Artefact:
    entry = published("itrd-kernel")
    return _compared(
        results,
        published_by_arm(
            results,
            lambda arm: entry.value(
                **({"h": arm.values["h"]} if "h" in arm.values else {"kernel": "polynomial"})
            ),
        ),
        name="kernels",
        title="Table 2: kernels of the mutual information loss",
        heading="kernel",
        base="polynomial",
    )


def _alpha(results: Results) -> Artefact:
    entry = published("itrd-alpha")
    known = published_by_arm(results, lambda arm: entry.value(alpha=arm.values["alpha"]))
    table = _compared(
        results,
        known,
        name="alpha",
        title="Table 4: the order α of the correlation loss",
        heading="α",
        base="α = 2",
    )
    by_alpha = {float(arm.values["alpha"]): arm.label for arm in results.arms}
    small = [label for alpha, label in by_alpha.items() if alpha <= FLAT_UP_TO]
    apart = " Published values have an axis of their own, on the right."
    drawing = figures.sweep(
        {"α": {alpha: results.accuracy(label) for alpha, label in by_alpha.items()}},
        published={alpha: known[label] for alpha, label in by_alpha.items()},
        shares_axis=results.is_full_scale,
        log=True,
    )
    return Artefact(
        [*table.findings, words.spread(results, small, f"α up to {FLAT_UP_TO:g}")],
        [
            *table.parts,
            Figure(
                "alpha",
                "Accuracy against α",
                f"Mean and deviation over the seeds.{'' if results.is_full_scale else apart}",
                drawing,
            ),
        ],
    )


def _compared(
    results: Results,
    known: dict[str, Value | None],
    *,
    name: str,
    title: str,
    heading: str,
    base: str,
) -> Artefact:
    """A table of the arms, and what it says; `base`: what the paper prefers."""
    labels = [arm.label for arm in results.arms]
    return Artefact(
        [
            *words.best_of_many(results, labels, base, is_papers=True),
            *words.beside_published(results, known),
        ],
        [arms_table(results, name=name, title=title, heading=heading, published=known, base=base)],
    )


def _beta(results: Results) -> Artefact:
    panels: dict[str, dict[float, Accuracy | None]] = {}
    findings = []
    for name, values, shown in SWEEPS:
        labels = {value: _beta_label(name, value) for value in values}
        panels[shown] = {value: results.accuracy(label) for value, label in labels.items()}
        names = {label: f"{shown} = {value:g}" for value, label in labels.items()}
        findings += words.best_of_many(results, list(labels.values()), BETA_BASE, names=names)
        # What the text says of the weight is of these values.
        low, high = CLAIMED[name]
        claimed = [label for value, label in labels.items() if low <= value <= high]
        findings.append(words.spread(results, claimed, f"{shown} from {low:g} to {high:g}"))
        row = published("itrd-beta").row(weight=name)
        assert row is not None
        findings.append(f"The paper: with {shown} accuracy {row['text']}.")
    drawing = figures.sweep(panels, base={shown: BASE[name] for name, _, shown in SWEEPS})
    return Artefact(
        findings,
        [
            Figure(
                "beta",
                "Figure 1: accuracy against the weights of the two losses",
                f"Left: β_mi is {BASE['beta_mi']:g}. Right: β_corr is {BASE['beta_corr']:g}. Mean"
                " and deviation over the seeds; the dotted line marks the weight in the other"
                " panel.",
                drawing,
            ),
            arms_table(
                results,
                name="beta",
                title="The values of Figure 1",
                heading="weights",
                base=BETA_BASE,
            ),
        ],
    )


def _beta_label(name: str, value: float) -> str:
    corr, mi = (value, BASE["beta_mi"]) if name == "beta_corr" else (BASE["beta_corr"], value)
    return f"β_corr = {corr:g}, β_mi = {mi:g}"


BETA_BASE = _beta_label("beta_corr", BASE["beta_corr"])


def _beta_arms() -> tuple[Variant, ...]:
    sweeps = [(name, value) for name, values, _ in SWEEPS for value in values]
    # The setting where the two sweeps cross is one arm.
    arms = {
        _beta_label(*one): Variant(_beta_label(*one), "itrd", {**BASE, one[0]: one[1]})
        for one in sweeps
    }
    return tuple(arms.values())


TRANSFERRED = (
    Variant("plain", "plain"),
    Variant("kd", "kd"),
    Variant("at", "at"),
    Variant("fitnet", "fitnet"),
    Variant("crd", "crd"),
    Variant("crd+kd", "crd", {"kd_weight": 1.0}),
    Variant("itrd", "itrd"),
)

EXPERIMENTS = (
    Experiment(
        name="itrd-log",
        title="ITRD, Table 1: with and without log2 in the mutual information loss",
        pairs=RESNET_TO_MOBILENET,
        arms=(
            Variant("without log2", "itrd", {**BASE, "log2": False}),
            Variant("with log2", "itrd", {**BASE, "log2": True}),
        ),
        seeds=5,
        artefact=_log,
        assumed=(DEGREE,),
    ),
    Experiment(
        name="itrd-kernel",
        title="ITRD, Table 2: kernels of the mutual information loss",
        pairs=RESNET_TO_MOBILENET,
        arms=(
            Variant("polynomial", "itrd", {**BASE, "kernel": "polynomial", "log2": False}),
            *(
                Variant(
                    f"RBF, h = {h:g}",
                    "itrd",
                    {k: v for k, v in BASE.items() if k != "degree"} | {"kernel": "rbf", "h": h},
                )
                for h in (1.0, 5.0)
            ),
        ),
        seeds=5,
        artefact=_kernel,
        assumed=(DEGREE,),
    ),
    Experiment(
        name="itrd-transfer",
        title="ITRD, Table 3: frozen students, a new linear classifier on other data",
        pairs=(Pair("wrn_40_2", "wrn_16_2"),),
        arms=TRANSFERRED,
        artefact=probes.transfer,
        needs_weights=True,
        options=("probe_data",),
        check=probes.check,
        assumed=(
            README_SETTING,
            "CRD+KD is CRD with KD's term at weight 1, as in the CRD framework.",
        ),
    ),
    Experiment(
        name="itrd-alpha",
        title="ITRD, Table 4: the order α of the correlation loss",
        pairs=RESNET_TO_MOBILENET,
        arms=tuple(Variant(f"α = {alpha:g}", "itrd", {**BASE, "alpha": alpha}) for alpha in ALPHAS),
        seeds=5,
        artefact=_alpha,
        assumed=(DEGREE,),
    ),
    Experiment(
        name="itrd-beta",
        title="ITRD, Figure 1: accuracy against β_corr and β_mi",
        pairs=RESNET_TO_MOBILENET,
        arms=_beta_arms(),
        artefact=_beta,
        assumed=(DEGREE, "Alpha is 1.5, the default of the official script."),
    ),
    Experiment(
        name="itrd-cost",
        title="ITRD, Table 5: memory and training time relative to ITRD",
        pairs=(Pair("torchvision:resnet34", "torchvision:resnet18"),),
        data="imagenet",
        artefact=costs.itrd_cost,
        options=("methods", "memory_cap"),
    ),
    Experiment(
        name="itrd-convergence",
        title="ITRD, Figure 2: validation accuracy against epochs",
        pairs=(Pair("vgg13", "vgg8"),),
        arms=(Variant("itrd", "itrd"), Variant("crd", "crd"), Variant("kd", "kd")),
        artefact=convergence.convergence,
        assumed=(README_SETTING,),
    ),
)
