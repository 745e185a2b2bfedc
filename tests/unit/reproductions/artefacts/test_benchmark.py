"""The benchmark's tables are split as in the paper."""

from tests.support.reproducing import artefact_of, results
from tuner.reports.document import Table
from tuner.reproductions.experiment import Pair
from tuner.reproductions.papers import crd


def test_the_benchmark_is_split_as_in_the_paper(tmp_path) -> None:
    labels = [variant.label for variant in crd.BENCHMARK.variants]
    found = results("crd-benchmark", {label: [50.0 + n, 52] for n, label in enumerate(labels)},
                    tmp_path, seeds=2)  # fmt: skip
    artefact = artefact_of(found)
    verdicts, *parts = (part for part in artefact.parts if isinstance(part, Table))
    assert [row[:2] for row in verdicts.rows[:1]] == [["wrn_40_2 → wrn_16_2", "crd+kd"]]
    assert artefact.findings[0] == (
        "Of 17 methods, the best by validation accuracy is crd+kd for 13 pairs."
    )
    assert [part.name for part in parts] == ["same-1", "same-2", "different-1", "different-2"]
    assert [len(part.headings) - 1 for part in parts] == [4, 3, 3, 3]
    shown = [Pair(*text.split(" → ")) for part in parts for text in part.headings[1:]]
    assert shown == [*crd.SAME, *crd.DIFFERENT]
    first = {row[0]: row[1] for row in parts[0].rows if row[0] != "published"}
    assert first["teacher"] == "90.00"
    under_kd = parts[0].rows[[row[0] for row in parts[0].rows].index("kd") + 1]
    assert under_kd[:2] == ["published", "74.92"]
