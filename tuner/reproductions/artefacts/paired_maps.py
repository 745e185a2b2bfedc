"""MIMKD's Tables 4 and 5: which feature maps of two networks are paired."""

import models
from losses.mimkd import same_sized_pairs
from models import shapes_of
from models.outputs import Shapes
from tuner.reports.document import Table
from tuner.reproductions.artefacts.artefact import Artefact
from tuner.reproductions.experiment import Pair
from tuner.reproductions.published import published
from tuner.reproductions.results import Results
from tuner.text.formatting import NOTHING

TABLES = {4: Pair("wrn_40_2", "wrn_16_1"), 5: Pair("ResNet50", "ShuffleV2")}
NUM_ROWS = 4  # of either table


def paired_maps(results: Results) -> Artefact:
    """The pairs that the loss here makes, beside the published ones; nothing is trained."""
    parts, findings = [], []
    for number, pair in TABLES.items():
        finding, table = _table(number, pair)
        findings.append(finding)
        parts.append(table)
    maps = ", ".join(_text(shape) for shape in _shapes("ResNet34").feature_maps.values())
    findings.append(
        f"The paper calls Table 5's teacher ResNet34, whose maps are {maps}; the printed channels"
        " are ResNet50's."
    )
    return Artefact(findings, parts)


def _table(number: int, pair: Pair) -> tuple[str, Table]:
    student, teacher = _shapes(pair.student), _shapes(pair.teacher)
    built = [
        [_text(teacher.feature_maps[t]), _text(student.feature_maps[s])]
        for s, t in same_sized_pairs(student, teacher)
    ]
    num_rows = max(len(built), NUM_ROWS)
    built += [[NOTHING, NOTHING]] * (num_rows - len(built))
    printed = [
        [_printed(number, k, network) for network in ("teacher", "student")]
        for k in range(1, num_rows + 1)
    ]
    num_equal = sum(ours == theirs for ours, theirs in zip(built, printed, strict=True))
    table = Table(
        f"table{number}",
        f"Table {number}: the paired maps of {pair}",
        ("k", "teacher, published", "teacher", "student, published", "student"),
        [
            [str(k), theirs[0], ours[0], theirs[1], ours[1]]
            for k, (ours, theirs) in enumerate(zip(built, printed, strict=True), 1)
        ],
        note="Channels × height × width, for images of 32 × 32 pixels.",
    )
    return f"Table {number} ({pair}): {num_equal} of {num_rows} pairs match the paper.", table


def _printed(table: int, k: int, network: str) -> str:
    row = published("mimkd-pairs").row(table=table, k=k, of=network)
    return NOTHING if row is None else str(row["text"])


def _text(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _shapes(name: str) -> Shapes:
    return shapes_of(models.build_untrained(name, 100), (32, 32), name)
