"""The experiments of MIMKD's appendix (arXiv:2110.15946), for which there is no public code."""

from collections.abc import Sequence
from statistics import fmean

import models
from losses.mimkd import same_sized_pairs
from losses.parts.critics import Convolve, ProjectAndDot
from models import shapes_of
from models.outputs import Shapes
from tuner.reports.document import Figure, Table
from tuner.reproductions.artefacts import costs, figures, landscape
from tuner.reproductions.artefacts import findings as words
from tuner.reproductions.artefacts.arms_table import TEACHER, arms_table, published_by_arm
from tuner.reproductions.artefacts.pairs_table import Known, pairs_table, verdicts
from tuner.reproductions.experiment import Artefact, Experiment, Pair, Variant
from tuner.reproductions.published import Value, published
from tuner.reproductions.results import Results
from tuner.text.formatting import NOTHING

# A.2: alpha is 1 for all methods but KD, whose weight on the cross-entropy is 0.9.
SHALLOW_ARMS = (
    Variant("plain", "plain"),
    Variant("fitnet", "fitnet", {"weight": 100.0}),
    Variant("at", "at", {"weight": 1000.0}),
    Variant("vid", "vid", {"weight": 1.0}),
    Variant("kd", "kd", {"ce_weight": 0.9, "kd_weight": 0.1}),
    Variant("crd", "crd", {"weight": 0.8, "num_negatives": 4096, "negatives": "other_image"}),
    Variant("mimkd", "mimkd"),
)
BASELINES = {arm.label: arm for arm in SHALLOW_ARMS}
SHALLOW_TEACHERS = ("resnet110", "vgg13", "resnet32x4")
SHALLOW_PAIRS = tuple(
    Pair(teacher, student) for student in ("conv4", "conv4_mp") for teacher in SHALLOW_TEACHERS
)
LANDSCAPE_PAIR = (Pair("resnet32x4", "resnet8x4"),)
IMAGENET_PAIR = (Pair("torchvision:resnet34", "torchvision:resnet18", "IMAGENET1K_V1"),)
NEGATIVES = (1, 64, 256, 1024, 4096)
OWN_WEIGHTS = (
    "MIMKD has the weights of its ImageNet experiment: alpha 0.9, λ_g 0.2, λ_l 0.8, λ_f 0.8."
)


def _shallow(results: Results) -> Artefact:
    entry = published("mimkd-shallow")

    def known(pair: Pair, label: str) -> Value | None:
        return entry.value(student=pair.student, teacher=pair.teacher, method=label)

    findings, table = verdicts(results, known)
    students = dict.fromkeys(pair.student for pair in results.experiment.pairs)
    by_student = [
        pairs_table(
            results,
            [pair for pair in results.experiment.pairs if pair.student == student],
            known,
            name=f"shallow-{number}",
            title=f"Table 11: the student {student}",
        )
        for number, student in enumerate(students, 1)
    ]
    return Artefact([*_gains(results, known), *findings], [table, *by_student])


def _gains(results: Results, known: Known) -> list[str]:
    """MIMKD against the plain student, over all pairs, here and in the paper."""
    gains = [
        found.mean
        for pair in results.experiment.pairs
        if (found := results.difference("mimkd", "plain", pair)) is not None
    ]
    if not gains:
        return []
    published_gains = [
        ours.mean - plain.mean
        for pair in results.experiment.pairs
        if (ours := known(pair, "mimkd")) and (plain := known(pair, "plain"))
    ]
    told = f"MIMKD against the plain student: {_gains_text(gains)}"
    there = f"; the paper's, {_gains_text(published_gains)}" if published_gains else ""
    return [f"{told}{there}."]


def _gains_text(gains: Sequence[float]) -> str:
    above = sum(gain > 0 for gain in gains)
    return f"above it in {above} of {len(gains)} pairs, {fmean(gains):+.2f} points on average"


def _critics(results: Results) -> Artefact:
    labels = [arm.label for arm in results.arms]
    rows = [
        [str(row["critic"]), str(row["term"]), f"{row['table']}", str(row["text"])]
        for row in published("mimkd-critics").rows
    ]
    built = [
        [name, f"{sum(p.numel() for p in critic.parameters()):,}"]
        for name, critic in (
            ("convolve", Convolve(256, 256, width=512)),
            ("project_and_dot", ProjectAndDot(256, 256, width=512, shortcut="relu")),
        )
    ]
    return Artefact(
        words.best_of_many(results, labels, labels[0]),
        [
            arms_table(
                results,
                name="critics",
                title="A.4: accuracy with either critic",
                heading="critic",
                base=labels[0],
            ),
            Table(
                "layers",
                "Tables 6 to 9: what the critics consist of, as published",
                ("critic", "term", "table", "layers"),
                rows,
                num_text_columns=4,
            ),
            Table(
                "parameters",
                "Parameters of a critic as built here",
                ("critic", "parameters"),
                built,
                note="Between vectors of 256 features of the teacher and 256 of the student, width"
                " 512.",
            ),
        ],
    )


