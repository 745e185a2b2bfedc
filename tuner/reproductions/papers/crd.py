"""The CRD framework's tables of pairs (arXiv:1910.10699), with every method that has a number."""

from collections.abc import Sequence
from itertools import pairwise

from tuner.reports.document import Table
from tuner.reproductions.artefacts.pairs_table import Known, pairs_table, verdicts
from tuner.reproductions.experiment import Artefact, Experiment, Pair, Variant
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
    Variant("plain", "plain"),
    *(Variant(method, method) for method in METHODS),
    Variant("crd+kd", "crd", {"kd_weight": 1.0}),
)
# github.com/dvlab-research/ReviewKD, its scripts for CIFAR-100; 5 for all other pairs.
REVIEWKD_WEIGHTS = {
    Pair("resnet56", "resnet20"): "0.6",
    Pair("resnet110", "resnet32"): "1.0",
    Pair("resnet32x4", "ShuffleV2"): "8.0",
}
WIDEST = 4  # pairs that a page is wide enough for


def _benchmark(results: Results) -> Artefact:
    entry = published("crd-benchmark")

    def known(pair: Pair, label: str) -> Value | None:
        return entry.value(teacher=pair.teacher, student=pair.student, method=label)

    findings, table = verdicts(results, known)
    return Artefact(findings, [table, *_tables(results, known)])


def _tables(results: Results, known: Known) -> list[Table]:
    """Networks of one kind and of two, as in the paper; parted again where a page is too narrow."""
    pairs = results.experiment.pairs
    same = [pair for pair in pairs if _family(pair.teacher) == _family(pair.student)]
    different = [pair for pair in pairs if pair not in same]
    tables = []
    for name, title, chosen in (
        ("same", "Teacher and student of one architecture", same),
        ("different", "Teacher and student of two architectures", different),
    ):
        parts = _parted(chosen)
        for number, part in enumerate(parts, 1):
            of = f" ({number} of {len(parts)})" if len(parts) > 1 else ""
            ending = f"-{number}" if len(parts) > 1 else ""
            tables.append(pairs_table(results, part, known, name=name + ending, title=title + of))
    return tables


def _parted(pairs: Sequence[Pair]) -> list[Sequence[Pair]]:
    """In as few parts as fit a page, of nearly equal size."""
    num_parts = -(-len(pairs) // WIDEST)
    ends = [round(len(pairs) * n / num_parts) for n in range(num_parts + 1)] if pairs else []
    return [pairs[start:end] for start, end in pairwise(ends)]


def _family(network: str) -> str:
    """What kind of network a name stands for: resnet56 and resnet8x4 are of one."""
    return network.rstrip("x_0123456789")


EXPERIMENTS = (
    Experiment(
        name="crd-benchmark",
        title="The CRD framework's benchmark: methods and pairs of networks on CIFAR-100",
        pairs=(*SAME, *DIFFERENT),
        arms=ARMS,
        recipes={
            (pair, "reviewkd"): {"weight": weight} for pair, weight in REVIEWKD_WEIGHTS.items()
        },
        artefact=_benchmark,
        assumed=(
            "A method has the published setting of its search space for all pairs; ReviewKD's"
            " weight is that of its own scripts for the pair.",
            "Three seeds for all pairs; how many the published means are of is not in the README.",
        ),
    ),
)
