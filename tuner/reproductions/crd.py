"""The CRD framework's tables of pairs (arXiv:1910.10699), with every method that has a number."""

from statistics import fmean

from tuner.reproductions.experiment import Arm, Artefact, Experiment, Pair
from tuner.reproductions.pairs_table import pairs_table
from tuner.reproductions.published import Value, published
from tuner.reproductions.results import Results

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
ARMS = (
    Arm("plain", "plain"),
    *(Arm(method, method) for method in METHODS),
    Arm("crd+kd", "crd", {"kd_weight": 1.0}),
)


def _benchmark(results: Results) -> Artefact:
    entry = published("crd-benchmark")

    def known(pair: Pair, label: str) -> Value | None:
        return entry.value(teacher=pair.teacher, student=pair.student, method=label)

    labels = [arm.label for arm in results.arms if arm.method != "plain"]
    findings = []
    for pair in results.experiment.pairs:
        best = results.best(labels, pair)
        if best is None:
            continue
        found = results.accuracy(best, pair)
        against = results.difference(best, "plain", pair, num_comparisons=max(1, len(labels)))
        gain = "" if against is None else f", {against.mean:+.2f} points from the plain student"
        if against is not None and against.is_noise:
            gain += " (within noise)"
        assert found is not None
        findings.append(
            f"{pair}: {best} validates best of {len(labels)} methods ({found.mean:.2f} % on the"
            f" test set{gain})."
        )
    findings += _agreement(results, known, labels)
    return Artefact(
        findings or ["No training has finished, so nothing is compared."],
        [
            pairs_table(results, known, name="benchmark", title="Methods and pairs of networks"),
        ],
    )


def _agreement(results: Results, known: object, labels: list[str]) -> list[str]:
    """How far measured and published accuracies lie apart, where the protocol is the same."""
    if not results.is_full_scale or not callable(known):
        return []
    gaps = [
        found.mean - value.mean
        for pair in results.experiment.pairs
        for label in labels
        if (value := known(pair, label)) and (found := results.accuracy(label, pair))
    ]
    if not gaps:
        return []
    return [
        f"Measured accuracies are {fmean(gaps):+.2f} points from the published ones on average."
    ]


EXPERIMENTS = (
    Experiment(
        name="crd-benchmark",
        title="The CRD framework's benchmark: methods and pairs of networks on CIFAR-100",
        pairs=(*SAME, *DIFFERENT),
        arms=ARMS,
        seeds=3,
        artefact=_benchmark,
        assumed=(
            "Every method has the published setting of its search space for all pairs; of ReviewKD"
            " and DKD the papers give other weights for some pairs.",
            "fsp needs maps of equal channels and fails elsewhere; its row has no number there.",
        ),
    ),
)