def _pairs(results: Results) -> Artefact:
    parts, findings = [], []
    for table, pair in ((4, Pair("wrn_40_2", "wrn_16_1")), (5, Pair("ResNet50", "ShuffleV2"))):
        student, teacher = (_shapes(name) for name in (pair.student, pair.teacher))
        ours = [
            (teacher.feature_maps[t], student.feature_maps[s])
            for s, t in same_sized_pairs(student, teacher)
        ]
        rows, agree = [], 0
        num_rows = max(len(ours), 4)
        for k in range(1, num_rows + 1):
            printed = [_printed(table, k, of) for of in ("teacher", "student")]
            built = (
                [" × ".join(map(str, m)) for m in ours[k - 1]] if k <= len(ours) else [NOTHING] * 2
            )
            agree += printed == built
            rows.append([str(k), printed[0], built[0], printed[1], built[1]])
        findings.append(
            f"Table {table} ({pair}): {agree} of {num_rows} pairs are the paper's to the digit."
        )
        parts.append(
            Table(
                f"table{table}",
                f"Table {table}: the maps that are paired, {pair}",
                ("k", "teacher, published", "teacher", "student, published", "student"),
                rows,
                note="Channels × height × width, for images of 32 × 32 pixels.",
            )
        )
    named = _shapes("ResNet34")
    maps = ", ".join(" × ".join(map(str, shape)) for shape in named.feature_maps.values())
    findings.append(
        f"The paper calls Table 5's teacher ResNet34, whose maps are {maps}: the printed channels"
        " are ResNet50's."
    )
    return Artefact(findings, parts)


def _printed(table: int, k: int, of: str) -> str:
    row = published("mimkd-pairs").row(table=table, k=k, of=of)
    return NOTHING if row is None else str(row["text"])


def _shapes(name: str) -> Shapes:
    return shapes_of(models.build_untrained(name, 100), (32, 32), name)


def _negatives(results: Results) -> Artefact:
    labels = [arm.label for arm in results.arms]
    by_number = {int(arm.values["num_negatives"]): arm.label for arm in results.arms}
    cost_words, cost_parts = costs.negatives_cost(results, list(by_number))
    return Artefact(
        [*words.best_of_many(results, labels, labels[0]), *cost_words],
        [
            arms_table(
                results,
                name="negatives",
                title="A.7: accuracy against the number of negatives of the global term",
                heading="negatives",
                base=labels[0],
            ),
            Figure(
                "negatives",
                "Accuracy against the number of negatives",
                "Mean and deviation over the seeds.",
                figures.sweep(
                    {
                        "negatives of the global term": {
                            float(number): results.accuracy(label)
                            for number, label in by_number.items()
                        }
                    },
                    log=True,
                ),
            ),
            *cost_parts,
        ],
    )


def _imagenet(results: Results) -> Artefact:
    entry = published("mimkd-imagenet")
    labels = [arm.label for arm in results.arms]
    known = published_by_arm(results, lambda arm: entry.value(method=arm.label))
    plain = known.get("plain")
    gains = []
    for label in labels:
        found, value = results.difference(label, "plain"), known[label]
        if label != "plain" and found and value and plain:
            there = value.mean - plain.mean
            gains.append(f"{label} {found.mean:+.2f} (published {there:+.2f})")
    return Artefact(
        [
            *words.best_of_many(results, labels, "plain", noun="method"),
            f"Points gained over the plain student: {', '.join(gains)}." if gains else "",
            *words.beside_published(results, known),
        ],
        [
            arms_table(
                results,
                name="imagenet",
                title="Table 10: ImageNet, ResNet-34 to ResNet-18",
                heading="method",
                published=known | {TEACHER: entry.value(method=TEACHER)},
                base="plain",
            )
        ],
    )


EXPERIMENTS = (
    Experiment(
        name="mimkd-pairs",
        title="MIMKD, Tables 4 and 5: the paired maps of two networks",
        pairs=(Pair("wrn_40_2", "wrn_16_1"), Pair("ResNet50", "ShuffleV2")),
        artefact=_pairs,
    ),
    Experiment(
        name="mimkd-critics",
        title="MIMKD, A.4: convolve against project and dot",
        pairs=LANDSCAPE_PAIR,
        arms=(
            Variant("convolve", "mimkd", {"critic": "convolve"}),
            Variant("project and dot", "mimkd", {"critic": "project_and_dot"}),
        ),
        artefact=_critics,
        assumed=(OWN_WEIGHTS,),
    ),
    Experiment(
        name="mimkd-shallow",
        title="MIMKD, Table 11: shallow students on CIFAR-100",
        pairs=SHALLOW_PAIRS,
        arms=SHALLOW_ARMS,
        artefact=_shallow,
        recipes={
            (Pair(teacher, "conv4"), "fitnet"): {"layer": "stem"}
            for teacher in ("resnet110", "resnet32x4")
        },
        assumed=(
            OWN_WEIGHTS,
            "FitNet's hint is stage 2; with Conv-4 and a ResNet it is the stem, as Conv-4's other"
            " maps are too small for the teacher's.",
        ),
    ),
    Experiment(
        name="mimkd-landscape",
        title="MIMKD, Figures 4 to 6: test accuracy over the three weights",
        pairs=LANDSCAPE_PAIR,
        arms=landscape.arms(),
        seeds=1,
        artefact=landscape.landscape,
    ),
    Experiment(
        name="mimkd-negatives",
        title="MIMKD, A.7: cost and accuracy against the number of negatives",
        pairs=LANDSCAPE_PAIR,
        arms=tuple(
            Variant(
                f"{number} negative{'' if number == 1 else 's'}", "mimkd", {"num_negatives": number}
            )
            for number in NEGATIVES
        ),
        artefact=_negatives,
        assumed=(OWN_WEIGHTS, "Accuracies are of the ablation's pair, on CIFAR-100."),
    ),
    Experiment(
        name="mimkd-imagenet",
        title="MIMKD, Table 10: ResNet-34 to ResNet-18 on ImageNet",
        pairs=IMAGENET_PAIR,
        data="imagenet",
        arms=tuple(BASELINES[label] for label in ("plain", "kd", "at", "mimkd")),
        seeds=1,
        artefact=_imagenet,
        assumed=("KD and AT have the weights of A.2.",),
    ),
)
